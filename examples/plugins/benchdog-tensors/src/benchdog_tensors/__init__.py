"""The command `benchdog tensors`. An entry point names it, so --help does not import it."""

CONTRACT = 1
