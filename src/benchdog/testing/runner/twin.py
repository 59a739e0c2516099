"""The second process of a check: builds components again, prints their digests (`-m benchdog.testing.runner.twin`).

The first line on stdin says which plugin to load, each other one names a component with its options.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchdog.system.parent import end_with_parent
from benchdog.testing.runner import guard
from benchdog.testing.runner.batch import Bench
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault, Skip


def main() -> None:
    """Answer until nothing is asked any more."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.readline())
    sys.path.extend(path for path in request["path"] if path not in sys.path)
    guard.block()
    end_with_parent()
    from benchdog.plugins import Plugins
    from benchdog.testing.fixtures.tiny_files import Tiny

    plugins = Plugins.discover([request["file"]] if request["file"] else [])
    place = Path(request["place"])
    bench = Bench(Tiny(place / "data"), Path(request["base"]), place / "twin", request["file"])
    for line in sys.stdin:
        out.write(json.dumps(answer(plugins, bench, json.loads(line))) + "\n")
        out.flush()


def answer(plugins: Any, bench: Bench, question: dict[str, Any]) -> dict[str, Any]:
    """Make a component and give its digest, or what kept it from being made."""
    module = importlib.import_module(f"benchdog.testing.checks.{question['kind']}s")
    try:
        trial = module.Trial(plugins, found(plugins, question), question["options"], bench)
        return {"digest": module.digest(trial)}
    except (Fault, Skip) as error:
        return {"error": str(error).rstrip("."), "where": getattr(error, "where", "")}
    except Exception as error:
        return {"error": said(error), "where": raised(error)}


def found(plugins: Any, named: dict[str, Any]) -> Any:
    """Find a component by its kind, its name and its plugin."""
    return next(
        each
        for each in plugins.all(named["kind"]).values()
        if each.info.name == named["name"] and each.plugin == named["plugin"]
    )


if __name__ == "__main__":
    main()
