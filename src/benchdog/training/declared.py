"""What a trainer declares that it needs besides labeled samples: unlabeled ones, further sources, trained models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from benchdog.api import Trainer, TrainerDefaults, with_defaults
from benchdog.data.combined import SPLITS, UNLABELED
from benchdog.errors import BadUsage
from benchdog.recipe.recipe import Recipe


def splits_of(trainer: Trainer) -> tuple[str, ...]:
    """Return the names of the splits that a trainer reads besides train and valid."""
    declared = with_defaults(trainer, TrainerDefaults)
    return (*([UNLABELED] if declared.unlabeled else []), *declared.sources)


def check_trainer(recipe: Recipe, trainer: Trainer, sizes: Collection[str]) -> None:
    """Check that a recipe has what its trainer declares, and nothing that would go unused.

    Raises:
        BadUsage: the tables [sources.NAME] and [models.NAME] are others than the trainer declares, or it needs
            unlabeled samples and there are none.
    """
    declared, name = with_defaults(trainer, TrainerDefaults), recipe.trainer.name
    others = [source for source in recipe.sources if source not in (*SPLITS, UNLABELED)]
    _same(name, "sources", others, declared.sources, "name")
    _same(name, "models", recipe.models, declared.models, "weights")
    if declared.unlabeled and UNLABELED not in sizes:
        raise BadUsage(
            f"Trainer {name!r} learns from samples without a target too, and {recipe.source.name!r} has none.",
            'Leave them in: source.target_missing = "unlabeled" (csv, text), source.unlabeled = "FOLDER" '
            "(image-folder), source.labeled = 0.1 (digits), or name a source of them in [sources.unlabeled].",
        )


def _same(trainer: str, table: str, given: Iterable[str], declared: Iterable[str], key: str) -> None:
    given, declared = list(given), list(declared)
    if unused := [name for name in given if name not in declared]:
        those = f"it takes [{table}.{declared[0]}]" if declared else f"it takes none of [{table}]"
        raise BadUsage(
            f"Trainer {trainer!r} doesn't use [{table}.{unused[0]}]: {those}.",
            "Remove the table, or use a trainer that declares it.",
        )
    if missing := [name for name in declared if name not in given]:
        raise BadUsage(
            f"Trainer {trainer!r} needs [{table}.{missing[0]}], which the recipe lacks.",
            f'Write [{table}.{missing[0]}] with {key} = "...", or: --set {table}.{missing[0]}=...',
        )


def unused_notes(recipe: Recipe, trainer: Trainer, sizes: Mapping[str, int | None]) -> list[str]:
    """Return a note on unlabeled samples that the trainer doesn't use."""
    count = sizes.get(UNLABELED)
    if not count or UNLABELED in splits_of(trainer):
        return []
    why = f"trainer {recipe.trainer.name!r} learns from targets alone"
    return [f"{count:,} samples have no target and aren't used: {why}."]
