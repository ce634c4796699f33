"""`python -m proa`: the command, where its launcher is not installed."""

from proa.cli.main import main

main()
