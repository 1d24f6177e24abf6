"""`python -m functions.cli`: the console command where no script is installed."""

from functions.cli import app

app(prog_name="smartscheduler")
