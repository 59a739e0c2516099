"""The parts of a run's page; each gives its markup, or nothing when its files are absent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchdog.data.leakage import overlap_warnings
from benchdog.evaluation.report import confusion, figures
from benchdog.evaluation.report.facts import Facts, Json, mapping, objects
from benchdog.evaluation.report.figures import Line
from benchdog.evaluation.report.headline import Bar, Headline
from benchdog.evaluation.report.html import (
    NOTHING,
    Html,
    h,
    join,
    number,
    percent,
    rounded,
    seconds,
    short,
    table,
    wording,
)

SHARES = frozenset({"precision", "recall", "f1", "iou", "dice", "accuracy"})
POINTS = 2000  # more dots than this tell the eye nothing and fill the file


def section(title: str, *children: object) -> Html:
    """Give a titled part; nothing when it would be empty."""
    body = join(*children)
    return h("section", h("h2", title), body) if body else NOTHING


def status(facts: Facts) -> Html:
    """Say what is unusual about this run: it failed, it was stopped, it is not done."""
    state, done = facts.run.get("status"), facts.run.get("epochs_done")
    epochs = f"{short(done)} epoch{'' if done == 1 else 's'}"
    said: tuple[object, ...]
    if state == "failed":
        said = h("strong", "The error: "), facts.run.get("error") or "unknown"
    elif state == "stopped":
        said = h("strong", "This run was stopped"), f" after {epochs}."
    elif state == "running":
        said = h("strong", "This run is not finished"), f": {epochs} done."
    elif not facts.run:
        said = h("strong", "run.json is absent"), ": little is known of this run."
    else:
        return NOTHING
    return h("p", *said, cls="banner")


def shared(facts: Facts) -> Html:
    """Say that held-out samples were seen in training."""
    counts, sizes = (
        {split: n for split, n in mapping(facts.run.get(key)).items() if isinstance(n, int)}
        for key in ("seen", "samples")
    )
    told = overlap_warnings(counts, sizes)
    return h("p", h("strong", " ".join(told)), cls="banner") if told else NOTHING


def bars(top: Headline) -> Html:
    """Draw the answer beside the baselines."""
    longest = max((abs(bar.value) for bar in top.bars), default=0.0) or 1.0

    def line(bar: Bar) -> Html:
        width = f"width:{78 * max(bar.value, 0.0) / longest:.1f}%"
        mine = "mine" if bar.mine else None
        return join(h("span", bar.name, cls=mine), h("div", h("i", style=width), bar.text, cls=mine))

    if not top.bars:
        return NOTHING
    note = f"{wording(top.metric)}; {'longer' if top.better == 'max' else 'shorter'} is better"
    return join(h("div", *map(line, top.bars), cls="bars"), h("p", note, cls="quiet"))


def numbers(facts: Facts) -> Html:
    """List the run's key figures."""
    run, samples = facts.run, facts.run.get("samples")
    counts = None
    if isinstance(samples, dict):
        counts = " / ".join(short(samples.get(s)) for s in ("train", "valid", "test"))
    best = f"{short(facts.best[1])}, epoch {facts.best[0]}" if facts.best else None
    lines = {
        "source": run.get("source"),
        "model": None if facts.classical else run.get("model"),
        "task": run.get("task"),
        "trainer": run.get("trainer"),
        "parameters": short(run["parameters"]) if run.get("parameters") and not facts.classical else None,
        "epochs": short(run["epochs_done"]) if "epochs_done" in run else None,
        f"best valid {wording(facts.monitor)}": best,
        "train / valid / test samples": counts,
        "time": seconds(run["seconds"]) if number(run.get("seconds")) else None,
    }
    pairs = [h("div", h("dt", name), h("dd", value)) for name, value in lines.items() if value]
    return h("dl", *pairs, cls="facts") if pairs else NOTHING


