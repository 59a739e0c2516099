"""Write the table of planted faults into docs/reference/conformance.md: what the kit really says of each.

    python scripts/planted_faults.py

The faults are in tests/testing; tests compare the table with what the kit says today.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "conformance.md"
BEGIN, END = "<!-- planted: begin -->", "<!-- planted: end -->"
sys.path.insert(0, str(ROOT / "tests"))

from support.planted.loading import COMMANDS, FILES, HELPER_MODULES  # noqa: E402
from support.planted.planted_table import FAULTS  # noqa: E402
from support.planted.rows import row  # noqa: E402


def check(target: str, site: Path, *more: str, path: str = "") -> list[dict[str, Any]]:
    """Run the kit; give its results."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(site), path]))}
    command = [sys.executable, "-m", "benchdog", "plugins", "check", target, "--json", *more]
    done = subprocess.run(command, cwd=site, env=env, capture_output=True, text=True, encoding="utf-8", check=False)
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return results


def distribution(site: Path, name: str, entries: str) -> None:
    """Put a distribution's metadata where Python finds it."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: A test.\n")
    (info / "entry_points.txt").write_text(entries)


def rows(site: Path) -> list[str]:
    """Plant all faults in a folder and ask the kit about them."""
    lines = []
    for name, code in HELPER_MODULES.items():
        (site / name).write_text(code, encoding="utf-8")
    for name, (text, wanted, _) in FILES.items():
        file = site / f"{name.replace('-', '_')}.py"
        file.write_text(text, encoding="utf-8")
        found = check(str(file), site, "--only", wanted)
        lines.append(row(name, next(r for r in found if r["state"] == "fault")))
    for name, (text, wanted, _) in COMMANDS.items():
        (site / f"command_{name}.py").write_text(text, encoding="utf-8")
        attribute = "tune" if name == "whistle" else name
        distribution(site, f"benchdog-{name}", f"[benchdog.commands]\n{name} = command_{name}:{attribute}\n")
        found = check(f"benchdog-{name}", site, "--only", wanted)
        lines.append(row(name, next(r for r in found if r["state"] == "fault")))
    distribution(site, "benchdog-planted", "[benchdog]\nplanted = planted\nsound = planted.sound\n")
    found = check("benchdog-planted", site, path=str(ROOT / "tests" / "support" / "planted"))
    by = {(r["kind"], r["name"], r["check"]): r for r in found}
    return lines + [row(name, by[kind, name, wanted]) for kind, name, wanted, _ in FAULTS]


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as place:
        table = rows(Path(place))
    head = ["| kind | planted | check | what the kit says | the remedy |", "|---|---|---|---|---|"]
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text("\n".join([f"{before}{BEGIN}", "", *head, *table, "", f"{END}{after}"]), encoding="utf-8")
    print(f"{len(table)} faults")


if __name__ == "__main__":
    main()
