"""`smartscheduler config`."""

from functions.cli.options import JsonOption


def config(*, as_json: JsonOption = False) -> None:
    """Show which settings are in force, and where each comes from."""
    from functions.cli.config_shown import show_config

    show_config(as_json=as_json)
