"""Check how a plugin loads, from the report of `benchdog.testing.runner.load_probe`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchdog.api import CONTRACT
from benchdog.testing.runner.locations import shown
from benchdog.testing.runner.results import Fault, Skip
from benchdog.testing.runner.subjects import Subject

SLOW = 1.0
"""Seconds that a plugin's import may take beyond Benchdog's own."""
PATIENCE = 60.0
"""Seconds after which an import is taken to hang."""


def load(subject: Subject) -> dict[str, Any]:
    """Load a plugin in a process of its own; a slow one twice more, since another program may have slowed it."""
    best = _load(subject)
    for _ in range(2):
        if best.get("seconds", 0.0) <= SLOW or best["error"] or best["heavy"] or best["network"]:
            break
        again = _load(subject)
        best = min(best, again, key=lambda each: each.get("seconds", PATIENCE))
    return best


def _load(subject: Subject) -> dict[str, Any]:
    request = {"file": subject.file, "module": subject.module, "entry": subject.name, "path": sys.path}
    try:
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-m", "benchdog.testing.runner.load_probe"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": "hangs", "seconds": PATIENCE}
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return {"ended": f"with code {done.returncode}. {''.join(last)}".strip(), "error": "ends", "seconds": 0.0}
    return answer


def imports(told: dict[str, Any], what: str = "The plugin's import") -> str:
    """Check that a plugin, or a command, is imported quickly, alone, and silently."""
    if told["error"] == "hangs":
        raise Fault(
            f"{what} isn't done after {PATIENCE:g} s.",
            "Move the work into the component: a module with hooks only names things.",
        )
    if told["error"] == "ends":
        raise Fault(f"{what} ends the process {told['ended']}", "A module that is imported mustn't exit.")
    for address, where in told.get("network", []):
        raise Fault(
            f"{what} uses the network: {address}.",
            "Only a source's fetch(cache) may; a module with hooks only names things.",
            where,
        )
    if told["error"]:
        raise Fault(f"{what} raises {told['error']}.", "Fix it.", told.get("where", ""))
    for name, where in told["heavy"].items():
        raise Fault(
            f"{what} loads {name}, which every command then waits for.",
            f"Import {name} inside the function that uses it, or in the module that a target names.",
            where,
        )
    if told["seconds"] > SLOW:
        raise Fault(
            f"{what} takes {told['seconds']:.1f} s more than Benchdog's own; {SLOW:g} s is allowed.",
            "Import what is slow inside the function that uses it. `python -X importtime -c 'import ...'` shows it.",
            told.get("module", ""),
        )
    if told["printed"]:
        raise Fault(
            f"{what} prints on stdout: {told['printed']!r}.",
            "Don't: a command's stdout is its result. Use the logging module.",
        )
    for part in told["parts"]:
        named = f"{part['kind']} {part['name']!r}: {part['key']} {shown(part['target'])!r}"
        if part["key"] == "options" and part["torch"]:
            raise Fault(
                f"{named} loads torch, for which schemas, completion and `plugins info` then wait.",
                "Put options into a module that imports torch nowhere at its top.",
                part["torch"],
            )
        if part["error"] and "No module named 'torch'" in part["error"]:
            raise Fault(
                f"{named} can't be imported without torch, and exports answer on machines that have none.",
                "Import torch inside the function that uses it, or put this into a module that doesn't need it.",
                part["torch"],
            )
    return f"{told['seconds']:.2f} s, nothing heavy"


def hooks(told: dict[str, Any]) -> str:
    """Check that hooks are named, marked and declared as the contract says."""
    if told["error"]:
        raise Skip("the plugin can't be imported")
    for fault in told["faults"]:
        short = fault["fault"].partition(" Available: ")[0]  # the list of all hooks is long
        raise Fault(f"The plugin is disabled: {short}", _remedy(fault["fault"]))
    if not told["contract"]:
        raise Fault(
            "The plugin declares no CONTRACT.",
            f"Write CONTRACT = {CONTRACT} into the module with the hooks: the number that it is written for.",
            told.get("module", ""),
        )
    if told["note"]:
        raise Fault(
            f"The plugin is {told['note']}.",
            f"Change what docs/reference/contract.md lists, then write CONTRACT = {CONTRACT}.",
            told.get("module", ""),
        )
    for part in told["parts"]:
        if part["error"] and "No module named 'torch'" not in part["error"]:
            named = f"{part['kind']} {part['name']!r}: {part['key']} {shown(part['target'])!r}"
            raise Fault(
                f"{named} doesn't resolve: {part['error']}.",
                f'Name what is there: {part["key"]}="package.module:attribute".',
            )
    return "as the contract says"


def _remedy(fault: str) -> str:
    """Return what fixes a plugin that the host refuses."""
    remedies = {
        "without @hookimpl": "Write @hookimpl above it: from benchdog.api import hookimpl.",
        "is not a hook": "Rename it: docs/reference/hooks.md lists all hooks.",
        "declared in the hookimpl": "A hook takes some or all of the arguments that its specification names, "
        "no others: see docs/reference/hooks.md.",
        "written for contract": f"Read what changed, then write CONTRACT = {CONTRACT}.",
        "wraps": "Leave out wrapper and hookwrapper.",
        "not a list": "A hook returns a list, even an empty one.",
        "where a": "A hook returns a list of the descriptors that its name says.",
        "twice": "Use a unique name per component.",
        "isn't lower case with a dot": "Write the suffix as '.wav'.",
        "isn't made of": "Rename it: lower-case letters, digits, '-', '_' and '.'.",
        "isn't 'package.module:attribute'": 'Write "package.module:attribute", or ":attribute" for the same module.',
    }
    return next((remedy for part, remedy in remedies.items() if part in fault), "Fix the hook.")


def names(subject: Subject, offered: Iterator[tuple[str, str, str]]) -> str:
    """Check that no name is one of Benchdog's own; `offered` are (kind, name, whose else it is)."""
    count = 0
    for kind, name, owner in offered:
        count += 1
        if owner and subject.dist != "benchdog":
            way = f"{subject.dist or subject.name}:{name}"
            raise Fault(
                f"The {kind} {name!r} has the name of {owner}'s own, which stays what it is.",
                f"Rename it, {subject.name}-{name} say; till then it is found as {way} alone.",
            )
    return f"{count} of its own"
