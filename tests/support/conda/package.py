"""Write a conda package (NAME-VERSION-BUILD.conda) member by member, without a copy of its files on the disk."""

import hashlib
import io
import json
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Self

import zstandard

PREFIX = "/opt/" + "placehold_" * 20  # as long as conda's: replaced by the environment's path when linked


class Package:
    """A package being written: `add` and `link` its files, then leave the `with` block."""

    def __init__(self, channel: Path, index: dict[str, Any], link: dict[str, Any] | None = None) -> None:
        self.index = {"build_number": 0, "timestamp": 0, "license": "see the package", **index}
        self.link_info = {"link.json": link} if link else {}
        self.paths: list[dict[str, Any]] = []
        self.stem = "{name}-{version}-{build}".format(**index)
        self.file = channel / index["subdir"] / f"{self.stem}.conda"

    def __enter__(self) -> Self:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.payload = tempfile.TemporaryFile()
        self.stream = compressor().stream_writer(self.payload, closefd=False)
        self.tar = tarfile.open(fileobj=self.stream, mode="w|", format=tarfile.PAX_FORMAT)
        return self

    def add(self, path: str, data: bytes, *, program: bool = False) -> None:
        """Add a file; one that holds PREFIX is rewritten for the environment when it is linked."""
        entry = {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        if PREFIX.encode() in data:
            entry |= {"prefix_placeholder": PREFIX, "file_mode": "text"}
        self.paths.append(entry)
        put(self.tar, path, data, 0o755 if program else 0o644)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self.paths.append({"_path": path, "path_type": "softlink"})
        member = tarfile.TarInfo(path)
        member.type, member.linkname = tarfile.SYMTYPE, target
        self.tar.addfile(member)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.tar.close()
        self.stream.close()
        if kind is None:
            with zipfile.ZipFile(self.file, "w") as archive:
                archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
                archive.writestr(f"info-{self.stem}.tar.zst", compressor().compress(self.info()))
                self.payload.seek(0)
                with archive.open(f"pkg-{self.stem}.tar.zst", "w", force_zip64=True) as out:
                    while chunk := self.payload.read(1 << 20):
                        out.write(chunk)
        self.payload.close()

    def info(self) -> bytes:
        documents = {
            "index.json": self.index,
            "about.json": {},
            "paths.json": {"paths": self.paths, "paths_version": 1},
            **self.link_info,
        }
        files = {f"info/{name}": json.dumps(value) for name, value in documents.items()}
        files["info/files"] = "".join(f"{entry['_path']}\n" for entry in self.paths)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, text in files.items():
                put(tar, name, text.encode(), 0o644)
        return out.getvalue()


def compressor() -> zstandard.ZstdCompressor:
    # speed counts here, not size; the packages never leave the machine
    return zstandard.ZstdCompressor(level=-7, threads=-1)


def put(tar: tarfile.TarFile, path: str, data: bytes, mode: int) -> None:
    member = tarfile.TarInfo(path)
    member.size, member.mode = len(data), mode
    tar.addfile(member, io.BytesIO(data))
