"""Galleries of samples: highest losses and most confident errors."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchdog.evaluation.report.facts import Facts, Json, mapping, objects
from benchdog.evaluation.report.formatting import number, percent, short
from benchdog.evaluation.report.tables import Table
from benchdog.evaluation.sample_images import MASK_COLORS

IMAGE_BYTES = 4_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A sample with an image, and with a heat map where there is one."""

    id: str
    image: str
    heat_map: str | None
    predicted: str
    actual: str
    wrong: bool
    loss: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """Cards, and rows for the samples without images; or only a note."""

    cards: list[Card]
    rows: Table
    masks: bool = False
    paired: bool = False
    wide: bool = False
    swatches: list[tuple[str, str]]
    note: str = ""


def worst(facts: Facts) -> Gallery | None:
    """Show the samples of the highest loss; of classes, those that are wrong."""
    entries, classes = objects(facts.evaluation.get("worst")), _classes(facts.evaluation)
    if not entries:
        return None
    if facts.target != "class" or not all(mapping(entry.get("answer")).get("label") for entry in entries):
        return _gallery(facts, entries, classes)  # of answers without a label nobody knows which are wrong
    wrong = [entry for entry in entries if is_wrong(entry, classes)]
    note = attention(facts.evaluation) if wrong else "None of the highest-loss samples is misclassified."
    return _gallery(facts, wrong, classes, note)


def confident(facts: Facts) -> Gallery | None:
    """Show the most confident errors that aren't among the highest losses."""
    entries = objects(facts.evaluation.get("confident"))
    if not entries:
        return None
    shown = {str(entry.get("id")) for entry in objects(facts.evaluation.get("worst"))}
    others = [entry for entry in entries if str(entry.get("id")) not in shown]
    note = "The most confident errors are all among the highest-loss samples."
    if others:
        known = len(entries) - len(others)
        note = f"{known} more are among the highest-loss samples." if known else ""
    return _gallery(facts, others, _classes(facts.evaluation), note)


def attention(evaluation: Json) -> str:
    """Explain the heat maps, or why there are none."""
    known = mapping(evaluation.get("attention"))
    if known.get("layer"):
        layer = str(known["layer"]).removeprefix("model.")
        return f"The second image is the Grad\u2011CAM heat map of the last convolutional layer ({layer})."
    return f"There are no heat maps: {known['why']}." if known.get("why") else ""


def _classes(evaluation: Json) -> list[Any]:
    classes = evaluation.get("classes")
    return classes if isinstance(classes, list) else []


def _gallery(facts: Facts, entries: list[Json], classes: list[Any], note: str = "") -> Gallery:
    images = [(entry, _data_uri(facts.folder, entry.get("picture"))) for entry in entries]
    masks = facts.target in ("mask", "image")
    cards = [
        Card(
            id=str(entry.get("id", "")),
            image=image,
            heat_map=_data_uri(facts.folder, entry.get("attention")),
            predicted=readable(entry.get("answer"), classes),
            actual=readable(entry.get("target"), classes),
            wrong=is_wrong(entry, classes),
            loss=f" · loss {short(entry.get('loss'))}" if "loss" in entry else "",
        )
        for entry, image in images
        if image is not None
    ]
    paired = any(card.heat_map for card in cards)
    colors = [(str(name), MASK_COLORS[i % len(MASK_COLORS)]) for i, name in enumerate(classes[1:])]
    return Gallery(
        cards=cards,
        rows=_table([entry for entry, image in images if image is None], classes),
        masks=masks,
        paired=paired,
        wide=masks or paired,
        swatches=colors if facts.target == "mask" else [],
        note=note,
    )


def _table(entries: list[Json], classes: list[Any]) -> Table:
    key = "loss" if not entries or "loss" in entries[0] else "sure"
    last = "loss" if key == "loss" else "confidence"
    texts = [mapping(entry.get("answer")) for entry in entries]
    if texts and all({"prompt", "text"} <= text.keys() for text in texts):
        lines = [
            (str(entry.get("id", "")), short(text["prompt"]), short(text["text"]), short(entry.get(key)))
            for entry, text in zip(entries, texts, strict=True)
        ]
        return Table(("sample", "prompt", "generated", last), lines, 3)
    rows = [
        (
            str(entry.get("id", "")),
            readable(entry.get("answer"), classes),
            readable(entry.get("target"), classes),
            short(entry.get(key)),
        )
        for entry in entries
    ]
    return Table(("sample", "predicted", "actual", last), rows, 3)


def is_wrong(entry: Json, classes: list[Any]) -> bool:
    """Whether a predicted label isn't the actual one; false for an answer without one."""
    prediction = entry.get("answer")
    label = (
        prediction.get("label", prediction.get("value", prediction.get("labels")))
        if isinstance(prediction, dict)
        else prediction
    )
    return label is not None and readable(label, classes) != readable(entry.get("target"), classes)


def readable(value: Any, classes: list[Any]) -> str:
    """Write a prediction or a target: a class's name, a rounded number."""
    if isinstance(value, dict):
        label = value.get("label", value.get("value", value.get("labels", value.get("boxes"))))
        if label is None:
            return ", ".join(f"{k} {short(v)}" for k, v in list(value.items())[:8] if not isinstance(v, dict | list))
        probability = number(value.get("probability"))
        return readable(label, classes) + (f" ({percent(probability)})" if probability is not None else "")
    if isinstance(value, list):
        parts = [readable(item, []) for item in value[:8]] or ["none"]
        return ", ".join(parts) + (", …" if len(value) > 8 else "")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(classes):
        return str(classes[value])
    text = short(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _data_uri(folder: Path, image: Any) -> str | None:
    """Return a PNG file of the run as a data URI; None for other files, and for those outside the run."""
    if not isinstance(image, str) or not image:
        return None
    path = (folder / image).resolve()
    if not path.is_relative_to(folder.resolve()):
        return None
    try:
        if path.stat().st_size > IMAGE_BYTES:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    good = data.startswith(b"\x89PNG\r\n\x1a\n")
    return "data:image/png;base64," + base64.b64encode(data).decode() if good else None
