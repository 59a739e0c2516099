"""The text of a new recipe: every option, its default and its meaning as comments."""

from __future__ import annotations

from typing import Any

import tomli_w

from benchdog.api import SourceInfo
from benchdog.plugins import Plugins
from benchdog.plugins.options import describe
from benchdog.recipe.aliases import current_values
from benchdog.recipe.json_schema import WHAT
from benchdog.recipe.recipe import PARTS, TABLES


def new_recipe(plugins: Plugins, chosen: dict[str, str], given: dict[str, Any]) -> str:
    """Write a recipe with every option, its default and its meaning; what is optional is commented out.

    Args:
        chosen: names by kind; a source is among them.
        given: values by dotted key that are to stand in it.
    """
    source = plugins.find("source", chosen["source"])
    lines = [
        f"# A recipe for {chosen['source']}: {source.info.summary}",
        "# Train with: benchdog train THIS_FILE",
        "",
    ]
    if isinstance(source.info, SourceInfo):
        given = {**current_values(source.info.defaults, {"trainer": "supervised", **chosen}), **given}
    lines += ["seed = 0  # Seed of all random numbers.", ""]
    for kind in PARTS:
        default = "supervised" if kind == "trainer" else "auto"
        name = chosen.get(kind, default)
        others = [n for n in plugins.all(kind) if n != name]
        more = f"  # or: {', '.join(others)}" if others else ""
        lines += [f"[{kind}]  # {WHAT[kind]}", f"name = {_toml(name)}{more}"]
        if name != "auto":
            found = plugins.find(kind, name)
            if found.info.options:
                lines += _option_lines(kind, found.resolve(found.info.options), given)
        lines.append("")
    for name, table in TABLES.items():
        lines += [f"[{name}]  # {WHAT[name]}", *_option_lines(name, table, given), ""]
    return "\n".join(lines).rstrip() + "\n"


def _option_lines(table: str, cls: type, given: dict[str, Any]) -> list[str]:
    lines = []
    for option in describe(cls).values():
        key = f"{table}.{option.name}"
        value = given.get(key, None if option.required else option.default)
        plain = option.adapter.dump_python(value, mode="json") if key not in given else value
        text = f"{option.name} = {_toml('' if plain is None else plain)}"
        mark = "" if key in given or (option.required and plain is not None) else "# "
        lines.append(f"{mark}{text}  # {option.doc}")
    return lines


def _toml(value: Any) -> str:
    """Write a value in one line: tomli_w puts braces around a table when it stands in a list next to a number."""
    lines = tomli_w.dumps({"v": [0, value]}, multiline_strings=False).strip().split("\n")
    text = " ".join(line.strip() for line in lines).removeprefix("v = [ 0, ").removesuffix("]")
    return text.strip().removesuffix(",")
