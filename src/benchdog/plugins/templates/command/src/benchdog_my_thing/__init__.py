"""The command `benchdog my-thing`. Its entry point names it, so that --help imports none of this."""

CONTRACT = 1
