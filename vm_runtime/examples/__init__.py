"""Training scripts that run as they are, alone or as a job's `train.py`."""
