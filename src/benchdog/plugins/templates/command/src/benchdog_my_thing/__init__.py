"""The command `benchdog my-thing`. An entry point names it, so --help does not import it."""

CONTRACT = 1
