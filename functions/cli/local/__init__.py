"""`smartscheduler local`: clean hours on this very machine, by the same planner and handlers."""
