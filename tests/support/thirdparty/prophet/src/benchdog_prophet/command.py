"""A command of contract 7."""


def foretell() -> None:
    """Print a prophecy."""
    print("Tomorrow will be like today.")
