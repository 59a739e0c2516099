"""A command of contract 7."""


def foretell() -> None:
    """Say what will be."""
    print("It will be as it was.")
