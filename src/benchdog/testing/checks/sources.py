"""What is asked of a source."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from benchdog.api import (
    ArraySplit,
    BatchSplit,
    DownloadedSource,
    IndexedSplit,
    Preprocess,
    Raw,
    SourceDefaults,
    Spec,
    Split,
    SplitDefaults,
    with_defaults,
)
from benchdog.data.combined import split_spec
from benchdog.data.content import content_bytes
from benchdog.data.dataset import DecodedSplit, open_splits, preprocess_of
from benchdog.data.decode.decoder import Decoder
from benchdog.data.fast_path import check_fast_path
from benchdog.data.sample_weights import stack_weights
from benchdog.data.transform.transform import Transform
from benchdog.errors import BenchdogError
from benchdog.testing.checks.comparing import LOOKED_AT, differing, positions, raws, same, shaken, states
from benchdog.testing.checks.fitting import fits
from benchdog.testing.runner import guard
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said, stands
from benchdog.testing.runner.results import Fault, Skip


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
                "Fix it, or give options with which it opens: --set or conforms(..., options=...).",
                raised(first),
            )
        name = "path" if "path" in free else free[0]
        for path in self.bench.tiny.paths():
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
        except (Exception, SystemExit) as error:
            raise Fault(f"Opening it raises {said(error)}.", "Fix it.", raised(error) or self.where) from error

    def _fetch(self, source: Any) -> None:
        if not isinstance(source, DownloadedSource):
            return
        from benchdog.data.download import SourceCache

        before = len(guard.tried)
        try:
            source.fetch(SourceCache(self.name))
        except Exception:
            if len(guard.tried) > before:
                del guard.tried[before:]
                raise Skip(f"its data isn't here: benchdog data fetch {self.name}") from None
            raise
        del guard.tried[before:]


def opens(trial: Trial) -> str:
    """Check that it opens, without the network, and has the splits that training needs."""
    del guard.tried[:]
    try:
        opened = trial.opened
    finally:
        for address, where in guard.tried:
            raise Fault(
                f"Opening it uses the network: {address}.", "Only fetch(cache) may: it is called before.", where
            )
    sizes = {name: len(split) if isinstance(split, Split) else "a stream" for name, split in opened.splits.items()}
    return ", ".join(f"{name} {size}" for name, size in sizes.items())


def spec(trial: Trial) -> str:
    """Check that samples are what the spec says: fields, shapes, types, ranges, targets, classes, names."""
    opened = trial.opened
    where, seen = stands(trial.cls), 0
    _counts_add_up(opened.source, where)
    if opened.source.spec() != opened.spec:
        raise Fault("spec() gives something else the second time.", "Decide once, in spec() or before it.", where)
    decoder = trial.guarded("Its preprocess", Decoder, opened.spec, opened.preprocess, trial.plugins)
    for name, split in opened.splits.items():
        samples = trial.guarded(f"Reading {name}", lambda split=split: raws(split))
        ids = [raw.id for raw in samples]
        if len(set(ids)) < len(ids) or not all(isinstance(each, str) and each for each in ids):
            raise Fault(
                f"Samples of {name} have the ids {ids[:3]}.", "Set a unique string per sample: Raw(id=...).", where
            )
        try:
            stack_weights(samples)
        except BenchdogError as error:
            raise Fault(
                f"The weights of {name}: {error.message}", error.hint or "Fix Raw(weight=...).", where
            ) from None
        own = split_spec(opened.source, opened.spec, name)
        for raw in samples:
            if own != opened.spec and raw.target is not None:
                raise Fault(
                    f"Sample {raw.id} of {name} has a target, which nobody reads.",
                    "Put it into train, or set Raw(target=None).",
                    where,
                )
            fits(own, decoder, name, raw, where)
            seen += 1
        _known_ahead(name, split, samples)
    try:
        Transform(opened.preprocess, opened.spec)
    except BenchdogError as error:
        raise Fault(f"Its preprocess(): {error.message}", error.hint or "Fix preprocess().", where) from None
    return f"{seen} samples agree with it"


def _known_ahead(name: str, split: Any, samples: list[Raw]) -> None:
    """Check that ids and targets that a split knows without reading samples are those of the samples."""
    if isinstance(split, IndexedSplit):
        for i, raw in zip(positions(split), samples, strict=True):
            if split.id(i) != raw.id:
                raise Fault(
                    f"id({i}) of {name} is {split.id(i)!r}, raw({i}).id is {raw.id!r}.",
                    "Return the same id from both: evaluations name samples by it.",
                    stands(type(split)),
                )
    targets = with_defaults(split, SplitDefaults).targets if isinstance(split, Split) else None
    if targets is None:
        return
    pairs = zip(positions(split), samples, strict=True)
    if len(targets) != len(split) or not all(np.array_equal(targets[i], raw.target) for i, raw in pairs):
        raise Fault(
            f"`targets` of {name} are not those of its samples.",
            "Give all targets, (N, ...), in the split's order: `data info` counts them instead of reading samples.",
            stands(type(split)),
        )


def _counts_add_up(source: Any, where: str) -> None:
    """Check that what the source found is what it used and skipped."""
    counts = with_defaults(source, SourceDefaults).counts
    if counts is not None and counts.found != counts.used + sum(counts.skipped.values()):
        raise Fault(
            f"It found {counts.found:,} {counts.unit}, used {counts.used:,} and skipped {dict(counts.skipped)}.",
            "Count every one as used or skipped: found = used + the sum of skipped.",
            where,
        )


def repeats(trial: Trial) -> str:
    """Check that a sample is the same whenever it is asked for, and in whichever opening."""
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


def owns(trial: Trial) -> str:
    """Check that what it gave stays what it was when it gives the next."""
    opened = trial.opened
    for name, split in opened.splits.items():
        given = raws(split)
        kept = copy.deepcopy(given)
        raws(split, 2 * LOOKED_AT)
        if isinstance(split, BatchSplit) and len(split) > 1:
            first = split.batch([0])
            before = copy.deepcopy(first)
            split.batch([len(split) - 1])
            if not same(list(map(np.asarray, first[0])), list(map(np.asarray, before[0]))):
                raise Fault(
                    f"batch() of {name} changes the arrays that it gave before.",
                    "Return fresh arrays each time: several batches are alive at once.",
                    stands(type(split)),
                )
        if what := differing(given, kept):
            raise Fault(
                f"Reading on in {name} changes what was given before: {what}.",
                "Return a fresh array for each sample: several are alive at once.",
                stands(trial.cls),
            )
    return "samples stay what they are"


def fast_path(trial: Trial) -> str:
    """Check that batch() and whole() give what decoded raw samples are."""
    opened, seen = trial.opened, []
    for name, split in opened.splits.items():
        if not isinstance(split, BatchSplit | ArraySplit):
            continue
        seen.append(name)
        try:
            own = split_spec(opened.source, opened.spec, name)
            check_fast_path(DecodedSplit(split, own, opened.preprocess, trial.plugins))
        except BenchdogError as error:
            raise Fault(f"{name}: {error.message}", error.hint or "Fix the source.", stands(type(split))) from None
    if not seen:
        return "there is none"
    return f"equals the samples of {', '.join(seen)}"


def streams(trial: Trial) -> str:
    """Check that a shard can be read from any sample on."""
    seen = 0
    for name, split in trial.opened.splits.items():
        if isinstance(split, Split):
            continue
        for shard in list(split.shards())[:3]:
            whole = list(islice(split.read(shard, 0), LOOKED_AT))
            for start in {1, len(whole) // 2} if len(whole) > 1 else ():
                seen += 1
                if what := differing(whole[start:], list(islice(split.read(shard, start), LOOKED_AT - start))):
                    raise Fault(
                        f"Shard {shard.name!r} of {name} read from sample {start} on gives others than from its "
                        f"beginning on: {what}.",
                        "read(shard, start) skips the first `start` samples: a resumed run continues there.",
                        stands(type(split)),
                    )
            if shard.samples is not None and len(whole) < min(LOOKED_AT, shard.samples):
                raise Fault(
                    f"Shard {shard.name!r} of {name} gives {len(whole)} samples and says {shard.samples}.",
                    "Set Shard(samples=...) to the true number, or leave it out.",
                    stands(type(split)),
                )
    if not seen:
        return "there are none"
    return f"{seen} times from the middle"


def rebuilds(trial: Trial) -> str:
    """Check that a worker process, which opens the source from its options, gets the same samples."""
    opened = trial.opened
    here, there = digest(trial), trial.twin(opened.values)
    for name in here:
        if here[name] != there.get(name):
            raise Fault(
                f"Opened by another process from the same options, {name} has other samples.",
                "Depend on the options alone. hash() of texts and the order of a set or a folder differ there: "
                "sort, and seed with numbers.",
                stands(trial.cls),
            )
    return "the same in another process"


def digest(trial: Trial) -> dict[str, str]:
    """Return a digest of some samples of each split."""
    told = {}
    for name, split in trial.opened.splits.items():
        print_ = hashlib.sha256()
        for raw in raws(split):
            print_.update(repr((raw.id, raw.target, raw.weight)).encode() + content_bytes(raw))
        told[name] = print_.hexdigest()
    return told


def mistakes(trial: Trial) -> str:
    """Check that a path that isn't there is reported in words."""
    if not trial.paths:
        return "there is no option that is a path"
    opened = trial.opened
    gone = str(trial.bench.place / "nowhere")
    for name in trial.paths:
        try:
            trial.open({**opened.values, name: gone})
        except BenchdogError:
            continue
        except Fault as fault:
            raise Fault(
                f"{name} = a path that isn't there: {fault.found}",
                "Raise BadData or BadUsage of benchdog.api, and say which path and what belongs there.",
                fault.where,
            ) from None
        if name == "path":
            raise Fault(
                f"{name} = a path that isn't there is no error.",
                "Raise BadData of benchdog.api, and say what belongs there.",
                trial.where,
            )
    return f"a clear error: {', '.join(trial.paths)}"
