"""The files of an artifact or export: where they are, what describes them, whether they are intact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from benchdog.errors import BadData, BadUsage, no_artifact
from benchdog.model import metadata, samples
from benchdog.model.rebuild import WEIGHTS
from benchdog.system import files, format_versions
from benchdog.system.json_output import restored

GRAPH = "graph.pt2"
KEYS = ("format", "kind", "task", "spec", "preprocess", "max_batch", "files")


def locate(path: Path) -> tuple[Path, str]:
    """Return the folder with artifact.json or export.json, and which of the two it is: "artifact" or "export"."""
    for folder in (path, path / "artifact"):
        for kind in ("artifact", "export"):
            if (folder / f"{kind}.json").is_file():
                return folder, kind
    if (path / "run.json").is_file():
        raise no_artifact(path.name)
    what = "holds no artifact.json or export.json" if path.is_dir() else "is not a folder"
    raise BadUsage(f"{path} {what}.", "Pass a run's name, a run's folder, an artifact or an export.")


def read_meta(folder: Path, kind: str) -> dict[str, Any]:
    """Read and validate artifact.json or export.json."""
    path = folder / f"{kind}.json"
    meta = restored(files.read_json(path))
    if not isinstance(meta, dict) or meta.get("kind") != kind:
        raise BadData(f"{path} is not the description of an {kind}.", "The file is damaged: make the folder again.")
    again = "Train again and take that artifact." if kind == "artifact" else "Train again, then export."
    this = format_versions.ARTIFACT if kind == "artifact" else format_versions.EXPORT
    format_versions.check(meta.get("format"), this, path, again, meta.get("benchdog"))
    metadata.check(path, meta, *KEYS)
    return meta


def verify_files(folder: Path, listed: Mapping[str, Any]) -> None:
    """Compare every listed file with its SHA-256; other files are ignored, except those that would be read.

    Raises:
        BadData: one is missing, changed, not listed, or is outside the folder.
    """
    for name, digest in listed.items():
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name or not place.parts:
            raise BadData(f"{folder} lists the file {name!r}, which is outside of it.", "Don't use this folder.")
        path = folder.joinpath(*place.parts)
        if not path.is_file():
            raise BadData(f"{path} is missing.", "The folder is incomplete: copy or make it again.")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BadData(f"{path} is a link to a place outside the folder.", "Don't use this folder.")
        if files.sha256(path) != digest:
            raise BadData(
                f"{path} is not what was written: its SHA-256 differs.",
                "The file was changed or damaged: copy or make the folder again.",
            )
    read = (folder / WEIGHTS, folder / GRAPH, folder / "model.json", *sorted((folder / samples.FOLDER).rglob("*")))
    for path in read:
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith(".") and name not in listed:
            raise BadData(f"{path} isn't listed: it was added later.", "Remove it if it isn't yours.")


def hash_files(folder: Path, *excluded: str) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder, except the excluded ones: {"samples/000.png": "9f..."}."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        name: files.sha256(path) for path in paths if (name := path.relative_to(folder).as_posix()) not in excluded
    }
