"""Loading of local plugin files, under names that every process can import again; checks of hooks and descriptors."""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Collection
from dataclasses import fields, replace
from hashlib import sha256
from inspect import isroutine
from pathlib import Path
from types import ModuleType
from typing import Any

from benchdog import api
from benchdog.api.decoding import TAKES
from benchdog.errors import BadUsage, nearest
from benchdog.plugins import neighbors

SUFFIX = re.compile(r"\.[a-z0-9]+(\.[a-z0-9]+)*")
"""Of a writer's files."""
TARGETS = ("target", "options", "answer", "together", "runner", "examples")
"""The attributes of descriptors that name code."""


def load_file(file: Path) -> ModuleType:
    """Import a Python file under a name that depends on its path alone, so that worker processes can, too.

    It may import modules from its folder. If it was edited since, or one of them, it is imported again.

    Raises:
        BadUsage: the file is missing or raises at import.
    """
    file = file.resolve()
    name = f"benchdog_local_{file.stem}_{sha256(str(file).encode()).hexdigest()[:12]}"
    digest = neighbors.digest(file) if file.is_file() else ""
    if name in sys.modules and getattr(sys.modules[name], "__digest__", "") == digest:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise BadUsage(f"There is no Python file {file}.")
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__digest__"] = digest
    sys.modules[name] = module
    try:
        with neighbors.importable(file):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        line = next(
            (f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(file)), 0
        )
        raise BadUsage(f"{file.name} raises {said(error)} at import (line {line}).", f"Fix {file}.") from error
    return module


def check(info: api.Component) -> None:
    """Raise ValueError for a descriptor with a value of a wrong type, an invalid name or target."""
    for each in fields(info):
        _check_type(each.name, str(each.type), getattr(info, each.name))
    name = info.name
    if not name or not all(c.isalnum() or c in "-_." for c in name) or name != name.lower():
        raise ValueError(f"{info.kind} name {name!r} isn't made of lower-case letters, digits, '-', '_' and '.'")
    for key in TARGETS:
        value = getattr(info, key, "")
        if not isinstance(value, str) or (value and ":" not in value) or (key == "target" and not value):
            raise ValueError(f"{info.kind} {name!r}: {key} {value!r} isn't 'package.module:attribute'")
    if isinstance(info, api.WriterInfo) and not (info.writes and SUFFIX.fullmatch(info.suffix)):
        raise ValueError(f"writer {name!r}: writes {info.writes!r} as {info.suffix!r}, which isn't like '.png'")
    if isinstance(info, api.DecoderInfo):
        _check_decoder(info)


def _check_decoder(info: api.DecoderInfo) -> None:
    """Raise ValueError for a decode operation whose descriptor `predict` and `serve` can't use."""
    what = f"decoder {info.name!r}"
    if info.takes not in TAKES:
        raise ValueError(f"{what}: takes {info.takes!r} isn't one of {', '.join(TAKES)}")
    for suffix in info.suffixes:
        if suffix != suffix.lower() or (suffix and not suffix.startswith(".")):
            raise ValueError(f"{what}: the suffix {suffix!r} isn't lower case with a dot, such as '.wav'")
    for kind in info.media_types:
        if kind != kind.lower() or kind.count("/") != 1:
            raise ValueError(f"{what}: the media type {kind!r} isn't like 'audio/wav'")
    for suffix, value in info.counterparts.items():
        if not suffix.isalnum() or ":" not in value:
            raise ValueError(f"{what}: the counterpart {suffix!r}: {value!r} isn't like 'js': 'package.module:TEXT'")


def _check_type(name: str, wanted: str, value: Any) -> None:
    """Check a value against the annotation of its field, where that is text, a truth value, or several texts."""
    if wanted == "tuple[str, ...]":
        if not isinstance(value, tuple | list):
            raise ValueError(f"{name} is a {type(value).__name__}, not a tuple")
        for item in value:
            _check_type(f"an item of {name}", "str", item)
        return
    expected = {"str": str, "bool": bool}.get(wanted)
    if expected is None:
        return
    kind = type(value)
    if not issubclass(kind, expected) or (expected is str and kind.__eq__ is not str.__eq__):
        article = "an" if kind.__name__[0].lower() in "aeiou" else "a"
        raise ValueError(f"{name} is {article} {kind.__name__}, not a {wanted}")


def check_hooks(module: ModuleType, hooks: Collection[str]) -> None:
    """Raise ValueError for a module with an unmarked, unknown or wrapping hook."""
    for name, value in vars(module).items():
        marks = getattr(value, "benchdog_impl", None) if isroutine(value) else None
        if isroutine(value) and name in hooks and not marks:
            raise ValueError(f"defines {name} without @hookimpl, so it is not a hook")
        if marks and name not in hooks:
            raise ValueError(f"implements {name}, which is not a hook. {nearest(name, hooks)}")
        if marks and (marks["wrapper"] or marks["hookwrapper"]):
            raise ValueError(f"wraps {name}; a wrapper could change what other plugins register")


def qualified(info: api.Component, module: str) -> api.Component:
    """Return the descriptor with the hook's module put before targets that start with ":"."""
    short: dict[str, Any] = {
        key: module + value
        for key in TARGETS
        if isinstance(value := getattr(info, key, ""), str) and value.startswith(":")
    }
    if isinstance(info, api.DecoderInfo):
        counterparts = {key: module + value if value[0] == ":" else value for key, value in info.counterparts.items()}
        short |= {"counterparts": counterparts}
    return replace(info, **short) if short else info


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # its parent is missing
        return False


def said(error: BaseException) -> str:
    """Return an error's type and text in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
