"""What is asked for, layer by layer: a recipe's file, flags, `--set`. Every value knows who gave it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from benchdog.errors import BadData, BadUsage, nearest
from benchdog.recipe.aliases import renamed_keys
from benchdog.recipe.plugin_tables import is_plugin_table
from benchdog.recipe.recipe import NAMED, PARTS, TABLES, OtherModelConfig, absolute
from benchdog.system import parsing


@dataclass(frozen=True, slots=True)
class Given:
    """A value, who gave it (for messages) and the folder that its relative paths are meant from."""

    value: Any
    by: str
    base: Path


class UnknownKey(BadUsage):
    """A key that no recipe has; `close` says that the hint names one that is spelt alike."""

    def __init__(self, key: str, by: str, hint: str, *, close: bool, layer: Mapping[str, Given]) -> None:
        super().__init__(f"{by}: unknown key {key!r}.", hint)
        self.key, self.close, self.layer = key, close, dict(layer)


SHIPPED = sorted(Path(__file__).with_name("shipped").glob("*.toml"))
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""What NAME in [sources.NAME] can be."""
SHORT = {"sources": "name", "models": "weights"}
"""The key that a text in place of such a table is for."""
OTHER_MODEL = [f.name for f in fields(OtherModelConfig)]
Layer = dict[str, Given]
"""Values by dotted key: "loop.epochs", "model.name", "seed"."""


def shipped(path: Path) -> Path:
    """Give the recipe that comes with Benchdog when a bare name isn't that of a file here."""
    named = [each for each in SHIPPED if each.name == str(path)]
    return named[0] if named and not path.exists() else path


def shipped_text(name: str) -> str:
    """Read a shipped recipe; BadUsage when there is none of that name."""
    found = {path.name: path for path in SHIPPED}
    if name not in found:
        raise BadUsage(f"No recipe {name!r} comes with Benchdog.", nearest(name, found))
    return found[name].read_text(encoding="utf-8")


def parse_toml(path: Path) -> dict[str, Any]:
    """Parse a recipe file; a bare name may be that of a shipped recipe.

    Raises:
        BadUsage: there is no such file, or it isn't TOML.
        BadData: it can't be read.
    """
    path = shipped(path)
    try:
        return parsing.read_toml(path)
    except FileNotFoundError:
        raise BadUsage(
            f"There is no recipe {path}.",
            f"Write one: benchdog new digits > recipe.toml. Shipped are: {', '.join(p.name for p in SHIPPED)}.",
        ) from None
    except OSError as error:
        raise BadData(f"{path} can't be read: {error.strerror}.") from None
    except ValueError as error:
        raise BadUsage(f"{path} is not TOML: {error}.", "Correct it; benchdog new writes a recipe.") from None


def read_toml(path: Path) -> Layer:
    """Read a recipe file as a layer; unknown tables are refused."""
    path = shipped(path)
    return layer_of(parse_toml(path), str(path), path.resolve().parent)


def layer_of(data: Mapping[str, Any], by: str, base: Path) -> Layer:
    """Flatten a recipe's tables; `source = "digits"` is short for a table with that name."""
    layer: Layer = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and key in (*PARTS, *TABLES):
            layer.update({f"{key}.{option}": Given(item, by, base) for option, item in value.items()})
        elif key in NAMED:
            layer.update(_named_tables(key, value, by, base))
        elif key in PARTS:
            layer[f"{key}.name"] = Given(value, by, base)
        elif key in TABLES:
            raise BadUsage(f"{by}: {key} is {value!r}, not a table.", f"Write [{key}], and its keys under it.")
        elif is_key(key) or not is_plugin_table(key):
            layer[key] = Given(value, by, base)
    for key in layer:
        _known(key, by, layer)
    return layer


def _named_tables(table: str, value: Any, by: str, base: Path) -> Layer:
    """Flatten [sources.NAME] or [models.NAME]; `NAME = "digits"` is short for a table with that name or weights."""
    layer: Layer = {}
    for name, inner in value.items() if isinstance(value, Mapping) else [("NAME", None)]:
        if isinstance(inner, str):
            inner = {SHORT[table]: inner}
        if not isinstance(inner, Mapping):
            raise BadUsage(
                f"{by}: {table} is not a table of tables.", f"Write [{table}.NAME], and its keys under it."
            )
        if not NAME.fullmatch(name) or name == "train":
            raise BadUsage(
                f"{by}: [{table}.{name}] has a name that isn't possible.",
                'Take letters, digits, "-" and "_"; "train" is the main source\'s.',
            )
        layer.update({f"{table}.{name}.{option}": Given(item, by, base) for option, item in inner.items()})
    return layer