def curve_panels(facts: Facts) -> tuple[list[tuple[str, list[Line]]], tuple[int, int, float] | None]:
    """Choose what to draw: the loss, the monitored metric, and where the best epoch lies."""
    panels: list[tuple[str, list[Line]]] = []
    loss = [Line(name="train, by step", x=x, y=y, colour=0, faint=True) for x, y in [_steps(facts)] if x]
    shown = ["loss"] if facts.monitor == "loss" else ["loss", facts.monitor]
    best = None
    for metric in shown:
        lines = loss if metric == "loss" else []
        for colour, split in enumerate(("train", "valid")):
            x, y = facts.series(f"{split}.{metric}")
            if x:
                lines = [*lines, Line(name=split, x=x, y=y, colour=colour)]
        if not lines:
            continue
        if metric == facts.monitor and facts.best:
            best = (len(panels), *facts.best)
        panels.append((wording(metric), lines))
    return panels, best


def _steps(facts: Facts) -> tuple[list[float], list[float]]:
    """Give the logged steps' losses, placed between the epochs' ends."""
    last = facts.epochs[-1] if facts.epochs else {}
    step, epoch = number(last.get("step")), number(last.get("epoch"))
    scale = epoch / step if step and epoch else 1.0
    pairs = [(number(s.get("step")), number(s.get("loss"))) for s in facts.steps]
    kept = [(x * scale, y) for x, y in pairs if x is not None and y is not None]
    kept = kept[:: max(1, len(kept) // POINTS)]
    return [x for x, _ in kept], [y for _, y in kept]


def legend(names: Sequence[tuple[str, int]]) -> Html:
    """Name the lines' colours."""
    swatches = (join(h("b", style=f"background:var(--s{colour % 8})"), name) for name, colour in names)
    return h("div", *(h("span", swatch) for swatch in swatches), cls="legend")


def curves(facts: Facts) -> Html:
    """Draw how it was learnt."""
    panels, best = curve_panels(facts)
    if not panels:
        return NOTHING
    label = "epoch" if facts.epochs else "step"
    seen = dict.fromkeys((line.name, line.colour) for _, lines in panels for line in lines if not line.faint)
    note = h("p", f"The ring marks the best epoch, {best[1]}.", cls="quiet") if best else None
    return h("figure", figures.curves(panels, x_label=label, best=best), legend(list(seen)), note)


def confused(evaluation: Json) -> Html:
    """Draw the confusion matrix and name the commonest mistakes."""
    metrics = mapping(evaluation.get("metrics"))
    counts = confusion.matrix(metrics.get("confusion"))
    if not counts:
        return NOTHING
    labels = confusion.names(evaluation.get("classes"), len(counts))
    words = join(h("h3", "Commonest mistakes"), confusion.pairs_table(counts, labels))
    if len(counts) > confusion.LARGEST:
        return words
    grid = h("figure", confusion.picture(counts, labels), cls="scroll")
    return h("div", grid, h("div", words), cls="two") if len(counts) <= 20 else join(grid, words)


def per_class(evaluation: Json) -> Html:
    """List the metrics of each class or number, the weakest marked; the weakest first when many."""
    metrics = mapping(evaluation.get("metrics"))
    given = metrics.get("per_class") or metrics.get("per_target")
    rows = [(n, values) for n, values in mapping(given).items() if isinstance(values, dict)]
    if not rows:
        return NOTHING
    keys = list(dict.fromkeys(key for _, values in rows for key in values))
    judged = next((key for key in ("f1", "iou", "dice", "r2") if key in keys), None)
    scores = {name: number(values.get(judged)) for name, values in rows}
    known = [score for score in scores.values() if score is not None]
    low = min(known) if known and min(known) < max(known) else None
    if len(rows) > 30:
        rows.sort(key=lambda row: (scores[row[0]] is None, scores[row[0]] or 0.0))

    def cell(name: str, key: str, value: Any) -> Html:
        mark = " low" if key == judged and low is not None and scores[name] == low else ""
        share = number(value) if key in SHARES else None
        shown = percent(share) if share is not None else short(value)
        return h("td", shown, cls=f"n{mark}")

    heads = ("class", *map(wording, keys))
    lines = ((name, *(cell(name, key, values.get(key)) for key in keys)) for name, values in rows)
    whole = table(heads, lines, numbers=1)
    if len(rows) <= 30:
        return whole
    return h("details", h("summary", f"All {len(rows)} classes, weakest first"), whole)


def scatter(facts: Facts) -> Html:
    """Draw answers against the truth."""
    evaluation = facts.evaluation
    pairs = evaluation.get("pairs") or mapping(evaluation.get("metrics")).get("pairs")
    points: list[tuple[float, float]] = []
    for pair in pairs if isinstance(pairs, list) else []:
        if isinstance(pair, list) and len(pair) == 2:
            sides = [side if isinstance(side, list) else [side] for side in pair]
            both = [(number(t), number(a)) for t, a in zip(*sides, strict=False)]
            points.extend((t, a) for t, a in both if t is not None and a is not None)
    if not points:
        return NOTHING
    shown = points[:: -(-len(points) // POINTS)]
    note = "On the line, an answer is exactly right."
    if len(shown) < len(points):
        note += f" {short(len(shown))} of {short(len(points))} points are drawn."
    picture = figures.scatter([t for t, _ in shown], [a for _, a in shown], "value")
    return h("figure", h("div", picture, style="max-width:30rem"), h("figcaption", note))


def metrics(facts: Facts) -> Html:
    """List every scalar metric by split, with its 95 % interval where it is known."""
    scalars, intervals = facts.scalars(), facts.intervals()
    splits = [s for s in ("train", "valid", "test") if any(k.startswith(f"{s}.") for k in scalars)]
    names = list(dict.fromkeys(k.split(".", 1)[1] for k in scalars if k.split(".", 1)[0] in splits))
    if not names:
        return NOTHING

    def cell(key: str) -> Html:
        pair = intervals.get(key)
        shown = h("small", f" {short(rounded(pair[0]))} to {short(rounded(pair[1]))}") if pair else None
        return h("td", short(scalars.get(key)), shown, cls="n")

    rows = ((wording(n), *(cell(f"{s}.{n}") for s in splits)) for n in names)
    notes = ["Small: where 95 % of resamples of the split lie (bootstrap)."] if intervals else []
    told: list[Any] = next(
        (e["weighted"] for e in facts.evaluations.values() if isinstance(e.get("weighted"), list)), []
    )
    if told:
        weighted = ", ".join(wording(str(name)) for name in told)
        notes.append(f"Samples count by their weights in {weighted}, each once in all other metrics.")
    return join(table(("metric", *splits), rows, numbers=1), h("p", " ".join(notes), cls="quiet") if notes else None)


def exports(facts: Facts) -> Html:
    """Show how each export was verified against the artifact."""
    return join(*(_export(folder, report) for folder, report in facts.exports))


def _export(folder: str, report: Json) -> Html:
    checks = objects(report.get("verification"))
    heads = ("batch", "largest difference", "relative", "same answers", "verdict")
    rows = (
        (
            *(short(c.get(key)) for key in ("batch", "max_abs_diff", "max_rel_diff")),
            "yes" if c.get("labels_equal") else "no",
            h("td", "holds" if c.get("ok") else "differs", cls="ok" if c.get("ok") else "no"),
        )
        for c in checks
    )
    kind = " (a program: loads only where it was made, or with --trust)" if report.get("program") else ""
    kept = table(heads, rows, numbers=len(heads)) if checks else h("p", "No verification is kept.", cls="quiet")
    return join(h("h3", report.get("exporter") or folder, kind), kept)


def recipe(facts: Facts) -> Html:
    """Show the recipe that repeats this run."""
    return h("pre", facts.recipe_text.strip()) if facts.recipe_text.strip() else NOTHING


def environment(facts: Facts) -> Html:
    """List what the bits of the run can depend on."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{k} {v}" for k, v in value.items() if v)
        return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)

    rows = [(key.replace("_", " "), text(value)) for key, value in facts.environment.items() if value]
    return table((), rows, numbers=2) if rows else NOTHING


def faults(facts: Facts) -> Html:
    """Say which files could not be read."""
    return h("ul", *(h("li", fault) for fault in facts.faults)) if facts.faults else NOTHING
