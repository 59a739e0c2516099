"""Plugins loaded on trial, in a process of their own: one that ends it is found before it can end this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from benchdog.system.processes import how_it_ended

LATE = "takes longer than"
RAISES = "raises"
"""How the findings about a slow plugin, and about one that survives, begin."""
SPARE = 60.0
"""Seconds beyond the plugins' own limits after which a process is given up."""


def tried(modules: Sequence[str], seconds: float) -> dict[str, str]:
    """Load modules on trial; return what is wrong with them: how the process ended, what they raise, where they hang.

    Args:
        modules: to import, in order.
        seconds: the time limit of each import and each hook.
    """
    outcomes: dict[str, str] = {}
    left = list(modules)
    while left:
        begun, told, how = _run(left, seconds)
        outcomes.update({name: finding for name, finding in told.items() if finding})
        if begun is None or begun in told:  # nobody's fault: the process didn't start, or all is done
            break
        outcomes[begun] = how
        left = left[left.index(begun) + 1 :]
    return outcomes


def _run(modules: list[str], seconds: float) -> tuple[str | None, dict[str, str], str]:
    """Run one process; return the module that it began last, its findings, and how it ended."""
    request = json.dumps({"modules": modules, "seconds": seconds, "path": sys.path}).encode()
    limit = SPARE + 2 * seconds * len(modules)
    argv = [sys.executable, "-X", "utf8", "-m", "benchdog.plugins.trial_process"]
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(argv, input=request, capture_output=True, timeout=limit, env=env, check=False)
        out, err, how = done.stdout, done.stderr, how_it_ended(done.returncode)
    except subprocess.TimeoutExpired as late:
        out, err, how = late.stdout or b"", b"", f"did not end within {limit:g} s"
    except OSError:
        return None, {}, ""
    begun, told = None, dict[str, str]()
    for line in out.decode("utf-8", "replace").splitlines():
        try:
            name, finding = json.loads(line)
        except ValueError:  # printed by a plugin
            continue
        if finding is None:
            begun = name
        else:
            told[name] = finding
    last = [line for line in err.decode("utf-8", "replace").splitlines() if line.startswith("Fatal Python error")]
    return begun, told, " ".join([how, *(f"({line})" for line in last[:1])])