def flags(values: Mapping[str, Any], settings: list[str]) -> Layer:
    """Put flags and `--set key=value` into one layer; the same key with two values is refused."""
    base = Path.cwd()
    layer = {key: Given(value, "a flag", base) for key, value in values.items() if value is not None}
    for key in layer:
        _known(key, "a flag", layer)
    unknown = []
    for setting in settings:
        key, sep, text = setting.partition("=")
        key = key.strip()
        if not sep:
            raise BadUsage(f"--set {setting!r} has no '='.", "Write --set loop.epochs=3")
        value = toml_value(text.strip())
        if key in PARTS:
            key = f"{key}.name"
        elif key.partition(".")[0] in NAMED and key.count(".") == 1:
            key = f"{key}.{SHORT[key.partition('.')[0]]}"
        if key in layer and layer[key].value != value:
            raise BadUsage(f"{key} is given twice: {layer[key].value!r} and {value!r}.", "Pass it once.")
        layer[key] = Given(value, f"--set {setting}", base)
        unknown += [] if is_key(key) else [key]
    for key in unknown:  # told last: which options there are depends on what else is set
        _known(key, "--set", layer)
    return layer


def toml_value(text: str) -> Any:
    """Read a value as TOML; what is none is a text.

    Raises:
        BadUsage: it is TOML beyond the limits: a number of thousands of digits, say.
    """
    try:
        return parsing.parse_toml(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:
        raise BadUsage(f"The value {text!r} can't be used: {error}.") from None


def recipe_keys() -> list[str]:
    """List the keys of a recipe that don't depend on its components."""
    return ["seed", "plugins", *PARTS, *(f"{name}.{f.name}" for name, cls in TABLES.items() for f in fields(cls))]


def is_key(key: str) -> bool:
    """Whether a recipe can have this key, a renamed one included; components check their own options later."""
    table, _, rest = key.partition(".")
    name, _, option = rest.partition(".")
    if table in NAMED and NAME.fullmatch(name) and name != "train":
        return bool(option) and (table == "sources" or option in OTHER_MODEL)
    return key in recipe_keys() or table in PARTS or key in renamed_keys()


def _known(key: str, by: str, layer: Layer) -> None:
    """Refuse a key that no recipe has; `layer` is what was given with it."""
    if is_key(key):
        return
    table, dot, _ = key.partition(".")
    if table in TABLES and dot:
        known = [f"{table}.{f.name}" for f in fields(TABLES[table])]
        raise UnknownKey(key, by, nearest(key, known), close=bool(get_close_matches(key, known)), layer=layer)
    if table == "models" and key.count(".") == 2:
        known = [f"{key.rpartition('.')[0]}.{option}" for option in OTHER_MODEL]
        raise UnknownKey(key, by, nearest(key, known), close=bool(get_close_matches(key, known)), layer=layer)
    owners = {f.name: f"{name}.{f.name}" for name, cls in TABLES.items() for f in fields(cls)}
    top = ["seed", "plugins", *PARTS, *TABLES, *NAMED]
    alike = bool(get_close_matches(key, top))
    close = [] if dot or alike else get_close_matches(key, owners, n=1)
    hint = f"Did you mean {owners[close[0]]!r}?" if close else nearest(table, top)
    raise UnknownKey(key, by, hint, close=alike or bool(close), layer=layer)


def local_plugins(layer: Layer) -> tuple[str, ...]:
    """Give a layer's plugin files, absolute."""
    given = layer.get("plugins")
    if given is None:
        return ()
    if not isinstance(given.value, list) or not all(isinstance(item, str) for item in given.value):
        raise BadUsage(f"{given.by}: plugins is {given.value!r}, not a list of files.", 'plugins = ["./mine.py"]')
    return tuple(absolute(item, given.base) for item in given.value)
