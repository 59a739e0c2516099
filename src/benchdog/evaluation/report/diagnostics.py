"""How far the metrics can be relied on: calibration, thresholds, slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchdog.evaluation.report import figures
from benchdog.evaluation.report.facts import Facts, mapping, objects, span
from benchdog.evaluation.report.formatting import THIN, between, figure_text, number, percent, short, wording
from benchdog.evaluation.report.tables import Noted, Table

DRAWN = 8
"""The most threshold curves: there are no more colors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An interval drawn as a line, in pixels."""

    low: float
    dot: float
    high: float
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceRow:
    """A slice's figures; `monitored` is the metric that slices are ordered by."""

    name: str
    samples: str
    monitored: str
    bar: Interval | None
    others: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slices:
    """The table of slices."""

    by: str
    heads: list[str]
    rows: list[SliceRow]
    note: str


def calibration(read: Facts) -> Noted | None:
    """Draw the reliability diagram."""
    given = mapping(read.evaluation.get("calibration"))
    lines = [
        (number(x.get("said")), number(x.get("true")), number(x.get("count"))) for x in objects(given.get("curve"))
    ]
    known = [(mean, true, count) for mean, true, count in lines if mean is not None and true is not None and count]
    if not known:
        return None
    total = sum(count for _, _, count in known)
    image = figures.reliability([s for s, _, _ in known], [t for _, t, _ in known], [c / total for *_, c in known])
    pairs = mapping(given.get("intervals"))
    rows = [
        (name, between(value, span(pairs.get(key))))
        for name, key in (("calibration error", "ece"), ("Brier score", "brier"))
        if (value := number(given.get(key))) is not None
    ]
    gap = sum((mean - true) * count for mean, true, count in known) / total
    sides = "higher" if gap > 0 else "lower"
    text = f"On average the probabilities are {100 * abs(gap):.1f} points {sides} than the observed frequencies."
    return Noted(table=Table(("", f"value (95{THIN}% CI)"), rows, 1), text=text, image=image)


def thresholds(read: Facts) -> Noted | None:
    """Draw precision-recall and ROC curves; list the thresholds chosen on the validation split."""
    lines = [line for line in objects(read.evaluation.get("thresholds")) if points(line.get("pr"))]
    if not lines:
        return None
    drawn = [
        (str(x.get("class")), points(x.get("pr")), points(x.get("roc")), _reached(x.get("chosen")))
        for x in lines[:DRAWN]
    ]
    note = "A ring marks the threshold with the best F1 on the validation split."
    if len(lines) > DRAWN:
        note += f" {DRAWN} of {len(lines)} curves are drawn."
    rows = []
    for line in lines:
        chosen, half = _reached(line.get("chosen")), _reached(line.get("at_half"))
        best = [chosen.get(key) for key in ("threshold", "precision", "recall", "f1")]
        rows.append((str(line.get("class")), short(best[0]), *map(percent, best[1:]), percent(half.get("f1"))))
    heads = ("class", "threshold", "precision", "recall", "F1", "F1 at 0.5")
    names = [(name, i) for i, (name, *_) in enumerate(drawn)]
    return Noted(table=Table(heads, rows, 1), note=note, image=figures.trades(drawn), names=names)


def _reached(value: Any) -> dict[str, float]:
    known = {key: number(each) for key, each in mapping(value).items()}
    complete = {key: each for key, each in known.items() if each is not None}
    return complete if {"precision", "recall", "f1"} <= complete.keys() else {}


def points(value: Any) -> list[tuple[float, float]]:
    """Return the pairs of numbers of a list, none for anything else."""
    return [pair for each in value if (pair := span(each)) is not None] if isinstance(value, list) else []


def slices(read: Facts) -> Slices | None:
    """List the slices, worst first."""
    given = mapping(read.evaluation.get("slices"))
    lines = objects(given.get("slices"))
    if not lines:
        return None
    monitor = str(given.get("monitor"))
    names = list(dict.fromkeys(name for line in lines for name in mapping(line.get("metrics"))))
    names.sort(key=lambda name: name != monitor)
    spans = [span(mapping(line.get("intervals")).get(monitor)) for line in lines]
    ends = [end for pair in spans if pair for end in pair]
    scale = (min(ends), max(ends)) if ends else None
    rows = []
    for line, pair in zip(lines, spans, strict=True):
        metrics = {name: number(value) for name, value in mapping(line.get("metrics")).items()}
        cells = [figure_text(name, metrics.get(name)) for name in names]
        rows.append(
            SliceRow(
                name=str(line.get("slice")),
                samples=short(line.get("samples")),
                monitored=cells[0] if cells else "",
                bar=_interval(metrics.get(monitor), pair, scale),
                others=cells[1:],
            )
        )
    ends_note = f" Intervals are drawn from {short(scale[0])} to {short(scale[1])}." if scale else ""
    first = wording(names[0]) if names else ""
    heads = [str(given.get("by")), "samples", first, f"95{THIN}% CI", *map(wording, names[1:])]
    return Slices(by=heads[0], heads=heads, rows=rows, note=f"Worst first.{ends_note}")


def _interval(
    value: float | None, pair: tuple[float, float] | None, scale: tuple[float, float] | None
) -> Interval | None:
    if pair is None or scale is None or value is None:
        return None
    wide = (scale[1] - scale[0]) or 1.0
    low, dot, high = (round(6 + 148 * (x - scale[0]) / wide, 1) for x in (pair[0], value, pair[1]))
    return Interval(low=low, dot=dot, high=high, title=f"{short(pair[0])} to {short(pair[1])}")
