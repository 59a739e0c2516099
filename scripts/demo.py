"""The main job, as a user does it: train, evaluate, predict, export. Every command is shown before it runs.

    python scripts/demo.py [FOLDER]

FOLDER (default: ./demo) gets the runs and a few images of digits that the model has never seen.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

PICTURES = 5


def show(*arguments: str, folder: Path, needed: bool = True) -> None:
    """Run a command in the folder as a user would; stop the demo when one that is needed fails."""
    print(f"\n$ benchdog {' '.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "benchdog", *arguments], cwd=folder, check=False)
    if needed and done.returncode != 0:
        sys.exit(f"The command ended with {done.returncode}; the demo stops here.")


def pictures(run: Path, folder: Path) -> list[str]:
    """Copy a few held-out images out of the artifact's samples; give their names."""
    samples = run / "artifact" / "samples"
    index = json.loads((samples / "index.json").read_text(encoding="utf-8"))
    assert index, "the artifact keeps samples"
    names = []
    for picture in sorted(samples.glob("*.png"))[:PICTURES]:
        shutil.copy(picture, folder / picture.name)
        names.append(picture.name)
    return names


def newest(folder: Path) -> Path:
    """Return the run that was just made."""
    return max((folder / "runs").glob("*/run.json"), key=lambda file: file.stat().st_mtime).parent


def main(folder: Path) -> None:
    """Do it all in a folder."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.pop("BENCHDOG_RUNS", None)
    show("doctor", folder=folder, needed=False)
    show("train", "digits", folder=folder)
    run = newest(folder)
    show("evaluate", "last", folder=folder)
    show("predict", "last", *pictures(run, folder), folder=folder)
    exporters = ["torch-export"] + (["onnx"] if importlib.util.find_spec("benchdog_onnx") else [])
    for exporter in exporters:
        show("export", "last", "--to", exporter, folder=folder)
    show("runs", "list", folder=folder)
    print(f"\nDone in {time.monotonic() - began:.0f} seconds. Look at:")
    for what, place in (
        ("the report", run / "report.html"),
        ("the model and its card", run / "artifact" / "README.md"),
        ("the exports", run / "exports"),
        ("the recipe", run / "recipe.toml"),
    ):
        if not place.exists():
            sys.exit(f"{place} is missing.")
        print(f"  {what:<22} {place}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo").absolute())
