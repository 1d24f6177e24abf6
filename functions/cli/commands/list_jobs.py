"""`smartscheduler list`."""

from functions.cli.options import BucketOption, JsonOption


def list_jobs(bucket: BucketOption, *, as_json: JsonOption = False) -> None:
    """List the jobs in the bucket with their phase and progress."""
    from functions.cli.list_jobs import show_jobs

    show_jobs(bucket, as_json=as_json)
