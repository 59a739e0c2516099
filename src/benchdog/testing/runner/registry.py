"""Which checks there are for each kind, in the order in which they are made; their code is imported later."""

from __future__ import annotations

from collections.abc import Sequence

from benchdog.errors import BadUsage, nearest

PLUGIN = ("import", "hooks", "names")
"""What is asked of the plugin as a whole, without importing any component."""
FIRST, LAST = ("options", "target"), ("prints", "files")
"""What is asked of every component, before and after all else."""

OWN: dict[str, tuple[str, ...]] = {
    "source": ("opens", "spec", "repeats", "owns", "fast-path", "streams", "rebuilds", "mistakes"),
    "model": ("builds", "output", "pure", "repeats", "batches", "rebuilds"),
    "task": (
        "serves",
        "prepares",
        "loss",
        "pure",
        "adds-up",
        "collates",
        "head",
        "meter",
        "weights",
        "blended",
        "keeps",
        "answer",
        "baselines",
    ),
    "trainer": ("trains", "pure", "seeds", "pieces", "stops", "resumes"),
    "exporter": ("exports", "agrees", "pure", "moves", "mistakes"),
    "backend": ("probe", "opens", "computes", "clean"),
    "augmentation": ("serves", "shapes", "pure", "draws", "batches", "rebuilds"),
    "writer": ("writes", "reads", "repeats", "rebuilds", "refuses"),
    "decoder": ("examples", "decodes", "pure", "repeats", "threads", "damage", "parameters", "rebuilds"),
}
"""What is asked of components of each kind: a function of that name in `benchdog.testing.<kind>s`."""
OBSERVER = ("hears", "quick", "metrics")
COMMAND = ("loads", "own-name", "help")


def checks_of(kind: str) -> tuple[str, ...]:
    """Name the checks for a kind, those of its plugin first.

    Raises:
        BadUsage: there is no such kind.
    """
    return component_checks(kind) if kind == "command" else (*PLUGIN, *component_checks(kind))


def component_checks(kind: str) -> tuple[str, ...]:
    """Name the checks for a component of a kind."""
    if kind == "observer":
        return (*OBSERVER, *LAST)
    if kind == "command":
        return (*COMMAND, *LAST)
    if kind not in OWN:
        raise BadUsage(f"There is no kind {kind!r} of component.", nearest(kind, [*OWN, "observer", "command"]))
    return (*FIRST, *OWN[kind], *LAST)


def known(names: Sequence[str]) -> None:
    """Refuse names that no check has.

    Raises:
        BadUsage: names the nearest.
    """
    every = {*PLUGIN, *(check for kind in (*OWN, "observer", "command") for check in component_checks(kind))}
    for name in names:
        if name not in every:
            raise BadUsage(f"There is no check {name!r}.", nearest(name, every))
