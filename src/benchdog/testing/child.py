"""The process in which components are tried: `python -m benchdog.testing.child`.

It gets jobs as JSON on stdin, and writes a line of JSON when a check begins and one when it ends, so that its parent
knows which check it was that never came back.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from benchdog.testing import common, guard
from benchdog.testing.places import raised, said
from benchdog.testing.results import Fault, Result, Skip
from benchdog.testing.table import OWN
from benchdog.testing.trials import Trial


def main() -> None:
    """Do the jobs."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.read())
    sys.path.extend(path for path in request["path"] if path not in sys.path)

    def tell(**line: Any) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    guard.block()
    os.environ["BENCHDOG_PLUGINS"] = request["allow"]
    from benchdog.plugins import Plugins
    from benchdog.testing.tiny import Tiny

    plugins = Plugins.discover([request["file"]] if request["file"] else [])
    place = Path(request["place"])
    tiny = Tiny(place / "data")
    for number, job in enumerate(request["jobs"]):
        folder = place / f"work-{number}"
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        run_job(plugins, tiny, job, Path(request["base"]), folder, tell)
    tell(done=True)


def run_job(
    plugins: Any, tiny: Any, job: dict[str, Any], base: Path, folder: Path, tell: Callable[..., None]
) -> None:
    """Try one component."""
    kind, name = job["kind"], job["name"]
    printed = io.StringIO()
    trial: Any = None
    for check in job["checks"]:
        tell(begin=[kind, name, check])
        begun = time.perf_counter()
        state, found, where, remedy = "ok", "", "", ""
        try:
            with redirect_stdout(printed):
                trial = trial or made(plugins, tiny, job, base)
                found = function_of(kind, check, printed, folder)(trial)
        except Skip as skip:
            state, found = "skipped", str(skip)
        except Fault as fault:
            state, found, where, remedy = "fault", fault.found, fault.where, fault.remedy
        except BaseException as error:  # no check should let anything through; what comes is the component's
            state, found = "fault", f"It raises {said(error)}."
            where, remedy = raised(error), "Mend it, or raise a BenchdogError that says what the user did wrong."
        tell(
            result=Result(
                kind=kind, name=name, check=check, state=state, found=found, where=where or "",  # type: ignore[arg-type]
                remedy=remedy, seconds=round(time.perf_counter() - begun, 3),
            ).to_json()
        )  # fmt: skip


def made(plugins: Any, tiny: Any, job: dict[str, Any], base: Path) -> Any:
    """Make the trial of a component."""
    found = next(
        each for each in plugins.all(job["kind"]).values()
        if each.info.name == job["name"] and each.plugin == job["plugin"]
    )  # fmt: skip
    kind: type[Trial] = Trial
    if OWN[job["kind"]]:
        kind = importlib.import_module(f"benchdog.testing.{job['kind']}s").Trial
    return kind(plugins, found, job["options"], tiny, base)


def function_of(kind: str, check: str, printed: io.StringIO, folder: Path) -> Callable[[Any], str]:
    """Find a check's function."""
    if check == "prints":
        return lambda trial: common.prints(trial, printed.getvalue())
    if check == "files":
        return lambda trial: common.files(trial, folder)
    if check in ("options", "target") and hasattr(common, check):
        return getattr(common, check)  # type: ignore[no-any-return]
    module = importlib.import_module(f"benchdog.testing.{kind}s")
    return getattr(module, check.replace("-", "_"))  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
