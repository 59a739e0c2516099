"""A trainer written for contract 0."""

from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 0


@hookimpl
def benchdog_trainers():
    """Return the trainer."""
    target, options = "benchdog_veteran.trainer:Veteran", "benchdog_veteran.options:Options"
    return [TrainerInfo(name="veteran", summary="SGD.", target=target, options=options)]
