"""Write docs/reference/hooks.md from the docstrings of the hooks and descriptors.

`python scripts/hook_reference.py` writes; with `--check` it exits with 1 when the page is an old one.
"""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import sys
from pathlib import Path
from typing import Any

from benchdog import api, hookspecs
from benchdog.plugins import KINDS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "hooks.md"
HOOKS = [name for name in vars(hookspecs) if name.startswith("benchdog_")]
OFFERS = {f"benchdog_{kind}s": kind for kind in KINDS}

HEAD = """# Hooks

What Benchdog calls in a plugin, all of it. `scripts/hook_reference.py` writes this page from the docstrings in
`benchdog.hookspecs` and `benchdog.api`. A function may leave out arguments that it doesn't need.
"""


def page() -> str:
    """Return the page's text."""
    offering = [name for name in HOOKS if name in OFFERS]
    hearing = [name for name in HOOKS if name not in OFFERS]
    parts = [
        HEAD,
        "## Hooks that offer something\n",
        *map(hook, offering),
        "## Events\n",
        "Observers hear them on rank 0, off the training's thread: [An observer](../guides/plugins/observer.md).\n",
        *map(hook, hearing),
        "## What is handed over\n",
        "What the hooks return and the events tell. All fields are given by name.\n",
        described(api.Component, ()),
        *(described(info, _fields(api.Component)) for info in KINDS.values()),
        described(api.RunFacts, ()),
    ]
    return "\n".join(parts)


def hook(name: str) -> str:
    """Write a hook: its signature, its documentation, its example."""
    function = getattr(hookspecs, name)
    signature = inspect.signature(function)
    taken = ", ".join(f"{p.name}: {p.annotation}" for p in signature.parameters.values())
    (example,) = doctest.DocTestFinder().find(function, name, globs={})
    text = inspect.getdoc(function) or ""
    lines = [f"### {name}", "", f"`{name}({taken}) -> {signature.return_annotation}`", ""]
    lines += [text.partition(">>>")[0].strip(), ""]
    code = "\n".join(each.source.rstrip() for each in example.examples)
    lines += ["```python", code, "```", ""]
    if name in OFFERS:
        kind = OFFERS[name]
        lines += [f"A page with a whole plugin: [{kind.capitalize()}](../guides/plugins/{kind}.md).", ""]
    return "\n".join(lines)


def described(cls: type[Any], known: tuple[str, ...]) -> str:
    """Write a dataclass: its documentation, and the fields that aren't known from its parent."""
    lines = [f"### {cls.__name__}", "", inspect.getdoc(cls) or "", ""]
    rows = [field for field in dataclasses.fields(cls) if field.name not in known]
    if known:
        lines += [f"The fields of `Component`{', and' if rows else '.'}", ""]
    if rows:
        lines += ["| field | type | default |", "|---|---|---|"]
        lines += [f"| `{field.name}` | `{field.type}` | {_default(field)} |" for field in rows]
        lines.append("")
    return "\n".join(lines)


def _fields(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    return "required" if field.default_factory is dataclasses.MISSING else f"`{field.default_factory()!r}`"


def main() -> int:
    """Write, or check."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/reference/hooks.md is an old one: python scripts/hook_reference.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
