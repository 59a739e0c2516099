"""Run a command in a fresh interpreter with a folder of installed plugins; report its output and imported modules."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys
sys.argv = ["benchdog", *sys.argv[1:]]
code = 0
try:
    from benchdog.cli import main
    main()
except SystemExit as stop:
    code = stop.code or 0
finally:
    sys.stdout.flush()
    print("LOADED " + json.dumps([code, sorted(sys.modules)]))
"""


def run(*arguments: str, site: Path, code: int = 0, env: dict[str, str] | None = None) -> tuple[str, str, set[str]]:
    """Run a command in a fresh interpreter; return its stdout, its stderr and the imported modules."""
    full = {
        **{key: value for key, value in os.environ.items() if not key.startswith("BENCHDOG_")},
        "PYTHONPATH": str(site),
        "PYTHONIOENCODING": "utf-8",
        "BENCHDOG_CACHE": str(site / "cache"),
        "BENCHDOG_RUNS": str(site / "runs"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "HOME": str(site / "home"),
        **(env or {}),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True, text=True, encoding="utf-8", env=full, cwd=site, check=False, timeout=300,
    )  # fmt: skip
    out, _, report = done.stdout.rpartition("LOADED ")
    assert report, done.stderr
    status, modules = json.loads(report)
    assert status == code, out + done.stderr
    return out, done.stderr, set(modules)
