"""The process in which plugins are loaded on trial: `python -m benchdog.plugins.trial_process`.

It gets the modules as JSON on stdin, imports each, calls its hooks, and writes a line of JSON before and after.
"""

from __future__ import annotations

import json
import os
import sys
from json import dumps

from benchdog.plugins import KINDS, import_timeout
from benchdog.plugins.global_state import GlobalState
from benchdog.plugins.loading import said
from benchdog.plugins.trial_load import RAISES
from benchdog.system import exits


def main() -> None:
    """Import the modules that stdin names, and call their hooks."""
    request = json.loads(sys.stdin.buffer.read())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    sys.path[:] = request["path"]
    with exits.guarded():
        for name in request["modules"]:
            answers.write(f"{dumps([name, None])}\n")
            answers.flush()
            state = GlobalState()
            finding = _loaded(name, request["seconds"])
            state.undo()
            answers.write(f"{dumps([name, finding])}\n")
            answers.flush()
        exits.end(0)


def _loaded(name: str, seconds: float) -> str:
    """Import a module and call its hooks; return what went wrong."""
    try:
        module = import_timeout.load(name, seconds, quiet=True)
        for hook in [getattr(module, f"benchdog_{kind}s", None) for kind in KINDS]:
            if callable(hook):
                import_timeout.offered(hook, name, seconds, quiet=True)
    except import_timeout.ImportTimeout as late:
        return str(late)
    except BaseException as error:  # third-party code may raise anything
        return f"{RAISES} {said(error)}"
    return ""


if __name__ == "__main__":
    main()
