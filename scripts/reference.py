"""Write the parts of the documentation that the program knows: --help, commands, every key of a recipe.

    python scripts/reference.py           write them
    python scripts/reference.py --check   say which are out of date, and end with 1
                                          (3: not all packages under plugins/ are installed)

What is written lies between two comments: <!-- made by scripts/reference.py: NAME --> and <!-- end: NAME -->.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
OWN = [
    tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]
    for file in sorted(ROOT.glob("plugins/*/pyproject.toml"))
]
# what else is installed here is none of the documentation's business; a terminal of 80 columns
os.environ.update(BENCHDOG_PLUGINS=",".join(["builtin", *OWN]), COLUMNS="80", NO_COLOR="1")

from benchdog import cli  # noqa: E402 -- it reads the allow-list
from benchdog.plugins import Plugins  # noqa: E402
from benchdog.plugins.options import json_schema  # noqa: E402
from benchdog.recipe.json_schema import recipe_schema  # noqa: E402
from benchdog.recipe.recipe import PARTS, TABLES  # noqa: E402

ORDER = (*PARTS, *TABLES)
WORDS = {"integer": "whole number", "string": "text", "boolean": "yes or no", "null": "nothing", "object": "table"}
SIGNS = {"minimum": "≥{}", "exclusiveMinimum": ">{}", "maximum": "≤{}", "exclusiveMaximum": "<{}"}


def said(*arguments: str) -> str:
    """Give what `benchdog ... --help` prints."""
    out = io.StringIO()
    argv = ["benchdog", *arguments, "--help"]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main()
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def subcommands(text: str) -> list[str]:
    """Give the names that a help lists under "Commands"."""
    _, _, listed = text.partition("\nCommands:\n")
    return re.findall(r"(?m)^  ([\w-]+)", listed)


def help_text() -> str:
    """Give the block of the README."""
    return f"```text\n$ benchdog --help\n{said()}\n```"


def commands() -> str:
    """Give a section per command, with what its --help prints."""
    parts = []
    for name in subcommands(said()):
        text = said(name)
        parts.append(f"## benchdog {name}\n\n```text\n{text}\n```")
        parts += [f"### benchdog {name} {under}\n\n```text\n{said(name, under)}\n```" for under in subcommands(text)]
    return "\n\n".join(parts)


def host_tables() -> str:
    """Give a row per key of the tables that are the host's own."""
    schema = recipe_schema(Plugins.discover())["properties"]
    rows = [("`seed`", schema["seed"]["description"], cell(schema["seed"]["default"]))]
    for name in TABLES:
        for key, value in schema[name]["properties"].items():
            rows.append((f"`{name}.{key}`", value["description"].replace("|", "\\|"), cell(value.get("default"))))
    return "\n".join(["| key | meaning | default |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def recipe() -> str:
    """Give a section per table of a recipe, made of the JSON Schema that `benchdog schema` prints."""
    plugins = Plugins.discover()
    schema = recipe_schema(plugins)["properties"]
    parts = []
    for kind in ORDER:
        parts.append(f"## [{kind}]\n\n{schema[kind]['description']}")
        if "properties" in schema[kind]:
            parts.append(table(schema[kind]))
        for each in schema[kind].get("anyOf", []):
            if "const" in each.get("properties", {}).get("name", {}) and each["title"] != "auto":
                parts.append(f"### {each['title']}\n\n{each['description']}")
                parts.append(table(each))
    parts.append("## Augmentations\n\nEntries of `loader.augment`: a name, or a table of the name and its options.")
    parts += list(components(plugins, "augmentation"))
    parts.append("## Exporters\n\nThey are no part of a recipe: `benchdog export RUN --to NAME --set KEY=VALUE`.")
    parts += list(components(plugins, "exporter"))
    return "\n\n".join(part for part in parts if part)


def components(plugins: Plugins, kind: str) -> Iterator[str]:
    """Give a section per component of a kind that isn't in the schema."""
    for name, found in plugins.all(kind).items():
        yield f"### {name}\n\n{found.info.summary}"
        yield table(json_schema(found.resolve(found.info.options)) if found.info.options else {})


def table(schema: dict[str, Any]) -> str:
    """Give a row per option; nothing where there is none."""
    options = {key: value for key, value in schema.get("properties", {}).items() if "const" not in value}
    if not options:
        return "It takes no options." if "properties" in schema or not schema else ""
    needed = schema.get("required", [])
    rows = [
        f"| `{key}` | {kind_of(value)} | {'required' if key in needed else cell(value.get('default'))} "
        f"| {value.get('description', '').replace('|', chr(92) + '|')} |"
        for key, value in options.items()
    ]
    return "\n".join(["| key | what | default | meaning |", "|---|---|---|---|", *rows])


def kind_of(schema: dict[str, Any]) -> str:
    """Say in words what a value may be."""
    if "anyOf" in schema:
        return " or ".join(kind_of(each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(cell(each) or '`""`' for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "anything")
    if kind == "array":
        inside = schema.get("items") or {"anyOf": schema.get("prefixItems", [{}])}
        return f"list of {kind_of(inside)}"
    if schema.get("format") == "path":
        return "path"
    limits = [text.format(f"{schema[key]:.12g}") for key, text in SIGNS.items() if key in schema]
    return ", ".join([WORDS.get(kind, kind), *limits]).replace(">", "&gt;").replace("<", "&lt;")


def cell(value: object) -> str:
    """Write a value as a recipe would."""
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


PARTS_OF_PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "help": ("docs/reference/commands.md", help_text),
    "commands": ("docs/reference/commands.md", commands),
    "host tables": ("docs/reference/configuration.md", host_tables),
    "recipe": ("docs/reference/configuration.md", recipe),
}


def put(page: str, name: str, text: str) -> str:
    """Put a text between its comments."""
    begin, end = f"<!-- made by scripts/reference.py: {name} -->", f"<!-- end: {name} -->"
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    assert found, f"the comment {begin} is missing"
    assert ended, f"the comment {end} is missing"
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def main(arguments: list[str]) -> int:
    """Write the parts, or compare them; 3 where a package of this repository isn't installed."""
    if absent := [name for name in OWN if not list(distributions(name=name))]:
        print(f"not installed: {', '.join(absent)}; the pages tell of all packages. Install them: make env")
        return 3
    stale = 0
    for name, (file, make) in PARTS_OF_PAGES.items():
        path = ROOT / file
        is_there = path.read_text(encoding="utf-8")
        wanted = put(is_there, name, make())
        if wanted == is_there:
            continue
        if "--check" in arguments:
            stale = 1
            print(f"{file} ({name}) is out of date. Write it anew: python scripts/reference.py")
            lines = difflib.unified_diff(is_there.splitlines(), wanted.splitlines(), "page", "program", "", "", 0, "")
            print("\n".join(list(lines)[:20]))
        else:
            path.write_text(wanted, encoding="utf-8", newline="\n")
            print(f"{file}: {name}")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
