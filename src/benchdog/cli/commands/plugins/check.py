"""`benchdog plugins check`: conformance tests of a plugin, one verdict per check."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli.completion import candidates
from benchdog.cli.output import echo, emit_json

if TYPE_CHECKING:
    from benchdog.testing.runner.batch import GivenArtifact
    from benchdog.testing.runner.results import Result


def check(
    target: Annotated[str, typer.Argument(metavar="PACKAGE|FILE", help="A plugin, its package or a plugin file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME.OPTION=VALUE", help="Set an option of a component (repeatable)."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="CHECK", help="Run only this check (repeatable).")] = None,
    limit: Annotated[float, typer.Option("--limit", min=1, help="Timeout of a check in seconds.")] = 120.0,
    artifact: Annotated[
        str,
        typer.Option(
            "--artifact",
            metavar="RUN",
            help="Try the exporters with this trained model instead of the kit's: a run, its folder, an artifact.",
            autocompletion=candidates.models,
        ),
    ] = "",
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code that comes with an --artifact from another machine.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Test a plugin's components on tiny data; faults are printed with how to fix them, and exit code 4.

    What can't be checked here is skipped, with the reason, and is no fault: read the last lines.
    """
    from benchdog.testing.runner.registry import known
    from benchdog.testing.runner.run import run
    from benchdog.testing.runner.subjects import subjects_of

    results: list[Result] = []
    shown = ("", "")
    known(only or [])
    given = _artifact(artifact, trust)
    tried = run(
        subjects_of(target), _given(settings or []), Path.cwd(), limit=limit, checks=only or [], artifact=given
    )
    for result in tried:
        results.append(result)
        if not as_json:
            shown = _show(result, shown)
    count = {state: sum(each.state == state for each in results) for state in ("ok", "fault", "skipped")}
    if as_json:
        emit_json(
            {
                "checked": target,
                "conforms": not count["fault"],
                "complete": not count["skipped"],
                "counts": count,
                "skipped": _skipped(results),
                "results": [each.to_json() for each in results],
            }
        )
    else:
        for line in _verdict(count, results):
            echo(line)
    if count["fault"]:
        raise typer.Exit(4)


def _artifact(model: str, trust: bool) -> GivenArtifact | None:
    """Find the artifact that --artifact names."""
    from benchdog.deployment.find_model import find_model
    from benchdog.errors import BadUsage
    from benchdog.model.artifact_files import locate
    from benchdog.testing.runner.batch import GivenArtifact

    if not model:
        if trust:
            raise BadUsage("--trust is for an --artifact.", "Leave it out.")
        return None
    folder, kind = locate(find_model(model, None))
    if kind != "artifact":
        raise BadUsage(f"{model} is an export.", "Pass the run or the artifact that it was made from.")
    return GivenArtifact(str(folder.absolute()), trust)


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


def _verdict(count: dict[str, int], results: list[Result]) -> Iterator[str]:
    """Count every outcome; a check that was skipped found nothing, neither good nor bad."""
    yield f"{count['ok']} passed, {count['fault']} failed, {count['skipped']} skipped."
    for line in _skipped(results):
        yield f"not checked: {line['kind']} {line['name']}, {', '.join(line['checks'])}: {line['reason']}"


def _skipped(results: list[Result]) -> list[dict[str, Any]]:
    """Group the skipped checks by component and reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for each in results:
        if each.state == "skipped":
            groups.setdefault((each.kind, each.name, each.found), []).append(each.check)
    return [
        {"kind": kind, "name": name, "checks": checks, "reason": reason}
        for (kind, name, reason), checks in groups.items()
    ]
