"""Comparison of runs: curves, final metrics, recipe differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchdog.evaluation.report import figures
from benchdog.evaluation.report.facts import Facts, mapping
from benchdog.evaluation.report.figures import Line
from benchdog.evaluation.report.formatting import between, number, short, wording
from benchdog.evaluation.report.rendering import render
from benchdog.evaluation.report.tables import Table
from benchdog.runs.compare import differences


def final(runs: Sequence[Facts]) -> dict[str, list[float | None]]:
    """Return the final metrics by name, one value a run; None where a run lacks it."""
    each = [run.scalars() for run in runs]
    ranks = {"test": 0, "valid": 1, "train": 2}
    found = dict.fromkeys(name for one in each for name in one)
    names = sorted(found, key=lambda name: ranks.get(name.split(".")[0], 3))  # stable within a split
    return {name: [one.get(name) for one in each] for name in names}


def panels(runs: Sequence[Facts]) -> list[tuple[str, list[Line]]]:
    """Choose the curves that the runs share: the loss and each monitored metric, on valid."""
    wanted = dict.fromkeys(["loss", *(run.monitor for run in runs)])
    found = []
    for metric in wanted:
        lines = [
            Line(name=run.name, x=x, y=y, color=i, dashed=i >= len(figures.SERIES))
            for i, run in enumerate(runs)
            for x, y in [run.series(f"valid.{metric}")]
            if x
        ]
        if lines:
            found.append((f"valid {wording(metric)}", lines))
    return found


def plot(runs: Sequence[Facts]) -> bytes:
    """Draw the overlaid curves as a PNG file's bytes."""
    return figures.curves_png(panels(runs), x_label="epoch")


def page(runs: Sequence[Facts]) -> str:
    """Return the comparison's page."""
    drawn = panels(runs)
    return render(
        "comparison.html.j2",
        title=f"Comparison: {', '.join(run.name for run in runs)}",
        verdict=verdict(runs),
        curves=figures.curves(drawn, x_label="epoch") if drawn else None,
        names=[(run.name, i) for i, run in enumerate(runs)],
        metrics=_table("metric", runs, with_intervals(runs)),
        recipes=_table("key", runs, differences([run.recipe for run in runs])),
        damaged=damaged(runs),
    )


def with_intervals(runs: Sequence[Facts]) -> dict[str, list[Any]]:
    """Return the final metrics as texts, with their 95 % intervals where they are known."""
    known = [run.intervals() for run in runs]
    return {
        name: [between(value, spans.get(name)) for value, spans in zip(values, known, strict=True)]
        for name, values in final(runs).items()
    }


def verdict(runs: Sequence[Facts]) -> str:
    """Return which run is best, if all were evaluated by one metric on one split and the intervals don't overlap."""
    if len({(run.monitor, run.better) for run in runs}) != 1:
        return "These runs monitor different metrics."
    monitor, better = runs[0].monitor, runs[0].better
    for split in ("test", "valid"):
        key = f"{split}.{monitor}"
        known = [(value, run) for run in runs if (value := run.scalars().get(key)) is not None]
        if len(known) == len(runs) > 1 and (marks := _apart(runs, split)):
            each = ", ".join(f"{run.name} on {mark}" for run, mark in zip(runs, marks, strict=True))
            more = ""
            if any(run.target == "next-token" for run in runs):
                more = " Texts in other units or windows are compared by bits_per_byte."
            return (
                f"These runs are not comparable, and none is best: they were evaluated on different {split} samples, "
                f"of other data or another split: {each}.{more}"
            )
        if len(known) == len(runs) > 1:
            return _ranked(known, key, f"{split} {wording(monitor)}", better)
    return f"{len(runs)} runs, not all of them evaluated."


def _apart(runs: Sequence[Facts], split: str) -> list[str]:
    """Describe the samples that each run was evaluated on; [] where they are the same or unknown."""
    counts = [number(mapping(run.run.get("samples")).get(split)) for run in runs]
    marks = [run.held_out(split) for run in runs]
    if not all(marks):  # of a run that isn't finished, or older
        marks = [str(run.run.get("data") or "") for run in runs]
    if len(set(filter(None, marks))) < 2 and len({count for count in counts if count is not None}) < 2:
        return []
    pairs = zip(counts, marks, strict=True)
    return [f"{'?' if count is None else int(count)} samples ({mark[:8] or 'unmarked'})" for count, mark in pairs]


def damaged(runs: Sequence[Facts]) -> str:
    """Return whose recipes can't be read, and so not compared; "" when all can."""
    found = [f"{run.name}: {fault}" for run in runs for fault in run.faults if fault.startswith("recipe.toml")]
    return f"The recipes can't be compared: {'; '.join(found)}." if found else ""


def _ranked(known: list[tuple[float, Facts]], key: str, what: str, better: str) -> str:
    """Name the best run, unless its interval meets another's."""
    order = sorted(known, key=lambda pair: pair[0], reverse=better == "max")
    value, best = order[0]
    if order[1][0] == value:
        return f"The {what} of the best runs is equal: {short(value)}."
    winner = f"{best.name} is best: its {what} is {short(value)}."
    mine = best.intervals().get(key)
    others = [(run.name, run.intervals().get(key)) for _, run in order[1:]]
    if mine is None or any(pair is None for _, pair in others):
        return f"{winner} Whether the difference is significant is unknown: not all runs have an interval."
    near = [name for name, pair in others if pair and pair[0] <= mine[1] and mine[0] <= pair[1]]
    if near:
        names = near[0] if len(near) == 1 else f"{', '.join(near[:-1])} and {near[-1]}"
        return (
            f"No significant difference: the intervals overlap. The {what} of {best.name} is "
            f"{between(value, mine)}; it overlaps with that of {names}."
        )
    return winner


def _table(name: str, runs: Sequence[Facts], rows: dict[str, Any]) -> Table:
    lines = [(key, *map(short, values)) for key, values in rows.items()]
    return Table((name, *(run.name for run in runs)), lines, 1)
