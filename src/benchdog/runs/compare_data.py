"""Differences between two runs' data: samples changed, moved to another split, or in one run only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchdog.data.dataset import DecodedSplit
from benchdog.errors import BenchdogError
from benchdog.recipe.recipe import Recipe
from benchdog.recipe.resolved import read_resolved
from benchdog.runs import fingerprints
from benchdog.runs.run import Run
from benchdog.system import files

MOST_LABELS = 12
"""Labels whose combinations are tried for the one that a fingerprint is of."""
Place = tuple[str, int]
"""A split and a position in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that differs.

    Attributes:
        where: recipe, data, code, packages, machine, order, loss or weights.
        what: the key, package, sample or step.
        values: of the two runs, for people.
        effect: false for what can't change the numbers.
    """

    where: str
    what: str
    values: tuple[str, str]
    effect: bool = True


def data_partings(one: Path, other: Path) -> Iterator[Difference]:
    """Compare the samples that two runs were given."""
    facts = [Run.open(folder).facts for folder in (one, other)]
    sizes = [each.get("samples") or {} for each in facts]
    kept = fingerprints.read(one), fingerprints.read(other)
    if sizes[0] != sizes[1]:
        yield Difference(where="data", what="samples", values=(_sizes(sizes[0]), _sizes(sizes[1])))
        if kept[0] and kept[1]:
            yield from _by_content((one, other), kept)
    else:
        yield from _by_position((one, other), kept)
    if facts[0].get("data") != facts[1].get("data") and not (kept[0] and kept[1]):
        yield Difference(where="data", what="the samples' ids", values=("", ""))


def _by_position(folders: tuple[Path, Path], kept: Sequence[dict[str, Any]]) -> Iterator[Difference]:
    """Compare sample by sample: the division is the same."""
    for split in (name for name in kept[0] if name in kept[1]):
        for part in ("inputs", "target", "weight"):
            if any(part not in each[split] for each in kept):
                continue
            a, b = (each[split][part] for each in kept)
            count = min(len(a), len(b))
            differing = (a[:count] != b[:count]).reshape(count, -1).any(1).nonzero().flatten().tolist()
            if differing:
                first = differing[0]
                what = f"{part} of {split} sample {names_of(folders[0], split)(first)}{_more(differing)}"
                yield Difference(where="data", what=what, values=_values(folders, part, a[first], b[first]))


def _by_content(folders: tuple[Path, Path], kept: Sequence[dict[str, Any]]) -> Iterator[Difference]:
    """Compare by what a sample holds: another content may bring it into another split, and all behind it move."""
    weighed = all("weight" in parts for each in kept for parts in each.values())
    a, b = (_places(each, weighed) for each in kept)
    lone = [
        {key: places[len(other.get(key, ())) :] for key, places in own.items()} for own, other in ((a, b), (b, a))
    ]
    alone = [{key: places for key, places in each.items() if places} for each in lone]
    changed, left = _changed(*alone)
    for part, pairs in changed.items():
        (split, position), (now, there) = pairs[0]
        values = _values(folders, part, kept[0][split][part][position], kept[1][now][part][there])
        named = names_of(folders[0], split)(position), names_of(folders[1], now)(there)
        name = named[1] if named[0].startswith("at ") else named[0]
        what = f"{part} of sample {name}{_more(pairs)}"
        yield Difference(where="data", what=what, values=(f"{values[0]} ({split})", f"{values[1]} ({now})"))
    for folder, places, sign in zip(folders, left, (1, -1), strict=True):
        if places:
            split, position = places[0]
            sides = [f"{names_of(folder, split)(position)} ({split}){_more(places)}", "-"][::sign]
            yield Difference(
                where="data",
                what=f"a sample that {folder.name} alone has in train or valid",
                values=(sides[0], sides[1]),
            )
    moved = [(x, y) for key in a if key in b for x, y in zip(a[key], b[key], strict=False) if x[0] != y[0]]
    if moved:
        (split, position), (now, _) = moved[0]
        what = f"split of sample {names_of(folders[0], split)(position)}{_more(moved)}"
        yield Difference(where="data", what=what, values=(split, now))


def _places(kept: dict[str, Any], weighed: bool) -> dict[tuple[Any, ...], list[Place]]:
    """Return where each content lies: {(inputs, target, weight): [places]}."""
    result: dict[tuple[Any, ...], list[Place]] = defaultdict(list)
    for split, parts in kept.items():
        columns = [parts[part].tolist() for part in ("inputs", "target", *(["weight"] if weighed else []))]
        for position, (inputs, *others) in enumerate(zip(*columns, strict=True)):
            result[(tuple(inputs), *others)].append((split, position))
    return result


def _changed(
    a: dict[tuple[Any, ...], list[Place]], b: dict[tuple[Any, ...], list[Place]]
) -> tuple[dict[str, list[tuple[Place, Place]]], tuple[list[Place], list[Place]]]:
    """Pair the samples that the other run lacks by their inputs, then by their target; give what is left too."""
    changed: dict[str, list[tuple[Place, Place]]] = {}
    for part, common in (("target", 0), ("inputs", 1)):
        there: dict[Any, list[tuple[tuple[Any, ...], Place]]] = defaultdict(list)
        for key, places in b.items():
            there[key[common]] += [(key, place) for place in places]
        for key in [*a]:
            while a[key] and there[key[common]]:
                match, place = there[key[common]].pop(0)
                changed.setdefault(part, []).append((a[key].pop(0), place))
                b[match].remove(place)
    return changed, (list(chain(*a.values())), list(chain(*b.values())))


def names_of(folder: Path, split: str) -> Callable[[int], str]:
    """Return what names a sample by its position: its id, where the data is still there as the run had it."""
    samples = _samples(folder, split)

    def name(position: int) -> str:
        if samples is not None and position < len(samples):
            return samples.ids([position])[0]
        return f"at position {position}"

    return name


def _samples(folder: Path, split: str) -> DecodedSplit | None:
    """Open a run's split again; None when its file is gone or was changed, or when that would run foreign code."""
    from benchdog.data.dataset import open_data
    from benchdog.data.splits import DataSplits
    from benchdog.plugins import Plugins
    from benchdog.runs.provenance import fingerprint, plugins_of_run

    try:
        recipe: Recipe = read_resolved(folder)
        run = Run.open(folder)
        plugins = plugins_of_run(run, recipe, Plugins.discover)
        data = DataSplits.open(open_data(plugins, recipe.source, recipe.sources), plugins)
        kept = run.facts.get("data")
        samples = data.splits[split] if kept in (None, fingerprint(data)) else None
    except (BenchdogError, KeyError):
        return None
    return samples if isinstance(samples, DecodedSplit) else None


