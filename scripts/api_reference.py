"""Write docs/reference/api.md: every public name of benchdog.api, from its docstring and signature.

`python scripts/api_reference.py` writes; with `--check` it exits with 1 when the page is an old one.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from benchdog import api

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "api.md"
ELSEWHERE = {"hooks.md": ("Component", "RunFacts")}
"""Names that another generated page describes in full, besides all names in Info."""

GROUPS = {
    "Contract and hooks": r"components\.py|^$",
    "Data": r"api/data\.py",
    "Components": r"api/protocols\.py",
    "Optional members": r"api/optional\.py",
    "Metrics": r"api/metrics\.py",
    "Errors": r"errors\.py",
    "Files, folders, downloads": r"folders|regular_files|packaged_files|image_formats",
    "Tables and texts": r"reading/|token|wordpiece",
    "Others": r"",
}
HEAD = """# benchdog.api

All public names, by what they are for. `scripts/api_reference.py` writes this page from docstrings and
signatures; the guides [for plugin authors](../guides/plugins/index.md) show them at work. Shapes are per sample
unless they start with B, the batch axis.
"""


def page() -> str:
    """Return the page's text."""
    parts, left = [HEAD], list(api.__all__)
    for title, pattern in GROUPS.items():
        names = [name for name in left if re.search(pattern, _file(name).as_posix())]
        left = [name for name in left if name not in names]
        if names:
            parts += [f"## {title}\n", *map(entry, names)]
    return "\n".join(parts)


def _file(name: str) -> Path:
    """Return the file below src/benchdog that defines a name; api/__init__.py is ""."""
    tree = ast.parse((ROOT / "src" / "benchdog" / "api" / "__init__.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return Path(str(node.module).removeprefix("benchdog.").replace(".", "/") + ".py")
    return Path()


def entry(name: str) -> str:
    """Describe one name."""
    value = getattr(api, name)
    for other, names in ELSEWHERE.items():
        if name in names or name.endswith("Info"):
            return f"### {name}\n\n{_first(value)} See [{other.removesuffix('.md').capitalize()}]({other}).\n"
    if inspect.isclass(value):
        return "\n".join(_class(name, value))
    if inspect.isfunction(value):
        return f"### {name}\n\n`{name}{_signature(value)}`\n\n{_text(value)}\n"
    return f"### {name}\n\n{_constant(name)}\n"


def _class(name: str, cls: type[Any]) -> list[str]:
    lines = [f"### {name}", "", _text(cls), ""]
    rows = []
    if dataclasses.is_dataclass(cls):
        default = "" if all(f.default is dataclasses.MISSING for f in dataclasses.fields(cls)) else " = ..."
        fields = (f"{f.name}{default if _has_default(f) else ''}" for f in dataclasses.fields(cls))
        lines += [f"`{name}({', '.join(fields)})`", ""]
    for key, value in vars(cls).items():
        if key.startswith("_") and key != "__call__":
            continue
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        if inspect.isfunction(value):
            rows.append(f"- `{key.replace('__call__', 'call')}{_signature(value)}`: {_first(value)}")
        elif isinstance(value, property):
            rows.append(f"- `{key}`: {_first(value.fget)}")
    if name.endswith("Defaults"):
        rows = [f"- `{key} = {getattr(cls, key)!r}`: {text}" for key, text in _attribute_docs(cls).items()]
    return [*lines, *rows, ""] if rows else lines


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return not (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)


def _attribute_docs(cls: type[Any]) -> dict[str, str]:
    """Return the texts below a class's attributes."""
    (node,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(node, ast.ClassDef)
    found, name = {}, ""
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            name = each.target.id
        elif isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) and name:
            found[name] = " ".join(str(each.value.value).split())
    return found


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    kept = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    text = str(signature.replace(parameters=kept))
    text = re.sub(r"\bbenchdog\.[\w.]+\.(\w+)", r"\1", text).replace("'", "")
    text = re.sub(r"<(\w+) object at 0x\w+>", r"\1(...)", text)
    return text.replace(", /)", ")").replace("(/)", "()")


def _constant(name: str) -> str:
    """Return the text below a constant in its module."""
    file = _file(name)
    path = ROOT / "src" / "benchdog" / ("api/__init__.py" if file == Path() else file)
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for at, node in enumerate(body[:-1]):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        after = body[at + 1]
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        if isinstance(target, ast.Name) and target.id == name and isinstance(text, str):
            return " ".join(text.split())
    value = getattr(api, name)
    return f"`{name} = {value!r}`" if isinstance(value, int | str | tuple) else f"A `{type(value).__name__}`."


def _text(value: Any) -> str:
    """Return a docstring as Markdown: examples apart, lists of arguments and attributes as items."""
    text = (inspect.getdoc(value) or "").partition(">>>")[0].strip()
    text = re.sub(r"^(Args|Attributes|Returns|Raises|Yields):$", r"\1:\n", text, flags=re.MULTILINE)
    text = re.sub(r"^ {4}(\w+): ", r"- `\1`: ", text, flags=re.MULTILINE)
    return re.sub(r"^ {4,}", "  ", text, flags=re.MULTILINE)


def _first(value: Any) -> str:
    """Return a docstring's first paragraph on one line."""
    return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())


def main() -> int:
    """Write, or check."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/reference/api.md is an old one: python scripts/api_reference.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
