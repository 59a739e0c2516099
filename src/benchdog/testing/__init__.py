"""The conformance kit: runs a component on tiny data and explains what is wrong with it, and how to fix it.

    from benchdog.testing import conforms

    test_stars = conforms("source", "stars")

`benchdog plugins check` runs the same checks. Nothing heavy is imported here, and pytest only when `conforms`
is called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchdog.testing.runner.results import Result

__all__ = ["Result", "check", "conforms"]


def conforms(
    kind: str,
    name: str,
    *,
    file: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    artifact: str | Path | None = None,
) -> Callable[[str], None]:
    """Make a pytest test that runs every check of the kit on one component, a case for each check.

    Args:
        kind: source, model, task, trainer, exporter, backend, augmentation, decoder, writer, observer or command.
        name: the component's name; for an observer its plugin's, for a command the command's.
        file: a local plugin file that offers it; a relative path is meant from the test's own folder.
        options: options that the component is made with; relative paths likewise.
        artifact: a run's or an artifact's folder that an exporter is tried with in place of the kit's; likewise.
    """
    import pytest

    from benchdog.testing.runner.registry import checks_of

    place = sys._getframe(1).f_globals.get("__file__")
    base = Path(place).resolve().parent if place else Path.cwd()
    local = None if file is None else base / file
    given = None if artifact is None else base / artifact
    found: dict[str, Result] = {}

    @pytest.mark.parametrize("aspect", checks_of(kind))
    def test(aspect: str) -> None:
        if not found:  # one process looks at all of them, when the first is asked for
            results = check(kind, name, file=local, options=options, base=base, artifact=given)
            found.update({each.check: each for each in results})
        result = found[aspect]
        if result.state == "skipped":
            pytest.skip(result.found)
        if result.state == "fault":
            pytest.fail(str(result), pytrace=False)

    test.__doc__ = f"The {kind} {name!r} passes the conformance kit."
    return test


def check(
    kind: str,
    name: str,
    *,
    file: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    base: Path | None = None,
    artifact: Path | None = None,
) -> list[Result]:
    """Run every check of the kit on one component; a result for each, in order.

    Args:
        kind: what `conforms` takes, likewise `name`, `file`, `options` and `artifact`.
        base: the folder that relative paths in the options are meant from; else the working folder.
    """
    from dataclasses import replace

    from benchdog.model.artifact_files import locate
    from benchdog.testing.runner.batch import GivenArtifact
    from benchdog.testing.runner.registry import component_checks
    from benchdog.testing.runner.run import run
    from benchdog.testing.runner.subjects import of_file, owner_of

    component_checks(kind)
    subject = owner_of(kind, name) if file is None else of_file(Path(file))
    given = None if artifact is None else GivenArtifact(str(locate(artifact)[0].absolute()))
    options_of = {(kind, name): dict(options or {})}
    results = run([subject], options_of, base or Path.cwd(), only=(kind, name), artifact=given)
    own = [each for each in results if kind != "command" or each.kind == kind]
    return [replace(each, kind=kind, name=name) for each in own]