def _more(found: Sequence[Any]) -> str:
    return f", and {len(found) - 1} more" if len(found) > 1 else ""


def _values(folders: tuple[Path, Path], part: str, a: torch.Tensor, b: torch.Tensor) -> tuple[str, str]:
    if part != "target":
        return _hex(a), _hex(b)
    return _labelled(folders[0], a, _hex(a)), _labelled(folders[1], b, _hex(b))


def _sizes(sizes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sizes.items())


def _labelled(folder: Path, mark: torch.Tensor, otherwise: str) -> str:
    """Return the class or true labels with this fingerprint; `otherwise` where the run doesn't keep them."""
    path = folder / "artifact" / "artifact.json"
    spec = files.read_object(path).get("spec") if path.is_file() else None
    target = spec.get("target") if isinstance(spec, dict) else None
    classes = target.get("classes") if isinstance(target, dict) else None
    if not isinstance(target, dict) or not isinstance(classes, list):
        return otherwise
    kind = target.get("kind")
    if kind == "class":
        found = (
            (fingerprints.sample_fingerprints(np.arange(len(classes), dtype=np.int64)) == mark)
            .nonzero()
            .flatten()
            .tolist()
        )
        return str(classes[found[0]]) if found else otherwise
    if kind == "labels" and 0 < len(classes) <= MOST_LABELS:
        every = (np.arange(2 ** len(classes))[:, None] >> np.arange(len(classes))) & 1
        found = (fingerprints.sample_fingerprints(every.astype(np.float32)) == mark).nonzero().flatten().tolist()
        return ", ".join(np.array(classes)[every[found[0]] > 0]) or "none" if found else otherwise
    return otherwise


def _hex(value: torch.Tensor) -> str:
    numbers = value.reshape(-1).tolist()
    return " ".join(f"{n & (2**64 - 1):016x}"[:8] for n in numbers)
