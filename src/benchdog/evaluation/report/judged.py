"""How far an evaluation can be relied on: calibration, thresholds, parts of the split."""

from __future__ import annotations

from typing import Any

from benchdog.evaluation.report import figures, sections
from benchdog.evaluation.report.facts import Facts, Json, mapping, objects, span
from benchdog.evaluation.report.html import NOTHING, Html, between, h, join, number, percent, short, table, wording

DRAWN = 8
"""More curves than there are colours can't be told apart."""
SHARES = sections.SHARES | {"macro_f1", "micro_f1", "roc_auc", "exact_match", "pixel_accuracy"}


def calibration(facts: Facts) -> Html:
    """Draw what came true against the probabilities that were said."""
    told = mapping(facts.evaluation.get("calibration"))
    lines = [
        (number(x.get("said")), number(x.get("true")), number(x.get("count"))) for x in objects(told.get("curve"))
    ]
    known = [(said, true, count) for said, true, count in lines if said is not None and true is not None and count]
    if not known:
        return NOTHING
    total = sum(count for _, _, count in known)
    picture = figures.reliability([s for s, _, _ in known], [t for _, t, _ in known], [c / total for *_, c in known])
    pairs = mapping(told.get("intervals"))
    rows = [
        (name, between(value, span(pairs.get(key))))
        for name, key in (("calibration error", "ece"), ("Brier score", "brier"))
        if (value := number(told.get(key))) is not None
    ]
    gap = sum((said - true) * count for said, true, count in known) / total
    sides = "higher" if gap > 0 else "lower"
    words = join(
        h("p", "On the line, of what is called 80\u202f% sure four in five come true. ",
          f"On average the probabilities are {100 * abs(gap):.1f} points {sides} than what came true."),
        table(("", "value (95\u202f% interval)"), rows, numbers=1),
        h("p", "The error is the mean distance from the line; the Brier score the mean squared error of the "
          "probabilities. Both are better when smaller.", cls="quiet"),
    )  # fmt: skip
    left = h("figure", h("div", picture, cls="square"), h("figcaption", "Larger dots stand for more answers."))
    return h("div", left, h("div", words, cls="beside"), cls="two")


def thresholds(facts: Facts) -> Html:
    """Draw what a threshold trades, and list the best ones for F1, as they were chosen on the valid split."""
    lines = [line for line in objects(facts.evaluation.get("thresholds")) if points(line.get("pr"))]
    if not lines:
        return NOTHING
    drawn = [
        (str(x.get("class")), points(x.get("pr")), points(x.get("roc")), _reached(x.get("chosen")))
        for x in lines[:DRAWN]
    ]
    names = [(name, i) for i, (name, *_) in enumerate(drawn)]
    note = "A ring marks the threshold with the best F1 on the validation split."
    if len(lines) > DRAWN:
        note += f" {DRAWN} of {len(lines)} curves are drawn."
    figure = h("figure", figures.trades(drawn), sections.legend(names), h("p", note, cls="quiet"))
    rows = []
    for line in lines:
        chosen, half = _reached(line.get("chosen")), _reached(line.get("at_half"))
        best = [chosen.get(key) for key in ("threshold", "precision", "recall", "f1")]
        rows.append((line.get("class"), short(best[0]), *map(_share, best[1:]), _share(half.get("f1"))))
    heads = ("class", "threshold", "precision", "recall", "F1", "F1 at 0.5")
    return join(figure, table(heads, rows, numbers=1))


def _reached(value: Any) -> dict[str, float]:
    known = {key: number(each) for key, each in mapping(value).items()}
    whole = {key: each for key, each in known.items() if each is not None}
    return whole if {"precision", "recall", "f1"} <= whole.keys() else {}


def points(value: Any) -> list[tuple[float, float]]:
    """Give the pairs of numbers of a list, none for anything else."""
    return [pair for each in value if (pair := span(each)) is not None] if isinstance(value, list) else []


def slices(facts: Facts) -> Html:
    """List the parts of the split that were asked for, the worst first."""
    cut = mapping(facts.evaluation.get("slices"))
    lines = objects(cut.get("slices"))
    if not lines:
        return NOTHING
    monitor = str(cut.get("monitor"))
    names = list(dict.fromkeys(name for line in lines for name in mapping(line.get("metrics"))))
    names.sort(key=lambda name: name != monitor)
    spans = [span(mapping(line.get("intervals")).get(monitor)) for line in lines]
    ends = [end for pair in spans if pair for end in pair]
    scale = (min(ends), max(ends)) if ends else None
    rows = []
    for line, pair in zip(lines, spans, strict=True):
        metrics = {name: number(value) for name, value in mapping(line.get("metrics")).items()}
        cells = [_figure(name, metrics.get(name)) for name in names]
        bar = h("td", _bar(metrics.get(monitor), pair, scale))
        rows.append((line.get("slice"), short(line.get("samples")), cells[0] if cells else "", bar, *cells[1:]))
    first = wording(names[0]) if names else ""
    heads = (cut.get("by"), "samples", first, "95\u202f% interval", *map(wording, names[1:]))
    ends_said = f" Intervals are drawn from {short(scale[0])} to {short(scale[1])}." if scale else ""
    return join(table(heads, rows, numbers=1), h("p", f"The worst comes first.{ends_said}", cls="quiet"))


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _figure(name: str, value: float | None) -> str:
    return _share(value) if name in SHARES else short(value)


def _bar(value: float | None, pair: tuple[float, float] | None, scale: tuple[float, float] | None) -> Html | str:
    """Draw an interval as a line and the figure as a dot on it; all rows have one scale."""
    if pair is None or scale is None or value is None:
        return "–"
    wide = (scale[1] - scale[0]) or 1.0
    low, dot, high = (round(6 + 148 * (x - scale[0]) / wide, 1) for x in (pair[0], value, pair[1]))
    return h(
        "svg",
        h("title", f"{short(pair[0])} to {short(pair[1])}"),
        h("line", x1=low, x2=high, y1=8, y2=8, stroke="var(--good)", stroke_width=2, stroke_opacity=0.55),
        h("circle", cx=dot, cy=8, r=4, fill="var(--good)"),
        viewBox="0 0 160 16",
        cls="interval",
    )


def attention(evaluation: Json) -> str:
    """Say in words what the second pictures show, or why there are none."""
    told = mapping(evaluation.get("attention"))
    if told.get("layer"):
        layer = str(told["layer"]).removeprefix("model.")
        return (
            f"The second picture glows where the last feature maps ({layer}) spoke most for the answer "
            "(Grad\u2011CAM)."
        )
    return f"There are no pictures of where the model looked: {told['why']}." if told.get("why") else ""
