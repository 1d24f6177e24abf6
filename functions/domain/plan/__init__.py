"""The interval plan of a job, and how the best one is found."""
