"""Run the checks: each plugin is loaded in one process, its components are tried in another, with time limits."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchdog.errors import BadUsage, nearest
from benchdog.testing.checks import imports
from benchdog.testing.runner.batch import GivenArtifact
from benchdog.testing.runner.registry import PLUGIN, component_checks
from benchdog.testing.runner.results import Fault, Result, Skip
from benchdog.testing.runner.subjects import Subject

LIMIT = 120.0
"""Seconds that a check may take."""

Given = Mapping[tuple[str, str], Mapping[str, Any]]
"""Options by (kind, name) of a component; the kind "" stands for any."""


def run(
    subjects: list[Subject],
    given: Given,
    base: Path,
    only: tuple[str, str] | None = None,
    limit: float = LIMIT,
    checks: Sequence[str] = (),
    artifact: GivenArtifact | None = None,
) -> Iterator[Result]:
    """Check plugins and what they offer.

    Args:
        subjects: the plugins.
        given: options that components are tried with.
        base: the folder that relative paths among them are meant from.
        only: check this component alone: (kind, name).
        limit: seconds that a check may take.
        checks: make these alone; all when there are none.
        artifact: what exporters are tried with; then nothing else is tried.
    """
    for subject in subjects:
        told = imports.load(subject) if subject.module or subject.file else {}
        if told:
            yield from (each for each in _plugin(subject, told) if not checks or each.check in checks)
        offered = [(kind, name) for kind, name, _ in told.get("offered", [])]
        offered += [("command", name) for name in subject.commands]
        if artifact is not None:
            offered = [pair for pair in offered if pair[0] == "exporter"]
            if not offered:
                raise BadUsage(f"The plugin {subject.name!r} offers no exporter.", "Leave out --artifact.")
        if only is not None and told.get("offered") is not None and only not in offered:
            names = [name for kind, name in offered if kind == only[0]]
            raise BadUsage(f"The plugin {subject.name!r} offers no {only[0]} {only[1]!r}.", nearest(only[1], names))
        jobs = [
            {
                "kind": kind,
                "name": name,
                "plugin": subject.name,
                "target": subject.commands.get(name, ""),
                "options": dict(given.get((kind, name)) or given.get(("", name)) or {}),
                "checks": [each for each in component_checks(kind) if not checks or each in checks],
            }
            for kind, name in offered
            if only in (None, (kind, name))
        ]
        jobs = [job for job in jobs if job["checks"]]
        if only is not None and not jobs:
            for check in component_checks(only[0]):
                yield _result(*only, check, "skipped", "the plugin isn't loaded")
        yield from _tried(subject, jobs, base, limit, artifact)


def _plugin(subject: Subject, told: dict[str, Any]) -> Iterator[Result]:
    """Check how a plugin loads."""
    offered = told.get("offered", [])
    checks: dict[str, Callable[[], str]] = {
        "import": lambda: imports.imports(told),
        "hooks": lambda: imports.hooks(told),
        "names": lambda: imports.names(subject, offered),
    }
    for check in PLUGIN:
        result = _result("plugin", subject.name, check, "ok", "")
        begun = time.perf_counter()
        try:
            result = replace(result, found=checks[check]())
        except Skip as skip:
            result = replace(result, state="skipped", found=str(skip))
        except Fault as fault:
            result = replace(result, state="fault", found=fault.found, where=fault.where, remedy=fault.remedy)
        yield replace(result, seconds=round(time.perf_counter() - begun, 3))


def _result(kind: str, name: str, check: str, state: Any, found: str) -> Result:
    return Result(kind=kind, name=name, check=check, state=state, found=found)


def _tried(
    subject: Subject, jobs: list[dict[str, Any]], base: Path, limit: float, artifact: GivenArtifact | None
) -> Iterator[Result]:
    """Try components; a check that hangs or ends its process is named, and the others continue in a new one."""
    while jobs:
        with tempfile.TemporaryDirectory(prefix="benchdog-check-", ignore_cleanup_errors=True) as place:
            request = {
                "file": subject.file,
                # The artifact's model may be another plugin's.
                "allow": "" if subject.file or artifact else f"{subject.name},{subject.dist}",
                "artifact": None if artifact is None else asdict(artifact),
                "path": sys.path,
                "base": str(base),
                "place": place,
                "jobs": jobs,
            }
            begun: list[str] = []
            fault: tuple[str, str] | None = None
            for line in _lines(request, limit):
                if "result" in line:
                    result = Result(**line["result"])
                    _done(jobs, result.kind, result.name, result.check)
                    begun = []
                    yield result
                elif "begin" in line:
                    begun = line["begin"]
                elif "fault" in line:
                    fault = line["fault"]
            if fault is None:
                return
            kind, name, check = begun or [jobs[0]["kind"], jobs[0]["name"], jobs[0]["checks"][0]]
            _done(jobs, kind, name, check)
            yield replace(_result(kind, name, check, "fault", fault[0]), remedy=fault[1])


def _done(jobs: list[dict[str, Any]], kind: str, name: str, check: str) -> None:
    """Take a check off the list."""
    for job in jobs:
        if (job["kind"], job["name"]) == (kind, name):
            job["checks"] = [each for each in job["checks"] if each != check]
    jobs[:] = [job for job in jobs if job["checks"]]


def _lines(request: dict[str, Any], limit: float) -> Iterator[dict[str, Any]]:
    """Yield what the process tells; at last {"fault": (found, remedy)} when it didn't come to its end."""
    command = [sys.executable, "-X", "utf8", "-m", "benchdog.testing.runner.child"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert process.stdin is not None
        assert process.stdout is not None
        told: queue.Queue[bytes] = queue.Queue()

        def read(out: Any) -> None:
            for line in out:
                told.put(line)
            told.put(b"")

        reader = threading.Thread(target=read, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()
            while line := told.get(timeout=limit):
                answer: dict[str, Any] = json.loads(line)
                if "done" in answer:
                    return
                yield answer
            code = process.wait()
            log.seek(0)
            last = log.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            told_last = f" {last[0][:300]}" if last else ""
            yield {"fault": (f"It ends the process with code {code}.{told_last}", "Fix it.")}
        except queue.Empty:
            yield {"fault": (f"It isn't done after {limit:g} s.", "Make it quick on tiny data, or end it.")}
        except (BrokenPipeError, OSError) as error:
            yield {"fault": (f"The process could not be used: {error}.", "Look at its output.")}
        finally:
            process.kill()
            process.wait()
            reader.join()
            process.stdout.close()
