"""Generate the reference pages from the program: --help, commands, every key of a recipe, metrics.

    python scripts/reference.py           write them
    python scripts/reference.py --check   list those that are out of date, and exit with 1
                                          (3: not all packages under plugins/ are installed)

Generated text is between two comments: <!-- made by scripts/reference.py: NAME --> and <!-- end: NAME -->.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import io
import math
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
OWN = [
    tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]
    for file in sorted(ROOT.glob("plugins/*/pyproject.toml"))
]
# other packages that happen to be installed don't belong in the documentation; 80 columns
os.environ.update(BENCHDOG_PLUGINS=",".join(["builtin", *OWN]), COLUMNS="80", NO_COLOR="1")

from benchdog import cli  # noqa: E402 -- it reads the allow-list
from benchdog.api import DecoderInfo, Metric  # noqa: E402
from benchdog.builtin.tasks.metrics import per_sample  # noqa: E402
from benchdog.data.transform import operations  # noqa: E402
from benchdog.plugins import Plugins  # noqa: E402
from benchdog.plugins.options import json_schema  # noqa: E402
from benchdog.recipe.aliases import AUGMENTATIONS, renamed_keys  # noqa: E402
from benchdog.recipe.json_schema import recipe_schema  # noqa: E402
from benchdog.recipe.recipe import PARTS, TABLES, OtherModelConfig  # noqa: E402

ORDER = (*PARTS, *TABLES)
TASK_METRICS = {
    "classification": per_sample.CLASS_METRICS,
    "ordinal": per_sample.ORDINAL_METRICS,
    "multi-label": per_sample.LABEL_METRICS,
    "regression": per_sample.NUMBER_METRICS,
    "segmentation": per_sample.MASK_METRICS,
    "image-to-image": per_sample.psnr_metrics((0.0, 1.0)),
    "next-token": per_sample.TOKEN_METRICS,
    "embedding": per_sample.EMBEDDING_METRICS,
}
TRANSFORMS = {
    "standardise": operations.Standardize,
    "scale": operations.Scale,
    "table": operations.Table,
    "normalise": operations.Normalize,
    "identity": operations.Identity,
}
TYPES = {
    "integer": "integer",
    "number": "number",
    "string": "string",
    "boolean": "boolean",
    "null": "none",
    "object": "table",
}
SIGNS = {"minimum": "≥{}", "exclusiveMinimum": ">{}", "maximum": "≤{}", "exclusiveMaximum": "<{}"}


def help_of(*command: str) -> str:
    """Return what `benchdog ... --help` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main([*command, "--help"])
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def subcommands(text: str) -> list[str]:
    """Return the names that a help lists under "Commands"."""
    _, _, listed = text.partition("\nCommands:\n")
    return re.findall(r"(?m)^  ([\w-]+)", listed)


def help_text() -> str:
    """Return the help of the program as a code block."""
    return f"```text\n$ benchdog --help\n{help_of()}\n```"


def commands() -> str:
    """Return a section per command, with its --help."""
    parts = []
    for name in subcommands(help_of()):
        text = help_of(name)
        parts.append(f"## benchdog {name}\n\n```text\n{text}\n```")
        parts += [
            f"### benchdog {name} {under}\n\n```text\n{help_of(name, under)}\n```" for under in subcommands(text)
        ]
    return "\n\n".join(parts)


