"""Modules in the folder of a local file: `from util import x` in `net.py` finds `util.py` there, as in a script.

What a file imports from its folder is read from its source, so that a run can copy it, and mark it as its code.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType


def neighbors(file: Path) -> list[Path]:
    """Return the Python files in a local file's folder, or below it, that it imports, directly or not; sorted.

    Names of the standard library are never looked up there.
    """
    folder, found, open_ = file.parent, set[Path](), [file]
    while open_:
        current = open_.pop()
        for name in _imported(current, folder):
            for path in _files(folder, name):
                if path not in found and path != file:
                    found.add(path)
                    open_.append(path)
    return sorted(found)


def digest(file: Path) -> str:
    """Return a SHA-256 over a local file and its neighbors; that of the file where it has none."""
    others = neighbors(file)
    own = sha256(file.read_bytes()).hexdigest()
    if not others:
        return own
    lines = [own, *(f"{path.relative_to(file.parent).as_posix()} {_hash(path)}" for path in others)]
    return sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def importable(file: Path) -> Iterator[None]:
    """Let a file's neighbors be imported by it; of equal names elsewhere, each file gets its own.

    Afterwards the folder is searched last, for imports in functions and in worker processes.
    """
    folder = str(file.parent)
    names = {path.relative_to(file.parent).parts[0].removesuffix(".py") for path in neighbors(file)}
    hidden: dict[str, ModuleType] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in names and not _current(module, file.parent):
            hidden[name] = sys.modules.pop(name)
    if names:
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
    try:
        yield
    finally:
        if names:
            sys.path.remove(folder)
            for name in [name for name in sys.modules if name.partition(".")[0] in names]:
                vars(sys.modules[name]).setdefault("__digest__", _hash_of(sys.modules[name]))
            sys.modules.update({name: module for name, module in hidden.items() if not _within(module, file.parent)})
            if folder not in sys.path:
                sys.path.append(folder)


def _imported(file: Path, folder: Path) -> Iterator[str]:
    """Yield the dotted names that a file may import, relative ones from the folder on."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # its import says what is wrong
        return
    package = file.parent.relative_to(folder).parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            place = ".".join([*above, *([node.module] if node.module else [])])
            if place:
                yield place
            yield from (f"{place}.{alias.name}".lstrip(".") for alias in node.names)


def _files(folder: Path, name: str) -> list[Path]:
    """Return the files that importing a dotted name runs, if it is found in the folder; else none."""
    parts = name.split(".")
    if parts[0] in sys.stdlib_module_names:
        return []
    found: list[Path] = []
    for depth in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:depth])
        init, module = place / "__init__.py", place.with_name(f"{place.name}.py")
        if init.is_file():
            found.append(init)
        elif module.is_file():
            return [*found, module]
        elif not place.is_dir():
            break
    return found


def _within(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and Path(str(file)).resolve().is_relative_to(folder)


def _current(module: ModuleType, folder: Path) -> bool:
    """Whether a module is that of the folder, as it is there now."""
    return _within(module, folder) and getattr(module, "__digest__", None) == _hash_of(module)


def _hash_of(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return _hash(Path(file)) if file else ""


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
