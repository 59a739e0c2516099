"""The result that a report begins with, and whether the model beats the baselines."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from benchdog.evaluation.report.facts import Facts, Json, mapping, objects
from benchdog.evaluation.report.formatting import THIN, number, percent, rounded, short, wording

NOUNS = {"image": "images", "volume": "volumes", "table": "rows", "tokens": "texts", "audio": "recordings"}
KNOWN = ("", "class", "labels", "number", "mask", "image", "next-token")
"""Kinds of target that have metrics of a known meaning; "" for a run that doesn't say its kind."""
NEAR = 0.02
"""A relative difference that isn't worth a network, where no sampling error is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One line of the comparison: a name, the metric's value and how it is written."""

    name: str
    value: float
    text: str
    ours: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """The result, its interval (`sure`), the baselines' results, the verdict, and the bars."""

    answer: str = ""
    sure: str = ""
    others: str = ""
    verdict: str = ""
    metric: str = ""
    better: str = "max"
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measure:
    """How one metric is written: `sentence` has {value} and {where}; `share`: as a percentage."""

    metric: str
    better: str
    sentence: str
    share: bool = False

    def text(self, value: float) -> str:
        return percent(value) if self.share else short(float(value))


def _measure(facts: Facts, metrics: dict[str, Any]) -> _Measure | None:
    """Choose the metric that a person understands best, by what the target is."""
    if not _usual(facts, metrics):
        return _monitored(facts, metrics)
    if "perplexity" in metrics and "loss" in metrics:
        return _Measure(metric="loss", better="min", sentence="The loss is {value} nats per token {where}")
    if "iou" in metrics:
        return _Measure(
            metric="iou", better="max", sentence="Predicted and actual masks overlap by {value} (IoU) {where}"
        )
    if "psnr" in metrics:
        return _Measure(metric="psnr", better="max", sentence="Predicted images have a PSNR of {value} dB {where}")
    if "accuracy" in metrics:
        return _Measure(
            metric="accuracy", better="max", share=True, sentence="{value} {where} are classified correctly"
        )
    if "mae" in metrics:
        return _Measure(
            metric="mae", better="min", sentence="Predictions {where} are off by {value} on average (MAE)"
        )
    return _monitored(facts, metrics)


def _usual(facts: Facts, metrics: dict[str, Any]) -> bool:
    """Whether a metric's name means what it usually does: by the kind of target, and its value."""
    shares = (number(metrics.get(name)) for name in ("accuracy", "iou"))
    return facts.target in KNOWN and all(share is None or 0 <= share <= 1 for share in shares)


def _monitored(facts: Facts, metrics: dict[str, Any]) -> _Measure | None:
    """Report the metric that chose the best epoch, under its own name."""
    if facts.monitor not in metrics:
        return None
    sentence = f"The {wording(facts.monitor)} is {{value}} {{where}}"
    return _Measure(metric=facts.monitor, better=facts.better, sentence=sentence)


def headline(facts: Facts) -> Headline:
    """Return the result on held-out data, compared with the baselines."""
    evaluation = facts.evaluation
    metrics = evaluation.get("metrics")
    if not isinstance(metrics, dict):
        return _unevaluated(facts)
    measure = _measure(facts, metrics)
    value = number(metrics.get(measure.metric)) if measure else None
    if measure is None or value is None:
        return _unevaluated(facts)
    split = "test" if "test" in facts.evaluations else "valid"
    answer = measure.sentence.format(value=measure.text(value), where=_where(facts, split, measure.share))
    if measure.metric == "loss" and value < 50:
        answer += f" (perplexity {short(math.exp(value))})"
    top = _compared(facts, measure, split, value, answer)
    return replace(top, sure=_sure(facts, measure, split))


def _sure(facts: Facts, measure: _Measure, split: str) -> str:
    """Return the sentence with the 95 % interval."""
    pair = facts.intervals().get(f"{split}.{measure.metric}")
    if pair is None:
        return ""
    count = number(facts.evaluation.get("samples"))
    size = f" (n = {short(int(count))})" if count else ""
    return f"95{THIN}% CI: {measure.text(rounded(pair[0]))} to {measure.text(rounded(pair[1]))}{size}."


