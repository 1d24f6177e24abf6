"""The control plane: forecast, plan, act."""
