"""Templates joined to one program: constants get their values, imports are merged, the rest is copied."""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from textwrap import fill, indent
from typing import Any

import numpy as np
import torch
from torch import Tensor

PACKAGE = "benchdog_eject.templates"
VARIANTS = ("transforms", "models", "losses", "metrics", "schedules")
"""Folders of which a program has one template (and what that imports of the same folder)."""

INDENT, WIDTH = 4 * " ", 80


class Code(str):
    """A constant's value as source text."""


def assemble(templates: Sequence[str], constants: Mapping[str, Any]) -> tuple[str, str]:
    """Join templates, each after those that it imports.

    Args:
        templates: their names, such as "models.cnn".
        constants: values by name; every one must be a constant of a template.

    Returns:
        the text of all imports, and that of all else.
    """
    order: list[str] = []
    for name in templates:
        _add(name, templates, order)
    imports: dict[str, set[str]] = {}
    parts, left = [], dict(constants)
    for name in order:
        text = _source(name)
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    imports.setdefault(f"import {alias.name}" + f" as {alias.asname}" * bool(alias.asname), set())
            elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(PACKAGE):
                names = (a.name + f" as {a.asname}" * bool(a.asname) for a in node.names)
                imports.setdefault(f"from {node.module} import", set()).update(names)
        parts.append(_filled(text, left))
    assert not left, f"no template has {', '.join(left)}"
    return _import_lines(imports), "\n\n\n".join(parts)


def _source(name: str) -> str:
    *folders, file = name.split(".")
    return resources.files(PACKAGE).joinpath(*folders, f"{file}.py").read_text(encoding="utf-8")


def _add(name: str, chosen: Sequence[str], order: list[str]) -> None:
    if name in order:
        return
    for node in ast.parse(_source(name)).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            other = (node.module or "").removeprefix(f"{PACKAGE}.")
            folder, same = other.partition(".")[0], name.partition(".")[0]
            # what training.py imports of models is one of them, to be checked with; the program has the run's
            if folder in VARIANTS and folder != same and other not in chosen:
                other = next(each for each in chosen if each.startswith(f"{folder}."))
            _add(other, chosen, order)
    order.append(name)


def _filled(text: str, constants: dict[str, Any]) -> str:
    """Return a template without docstring and imports, its constants replaced by those that are given."""
    lines = text.splitlines()
    for node in reversed(ast.parse(text).body):
        first, last = node.lineno - 1, node.end_lineno or 0
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            del lines[first:last]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in constants:
                comment = lines[last - 1][node.end_col_offset :]
                value = f"{target.id} = {literal(constants.pop(target.id))}"
                lines[first:last] = (value if "\n" in value else value + comment).split("\n")
        elif isinstance(node, ast.If):
            del lines[first:last]  # what a template does when it is run
    kept = [line.partition("  # type: ignore")[0] for line in lines]
    return "\n".join(kept).strip("\n")


def literal(value: Any) -> str:
    """Return a value as Python source, as a formatter would write it; tensors keep their bits."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, Tensor):
        numbers, end = (
            literal(_numbers(value.numpy())),
            "" if value.dtype == torch.float32 else f"dtype={value.dtype}",
        )
        if "\n" not in numbers:
            return f"torch.tensor({', '.join(filter(None, (numbers, end)))})"
        more = f",\n{INDENT}{end}," if end else ""
        return f"torch.tensor(\n{indent(numbers, INDENT)}{more}\n)"
    if isinstance(value, str):
        return repr(value) if '"' in value or "\\" in repr(value) else f'"{value}"'
    if isinstance(value, Mapping):
        return _bracketed("{}", [f"{literal(key)}: {literal(each)}" for key, each in value.items()])
    if isinstance(value, tuple):
        return _bracketed("()", [*map(literal, value)])
    if isinstance(value, list):
        return _bracketed("[]", [*map(literal, value)])
    return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)


def _bracketed(brackets: str, items: Sequence[str]) -> str:
    """Return items in brackets, in one line if that is short, else filled lines of numbers, or one item to a line."""
    line = f"{brackets[0]}{', '.join(items)}{',' * (brackets == '()' and len(items) == 1)}{brackets[1]}"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    plain = not any("\n" in item or '"' in item for item in items)
    body = fill(", ".join(items), WIDTH) if plain else ",\n".join(items)
    return f"{brackets[0]}\n{indent(body, INDENT)},\n{brackets[1]}"


def _numbers(array: Any) -> Any:
    """Return nested lists with the shortest decimals that give the same bits again."""
    if isinstance(array, np.ndarray) and array.ndim:
        return [_numbers(each) for each in array]
    return float(str(np.asarray(array)[()]))


def _import_lines(imports: Mapping[str, Iterable[str]]) -> str:
    groups: tuple[list[str], list[str]] = ([], [])
    for start, names in sorted(imports.items(), key=lambda item: (item[0].startswith("from"), item[0])):
        standard = start.split()[1].partition(".")[0] in sys.stdlib_module_names
        groups[0 if standard else 1].append(f"{start} {', '.join(sorted(names))}".strip())
    return "\n\n".join("\n".join(group) for group in groups if group)