def host_tables() -> str:
    """Return a row per key of the core tables."""
    schema = recipe_schema(Plugins.discover())["properties"]
    rows = [("`seed`", schema["seed"]["description"], cell(schema["seed"]["default"]))]
    for name in TABLES:
        for key, value in schema[name]["properties"].items():
            rows.append((f"`{name}.{key}`", value["description"].replace("|", "\\|"), cell(value.get("default"))))
    return "\n".join(
        ["| key | description | default |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def renamed() -> str:
    """Return a row per renamed key or component."""
    names = {**renamed_keys(), **AUGMENTATIONS}
    rows = [f"| `{old}` | `{new}` |" for old, new in names.items()]
    return "\n".join(["| old name | name |", "|---|---|", *rows])


def recipe() -> str:
    """Return a section per table of a recipe, from the JSON Schema that `benchdog schema` prints."""
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
    parts.append(f"## [sources.NAME]\n\n{schema['sources']['description']} Keys are those of `[source]`.")
    parts.append(f"## [models.NAME]\n\n{schema['models']['description']}")
    parts.append(table(json_schema(OtherModelConfig)))
    parts.append("## Augmentations\n\nEntries of `loader.augment`: a name, or a table of the name and its options.")
    parts += list(components(plugins, "augmentation"))
    parts.append("## Exporters\n\nThey are not part of a recipe: `benchdog export RUN --to NAME --set KEY=VALUE`.")
    parts += list(components(plugins, "exporter"))
    parts.append(
        "## Writers\n\nThey are not part of a recipe: `benchdog predict RUN FILE --out FOLDER --writer NAME "
        "--set NAME.KEY=VALUE`."
    )
    parts += list(components(plugins, "writer"))
    return "\n\n".join(part for part in parts if part)


def components(plugins: Plugins, kind: str) -> Iterator[str]:
    """Yield a section per component of a kind that isn't in the schema."""
    for name, component in plugins.all(kind).items():
        info = component.info
        yield f"### {name}\n\n{info.summary}"
        yield table(json_schema(component.resolve(info.options)) if info.options else {})


def table(schema: dict[str, Any]) -> str:
    """Return a row per option; "" if there are none."""
    options = {key: value for key, value in schema.get("properties", {}).items() if "const" not in value}
    if not options:
        return "No options." if "properties" in schema or not schema else ""
    needed = schema.get("required", [])
    rows = [
        f"| `{key}` | {kind_of(value)} | {'required' if key in needed else cell(value.get('default'))} "
        f"| {value.get('description', '').replace('|', chr(92) + '|')} |"
        for key, value in options.items()
    ]
    return "\n".join(["| key | type | default | description |", "|---|---|---|---|", *rows])


def kind_of(schema: dict[str, Any]) -> str:
    """Format the type and bounds of a value."""
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
    return ", ".join([TYPES.get(kind, kind), *limits]).replace(">", "&gt;").replace("<", "&lt;")


def metrics() -> str:
    """Return a row per metric of a built-in task."""
    tasks: dict[str, list[str]] = {}
    known: dict[str, Metric] = {}
    for task, listed in TASK_METRICS.items():
        for metric in listed:
            known.setdefault(metric.name, metric)
            tasks.setdefault(metric.name, []).append(task)
    rows = [
        f"| `{name}` | {metric.text} | {'all' if len(tasks[name]) == len(TASK_METRICS) else ', '.join(tasks[name])} "
        f"| {'higher' if metric.better == 'max' else 'lower'} | {bounds(metric.range)} "
        f"| {'yes' if metric.weighted else 'no'} |"
        for name, metric in known.items()
    ]
    head = "| key | name | tasks | better | range | sample weights |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def bounds(limits: tuple[float, float]) -> str:
    """Format the least and the greatest value of a metric."""
    low, high = limits
    if math.isinf(low):
        return "" if math.isinf(high) else f"≤ {high:g}"
    return f"≥ {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


def cell(value: object) -> str:
    """Format a value as in a recipe."""
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def decode_operations() -> str:
    """Return a section per decode operation, with what it takes and its parameters."""
    parts = []
    for name, component in Plugins.discover().all("decoder").items():
        info = component.info
        assert isinstance(info, DecoderInfo)
        read = ", ".join(f"`{each}`" for each in (*info.suffixes, *info.media_types))
        parts.append(f"### {name}\n\n{info.summary} Files: {read}.")
        parts.append(table(json_schema(component.resolve(info.options))))
    return "\n\n".join(parts)


def transform_operations() -> str:
    """Return a row per parameter of a transform operation."""
    rows = []
    for name, (_, parameters) in operations.OPERATIONS.items():
        first = str(inspect.getdoc(TRANSFORMS[name])).partition("\n")[0]
        rows.append(f"| `{name}` | | {first} |")
        rows += [f"| | `{key}` | {text} |" for key, text in parameters.items()]
    return "\n".join(["| operation | parameter | description |", "|---|---|---|", *rows])


PARTS_OF_PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "help": ("docs/reference/commands.md", help_text),
    "commands": ("docs/reference/commands.md", commands),
    "host tables": ("docs/reference/configuration.md", host_tables),
    "recipe": ("docs/reference/configuration.md", recipe),
    "metrics": ("docs/reference/metrics.md", metrics),
    "decode operations": ("docs/reference/operations.md", decode_operations),
    "transform operations": ("docs/reference/operations.md", transform_operations),
    "renamed keys": ("docs/reference/configuration.md", renamed),
}


def put(page: str, name: str, text: str) -> str:
    """Replace the text between its comments."""
    begin, end = f"<!-- made by scripts/reference.py: {name} -->", f"<!-- end: {name} -->"
    before, begins, rest = page.partition(begin)
    _, ends, after = rest.partition(end)
    assert begins, f"the comment {begin} is missing"
    assert ends, f"the comment {end} is missing"
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def main(arguments: list[str]) -> int:
    """Write the parts, or compare them; return 3 if a package of this repository isn't installed."""
    if missing := [name for name in OWN if not list(distributions(name=name))]:
        print(f"not installed: {', '.join(missing)}; the pages document all packages. Install them: make env")
        return 3
    stale = 0
    for name, (file, make) in PARTS_OF_PAGES.items():
        path = ROOT / file
        current = path.read_text(encoding="utf-8")
        wanted = put(current, name, make())
        if wanted == current:
            continue
        if "--check" in arguments:
            stale = 1
            print(f"{file} ({name}) is out of date. Regenerate it: python scripts/reference.py")
            lines = difflib.unified_diff(current.splitlines(), wanted.splitlines(), "page", "program", "", "", 0, "")
            print("\n".join(list(lines)[:20]))
        else:
            path.write_text(wanted, encoding="utf-8", newline="\n")
            print(f"{file}: {name}")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
