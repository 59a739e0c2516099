"""How the chapters write: numbers without a digit too many, calls that fit a line, imports in order."""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchdog.deployment.eject.bundle import names

WIDTH = 100
KNOWN = {
    "F": "import torch.nn.functional as F",
    "Path": "from pathlib import Path",
    "Tensor": "from torch import Tensor",
    "copy": "import copy",
    "hashlib": "import hashlib",
    "math": "import math",
    "nn": "from torch import nn",
    "np": "import numpy as np",
    "lr_scheduler": "from torch.optim import lr_scheduler",
    "torch": "import torch",
}
"""What the chapters' own text may use."""


def number(value: float) -> str:
    """Write a float32 with the fewest digits that give it again."""
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if torch.tensor(short) == torch.tensor(value):
            return repr(short)
    return repr(value)


def tensor(values: Tensor) -> str:
    """Write a float32 tensor; (C, 1, 1) as a row that is put upright."""
    flat = values.detach().cpu().flatten().tolist()
    if not values.ndim:
        return f"torch.tensor({number(flat[0])})"
    made = listing([number(v) for v in flat], "torch.tensor([", "])")
    return made if values.ndim == 1 else f"{made}.view(-1, {', '.join('1' * (values.ndim - 1))})"


def listing(items: Sequence[str], before: str = "[", after: str = "]") -> str:
    """Write a list: in one line if it is short, else filled."""
    line = f"{before}{', '.join(items)}{after}"
    if len(line) <= WIDTH - 20:
        return line
    filled = textwrap.fill(", ".join(items), WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"{before}\n{filled},\n{after}"


def call(name: str, arguments: Sequence[str], room: int = WIDTH) -> str:
    """Write a call: in one line if it fits, else an argument to each."""
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= room and "\n" not in line:
        return line
    inner = "".join(textwrap.indent(f"{argument},\n", "    ") for argument in arguments)
    return f"{name}(\n{inner})"


def paragraph(text: str, width: int = 110) -> str:
    """Fill a paragraph."""
    return textwrap.fill(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def joined(definitions: Iterable[str]) -> str:
    """Put definitions one under the other: constants close together, all else two lines apart."""
    text, before = "", ""
    for each in definitions:
        close = "\n" not in each + before and not each.startswith(("def ", "class "))
        text += ("\n" if close else "\n\n\n") * bool(text) + each
        before = each
    return text


def indented(text: str, by: int) -> str:
    """Indent what isn't empty."""
    return textwrap.indent(text, " " * by)


def imports_for(body: str, more: Iterable[str] = ()) -> str:
    """Give the imports of a program, in the order that is usual."""
    tree = ast.parse(body)
    made = {getattr(node, "name", "") for node in tree.body}
    lines = {*more, *(KNOWN[name] for name in names(tree) if name in KNOWN and name not in made)}
    plain: set[str] = set()
    taken: dict[tuple[str, str | bool], set[str]] = {}  # what has another name here has a line of its own
    for line in lines:
        module, _, name = line.removeprefix("from ").partition(" import ")
        if line.startswith("import "):
            plain.add(line.removeprefix("import "))
        elif line == "from torch.nn import functional as F":
            plain.add("torch.nn.functional as F")
        elif module != "__future__":
            taken.setdefault((module, " as " in name and name), set()).add(name)
    groups: dict[bool, list[tuple[Any, str]]] = {True: [], False: []}
    for module in plain:
        groups[_standard(module)].append(((0, module, ""), f"import {module}"))
    for (module, other), what in taken.items():
        listed = ", ".join(sorted(what, key=lambda w: (w.islower(), w)))
        groups[_standard(module)].append(((1, module, other or ""), f"from {module} import {listed}"))
    return "\n\n".join("\n".join(text for _, text in sorted(groups[kind])) for kind in (True, False) if groups[kind])


def _standard(module: str) -> bool:
    return module.split(" ")[0].partition(".")[0] in sys.stdlib_module_names
