"""Files of a study: replaced as a whole, so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from benchdog.api import BadData, Failed, json_text


def write_text(path: Path, text: str) -> None:
    """Replace a text file, UTF-8 with \\n line ends; Failed when it can't be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(text.encode())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Failed(f"{path} can't be written: {error.strerror or error}.") from error


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file."""
    write_text(path, json_text(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; BadData when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadData(f"{path} is missing.", "The folder is incomplete: make it again.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"{path} can't be read: {error}.", "The file is damaged: make it again.") from None
