"""What a run's page shows, as plain data for the templates; a part whose files are absent is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchdog.api import json_text
from benchdog.data.leakage import overlap_warnings
from benchdog.data.source_notes import summary
from benchdog.evaluation.report import confusion, diagnostics, figures, gallery
from benchdog.evaluation.report.facts import Facts, Json, mapping, objects
from benchdog.evaluation.report.figures import Line
from benchdog.evaluation.report.formatting import (
    THIN,
    figure_text,
    number,
    rounded,
    seconds,
    short,
    wording,
)
from benchdog.evaluation.report.headline import Bar, Headline, headline
from benchdog.evaluation.report.tables import Cell, Noted, Plot, Table

POINTS = 2000
"""The most dots of a scatter plot: more only fill the file."""
FOLDED = 30
"""With more classes than this their table is folded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """The confusion matrix, unless it has too many classes, and the most frequent errors."""

    matrix: confusion.Matrix | None
    errors: Table
    narrow: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnBar:
    """A bar of the comparison with the baselines; its width is in percent."""

    name: str
    text: str
    width: float
    ours: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """A warning at the top of the page."""

    strong: str
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """A run's page."""

    kicker: str
    title: str
    top: Headline
    split: str
    bars: list[DrawnBar]
    bars_note: str
    banners: list[Banner]
    facts: list[tuple[str, str]]
    curves: Plot | None
    metrics: Noted | None
    scatter: Plot | None
    confusion: Confusion | None
    per_class: Noted | None
    calibration: Noted | None
    thresholds: Noted | None
    slices: diagnostics.Slices | None
    worst: gallery.Gallery | None
    confident: gallery.Gallery | None
    exports: list[Noted]
    recipe: str
    environment: Table | None
    faults: list[str]


def run_view(read: Facts) -> RunView:
    """Prepare a run's page."""
    top = headline(read)
    direction = "longer" if top.better == "max" else "shorter"
    return RunView(
        kicker=" · ".join(filter(None, (f"Run {read.name}", str(read.run.get("created") or "")[:10]))),
        title=top.answer or _no_results(read),
        top=top,
        split="test split" if "test" in read.evaluations else "validation split",
        bars=_bars(top.bars),
        bars_note=f"{wording(top.metric)}; {direction} is better" if top.bars else "",
        banners=_banners(read),
        facts=_facts(read),
        curves=curves(read),
        metrics=_metrics(read),
        scatter=_scatter(read),
        confusion=_confusion(read.evaluation),
        per_class=_per_class(read.evaluation),
        calibration=diagnostics.calibration(read),
        thresholds=diagnostics.thresholds(read),
        slices=diagnostics.slices(read),
        worst=gallery.worst(read),
        confident=gallery.confident(read),
        exports=[_export(folder, report) for folder, report in read.exports],
        recipe=read.recipe_text.strip(),
        environment=_environment(read),
        faults=read.faults,
    )


def _no_results(read: Facts) -> str:
    done = "before its first epoch ended" if not read.epochs else f"after {len(read.epochs)} epochs"
    verbs = {"failed": "failed", "stopped": "was stopped", "interrupted": "was interrupted"}
    verbs["running"] = "is not finished"
    state = str(read.run.get("status"))
    return f"Run {read.name} {verbs[state]} {done}." if state in verbs else f"Run {read.name} has no results."


def _banners(read: Facts) -> list[Banner]:
    """Return warnings: an unusual end, held-out samples that are in the training split."""
    state, done = read.run.get("status"), read.run.get("epochs_done")
    epochs = f"{short(done)} epoch{'' if done == 1 else 's'}"
    banners = []
    if state == "failed":
        banners.append(Banner(strong="The error: ", text=str(read.run.get("error") or "unknown")))
    elif state == "stopped":
        banners.append(Banner(strong="This run was stopped", text=f" after {epochs}."))
    elif state == "running":
        banners.append(Banner(strong="This run is not finished", text=f": {epochs} done."))
    elif state == "interrupted":
        resume = f" after {epochs}: its process was ended. Resume: benchdog train --resume {read.name}"
        banners.append(Banner(strong="This run was interrupted", text=resume))
    elif not read.run:
        banners.append(Banner(strong="run.json is missing", text=": little is known about this run."))
    counts, sizes = (
        {split: n for split, n in mapping(read.run.get(key)).items() if isinstance(n, int)}
        for key in ("seen", "samples")
    )
    if warnings := overlap_warnings(counts, sizes):
        banners.append(Banner(strong=" ".join(warnings)))
    return banners


