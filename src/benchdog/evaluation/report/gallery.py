"""The mistakes that cost most: the picture, what was said, what is true."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from benchdog.evaluation.report import judged
from benchdog.evaluation.report.facts import Facts, Json, objects
from benchdog.evaluation.report.html import NOTHING, Html, h, join, number, percent, short, table
from benchdog.evaluation.sample_images import MASK_COLORS

PICTURE_BYTES = 4_000_000


def worst(facts: Facts) -> Html:
    """Show the mistakes that cost most: the picture, what was said, what is true."""
    evaluation = facts.evaluation
    entries = objects(evaluation.get("worst"))
    classes = _classes(evaluation)
    if not entries:
        return NOTHING
    if facts.target == "class":
        entries = [entry for entry in entries if _mistaken(entry, classes)]
        if not entries:
            return h("p", "None of the answers that cost most is wrong.")
    masks = facts.target == "mask"
    shown = _shown(facts, entries, classes)
    note = judged.attention(evaluation) if facts.target == "class" else ""
    return join(
        _mask_legend(classes) if masks and shown.startswith('<div class="gallery') else None,
        shown,
        h("p", note, cls="quiet") if note else None,
    )


def confident(facts: Facts) -> Html:
    """Show the wrong answers that the model was surest of, but for those among the costliest."""
    evaluation = facts.evaluation
    entries = objects(evaluation.get("confident"))
    if not entries:
        return NOTHING
    costly = {str(entry.get("id")) for entry in objects(evaluation.get("worst"))}
    others = [entry for entry in entries if str(entry.get("id")) not in costly]
    if not others:
        return h("p", "The wrong answers that the model was surest of are all among the costliest.")
    known = len(entries) - len(others)
    note = h("p", f"{known} more are among the costliest.", cls="quiet") if known else None
    return join(_shown(facts, others, _classes(evaluation)), note)


def _classes(evaluation: Json) -> list[Any]:
    classes = evaluation.get("classes")
    return classes if isinstance(classes, list) else []


def _shown(facts: Facts, entries: list[Json], classes: list[Any]) -> Html:
    """Show samples: cards for those with a picture, lines of a table for the others."""
    masks = facts.target == "mask"
    pictures = [(entry, _data_uri(facts.folder, entry.get("picture"))) for entry in entries]
    bare = [entry for entry, uri in pictures if uri is None]
    glows = {id(entry): _data_uri(facts.folder, entry.get("attention")) for entry, uri in pictures if uri}
    twofold = any(glows.values())
    cards = []
    for entry, uri in pictures:
        if uri is None:
            continue
        seen = glows[id(entry)]
        both = [h("img", src=uri, alt=f"sample {entry.get('id')}")]
        if seen:
            both.append(h("img", src=seen, alt="where the model looked"))
        elif twofold:
            both.append(h("div", "no place spoke for it", cls="nowhere"))
        cards.append(h("figure", h("div", *both, cls="pair" if twofold else None), _caption(entry, classes, masks)))
    wide = masks or twofold
    gallery = h("div", *cards, cls="gallery wide" if wide else "gallery") if cards else None
    return join(gallery, _worst_table(bare, classes))


def _caption(entry: Json, classes: list[Any], masks: bool) -> Html:
    cost = f" · loss {short(entry.get('loss'))}" if "loss" in entry else ""
    loss = h("br"), f"{entry.get('id', '')}{cost}"
    if masks:
        return h("figcaption", "picture · truth · answer", *loss)
    said, true = _said(entry.get("answer"), classes), _said(entry.get("target"), classes)
    if not said:  # a vector says nothing to the eye
        return h("figcaption", "is ", h("strong", true), *loss)
    wrong = "wrong" if _mistaken(entry, classes) else None
    return h("figcaption", "said ", h("span", said, cls=wrong), ", is ", h("strong", true), *loss)


def _mistaken(entry: Json, classes: list[Any]) -> bool:
    """Say whether an answer's label is another than the true one."""
    answer = entry.get("answer")
    label = answer.get("label", answer.get("value", answer.get("labels"))) if isinstance(answer, dict) else answer
    return _said(label, classes) != _said(entry.get("target"), classes)


def _said(value: Any, classes: list[Any]) -> str:
    """Write an answer or a target for people: a class's name, a rounded number."""
    if isinstance(value, dict):
        label = value.get("label", value.get("value", value.get("labels")))
        if label is None:
            return ", ".join(f"{k} {short(v)}" for k, v in list(value.items())[:8] if not isinstance(v, dict | list))
        sure = number(value.get("probability"))
        return _said(label, classes) + (f" ({percent(sure)})" if sure is not None else "")
    if isinstance(value, list):
        parts = [_said(item, []) for item in value[:8]] or ["none"]
        return ", ".join(parts) + (", …" if len(value) > 8 else "")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(classes):
        return str(classes[value])
    text = short(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _worst_table(entries: list[Json], classes: list[Any]) -> Html:
    if not entries:
        return NOTHING
    figure = "loss" if "loss" in entries[0] else "sure"
    rows = (
        (
            e.get("id", ""),
            _said(e.get("answer"), classes),
            _said(e.get("target"), classes),
            short(e.get(figure)),
        )
        for e in entries
    )
    return table(("sample", "answered", "true", figure), rows, numbers=3)


def _mask_legend(classes: list[Any]) -> Html:
    colours = [(str(name), MASK_COLORS[i % len(MASK_COLORS)]) for i, name in enumerate(classes[1:])]
    swatches = (join(h("b", cls="box", style=f"background:{colour}"), name) for name, colour in colours)
    return h("div", *(h("span", swatch) for swatch in swatches), cls="legend")


def _data_uri(folder: Path, picture: Any) -> str | None:
    """Give a PNG file of the run as a data URI; nothing for what lies outside the run or is no PNG."""
    if not isinstance(picture, str) or not picture:
        return None
    path = (folder / picture).resolve()
    if not path.is_relative_to(folder.resolve()):
        return None
    try:
        if path.stat().st_size > PICTURE_BYTES:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    good = data.startswith(b"\x89PNG\r\n\x1a\n")
    return "data:image/png;base64," + base64.b64encode(data).decode() if good else None
