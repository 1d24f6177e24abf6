"""The use cases, over ports: observe, decide (in `domain`), do one step."""