def _bars(bars: list[Bar]) -> list[DrawnBar]:
    longest = max((abs(bar.value) for bar in bars), default=0.0) or 1.0
    return [
        DrawnBar(name=bar.name, text=bar.text, width=78 * max(bar.value, 0.0) / longest, ours=bar.ours)
        for bar in bars
    ]


def _facts(read: Facts) -> list[tuple[str, str]]:
    run, samples = read.run, read.run.get("samples")
    counts = None
    if isinstance(samples, dict):
        counts = " / ".join(short(samples.get(s)) for s in ("train", "valid", "test"))
    lines = {
        "source": run.get("source"),
        "model": None if read.classical else run.get("model"),
        "task": run.get("task"),
        "trainer": run.get("trainer"),
        "parameters": short(run["parameters"]) if run.get("parameters") and not read.classical else None,
        "epochs": short(run["epochs_done"]) if "epochs_done" in run else None,
        f"best valid {wording(read.monitor)}": _best(read),
        "train / valid / test samples": counts,
        "read": summary(read.sample_counts) if read.sample_counts else None,
        "time": seconds(run["seconds"]) if number(run.get("seconds")) else None,
    }
    return [(name, str(value)) for name, value in lines.items() if value]


def _best(read: Facts) -> str | None:
    if read.best is None:
        return None
    return f"{short(read.best[1])}, epoch {read.best[0]}"


def curves(read: Facts) -> Plot | None:
    """Draw the learning curves."""
    panels, best = curve_panels(read)
    if not panels:
        return None
    label = "epoch" if read.epochs else "step"
    names = dict.fromkeys((line.name, line.color) for _, lines in panels for line in lines if not line.faint)
    tie = f": {read.tie}" if read.tie else ""
    note = f"The ring marks the best epoch, {best[1]}{tie}." if best else ""
    return Plot(image=figures.curves(panels, x_label=label, best=best), names=list(names), note=note)


def curve_panels(read: Facts) -> tuple[list[tuple[str, list[Line]]], tuple[int, int, float] | None]:
    """Choose what to draw: the loss, the monitored metric, and the best epoch."""
    panels: list[tuple[str, list[Line]]] = []
    loss = [Line(name="train, by step", x=x, y=y, color=0, faint=True) for x, y in [_steps(read)] if x]
    shown = ["loss"] if read.monitor == "loss" else ["loss", read.monitor]
    best = None
    for metric in shown:
        lines = loss if metric == "loss" else []
        for color, split in enumerate(("train", "valid")):
            x, y = read.series(f"{split}.{metric}")
            if x:
                lines = [*lines, Line(name=split, x=x, y=y, color=color)]
        if not lines:
            continue
        if metric == read.monitor and read.best:
            best = (len(panels), *read.best)
        panels.append((wording(metric), lines))
    return panels, best


