"""scripts/tidy.py: whitespace, encoding, merge conflict markers and file size."""

import runpy
from pathlib import Path

import pytest

TIDY = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "tidy.py"))


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("a.py", b"x = 1\n", ""),
        ("a.py", b"", ""),
        ("a.npz", b"\x93\xff\r ", ""),
        ("a.py", b"x = 1", "one newline"),
        ("a.py", b"x = 1\n\n", "one newline"),
        ("a.md", b"x \n", "line 1 ends in spaces"),
        ("a.md", b"x\r\n", "line ends"),
        ("a.md", b"\xff\n", "UTF-8"),
        ("a.py", b"x\n" + b"<" * 7 + b" HEAD\n", "line 2 is the mark of a conflict"),
        ("a.npz", b"x" * (TIDY["LARGEST"] + 1), "larger"),
    ],
)
def test_tidy_reports_faulty_files(name, data, fault, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(data)
    assert TIDY["main"]([str(path)]) == (1 if fault else 0)
    assert fault in capsys.readouterr().out
