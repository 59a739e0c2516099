"""The process in which components are tried: `python -m benchdog.testing.runner.child`.

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

from benchdog.testing.checks import common
from benchdog.testing.runner import guard
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.registry import LAST
from benchdog.testing.runner.results import Fault, Result, Skip
from benchdog.testing.runner.twin import found


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
    from benchdog.testing.fixtures.tiny_files import Tiny
    from benchdog.testing.runner.batch import Bench, GivenArtifact, Twin

    plugins = Plugins.discover([request["file"]] if request["file"] else [])
    place = Path(request["place"])
    twin = Twin({key: value for key, value in request.items() if key != "jobs"})
    given = GivenArtifact(**request["artifact"]) if request.get("artifact") else None
    bench = Bench(Tiny(place / "data"), Path(request["base"]), place / "tried", request["file"], twin, given)
    try:
        for number, job in enumerate(request["jobs"]):
            folder = place / f"work-{number}"
            folder.mkdir(exist_ok=True)
            os.chdir(folder)
            run_job(plugins, bench, job, folder, tell)
            settle()
        tell(done=True)
    finally:
        twin.close()


def run_job(plugins: Any, bench: Any, job: dict[str, Any], folder: Path, tell: Callable[..., None]) -> None:
    """Try one component."""
    kind, name = job["kind"], job["name"]
    printed = io.StringIO()
    trial: Any = None
    lost = False
    for check in job["checks"]:
        tell(begin=[kind, name, check])
        begun = time.perf_counter()
        state, seen, where, remedy = "ok", "", "", ""
        try:
            if lost and check not in LAST:
                raise Skip("nothing to look at: see target")
            with redirect_stdout(printed):
                trial = trial or made(plugins, bench, job)
                seen = function_of(kind, check, printed, folder)(trial)
        except Skip as skip:
            state, seen = "skipped", str(skip)
        except Fault as fault:
            state, seen, where, remedy = "fault", fault.found, fault.where, fault.remedy
        except BaseException as error:  # no check should let anything through; what comes is the component's
            state, seen, where = "fault", f"It raises {said(error)}.", raised(error)
            remedy = "Fix it." if where else "No line of the component's is to blame: tell Benchdog's authors."
        lost = lost or (check == "target" and state == "fault")
        tell(
            result=Result(
                kind=kind, name=name, check=check, state=state, found=seen, where=where or "",  # type: ignore[arg-type]
                remedy=remedy, seconds=round(time.perf_counter() - begun, 3),
            ).to_json()
        )  # fmt: skip


def settle() -> None:
    """Set torch back to what it was, whatever a component did to it."""
    if "torch" in sys.modules:
        import torch

        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.set_grad_enabled(True)


def made(plugins: Any, bench: Any, job: dict[str, Any]) -> Any:
    """Make the trial of a component, of an observer or of a command."""
    module = importlib.import_module(f"benchdog.testing.checks.{job['kind']}s")
    if job["kind"] in ("observer", "command"):
        return module.Trial(plugins, job, bench)
    return module.Trial(plugins, found(plugins, job), job["options"], bench)


def function_of(kind: str, check: str, printed: io.StringIO, folder: Path) -> Callable[[Any], str]:
    """Find a check's function."""
    if check == "prints":
        return lambda trial: common.prints(trial, printed.getvalue())
    if check == "files":
        return lambda trial: common.files(trial, folder)
    if check in ("options", "target") and hasattr(common, check):
        return getattr(common, check)  # type: ignore[no-any-return]
    module = importlib.import_module(f"benchdog.testing.checks.{kind}s")
    return getattr(module, check.replace("-", "_"))  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