def _steps(read: Facts) -> tuple[list[float], list[float]]:
    """Return the logged losses by step, on the axis of epochs."""
    last = read.epochs[-1] if read.epochs else {}
    step, epoch = number(last.get("step")), number(last.get("epoch"))
    scale = epoch / step if step and epoch else 1.0
    pairs = [(number(s.get("step")), number(s.get("loss"))) for s in read.steps]
    kept = [(x * scale, y) for x, y in pairs if x is not None and y is not None]
    kept = kept[:: max(1, len(kept) // POINTS)]
    return [x for x, _ in kept], [y for _, y in kept]


def _metrics(read: Facts) -> Noted | None:
    """List every scalar metric by split, with its interval."""
    scalars, intervals = read.scalars(), read.intervals()
    splits = [s for s in ("train", "valid", "test") if any(k.startswith(f"{s}.") for k in scalars)]
    names = list(dict.fromkeys(k.split(".", 1)[1] for k in scalars if k.split(".", 1)[0] in splits))
    if not names:
        return None

    def cell(key: str) -> Cell:
        pair = intervals.get(key)
        small = f"{short(rounded(pair[0]))} to {short(rounded(pair[1]))}" if pair else ""
        return Cell(short(scalars.get(key)), small=small)

    rows: list[list[str | Cell]] = [[wording(n), *(cell(f"{s}.{n}") for s in splits)] for n in names]
    notes = [f"Intervals: 95{THIN}% bootstrap CI."] if intervals else []
    weighted = next((w for e in read.evaluations.values() if isinstance(w := e.get("weighted"), list)), None)
    if weighted:
        listed = ", ".join(wording(str(name)) for name in weighted)
        notes.append(f"Sample weights apply to {listed}; in all other metrics each sample counts once.")
    return Noted(table=Table(("metric", *splits), rows, 1), note=" ".join(notes))


def _scatter(read: Facts) -> Plot | None:
    evaluation = read.evaluation
    pairs = evaluation.get("pairs") or mapping(evaluation.get("metrics")).get("pairs")
    points: list[tuple[float, float]] = []
    for pair in pairs if isinstance(pairs, list) else []:
        if isinstance(pair, list) and len(pair) == 2:
            sides = [side if isinstance(side, list) else [side] for side in pair]
            both = [(number(t), number(a)) for t, a in zip(*sides, strict=False)]
            points.extend((t, a) for t, a in both if t is not None and a is not None)
    if not points:
        return None
    shown = points[:: -(-len(points) // POINTS)]
    note = "On the diagonal, a prediction is exact."
    if len(shown) < len(points):
        note += f" {short(len(shown))} of {short(len(points))} points are drawn."
    return Plot(image=figures.scatter([t for t, _ in shown], [a for _, a in shown], "value"), names=[], note=note)


def _confusion(evaluation: Json) -> Confusion | None:
    counts = confusion.matrix(mapping(evaluation.get("metrics")).get("confusion"))
    if not counts:
        return None
    names = confusion.names(evaluation.get("classes"), len(counts))
    matrix = confusion.layout(counts, names) if len(counts) <= confusion.LARGEST else None
    return Confusion(matrix=matrix, errors=confusion.errors_table(counts, names), narrow=len(counts) <= 20)


def _per_class(evaluation: Json) -> Noted | None:
    """List the metrics of each class or target, the lowest marked; lowest first when there are many."""
    metrics = mapping(evaluation.get("metrics"))
    given = metrics.get("per_class") or metrics.get("per_target")
    rows = [(n, values) for n, values in mapping(given).items() if isinstance(values, dict)]
    if not rows:
        return None
    keys = list(dict.fromkeys(key for _, values in rows for key in values))
    ranked_by = next((key for key in ("f1", "iou", "dice", "r2") if key in keys), None)
    scores = {name: number(values.get(ranked_by)) for name, values in rows}
    known = [score for score in scores.values() if score is not None]
    low = min(known) if known and min(known) < max(known) else None
    if len(rows) > FOLDED:
        rows.sort(key=lambda row: (scores[row[0]] is None, scores[row[0]] or 0.0))

    def cell(name: str, key: str, value: Any) -> Cell:
        lowest = key == ranked_by and low is not None and scores[name] == low
        return Cell(figure_text(key, value), cls="n low" if lowest else "n")

    lines: list[list[str | Cell]] = [[n, *(cell(n, key, values.get(key)) for key in keys)] for n, values in rows]
    of = "class" if metrics.get("per_class") else "target"
    folded = f"All {len(rows)} classes, lowest first" if len(rows) > FOLDED else ""
    return Noted(table=Table((of, *map(wording, keys)), lines, 1), of=of, folded=folded)


def _export(folder: str, report: Mapping[str, Any]) -> Noted:
    """Show how an export was verified against the artifact."""
    rows = [
        (
            *(short(c.get(key)) for key in ("batch", "max_abs_diff", "max_rel_diff")),
            "yes" if c.get("labels_equal") else "no",
            Cell("passed" if c.get("ok") else "failed", cls="ok" if c.get("ok") else "no"),
        )
        for c in objects(report.get("verification"))
    ]
    heads = ("batch", "max abs. error", "max rel. error", "same predictions", "verification")
    program = " (a program: loads only where it was made, or with --trust)" if report.get("program") else ""
    return Noted(table=Table(heads, rows, len(heads)), name=f"{report.get('exporter') or folder}{program}")


def _environment(read: Facts) -> Table | None:
    """List what reproducing the run bit by bit can depend on."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{k} {v}" for k, v in value.items() if v)
        return json_text(value) if isinstance(value, list) else str(value)

    rows = [(key.replace("_", " "), text(value)) for key, value in read.environment.items() if value]
    return Table((), rows, 2) if rows else None
