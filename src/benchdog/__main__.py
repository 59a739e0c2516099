"""`python -m benchdog`: the command line."""

from benchdog.cli import main

main()
