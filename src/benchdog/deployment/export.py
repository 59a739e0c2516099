"""Export an artifact: write in one process, verify in another, keep it only if it agrees.

Both processes rebuild everything from paths (`python -m benchdog.deployment.export`, a request as JSON on stdin,
the answer on stdout), so that an exporter's imports, settings and crashes stay its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchdog import __version__, errors
from benchdog.api import ExporterInfo
from benchdog.errors import BadData, BadUsage, BenchdogError, Failed, Refused
from benchdog.model.artifact import owner
from benchdog.model.artifact_files import hash_files, locate, read_meta
from benchdog.plugins import Plugins
from benchdog.system import files, format_versions, signing, terminal
from benchdog.system.json_output import exact
from benchdog.system.processes import how_it_ended

TIMEOUT = 1800.0
COPIED = (
    "run",
    "created",
    "task",
    "spec",
    "model_spec",
    "preprocess",
    "decoders",
    "metrics",
    "ranges",
    "max_batch",
    "parameters",
)
ERRORS = {kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type)}


def export(
    source: Path,
    name: str,
    out: Path | None,
    plugins: Plugins,
    options: Mapping[str, Any] | None = None,
    local: Sequence[Path | str] = (),
    timeout: float = TIMEOUT,
    trust: bool = False,
) -> dict[str, Any]:
    """Export a run's artifact with the exporter `name`, verified against the artifact.

    Args:
        source: a run's folder or an artifact's.
        name: an exporter, or "package.module:attr".
        out: the export's folder; None: exports/<exporter> in the run's folder, or next to the artifact.
        options: the exporter's options.
        local: local plugin files, for the subprocesses.
        timeout: seconds that writing and verifying may take, each.
        trust: let an artifact of another machine name a model that is not a plugin's.

    Returns:
        What was written: {"path", "exporter", "verification", "inputs", "warnings", "files"}.

    Raises:
        Refused: the export doesn't agree with the artifact; nothing is left.
        Failed: the exporter failed, or took too long; nothing is left.
    """
    folder, kind = locate(source)
    if kind != "artifact":
        raise BadUsage(f"{source} is an export already.", "Export from the run or the artifact.")
    meta = read_meta(folder, kind)
    found = plugins.find("exporter", name)
    plugins.options(found, options or {})  # a wrong option is said before anything is started
    info = found.info
    assert isinstance(info, ExporterInfo)
    place = default_folder(folder, info.name) if out is None else out.resolve()
    check_replaceable(place)
    request = {
        "source": str(folder.absolute()),
        "exporter": name,
        "options": dict(options or {}),
        "local": [str(Path(file).absolute()) for file in local],
        "trust": trust,
    }
    with files.fresh_folder(place.absolute()) as fresh:
        written = _child({"job": "export", "folder": str(fresh), **request}, timeout)
        listed = hash_files(fresh)
        if not listed:
            raise Failed(f"The exporter {name!r} wrote no file.", "Tell the author of its plugin.")
        if "export.json" in listed:
            raise Failed(f"The exporter {name!r} wrote export.json, which is Benchdog's.", "Tell its author.")
        checked = _child({"job": "verify", "folder": str(fresh), **request}, timeout)
        _judge(name, checked["verification"])
        description = {
            "format": format_versions.EXPORT,
            "kind": "export",
            "benchdog": __version__,
            "exported": datetime.now(UTC).isoformat(timespec="seconds"),
            "exporter": name,
            "plugin": owner("exporter", name, plugins),
            "options": dict(options or {}),
            "program": info.program,
            **{key: meta[key] for key in COPIED if key in meta},
            "verification": checked["verification"],
            "inputs": checked["inputs"],
            "counterparts": written["counterparts"],
            "versions": checked["versions"],
            "files": listed,
        }
        if hash_files(fresh) != listed:
            raise Failed(f"The files of {name!r} changed while they were verified.", "Tell its author.")
        description["machine"] = signing.sign(json.loads(json.dumps(description)))
        files.write_json(fresh / "export.json", exact(description))
    plugins.emit("benchdog_artifact_exported", exporter=name, path=str(place))
    return {
        "path": str(place),
        "exporter": name,
        "verification": checked["verification"],
        "inputs": checked["inputs"],
        "warnings": list(
            dict.fromkeys([*written["warnings"], *checked["warnings"], *_only_here(meta, written["counterparts"])])
        ),
        "files": {file: (place / file).stat().st_size for file in listed},
    }


def _only_here(meta: Mapping[str, Any], counterparts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Tell which plugins a program needs in order to make the export's inputs from files."""
    for name, owner_ in (meta.get("decoders") or {}).items():
        if not counterparts.get(name):
            yield (
                f"Decoding {name!r} has no counterpart in another language: without the plugin "
                f"{owner_['dist']!r} a program must decode as it does."
            )


def default_folder(artifact: Path, exporter: str) -> Path:
    """Return where an export goes: exports/<exporter> next to the artifact's folder."""
    word = "".join(c if c.isalnum() or c in "-_" else "-" for c in exporter)
    return artifact.absolute().parent / "exports" / word


def check_replaceable(place: Path) -> None:
    """Refuse to replace anything but an empty folder, or an export with no file next to its own."""
    if not place.exists():
        return
    if not place.is_dir() or (any(place.iterdir()) and not (place / "export.json").is_file()):
        raise BadUsage(f"{place} is there already and is not an export.", "Choose another --out.")
    if not any(place.iterdir()):
        return
    try:
        own = {"export.json", *files.read_json(place / "export.json")["files"]}
    except (BadData, KeyError, TypeError):
        own = {"export.json"}
    found = (path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())
    strange = sorted(name for path in found if (name := path.relative_to(place).as_posix()) not in own)
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise BadUsage(
            f"{place} holds files that are not the old export's: {', '.join(strange[:3])}{more}.",
            "Move them away, or choose another --out.",
        )


def _judge(name: str, verification: Sequence[Mapping[str, Any]]) -> None:
    """Raise Refused with the first batch that doesn't agree."""
    for line in verification:
        if not line["ok"]:
            raise Refused(
                f"The export {name!r} differs from the artifact at batch {line['batch']}: {line['why']}.",
                "Nothing was kept. Try another exporter or other options.",
            )


def _child(request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """Do one job in a process of its own and give its answer; its errors are raised here."""
    command = [sys.executable, "-P", "-X", "utf8", "-m", "benchdog.deployment.export"]
    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile() as out:  # a grandchild could hold a pipe open
        try:
            done = subprocess.run(
                command,
                input=json.dumps(request).encode(),
                stdout=out,
                stderr=log,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise Failed(
                f"{request['exporter']!r} took more than {timeout:g} s to {request['job']}.",
                "Raise it: --timeout",
            ) from None
        out.seek(0)
        log.seek(0)
        told = out.read()
        said = log.read().decode("utf-8", "replace").strip()
    try:
        answer: dict[str, Any] = json.loads(told)
    except ValueError:
        last = said.splitlines()[-1] if said else "it said nothing"
        reason = f"The exporter {request['exporter']!r} {how_it_ended(done.returncode)}: {last}."
        kind: type[BenchdogError] = Refused if request["job"] == "verify" and done.returncode >= 0 else Failed
        raise kind(reason, "Nothing was kept.") from None
    if "error" in answer:
        if os.environ.get("BENCHDOG_STRICT") == "1":
            terminal.show(said)
        error = answer["error"]
        raise ERRORS.get(error["kind"], Failed)(error["message"], error["hint"])
    return answer


if __name__ == "__main__":
    from benchdog.deployment.export_worker import main

    main()
