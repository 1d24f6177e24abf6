"""The report of a job as one page: pure rendering from its documents, no I/O, no clock."""
