"""The decisions: pure, without I/O; standard library, numpy and pydantic only."""
