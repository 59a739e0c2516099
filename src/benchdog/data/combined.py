"""A source with samples of further sources: the recipe's tables [sources.NAME]."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import Any

from benchdog.api import (
    IndexedSplit,
    Preprocess,
    PreprocessedSource,
    Raw,
    SampleCounts,
    Source,
    SourceDefaults,
    Spec,
    Split,
    Stream,
    Target,
    with_defaults,
)
from benchdog.data.content import contents_of
from benchdog.data.decode.decoder import default_preprocess
from benchdog.errors import BadData

SPLITS = ("train", "valid", "test")
UNLABELED = "unlabeled"
COMPARED = 50_000
"""Most samples of all splits that are compared with each other, to find those that are in two."""
NO_TARGET = Target(kind="none", shape=(0,), dtype="uint8")


class JoinedSplits:
    """Splits one behind the other, sample by sample: a fast path would decode as its own source does."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self._splits = splits
        self._ends = list(accumulate(map(len, splits)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _at(self, i: int) -> tuple[Split, int]:
        number = bisect.bisect_right(self._ends, i)
        return self._splits[number], i - (self._ends[number - 1] if number else 0)

    def raw(self, i: int, /) -> Raw:
        split, place = self._at(i)
        return split.raw(place)

    def id(self, i: int, /) -> str:
        """Return the id of sample i."""
        split, place = self._at(i)
        return split.id(place) if isinstance(split, IndexedSplit) else split.raw(place).id


class CombinedSource:
    """A source whose valid and test splits may come from elsewhere, and splits named after further sources.

    Samples of further sources are decoded as those of the main one. All samples of [sources.valid] and
    [sources.test] become that split; of another source it is the train split.

    Attributes:
        untargeted: names of the further sources whose targets aren't the main one's; their samples have none.
    """

    def __init__(self, main: Source, others: Mapping[str, Source]) -> None:
        self.main, self.others = main, others
        self._spec = main.spec()
        self._splits: dict[str, Any] = {}
        self.untargeted = tuple(
            name for name, other in others.items() if name not in SPLITS and other.spec().target != self._spec.target
        )
        for name, other in others.items():
            self._check(name, other.spec())

    def _check(self, name: str, spec: Spec) -> None:
        """Raise BadData where samples of a further source can't be decoded, or scored, as those of the main one."""
        ours, theirs = ({(f.name, f.kind) for f in each.fields} for each in (self._spec, spec))
        columns, given = ({c.name for f in each.fields for c in f.columns} for each in (self._spec, spec))
        if ours != theirs or not columns <= given:
            odd = sorted(f"{field} ({kind})" for field, kind in ours - theirs) or sorted(columns - given)
            raise BadData(
                f"The source of [sources.{name}] has other fields than the main one: without {', '.join(odd[:3])}.",
                "Both must have the same inputs.",
            )
        if name in SPLITS and spec.target != self._spec.target:
            raise BadData(
                f"The source of [sources.{name}] has another target than the main one: {_said(spec.target)} instead "
                f"of {_said(self._spec.target)}.",
                "Classes must have the same names; each of them must be in both.",
            )

    def spec(self) -> Spec:
        """Return that of the main source."""
        return self._spec

    def preprocess(self, spec: Spec) -> Preprocess:
        """Return that of the main source."""
        main = self.main
        return main.preprocess(spec) if isinstance(main, PreprocessedSource) else default_preprocess(spec)

    def open(self) -> dict[str, Any]:
        """Return the splits of all of them."""
        from benchdog.data.dataset import given_splits, open_splits

        splits: dict[str, Any] = {
            k: v for k, v in given_splits(self.main).items() if k not in self.others or k not in SPLITS
        }
        for name, other in self.others.items():
            if name in splits:
                raise BadData(f"[sources.{name}] is also a split of the main source.", "Give the table another name.")
            opened = open_splits(other)
            taken = [k for k in SPLITS if k in opened] if name in SPLITS else ["train"]
            splits[name] = _joined([opened[k] for k in taken], name)
        self._splits = splits
        return splits

    @cached_property
    def seen(self) -> dict[str, int]:
        """How many of valid's samples are also in train, and of test's in train or valid."""
        known = dict(with_defaults(self.main, SourceDefaults).seen)
        replaced = [name for name in SPLITS if name in self.others]
        if not replaced or self._sizes is None:
            return {k: v for k, v in known.items() if k not in replaced}
        splits, earlier = self._splits or self.open(), set[bytes]()
        raws = {name: [splits[name].raw(i) for i in range(len(splits[name]))] for name in SPLITS if name in splits}
        contents = iter(contents_of([raw for each in raws.values() for raw in each], self._spec))
        for name, each in raws.items():
            own = [next(contents) for _ in each]
            known[name] = sum(content in earlier for content in own)
            earlier.update(own)
        return {name: count for name, count in known.items() if count}

    @cached_property
    def _sizes(self) -> int | None:
        """The number of samples of train, valid and test; None if they are too many, or streams."""
        splits = [split for name, split in (self._splits or self.open()).items() if name in SPLITS]
        if not all(isinstance(split, Split) for split in splits):
            return None
        total = sum(len(split) for split in splits)
        return total if total <= COMPARED else None

    @property
    def notes(self) -> list[str]:
        """The notes of all sources, and one on what their samples lack."""
        notes = list(with_defaults(self.main, SourceDefaults).notes)
        for name, other in self.others.items():
            notes += [f"[sources.{name}] {note}" for note in with_defaults(other, SourceDefaults).notes]
        notes += [
            f"[sources.{name}] has another target than the main source: its samples are used without."
            for name in self.untargeted
        ]
        if self._sizes is None and any(name in SPLITS for name in self.others):
            notes.append(f"Samples that are in two splits aren't counted: there are more than {COMPARED:,}.")
        return notes

    @property
    def time_order(self) -> bool:
        """That of the main source."""
        return with_defaults(self.main, SourceDefaults).time_order

    @property
    def left_out(self) -> Mapping[str, str]:
        """Those of the main source."""
        return with_defaults(self.main, SourceDefaults).left_out

    @property
    def counts(self) -> SampleCounts | None:
        """Those of the main source."""
        return with_defaults(self.main, SourceDefaults).counts


def split_spec(source: Source, spec: Spec, name: str) -> Spec:
    """Return the spec of a split: samples of "unlabeled" and of some further sources have no target."""
    bare = name == UNLABELED or (isinstance(source, CombinedSource) and name in source.untargeted)
    return replace(spec, target=NO_TARGET) if bare else spec


def split_names(source: Source) -> tuple[str, ...]:
    """Return the names that a source's splits may have."""
    return (*SPLITS, UNLABELED, *(source.others if isinstance(source, CombinedSource) else ()))


def _joined(splits: Sequence[Split | Stream], name: str) -> JoinedSplits:
    if not all(isinstance(split, Split) for split in splits):
        raise BadData(f"The source of [sources.{name}] is a stream.", "Use a source whose samples have positions.")
    return JoinedSplits([split for split in splits if isinstance(split, Split)])


def _said(target: Target) -> str:
    classes = f" of {len(target.classes)} classes ({', '.join(target.classes[:4])}...)" if target.classes else ""
    return f"{target.kind} {target.name!r}{classes}"