def _where(facts: Facts, split: str, of: bool) -> str:
    """Name the samples: "of the held-out test images"."""
    kind = facts.field_kind
    if not kind and any(entry.get("picture") for entry in objects(facts.evaluation.get("worst"))):
        kind = "image"
    noun = NOUNS.get(kind, "samples")
    held = "held-out test" if split == "test" else "validation"
    return f"{'of' if of else 'on'} the {held} {noun}"


def _unevaluated(facts: Facts) -> Headline:
    """Fall back on the best epoch's validation metric, which training itself has looked at."""
    if facts.best is None:
        return Headline()
    epoch, value = facts.best
    name = wording(facts.monitor)
    text = percent(value) if facts.monitor == "accuracy" else short(value)
    return Headline(
        answer=f"The best validation {name} is {text}, at epoch {epoch}. It has not been evaluated yet.",
        metric=name,
        better=facts.better,
    )


def _compared(facts: Facts, measure: _Measure, split: str, value: float, answer: str) -> Headline:
    """Compare the result with the baselines, which may have been measured on another split only."""
    ours, note, same = value, "", split
    given = facts.baselines(split)
    if not given:
        same = str(facts.baseline.get("split", split))
        other = number(mapping(facts.evaluations.get(same, {}).get("metrics")).get(measure.metric))
        given = facts.baselines(same) if other is not None else []
        ours = value if other is None else other
        note = f"on the {'validation' if same == 'valid' else same} split it is {measure.text(ours)}"
    bars = _bars(given, measure)
    if not bars:
        none = str(facts.baseline.get("note") or "")
        others = f"{none[0].upper()}{none[1:]}." if none and not given else ""
        return Headline(answer=f"{answer}.", others=others, metric=measure.metric, better=measure.better)
    reached = ", ".join(f"{_the(bar.name)} {'' if i else 'reaches '}{bar.text}" for i, bar in enumerate(bars))
    others = f"{note}; {reached}." if note else f"{reached}."
    samples = number((facts.evaluations.get(same) or {}).get("samples"))
    return Headline(
        answer=f"{answer}.",
        others=others[0].upper() + others[1:],
        verdict=_verdict(facts, measure, ours, bars[0], samples),
        metric=measure.metric,
        better=measure.better,
        bars=[Bar(name=facts.learner or "this model", value=ours, text=measure.text(ours), ours=True), *bars],
    )


def _bars(lines: list[Json], measure: _Measure) -> list[Bar]:
    """Return the baselines, best first."""
    bars = []
    for line in lines:
        value = number(mapping(line.get("metrics")).get(measure.metric))
        if value is not None:
            bars.append(Bar(name=str(line.get("name", "?")), value=value, text=measure.text(value)))
    return sorted(bars, key=lambda bar: bar.value, reverse=measure.better == "max")


def _the(name: str) -> str:
    """Return a baseline's name with its article."""
    return f"a {name}" if name.startswith("linear") else f"the {name}"


def _verdict(facts: Facts, measure: _Measure, ours: float, best: Bar, samples: float | None) -> str:
    """Return whether the model is worth it: better by more than the sampling error."""
    who = "The classical model" if facts.classical else "Deep learning"
    name = _the(best.name)
    gain = ours - best.value if measure.better == "max" else best.value - ours
    if measure.share and samples:
        chance = 2 * math.sqrt(sum(max(p * (1 - p), 0.0) for p in (ours, best.value)) / samples)
        if abs(gain) <= chance:
            return (
                f"{who} isn't clearly worth it here: a difference of {100 * abs(gain):.1f} points from {name} "
                f"is within the sampling error of {short(int(samples))} samples."
            )
    elif abs(gain) <= NEAR * max(abs(best.value), 1e-12):
        return f"{who} is hardly worth it here: {name} is within {percent(NEAR)} of it."
    if gain < 0:
        return f"{who} isn't worth it here: {name} is better."
    if measure.share and best.value < 1:
        return f"{who} is worth it here: {percent(gain / (1 - best.value))} fewer errors than {name}."
    if measure.better == "min" and best.value > 0:
        what = "loss" if measure.metric == "loss" else "error"
        return f"{who} is worth it here: the {what} is {percent(gain / best.value)} smaller than that of {name}."
    return f"{who} is worth it here: {short(gain)} more than {name}."
