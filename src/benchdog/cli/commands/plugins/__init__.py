"""`benchdog plugins`: what is installed, what it offers, whether it is healthy."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from benchdog.cli.commands.plugins.check import check
from benchdog.cli.commands.plugins.listing import listed
from benchdog.cli.commands.plugins.new import new
from benchdog.cli.completion import engine
from benchdog.cli.output import columns, emit_json, say

if TYPE_CHECKING:
    from benchdog.plugins import Plugins
    from benchdog.plugins.types import Plugin, RegisteredComponent

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

app = typer.Typer(
    help="List plugins and what they offer; write one.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("new")(new)

app.command("check")(check)


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List the plugins, their components and their health."""
    plugins: Plugins = ctx.obj.plugins(listing=True)
    rows = list(listed(plugins))
    if as_json:
        emit_json({"plugins": rows})
        return
    table = [line for row in rows for line in _lines(row)]
    typer.echo(columns(table, ("plugin", "version", "health", "offers")))
    for row in rows:
        if row["loads"] or row["note"]:  # a fault's remedy was told when the plugin was set aside
            say(f"{row['name']}: {row['remedy']}")


@app.command("info")
def info(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="The name of a plugin or of a component.", autocompletion=engine.anything)
    ],
    as_json: Json = False,
) -> None:
    """Show a plugin or a component: what it is, what it needs, its options."""
    plugins: Plugins = ctx.obj.plugins()
    found = [about(each) for each in _components(plugins, name)]
    owners = [_plugin(plugins, each) for each in plugins.healthy if name in (each.name, each.dist)]
    if not found and not owners:
        from benchdog.errors import BadUsage, nearest

        raise BadUsage(f"There is no plugin or component {name!r}.", nearest(name, _names(plugins)))
    if as_json:
        emit_json({"plugins": owners, "components": found})
        return
    typer.echo("\n\n".join([_plugin_text(each) for each in owners] + [_component_text(each) for each in found]))


def _lines(row: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Write a plugin as a line per kind of component, its name on the first."""
    offers = [f"{kind}s: {', '.join(names)}" for kind, names in row["components"].items() if names]
    offers = [text for text in (row["fault"], row["note"]) if text] + offers
    yield row["name"], row["version"] or "-", _health(row), offers[0] if offers else "events alone"
    for offer in offers[1:]:
        yield "", "", "", offer


def _health(row: dict[str, Any]) -> str:
    if row["fault"]:
        return "healthy, but" if row["loaded"] else "set aside" if row["state"] == "wrong" else "slow"
    return f"slow: loads {', '.join(row['loads'])}" if row["loads"] else "healthy"


def _components(plugins: Plugins, name: str) -> list[RegisteredComponent]:
    """Find the components of that name, of whatever kind."""
    from benchdog.plugins import KINDS

    return [
        found
        for kind in KINDS
        for key, found in plugins.all(kind).items()
        if name in (key, found.info.name, found.where)
    ]


def _names(plugins: Plugins) -> set[str]:
    from benchdog.plugins import KINDS

    return {plugin.name for plugin in plugins.healthy} | {name for kind in KINDS for name in plugins.all(kind)}


def about(found: RegisteredComponent) -> dict[str, Any]:
    """Describe a component without importing its target."""
    from benchdog.cli.commands.doctor import present

    absent = [package for package in found.info.requires if not present(package)]
    return {
        "name": found.info.name,
        "kind": found.info.kind,
        "summary": found.info.summary,
        "plugin": found.plugin,
        "distribution": found.dist,
        "version": found.version,
        "target": found.info.target,
        "requires": list(found.info.requires),
        "missing": absent,
        "install": found.info.install,
        "options": options_of(found),
    }


def options_of(found: RegisteredComponent) -> list[dict[str, Any]]:
    """List the options of a component: name, type, default, doc, bounds."""
    if not found.info.options:
        return []
    from benchdog.api import Bounds, Doc

    cls = found.resolve(found.info.options)
    hints = get_type_hints(cls, include_extras=True)
    listed = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        bounds = next((extra for extra in extras if isinstance(extra, Bounds)), None)
        limits = {k: v for k, v in dataclasses.asdict(bounds).items() if v is not None} if bounds else {}
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        listed.append(
            {
                "name": field.name,
                "type": written(hint),
                "required": needed,
                "default": None if needed else _plain(_default(field)),
                "bounds": limits,
                "doc": next((extra.text for extra in extras if isinstance(extra, Doc)), ""),
            }
        )
    return listed


def written(hint: Any) -> str:
    """Write a type as a reader of a recipe needs it: int, "a" or "b", list of str, path or nothing."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return written(arguments[0])
    if origin is Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("nothing" if part is type(None) else written(part) for part in arguments)
    if origin in (tuple, list, set, frozenset) and arguments:
        return f"list of {', '.join(written(part) for part in arguments if part is not Ellipsis)}"
    if origin is not None and arguments:
        return f"{written(origin)} of {', '.join(written(part) for part in arguments)}"
    name = getattr(hint, "__name__", str(hint))
    return {"Path": "path", "NoneType": "nothing", "Mapping": "table", "dict": "table"}.get(name, name)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _plain(value: Any) -> Any:
    """Give a default in JSON's types."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else str(value)


def _plugin(plugins: Plugins, plugin: Plugin) -> dict[str, Any]:
    """Describe a plugin and list its components with their summaries."""
    from benchdog.plugins import KINDS

    offered = [
        {"kind": kind, "name": found.info.name, "summary": found.info.summary}
        for kind in KINDS
        for found in plugins.all(kind).values()
        if found.plugin == plugin.name and found.dist == plugin.dist
    ]
    return {
        "name": plugin.name,
        "distribution": plugin.dist,
        "version": plugin.version,
        "module": plugin.module.__name__,
        "path": plugin.path or str(plugin.module.__file__ or ""),
        "components": offered,
    }


def _plugin_text(told: dict[str, Any]) -> str:
    head = f"plugin {told['name']}, from {told['distribution']} {told['version']}".rstrip()
    rows = [(each["kind"], each["name"], each["summary"]) for each in told["components"]]
    return "\n".join([head, f"  {told['path']}", *([columns(rows, ("kind", "name", "summary"))] if rows else [])])


def _component_text(told: dict[str, Any]) -> str:
    lines = [
        f"{told['kind']} {told['name']}: {told['summary']}",
        f"  owner    {told['plugin']}, from {told['distribution']} {told['version']}".rstrip(),
        f"  target   {told['target']}",
    ]
    if told["requires"]:
        state = (
            f"; missing: {', '.join(told['missing'])}. {told['install']}" if told["missing"] else "; all installed"
        )
        lines.append(f"  needs    {', '.join(told['requires'])}{state}")
    if not told["options"]:
        return "\n".join([*lines, "  It takes no options."])
    rows = [
        (option["name"], option["type"] + _limits(option["bounds"]), _shown(option), option["doc"])
        for option in told["options"]
    ]
    return "\n".join([*lines, columns(rows, ("option", "type", "default", "meaning"))])


def _limits(bounds: dict[str, float]) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return "".join(f", {signs[key]} {value:g}" for key, value in bounds.items())


def _shown(option: dict[str, Any]) -> str:
    if option["required"]:
        return "required"
    if option["default"] is None:
        return "nothing"
    return str(option["default"]).lower() if isinstance(option["default"], bool) else str(option["default"])
