"""A process that loads one plugin and reports what that took: `python -m benchdog.testing.runner.load_probe`.

The request is JSON on stdin, the answer JSON on stdout. Benchdog itself is loaded before anything is measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.plugins.discovery import HEAVY
from benchdog.testing.runner import guard

if TYPE_CHECKING:
    from benchdog.plugins import Plugins
    from benchdog.plugins.types import RegisteredComponent


def main() -> None:
    """Load the plugin that the request names."""
    answer_to = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.read())
    sys.path.extend(path for path in request["path"] if path not in sys.path)
    answer = told(request)
    sys.stdout.flush()
    with os.fdopen(answer_to, "wb") as out:
        out.write(json.dumps(answer).encode())


def told(request: dict[str, Any]) -> dict[str, Any]:
    """Load the plugin, then register it, then look at the modules that its descriptors name."""
    from benchdog.plugins import Plugins
    from benchdog.plugins.compat import note
    from benchdog.plugins.loading import load_file

    os.environ["BENCHDOG_PLUGINS"] = ""
    with redirect_stderr(StringIO()):
        Plugins.discover()
    guard.block()
    watch, printed = guard.Watch(HEAVY), StringIO()
    before = set(sys.modules)
    answer: dict[str, Any] = {"error": "", "where": "", "faults": [], "parts": [], "contract": True}
    begun = time.perf_counter()
    try:
        with redirect_stdout(printed):
            module = load_file(Path(request["file"])) if request["file"] else import_module(request["module"])
    except BaseException as error:
        from benchdog.testing.runner.locations import raised

        cause = error.__cause__ or error
        answer |= {"error": f"{type(cause).__name__}: {cause}", "where": raised(cause)}
        module = None
    answer["seconds"] = time.perf_counter() - begun
    answer["heavy"] = {
        name: watch.asked.get(name, "") for name in HEAVY if name in sys.modules and name not in before
    }
    answer["network"], answer["printed"] = list(guard.tried), printed.getvalue()[:200]
    if module is None:
        return answer
    answer["contract"] = hasattr(module, "CONTRACT")
    os.environ["BENCHDOG_PLUGINS"] = request["entry"]
    with redirect_stderr(StringIO()):
        plugins = Plugins.discover([request["file"]] if request["file"] else [])
    answer["faults"] = [
        {"name": f.name, "fault": f.fault, "remedy": f.remedy} for f in plugins.faults if f.name == request["entry"]
    ]
    answer["note"] = next((note(each.contract) for each in plugins.healthy if each.name == request["entry"]), "")
    answer["module"] = str(getattr(module, "__file__", "") or "")
    answer["parts"] = list(_parts(plugins, request["entry"], watch))
    answer["offered"] = list(_offered(plugins, request["entry"]))
    return answer


WITHOUT_TORCH = ("answer", "together", "runner")
"""What must be importable on a machine without torch, since exports answer there."""
NUMPY_ONLY = ("decoder", "writer")
"""Kinds of which the target must be, too."""


def _parts(plugins: Plugins, entry: str, watch: guard.Watch) -> Iterator[dict[str, Any]]:
    """Resolve what the descriptors name and must be light: options first, then the others without torch."""
    from benchdog.errors import BenchdogError
    from benchdog.testing.runner.locations import said

    offered = [
        found for each in plugins.healthy if each.name == entry for found in of_plugin(plugins, each.name, each.dist)
    ]
    for key in ("options", *WITHOUT_TORCH, "target"):
        watch.withheld = key != "options"
        for found in offered:
            target = getattr(found.info, key, "") if key != "target" or found.info.kind in NUMPY_ONLY else ""
            if not target or "torch" in sys.modules:
                continue
            watch.asked.clear()
            error = ""
            try:
                found.resolve(target)
            except BenchdogError as wrong:
                error = said(wrong.__cause__ or wrong)
            told = {"kind": found.info.kind, "name": found.info.name, "key": key, "target": target, "error": error}
            yield {**told, "torch": watch.asked.get("torch", "") if watch.withheld or "torch" in sys.modules else ""}


def _offered(plugins: Plugins, entry: str) -> Iterator[tuple[str, str, str]]:
    """List (kind, name, whose name that is already) of what the plugin offers; its handlers are one observer."""
    for each in plugins.healthy:
        if each.name != entry:
            continue
        for found in of_plugin(plugins, each.name, each.dist):
            other = plugins.all(found.info.kind).get(found.info.name)
            yield found.info.kind, found.info.name, other.dist if other and other.dist != found.dist else ""
        if plugins.handlers(entry):
            yield "observer", entry, ""


def of_plugin(plugins: Plugins, name: str, dist: str) -> list[RegisteredComponent]:
    """List a plugin's components."""
    from benchdog.plugins import KINDS

    return [
        found for kind in KINDS for found in plugins.all(kind).values() if found.plugin == name and found.dist == dist
    ]


if __name__ == "__main__":
    main()
