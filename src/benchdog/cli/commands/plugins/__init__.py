"""`benchdog plugins`: installed plugins, their components and their health."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from benchdog.cli.commands.plugins.check import check
from benchdog.cli.commands.plugins.listing import listed
from benchdog.cli.commands.plugins.new import new
from benchdog.cli.completion import candidates
from benchdog.cli.output import columns, echo, emit_json, say

if TYPE_CHECKING:
    from benchdog.plugins import Plugins
    from benchdog.plugins.types import Plugin, RegisteredComponent

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

app = typer.Typer(
    help="List, inspect, scaffold and check plugins.",
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
    echo(columns(table, ("plugin", "version", "health", "components")))
    for row in rows:
        if row["loads"] or row["note"]:  # the remedy of a fault was printed when the plugin was disabled
            say(f"{row['name']}: {row['remedy']}")


@app.command("info")
def info(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(help="Name of a plugin or of a component.", autocompletion=candidates.plugins_and_components),
    ],
    as_json: Json = False,
) -> None:
    """Show a plugin or a component: summary, requirements, options."""
    plugins: Plugins = ctx.obj.plugins()
    components = [about(each) for each in _components(plugins, name)]
    owners = [_plugin(plugins, each) for each in plugins.healthy if name in (each.name, each.dist)]
    if not components and not owners:
        from benchdog.errors import BadUsage, nearest

        raise BadUsage(f"Unknown plugin or component {name!r}.", nearest(name, _names(plugins)))
    if as_json:
        emit_json({"plugins": owners, "components": components})
        return
    echo("\n\n".join([_plugin_text(each) for each in owners] + [_component_text(each) for each in components]))


def _lines(row: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield the table rows of a plugin: a row per kind of component, its name in the first."""
    offers = [f"{kind}s: {', '.join(names)}" for kind, names in row["components"].items() if names]
    offers = [text for text in (row["fault"], row["note"]) if text] + offers
    yield row["name"], row["version"] or "-", _health(row), offers[0] if offers else "events only"
    for offer in offers[1:]:
        yield "", "", "", offer


def _health(row: dict[str, Any]) -> str:
    if row["fault"]:
        return "warning" if row["loaded"] else "disabled" if row["state"] == "wrong" else "slow"
    return f"slow: loads {', '.join(row['loads'])}" if row["loads"] else "healthy"


def _components(plugins: Plugins, name: str) -> list[RegisteredComponent]:
    """Return the components of that name, of every kind."""
    from benchdog.plugins import KINDS

    return [
        component
        for kind in KINDS
        for key, component in plugins.all(kind).items()
        if name in (key, component.info.name, component.where)
    ]


def _names(plugins: Plugins) -> set[str]:
    from benchdog.plugins import KINDS

    return {plugin.name for plugin in plugins.healthy} | {name for kind in KINDS for name in plugins.all(kind)}


def about(component: RegisteredComponent) -> dict[str, Any]:
    """Describe a component without importing its target."""
    from benchdog.cli.commands.doctor import present

    missing = [package for package in component.info.requires if not present(package)]
    return {
        "name": component.info.name,
        "kind": component.info.kind,
        "summary": component.info.summary,
        "plugin": component.plugin,
        "distribution": component.dist,
        "version": component.version,
        "target": component.info.target,
        "requires": list(component.info.requires),
        "missing": missing,
        "install": component.info.install,
        "options": options_of(component),
    }


def options_of(component: RegisteredComponent) -> list[dict[str, Any]]:
    """List the options of a component: name, type, default, doc, bounds."""
    if not component.info.options:
        return []
    from benchdog.api import Bounds, Doc

    cls = component.resolve(component.info.options)
    hints = get_type_hints(cls, include_extras=True)
    options = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        bounds = next((extra for extra in extras if isinstance(extra, Bounds)), None)
        limits = {k: v for k, v in dataclasses.asdict(bounds).items() if v is not None} if bounds else {}
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        options.append(
            {
                "name": field.name,
                "type": type_name(hint),
                "required": required,
                "default": None if required else _plain(_default(field)),
                "bounds": limits,
                "doc": next((extra.text for extra in extras if isinstance(extra, Doc)), ""),
            }
        )
    return options


def type_name(hint: Any) -> str:
    """Format a type for readers of a recipe: int, "a" or "b", list of str, path or nothing."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("nothing" if part is type(None) else type_name(part) for part in arguments)
    if origin in (tuple, list, set, frozenset) and arguments:
        return f"list of {', '.join(type_name(part) for part in arguments if part is not Ellipsis)}"
    if origin is not None and arguments:
        return f"{type_name(origin)} of {', '.join(type_name(part) for part in arguments)}"
    name = getattr(hint, "__name__", str(hint))
    return {"Path": "path", "NoneType": "nothing", "Mapping": "table", "dict": "table"}.get(name, name)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _plain(value: Any) -> Any:
    """Convert a default to JSON's types."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else str(value)


def _plugin(plugins: Plugins, plugin: Plugin) -> dict[str, Any]:
    """Describe a plugin and list its components with their summaries."""
    from benchdog.plugins import KINDS

    offered = [
        {"kind": kind, "name": component.info.name, "summary": component.info.summary}
        for kind in KINDS
        for component in plugins.all(kind).values()
        if component.plugin == plugin.name and component.dist == plugin.dist
    ]
    return {
        "name": plugin.name,
        "distribution": plugin.dist,
        "version": plugin.version,
        "module": plugin.module.__name__,
        "path": plugin.path or str(plugin.module.__file__ or ""),
        "components": offered,
    }


def _plugin_text(plugin: dict[str, Any]) -> str:
    head = f"plugin {plugin['name']}, from {plugin['distribution']} {plugin['version']}".rstrip()
    rows = [(each["kind"], each["name"], each["summary"]) for each in plugin["components"]]
    return "\n".join([head, f"  {plugin['path']}", *([columns(rows, ("kind", "name", "summary"))] if rows else [])])


def _component_text(component: dict[str, Any]) -> str:
    lines = [
        f"{component['kind']} {component['name']}: {component['summary']}",
        f"  owner    {component['plugin']}, from {component['distribution']} {component['version']}".rstrip(),
        f"  target   {component['target']}",
    ]
    if component["requires"]:
        state = (
            f"; missing: {', '.join(component['missing'])}. {component['install']}"
            if component["missing"]
            else "; all installed"
        )
        lines.append(f"  needs    {', '.join(component['requires'])}{state}")
    if not component["options"]:
        return "\n".join([*lines, "  no options"])
    rows = [
        (option["name"], option["type"] + _limits(option["bounds"]), _shown(option), option["doc"])
        for option in component["options"]
    ]
    return "\n".join([*lines, columns(rows, ("option", "type", "default", "description"))])


def _limits(bounds: dict[str, float]) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return "".join(f", {signs[key]} {value:g}" for key, value in bounds.items())


def _shown(option: dict[str, Any]) -> str:
    if option["required"]:
        return "required"
    if option["default"] is None:
        return "nothing"
    return str(option["default"]).lower() if isinstance(option["default"], bool) else str(option["default"])
