"""The whole control plane on a simulated clock, with every fault that a seed can draw.

`python -m soak` runs schedules; `docs/soak.md` says how to read and replay what it finds.
"""
