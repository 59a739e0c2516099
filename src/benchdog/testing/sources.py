"""What is asked of a source."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from benchdog.api import Preprocess, Raw, Spec, Split
from benchdog.decode import decode
from benchdog.errors import BenchdogError
from benchdog.loading import check_codes, open_splits, preprocess_of
from benchdog.testing import guard, trials
from benchdog.testing.places import raised, said, stands
from benchdog.testing.results import Fault, Skip

LOOKED_AT = 12
"""Samples of a split that are looked at."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that was made and opened."""

    source: Any
    spec: Spec
    preprocess: Preprocess
    splits: dict[str, Any]
    values: dict[str, Any]


class Trial(trials.Trial):
    """A source on trial."""

    @property
    def opened(self) -> Opened:
        """The source, opened once."""
        return self.once("opened", self._opened)

    def _opened(self) -> Opened:
        values = self.values
        try:
            return self.open(values)
        except (Fault, Skip):
            raise
        except BenchdogError as error:
            first = error
        free = [name for name in self.paths if name not in values]
        if not free:
            raise Fault(
                f"Opening it raises {said(first)}.",
                "Mend it, or give options with which it opens: --set or conforms(..., options=...).",
                raised(first),
            )
        name = "path" if "path" in free else free[0]
        for path in self.tiny.paths():
            try:
                return self.open({**values, name: str(path)})
            except BenchdogError:
                continue
        raise Skip(
            f"opens none of the kit's small files ({said(first)}): "
            f"name one with --set {self.name}.{name}=..., or conforms(..., options=...)"
        )

    def open(self, values: Mapping[str, Any]) -> Opened:
        """Make and open it; what isn't a BenchdogError is a fault."""
        try:
            source = self.make(values)
            self._fetch(source)
            spec = source.spec()
            if not isinstance(spec, Spec):
                raise Fault(
                    f"spec() gives a {type(spec).__name__}.", "Return a Spec of benchdog.api.", stands(self.cls)
                )
            splits = dict(open_splits(source))
            return Opened(source, spec, preprocess_of(source, spec), splits, dict(values))
        except (Fault, Skip, BenchdogError):
            raise
        except Exception as error:
            raise Fault(f"Opening it raises {said(error)}.", "Mend it.", raised(error) or self.where) from error

    def _fetch(self, source: Any) -> None:
        fetch = getattr(source, "fetch", None)
        if fetch is None:
            return
        from benchdog.cache import SourceCache

        before = len(guard.tried)
        try:
            fetch(SourceCache(self.name))
        except Exception:
            if len(guard.tried) > before:
                del guard.tried[before:]
                raise Skip(f"its data isn't here: benchdog data fetch {self.name}") from None
            raise
        del guard.tried[before:]


def opens(trial: Trial) -> str:
    """See that it opens, without the network, and has the splits that training needs."""
    del guard.tried[:]
    opened = trial.opened
    for address, where in guard.tried:
        raise Fault(
            f"open() or spec() uses the network: {address}.", "Only fetch(cache) may: it is called before.", where
        )
    sizes = {name: len(split) if isinstance(split, Split) else "a stream" for name, split in opened.splits.items()}
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def raws(split: Any, count: int = LOOKED_AT) -> list[Raw]:
    """Give some samples of a split, first and last among them."""
    if isinstance(split, Split):
        size = len(split)
        places = sorted({round(i * (size - 1) / max(1, count - 1)) for i in range(min(count, size))})
        return [split.raw(i) for i in places]
    found: list[Raw] = []
    for shard in split.shards():
        found += islice(split.read(shard, 0), count - len(found))
        if len(found) >= count:
            break
    return found


def spec(trial: Trial) -> str:
    """See that samples are what the spec says: fields, shapes, types, ranges, targets, classes, names."""
    opened = trial.opened
    where, seen = stands(trial.cls), 0
    if opened.source.spec() != opened.spec:
        raise Fault("spec() gives something else the second time.", "Decide once, in spec() or before it.", where)
    for name, split in opened.splits.items():
        samples = trial.guarded(f"Reading {name}", lambda split=split: raws(split))  # type: ignore[misc]
        ids = [raw.id for raw in samples]
        if len(set(ids)) < len(ids) or not all(isinstance(each, str) and each for each in ids):
            raise Fault(
                f"Samples of {name} have the ids {ids[:3]}.", "Give each one a text of its own: Raw(id=...).", where
            )
        for raw in samples:
            _fits(opened, name, raw, where)
            seen += 1
    return f"{seen} samples agree with it"


