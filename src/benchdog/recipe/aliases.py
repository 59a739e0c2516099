"""Renamed keys, values and components of recipes: the old names are read, the new ones are written.

Recipes of old runs are read without a notice; whoever types an old name gets one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchdog.errors import BadUsage

OPTIONS: dict[tuple[str, str], dict[str, str]] = {
    ("trainer", "supervised"): {
        "optimiser": "optimizer",
        "optimiser_options": "optimizer_options",
        "freeze_parts": "freeze_groups",
        "recompute": "activation_checkpointing",
    },
    ("loop", ""): {"mixing": "allow_batch_dependence"},
}
"""By (table, component; "" for a core table): old option -> new one."""
VALUES: dict[str, dict[Any, Any]] = {"loop.mixing": {"refuse": False, "allow": True}}
"""By old key: its values -> those of the new key."""
AUGMENTATIONS = {"colour": "color"}
"""Old name of an augmentation -> new one."""


def renamed_keys() -> dict[str, str]:
    """Return all renamed keys: {"loop.mixing": "loop.allow_batch_dependence"}."""
    return {f"{table}.{old}": f"{table}.{new}" for (table, _), names in OPTIONS.items() for old, new in names.items()}


def current_key(key: str, components: Mapping[str, str]) -> str:
    """Return the name of a key today.

    Args:
        key: dotted.
        components: names of the chosen components by kind: {"trainer": "supervised"}; keys of others stay.
    """
    table, _, option = key.partition(".")
    new = OPTIONS.get((table, components.get(table, "")), {}).get(option)
    return f"{table}.{new}" if new else key


def current_value(key: str, value: Any) -> Any:
    """Return the value of a key, which may be an old one, in today's form."""
    if key == "loader.augment" and isinstance(value, Sequence) and not isinstance(value, str):
        return [_augmentation(item) for item in value]
    known = VALUES.get(key, {})
    return known.get(value, value) if isinstance(value, str) else value


def current_values(values: Mapping[str, Any], components: Mapping[str, str]) -> dict[str, Any]:
    """Return values by dotted key under their names of today.

    Raises:
        BadUsage: an old and a new name of the same key have different values.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        new, value = current_key(key, components), current_value(key, value)
        if new in result and result[new] != value:
            old = next(each for each in values if each != new and current_key(each, components) == new)
            raise BadUsage(f"{old} is the old name of {new}; both are set, to different values.", f"Remove {old}.")
        result[new] = value
    return result


def current_recipe(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved recipe's JSON form with the names of today."""
    result = dict(data)
    for table, name in {(table, name) for table, name in OPTIONS} | {("loader", "")}:
        found = result.get(table)
        if isinstance(found, Mapping) and (not name or found.get("name") == name):
            flat = current_values({f"{table}.{option}": value for option, value in found.items()}, {table: name})
            result[table] = {key.partition(".")[2]: value for key, value in flat.items()}
    return result


def _augmentation(item: Any) -> Any:
    if isinstance(item, str):
        return AUGMENTATIONS.get(item, item)
    if isinstance(item, Mapping) and isinstance(name := item.get("name"), str):
        return {**item, "name": AUGMENTATIONS.get(name, name)}
    return item
