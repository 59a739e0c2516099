"""`benchdog plugins check`: conformance tests of a plugin, one verdict per check."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli.output import echo, emit_json

if TYPE_CHECKING:
    from benchdog.testing.runner.results import Result


def check(
    target: Annotated[str, typer.Argument(metavar="PACKAGE|FILE", help="A plugin, its package or a plugin file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME.OPTION=VALUE", help="Set an option of a component (repeatable)."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="CHECK", help="Run only this check (repeatable).")] = None,
    limit: Annotated[float, typer.Option("--limit", min=1, help="Timeout of a check in seconds.")] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Test a plugin's components on tiny data; faults are printed with how to fix them, and exit code 4."""
    from benchdog.testing.runner.registry import known
    from benchdog.testing.runner.run import run
    from benchdog.testing.runner.subjects import subjects_of

    results: list[Result] = []
    shown = ("", "")
    known(only or [])
    for result in run(subjects_of(target), _given(settings or []), Path.cwd(), limit=limit, checks=only or []):
        results.append(result)
        if not as_json:
            shown = _show(result, shown)
    count = {state: sum(each.state == state for each in results) for state in ("ok", "fault", "skipped")}
    if as_json:
        emit_json(
            {
                "checked": target,
                "conforms": not count["fault"],
                "counts": count,
                "results": [each.to_json() for each in results],
            }
        )
    else:
        echo(_verdict(count))
    if count["fault"]:
        raise typer.Exit(4)


def _given(settings: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Parse NAME.OPTION=VALUE or KIND.NAME.OPTION=VALUE; a component's name may contain dots, an option's may not."""
    from benchdog.errors import BadUsage
    from benchdog.recipe.layers import toml_value
    from benchdog.testing.runner.registry import OWN

    given: dict[tuple[str, str], dict[str, Any]] = {}
    for setting in settings:
        key, sep, text = setting.partition("=")
        name, dot, option = key.strip().rpartition(".")
        if not sep or not dot or not name:
            raise BadUsage(f"--set {setting!r} is not NAME.OPTION=VALUE.", "For example --set stars.count=50")
        kind, _, rest = name.partition(".")
        owner = (kind, rest) if rest and kind in OWN else ("", name)
        given.setdefault(owner, {})[option] = toml_value(text.strip())
    return given


def _show(result: Result, shown: tuple[str, str]) -> tuple[str, str]:
    """Print a result, under a heading where a new component begins."""
    if (result.kind, result.name) != shown:
        echo(f"{result.kind} {result.name}")
    for line in _lines(result):
        echo(line)
    return result.kind, result.name


def _lines(result: Result) -> Iterator[str]:
    mark = {"ok": "ok", "fault": "FAULT", "skipped": "skipped"}[result.state]
    yield f"  {mark:<8} {result.check:<12} {result.found}"
    here = f"{Path.cwd()}{os.sep}"
    for line in (result.where.removeprefix(here), result.remedy):
        if line:
            yield f"{'':<24}{line}"


def _verdict(count: dict[str, int]) -> str:
    total = sum(count.values())
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    if count["fault"]:
        return f"{count['fault']} {'fault' if count['fault'] == 1 else 'faults'} in {total} checks{skipped}."
    return f"No faults in {total} checks{skipped}."
