"""The model card: an artifact's README.md, for the person who finds the folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from benchdog.api import Spec
from benchdog.errors import shortlist

SHOWN = 20  # class names that are spelt out


def write(meta: Mapping[str, Any], validated: int | None = None) -> str:
    """Write the card from artifact.json's content, as Markdown; `validated` samples gave the metrics."""
    spec = Spec.from_json(meta["spec"])
    sections = [
        ("", _head(meta, spec)),
        ("What goes in", _inputs(spec)),
        ("What comes out", _outputs(spec, meta["task"]["name"])),
        ("How good it is", _metrics(meta["metrics"], validated)),
        ("How to use it", _use(meta)),
        ("What to mind", _limits(meta)),
    ]
    return "\n\n".join((f"## {title}\n\n" if title else "") + text for title, text in sections) + "\n"


def _head(meta: Mapping[str, Any], spec: Spec) -> str:
    source = meta["recipe"].get("source")
    name = source.get("name") if isinstance(source, Mapping) else source
    data = f" on the data source {_code(str(name))}" if name else ""
    size = f", {meta['parameters']:,} parameters" if meta["parameters"] else ""
    return (
        f"# {_plain(meta['run']) or 'A trained model'}\n\n"
        f"The model {_code(meta['model']['name'])}{size}, trained for the task {_code(meta['task']['name'])}{data}.\n"
        f"Made by Benchdog {meta['benchdog']} on {meta['created'][:10]}."
    )


def _inputs(spec: Spec) -> str:
    return "\n".join(_field(field) for field in spec.fields)


def _field(field: Any) -> str:
    shape = " x ".join("any" if length is None else str(length) for length in field.shape)
    ranged = f", values {field.range[0]:g} to {field.range[1]:g}" if field.range else ""
    text = f"- {_code(field.name)}: {field.kind}, {shape} {field.dtype}{ranged}"
    if not field.columns:
        return text
    columns = (
        f"  - {_code(c.name)}: "
        + (f"one of {shortlist(map(_plain, c.categories), SHOWN)}" if c.categories else "number")
        for c in field.columns
    )
    return "\n".join([text, *columns])


def _outputs(spec: Spec, task: str) -> str:
    target = spec.target
    if target.kind == "next-token":
        return f"The next of {len(target.classes)} tokens."
    if task == "embedding":
        return f"A vector of {spec.outputs} numbers, near to those of the same {_code(target.name)}."
    if target.kind == "image":
        return f"An image of {' x '.join(map(str, target.shape))}."
    among = {"number": "", "labels": "any of "}.get(target.kind, "one of ")
    classes = (
        f", {among}{len(target.classes)}: {shortlist(map(_plain, target.classes), SHOWN)}" if target.classes else ""
    )
    where = {"mask": "for every pixel"}.get(target.kind, "for every sample")
    return f"{_code(target.name)} ({target.kind}) {where}{classes}."


def _metrics(metrics: Mapping[str, Any], validated: int | None) -> str:
    rows = [f"| {_plain(name)} | {value:.4g} |" for name, value in _scalars(metrics, "")]
    if not rows:
        return "Nothing was measured."
    count = "" if validated is None else f"{validated:,} "
    on = f"On {count}validation samples, with which the best epoch was chosen:"
    return "\n".join([on, "", "| metric | value |", "|---|---|", *rows])


def _plain(text: str) -> str:
    """Write a text so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>()#|~&!])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Write a name as code, whatever it holds."""
    text = " ".join(text.split())
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(len(run) for run in re.findall("`+", text)))
    return f"{fence} {text} {fence}"


def _scalars(metrics: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers, nested ones under dotted names; per-class tables are left to the report."""
    for name, value in metrics.items():
        if isinstance(value, Mapping) and name != "per_class":
            yield from _scalars(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value


def _use(meta: Mapping[str, Any]) -> str:
    graph = meta.get("graph") is None and not meta.get("runner")
    owner = (meta["model"].get("plugin") or {}).get("install", "")
    needs = (
        "The plugin that built the model is not needed: `graph.pt2` holds its graph."
        if graph
        else f"The plugin of the model is needed{f' (`{owner}`)' if owner else ''}: "
        f"there is no portable graph ({meta.get('graph')})."
    )
    commands = ("predict FOLDER INPUTS", "export FOLDER --to torch-export", "serve FOLDER")
    return "\n".join(["```", *(f"benchdog {command}" for command in commands), "```", "", needs])


def _limits(meta: Mapping[str, Any]) -> str:
    kept = len(meta["samples"])
    samples = (
        f"`samples/` holds {kept} raw held-out samples, with which every export is verified. They are copied "
        "into no export; look whether they may be passed on before you share this folder."
        if kept
        else "It keeps no samples of its data; exports are verified on generated inputs."
    )
    return (
        "The numbers above hold for data like that it was trained on; on other data they say nothing.\n"
        f"{samples}\n"
        "`artifact.json` lists the SHA-256 of every file; they are compared whenever the folder is opened."
    )