def _fits(opened: Opened, split: str, raw: Raw, where: str) -> None:
    """See that one sample is what the spec says."""
    try:
        arrays = decode(raw, opened.spec, opened.preprocess)
    except BenchdogError as error:
        raise Fault(
            f"The spec disagrees with {split}: {error.message}", "Mend spec() or the samples.", where
        ) from None
    for field, array in zip(opened.spec.fields, arrays, strict=True):
        if field.range is None or not array.size:
            continue
        low, high = float(np.nanmin(array)), float(np.nanmax(array))
        if low < field.range[0] or high > field.range[1]:
            raise Fault(
                f"Sample {raw.id!r} of {split}: field {field.name!r} reaches from {low:g} to {high:g}, the spec says "
                f"{field.range[0]:g} to {field.range[1]:g}.",
                "Give Field(range=...) the smallest and largest value that can come, or leave it out.",
                where,
            )
    _target(opened.spec, split, raw, where)


def _target(spec: Spec, split: str, raw: Raw, where: str) -> None:
    said_of = spec.target
    remedy = "Mend Target(...) in spec(), or the samples' target."
    try:
        given = np.asarray(raw.target)
        value = np.asarray(raw.target, dtype=np.dtype(said_of.dtype))
        check_codes(value[None], spec, lambda _: raw.id)
    except BenchdogError as error:
        raise Fault(f"The spec disagrees with {split}: {error.message}", remedy, where) from None
    except (TypeError, ValueError) as error:
        raise Fault(
            f"Sample {raw.id!r} of {split}: its target is no {said_of.dtype}: {error}.", remedy, where
        ) from None
    if given.dtype.kind == "f" and value.dtype.kind in "iu" and not np.array_equal(given, value):
        raise Fault(
            f"Sample {raw.id!r} of {split}: its target {raw.target!r} is cut to {said_of.dtype}.", remedy, where
        )
    fits = value.ndim == len(said_of.shape) and all(
        want in (None, have) for want, have in zip(said_of.shape, value.shape, strict=False)
    )
    if not fits:
        raise Fault(
            f"Sample {raw.id!r} of {split}: its target has the shape {value.shape}, the spec says {said_of.shape}.",
            remedy,
            where,
        )


def same(a: Any, b: Any) -> bool:
    """Say whether two raw values are equal, bit for bit."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        x, y = np.asarray(a), np.asarray(b)
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    if isinstance(a, float) and isinstance(b, float) and a != a and b != b:
        return True
    return bool(a == b)


def differing(a: Sequence[Raw], b: Sequence[Raw]) -> str:
    """Name the first thing in which two lists of samples differ; "" when they don't."""
    if len(a) != len(b):
        return f"{len(a)} samples and {len(b)}"
    for one, other in zip(a, b, strict=True):
        if one.id != other.id:
            return f"the samples {one.id!r} and {other.id!r}"
        if not same(one.fields, other.fields):
            names = [name for name in one.fields if not same(one.fields[name], other.fields.get(name))]
            return f"field {names[0] if names else '?'!r} of sample {one.id!r}"
        if not same(one.target, other.target) or not same(one.weight, other.weight):
            return f"the target or weight of sample {one.id!r}"
    return ""


def states() -> tuple[Any, ...]:
    """Give the states of the global random generators."""
    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()  # type: ignore[index]


def shaken(seed: int) -> None:
    """Seed the global random generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def repeats(trial: Trial) -> str:
    """See that a sample is the same whenever it is asked for, and in whichever opening."""
    opened = trial.opened
    where, seed = (
        stands(trial.cls),
        "Draw from a generator of its own: random.Random(seed), or default_rng([seed, i]).",
    )
    for name, split in opened.splits.items():
        first = raws(split)
        if what := differing(first, raws(split)):
            raise Fault(f"{name} read twice gives two results: {what}.", seed, where)
    found = []
    for number in (1, 2):
        shaken(number)
        before = states()
        again = trial.open(opened.values)
        found.append({name: raws(split) for name, split in again.splits.items()})
        if states() != before:
            raise Fault(
                "It uses or seeds the global random generator, which belongs to the run.",
                seed,
                where,
            )
    for name in found[0]:
        if what := differing(found[0][name], found[1][name]):
            raise Fault(f"Opened twice, {name} has other samples: {what}.", seed, where)
    return "the same samples each time"


def rebuilds(trial: Trial) -> str:
    """See that a worker process, which opens the source from its options, gets the same samples."""
    opened = trial.opened
    trial.full()
    return f"from {len(opened.values)} options"


def batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Cut positions into batches."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
