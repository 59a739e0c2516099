"""Check that text files are whole: UTF-8, one \\n at the end, no trailing spaces, no conflict marks."""

from __future__ import annotations

import sys
from pathlib import Path

LARGEST = 2 * 2**20
BINARY = {".npz", ".npy", ".f32", ".png", ".jpg", ".woff2", ".ico", ".onnx", ".safetensors", ".pt", ".pt2"}
BINARY |= {".gz", ".zip"}
CONFLICT = ("<<<<<<< ", ">>>>>>> ")


def faults(path: Path) -> list[str]:
    """Return what is wrong with a file."""
    data = path.read_bytes()
    if len(data) > LARGEST:
        return [f"is larger than {LARGEST // 2**20} MiB"]
    if path.suffix in BINARY or not data:
        return []
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return [f"is not UTF-8 (byte {error.start})"]
    found = []
    if "\r" in text:
        found.append("has \\r line ends")
    if not text.endswith("\n") or text.endswith("\n\n"):
        found.append("doesn't end in one newline")
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            found.append(f"line {number} ends in spaces")
        if line.startswith(CONFLICT):
            found.append(f"line {number} is the mark of a conflict")
    return found


def main(names: list[str]) -> int:
    """Check the files named; 1 when one is not whole."""
    told = [f"{name}: {fault}" for name in names if Path(name).is_file() for fault in faults(Path(name))]
    print("\n".join(told), end="\n" if told else "")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
