"""A channel for tests: this machine's CPython and wheels as conda packages with conda-forge's names."""

import configparser
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from conda_package_handling import api
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

RENAMED = {"torch": "pytorch", "matplotlib": "matplotlib-base", "typing-extensions": "typing_extensions"}
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
DIGITS = VERSION.replace(".", "")
PREFIX = "/opt/" + "placehold_" * 20  # as long as conda's: replaced by the environment's path when linked
SCRIPT = "#!{prefix}/bin/python\nimport sys\nfrom {module} import {first}\nsys.exit({call}())\n"


def conda_name(name):
    name = canonicalize_name(name)
    return RENAMED.get(name, name)


def bounds(specifiers):
    """Write pip's version specifiers as conda reads them."""
    parts = [
        v if o == "==" and v.endswith(".*") else f"{o}{v}" for o, v in ((s.operator, s.version) for s in specifiers)
    ]
    return ",".join(sorted(parts))


def pack(stage: Path, channel: Path, index: dict, link: dict | None = None):
    """Write a folder as NAME-VERSION-BUILD.conda into the channel."""
    paths = []
    for file in sorted(p for p in stage.rglob("*") if p.is_file()):  # no link to nowhere
        data = file.read_bytes()
        entry = {
            "_path": file.relative_to(stage).as_posix(),
            "path_type": "softlink" if file.is_symlink() else "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        if not file.is_symlink() and PREFIX.encode() in data:
            entry |= {"prefix_placeholder": PREFIX, "file_mode": "text"}
        paths.append(entry)
    info = stage / "info"
    info.mkdir()
    index = {"build_number": 0, "timestamp": 0, "license": "see the package", **index}
    told = {"index.json": index, "about.json": {}, "paths.json": {"paths": paths, "paths_version": 1}}
    if link:
        told["link.json"] = link
    for name, value in told.items():
        (info / name).write_text(json.dumps(value), encoding="utf-8")
    (info / "files").write_text("".join(f"{entry['_path']}\n" for entry in paths), encoding="utf-8")
    out = channel / index["subdir"]
    out.mkdir(parents=True, exist_ok=True)
    files = [str(p.relative_to(stage)) for p in stage.rglob("*") if p.is_symlink() or p.is_file()]
    here = Path.cwd()
    api.create(
        str(stage), files, f"{index['name']}-{index['version']}-{index['build']}.conda", str(out.resolve()),
        compression_tuple=(".conda", "zstd", "zstd:compression-level=1"),
    )  # fmt: skip
    os.chdir(here)
    shutil.rmtree(stage)


def python(channel: Path, patchelf: Path):
    """Pack this machine's CPython as `python`, and the `python_abi` that binary packages ask for."""
    base = Path(sys.base_prefix)
    stage = Path(tempfile.mkdtemp())
    (stage / "bin").mkdir()
    (stage / "lib").mkdir()
    shutil.copy2(base / "bin" / f"python{VERSION}", stage / "bin")
    for name in ("python3", "python"):
        (stage / "bin" / name).symlink_to(f"python{VERSION}")
    left_out = ("__pycache__", "*.a", "*.o", "site-packages", "test", "tests", "idlelib", "turtledemo")
    library = f"lib/python{VERSION}"
    shutil.copytree(base / library, stage / library, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    for shared in (base / "lib").glob("libpython*.so*"):
        shutil.copy2(shared, stage / "lib", follow_symlinks=False)
    (stage / library / "site-packages").mkdir()
    (stage / library / "site-packages" / "README.txt").write_text("packages\n", encoding="utf-8")
    program = stage / "bin" / f"python{VERSION}"
    subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", program], check=True)
    for file in stage.rglob("*"):
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            if b"\0" not in data and str(base).encode() in data:
                file.write_bytes(data.replace(str(base).encode(), PREFIX.encode()))
    depends = [f"python_abi {VERSION}.* *_cp{DIGITS}"]
    told = {"name": "python", "version": platform.python_version(), "build": "0_cpython", "depends": depends}
    pack(stage, channel, {**told, "subdir": "linux-64"})
    only = [f"python {VERSION}.* *_cpython"]
    abi = {
        "name": "python_abi",
        "version": VERSION,
        "build": f"8_cp{DIGITS}",
        "depends": [],
        "constrains": only,
    }
    pack(Path(tempfile.mkdtemp()), channel, {**abi, "subdir": "noarch", "noarch": "generic"})


def requirements(meta, pure):
    """Translate a wheel's requirements that hold on this machine."""
    wanted = meta.get("Requires-Python") or ""
    own = [f"python {bounds(Requirement('x' + wanted.replace(' ', '')).specifier)}".strip()]
    if not pure:
        own = [f"python >={VERSION},<3.{sys.version_info[1] + 1}.0a0", f"python_abi {VERSION}.* *_cp{DIGITS}"]
    for line in meta.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            own.append(f"{conda_name(requirement.name)} {bounds(requirement.specifier)}".strip())
    return own


def wheel(path: Path, channel: Path):
    """Pack a wheel: noarch when it is pure, for this Python otherwise."""
    archive = zipfile.ZipFile(path)
    name, version, _, tags = parse_wheel_filename(path.name)
    dist_info = next(n.split("/")[0] for n in archive.namelist() if n.split("/")[0].endswith(".dist-info"))
    meta = HeaderParser().parsestr(archive.read(f"{dist_info}/METADATA").decode())
    pure = all(tag.platform == "any" for tag in tags)
    site = "site-packages" if pure else f"lib/python{VERSION}/site-packages"
    stage = Path(tempfile.mkdtemp())
    for member in archive.infolist():
        parts = PurePosixPath(member.filename).parts
        if member.is_dir() or ".." in parts:
            continue
        data = archive.read(member)
        place = f"{site}/{member.filename}"
        if parts[0].endswith(".data"):
            rest = "/".join(parts[2:])
            scripts = "python-scripts" if pure else "bin"
            place = {"scripts": f"{scripts}/{rest}", "data": rest}.get(parts[1], f"{site}/{rest}")
            if data.startswith(b"#!python"):
                data = f"#!{PREFIX}/bin/python".encode() + data[data.index(b"\n") :]
        file = stage / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(
            0o755 if place.startswith(("bin/", "python-scripts/")) or member.external_attr >> 16 & 0o111 else 0o644
        )
    commands = scripts_of(archive, dist_info)
    if not pure:
        for command, target in commands:
            module, call = target.split(":")
            file = stage / "bin" / command
            file.parent.mkdir(exist_ok=True)
            text = SCRIPT.format(prefix=PREFIX, module=module, first=call.split(".")[0], call=call)
            file.write_text(text, encoding="utf-8")
            file.chmod(0o755)
    index = {"name": conda_name(name), "version": str(version), "depends": requirements(meta, pure)}
    if pure:
        link = {"noarch": {"type": "python", "entry_points": [" = ".join(c) for c in commands]}}
        more = {"build": "pyh_0", "subdir": "noarch", "noarch": "python"}
        pack(stage, channel, {**index, **more}, {**link, "package_metadata_version": 1})
    else:
        pack(stage, channel, {**index, "build": f"py{DIGITS}_0", "subdir": "linux-64"})


def scripts_of(archive, dist_info):
    """Give a wheel's commands: (name, "module:function")."""
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str
    if f"{dist_info}/entry_points.txt" in archive.namelist():
        parser.read_string(archive.read(f"{dist_info}/entry_points.txt").decode())
    found = parser.items("console_scripts") if parser.has_section("console_scripts") else []
    return [(name, re.sub(r"\s*\[.*]", "", target)) for name, target in found]
