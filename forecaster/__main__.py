"""Runs the forecaster's commands: `python -m forecaster`."""

from forecaster.cli import app

if __name__ == "__main__":
    app(prog_name="python -m forecaster")
