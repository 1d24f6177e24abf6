"""What a person types: names, arguments and options of the commands, nothing else.

Each file has one command, which loads its work when it runs: `--help` waits for nothing.
"""
