"""A channel for tests: this machine's CPython and wheels as conda packages with conda-forge's names."""

import configparser
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from package import PREFIX, Package
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

RENAMED = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "typing-extensions": "typing_extensions",
    "huggingface-hub": "huggingface_hub",
}
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
DIGITS = VERSION.replace(".", "")
SCRIPT = "#!{prefix}/bin/python\nimport sys\nfrom {module} import {first}\nsys.exit({call}())\n"
LEFT_OUT = {"__pycache__", "site-packages", "test", "tests", "idlelib", "turtledemo"}


def conda_name(name: str) -> str:
    name = canonicalize_name(name)
    return RENAMED.get(name, name)


def bounds(specifiers: SpecifierSet) -> str:
    """Write pip's version specifiers as conda reads them."""
    parts = [
        v if o == "==" and v.endswith(".*") else f"{o}{v}" for o, v in ((s.operator, s.version) for s in specifiers)
    ]
    return ",".join(sorted(parts))


def python(channel: Path, patchelf: Path) -> None:
    """Pack this machine's CPython as `python`, and the `python_abi` that binary packages require."""
    base = Path(sys.base_prefix)
    depends = [f"python_abi {VERSION}.* *_cp{DIGITS}"]
    index = {"name": "python", "version": platform.python_version(), "build": "0_cpython", "subdir": "linux-64"}
    with Package(channel, {**index, "depends": depends}) as package:
        package.add(f"bin/python{VERSION}", program(base, patchelf), program=True)
        for name in ("python3", "python"):
            package.link(f"bin/{name}", f"python{VERSION}")
        for shared in sorted((base / "lib").glob("libpython*.so*")):
            package.add(f"lib/{shared.name}", shared.read_bytes(), program=True)
        library = base / "lib" / f"python{VERSION}"
        for file in sorted(library.rglob("*")):
            inside = file.relative_to(library)
            if LEFT_OUT & set(inside.parts) or file.suffix in (".a", ".o") or not file.is_file():
                continue
            data = file.read_bytes()
            if b"\0" not in data:
                data = data.replace(str(base).encode(), PREFIX.encode())
            package.add(f"lib/python{VERSION}/{inside.as_posix()}", data)
        package.add(f"lib/python{VERSION}/site-packages/README.txt", b"packages\n")
    index = {"name": "python_abi", "version": VERSION, "build": f"8_cp{DIGITS}", "subdir": "noarch"}
    only = [f"python {VERSION}.* *_cpython"]
    with Package(channel, {**index, "depends": [], "constrains": only, "noarch": "generic"}):
        pass


def program(base: Path, patchelf: Path) -> bytes:
    """Return the interpreter with a library path relative to itself."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copy2(base / "bin" / f"python{VERSION}", place))
        subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", copy], check=True)
        return copy.read_bytes()


def requirements(meta: Message, pure: bool) -> list[str]:
    """Translate a wheel's requirements that hold on this machine."""
    specifiers = meta.get("Requires-Python") or ""
    own = [f"python {bounds(Requirement('x' + specifiers.replace(' ', '')).specifier)}".strip()]
    if not pure:
        own = [f"python >={VERSION},<3.{sys.version_info[1] + 1}.0a0", f"python_abi {VERSION}.* *_cp{DIGITS}"]
    for line in meta.get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            own.append(f"{conda_name(requirement.name)} {bounds(requirement.specifier)}".strip())
    return own


def wheel(path: Path, channel: Path) -> None:
    """Pack a wheel: noarch when it is pure, for this Python otherwise."""
    archive = zipfile.ZipFile(path)
    name, version, _, tags = parse_wheel_filename(path.name)
    dist_info = next(n.split("/")[0] for n in archive.namelist() if n.split("/")[0].endswith(".dist-info"))
    meta = HeaderParser().parsestr(archive.read(f"{dist_info}/METADATA").decode())
    pure = all(tag.platform == "any" for tag in tags)
    commands = scripts_of(archive, dist_info)
    # "2.13.0+cpu" is 2.13.0 to pip, and another version to conda
    index = {"name": conda_name(name), "version": version.public, "depends": requirements(meta, pure)}
    if pure:
        index |= {"build": "pyh_0", "subdir": "noarch", "noarch": "python"}
        entry_points = [" = ".join(command) for command in commands]
        link = {"noarch": {"type": "python", "entry_points": entry_points}, "package_metadata_version": 1}
    else:
        index |= {"build": f"py{DIGITS}_0", "subdir": "linux-64"}
        link = None
    with Package(channel, index, link) as package:
        for member in archive.infolist():
            if not member.is_dir() and ".." not in PurePosixPath(member.filename).parts:
                place, data = placed(member.filename, archive.read(member), pure)
                runs = place.startswith(("bin/", "python-scripts/")) or bool(member.external_attr >> 16 & 0o111)
                package.add(place, data, program=runs)
        for command, target in commands if not pure else ():
            module, call = target.split(":")
            text = SCRIPT.format(prefix=PREFIX, module=module, first=call.split(".")[0], call=call)
            package.add(f"bin/{command}", text.encode(), program=True)


def placed(filename: str, data: bytes, pure: bool) -> tuple[str, bytes]:
    """Return the path and the content of a wheel's member in a conda package."""
    site = "site-packages" if pure else f"lib/python{VERSION}/site-packages"
    first, *more = PurePosixPath(filename).parts
    if not first.endswith(".data"):
        return f"{site}/{filename}", data
    if data.startswith(b"#!python"):
        data = f"#!{PREFIX}/bin/python".encode() + data[data.index(b"\n") :]
    rest = "/".join(more[1:])
    scripts = "python-scripts" if pure else "bin"
    return {"scripts": f"{scripts}/{rest}", "data": rest}.get(more[0], f"{site}/{rest}"), data


def scripts_of(archive: zipfile.ZipFile, dist_info: str) -> list[tuple[str, str]]:
    """Return a wheel's commands: (name, "module:function")."""
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign, assignment]  # as configparser documents it
    if f"{dist_info}/entry_points.txt" in archive.namelist():
        parser.read_string(archive.read(f"{dist_info}/entry_points.txt").decode())
    found = parser.items("console_scripts") if parser.has_section("console_scripts") else []
    return [(name, re.sub(r"\s*\[.*]", "", target)) for name, target in found]
