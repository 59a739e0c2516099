"""The exporter conforms to the contract; a damaged export is reported, not run."""

from pathlib import Path

import pytest
from benchdog.api import BadData
from benchdog.testing import conforms

from benchdog_xz.runner import FILE, XzRunner

test_conforms = conforms("exporter", "xz")


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="Export it again"):
        XzRunner(tmp_path)


def test_damaged_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not compressed")
    with pytest.raises(BadData, match="can't be read"):
        XzRunner(tmp_path)
