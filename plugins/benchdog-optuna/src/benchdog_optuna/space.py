"""Search spaces: the keys of a recipe that are searched, and the values they may take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchdog import is_recipe_key, recipe_keys, validate_options
from benchdog.api import BadUsage, nearest
from benchdog_optuna.options import Choices, Range

if TYPE_CHECKING:
    from optuna import Trial

FIXED = ("task.name", "plugins")
"""Trials must be comparable: one metric, one set of plugins."""
EXAMPLE = "--space 'trainer.lr={ low = 1e-4, high = 0.1, log = true }' or --space 'model.width=[32, 64, 128]'"
Value = Any
"""A value of a recipe's key, in JSON form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """A hyperparameter: a range of numbers, or choices."""

    key: str
    within: Range | Choices
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def is_integer(self) -> bool:
        """Whether its values are integers."""
        within = self.within
        return isinstance(within, Range) and all(
            isinstance(end, int) for end in (within.low, within.high, within.step or 1)
        )

    def holds(self, value: Value) -> bool:
        """Whether a value is one of its own."""
        within = self.within
        if isinstance(within, Choices):
            return any(same(value, choice) for choice in within.choices)
        if isinstance(value, bool) or not isinstance(value, int | float) or not within.low <= value <= within.high:
            return False
        if self.is_integer and not isinstance(value, int):
            return False
        if within.step is None:
            return True
        steps = (value - within.low) / within.step
        return abs(steps - round(steps)) < 1e-9

    def applies(self, values: Mapping[str, Value]) -> bool:
        """Whether it is searched, given the values of the dimensions before it."""
        return all(
            key in values and any(same(values[key], each) for each in allowed) for key, allowed in self.when.items()
        )

    def suggest(self, trial: Trial) -> Value:
        """Sample a value."""
        within = self.within
        if isinstance(within, Choices):
            return json.loads(str(trial.suggest_categorical(self.key, [json.dumps(c) for c in within.choices])))
        if self.is_integer:
            step = int(within.step or 1)
            return trial.suggest_int(self.key, int(within.low), int(within.high), step=step, log=within.log)
        step_ = None if within.step is None else float(within.step)
        return trial.suggest_float(self.key, float(within.low), float(within.high), step=step_, log=within.log)

    def stored(self, value: Value) -> Any:
        """Convert a value for Optuna's database: choices as JSON, so that 1 and true differ."""
        return json.dumps(value) if isinstance(self.within, Choices) else value

    def read(self, stored: Any) -> Value:
        """Convert a value from Optuna's database."""
        return json.loads(str(stored)) if isinstance(self.within, Choices) else stored

    def values(self, most: int) -> Sequence[Value] | None:
        """List all its values; None when there are more than `most`."""
        within = self.within
        if isinstance(within, Choices):
            values: Sequence[Value] = within.choices
        elif self.is_integer:
            values = range(int(within.low), int(within.high) + 1, int(within.step or 1))
        else:
            return None
        return values if len(values) <= most else None

    def examples(self) -> Sequence[Value]:
        """Return the values to validate it by: the ends of a range, or every choice."""
        return self.within.choices if isinstance(self.within, Choices) else (self.within.low, self.within.high)


def same(one: Value, other: Value) -> bool:
    """Compare as JSON does: 1 is 1.0, and true is neither."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


class Space(dict[str, Dimension]):
    """Dimensions by key, in the order in which their values are chosen."""

    @classmethod
    def read(cls, table: Mapping[str, Any], by: str) -> Space:
        """Parse the table [tune.space], or what --space gave.

        Raises:
            BadUsage: a key that no recipe has, or invalid bounds.
        """
        space = cls()
        for key, value in _flat(table).items():
            space[key] = _dimension(key, value, f"{by} {key!r}")
        for dimension in space.values():
            space._check_conditions(dimension, by)
        return space

    def _check_conditions(self, dimension: Dimension, by: str) -> None:
        known = list(self)
        earlier = known[: known.index(dimension.key)]
        for key in dimension.when:
            if key not in earlier:
                raise BadUsage(
                    f"{by} {dimension.key!r}: `when` names {key!r}, which isn't searched before it.",
                    nearest(key, earlier) if earlier else "Put the key that it depends on first.",
                )

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """Sample a value for every dimension that applies, in their order."""
        values: dict[str, Value] = {}
        for key, dimension in self.items():
            if dimension.applies(values):
                values[key] = dimension.suggest(trial)
        return values

    def combinations(self, most: int) -> list[dict[str, Value]] | None:
        """List all combinations of values; None when there are more than `most`."""
        found: list[dict[str, Value]] = [{}]
        for key, dimension in self.items():
            values = dimension.values(most)
            if values is None:
                return None
            found = [
                more
                for each in found
                for more in ([{**each, key: value} for value in values] if dimension.applies(each) else [each])
            ]
            if len(found) > most:
                return None
        return found

    def of(self, stored: Mapping[str, Any]) -> dict[str, Value]:
        """Convert a trial's values from Optuna's database."""
        return {key: dimension.read(stored[key]) for key, dimension in self.items() if key in stored}

    def near(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recipe's own values that are in the space, as Optuna stores them: the first trial."""
        found: dict[str, Value] = {}
        for key, dimension in self.items():
            value = _value_of(recipe, key)
            if dimension.applies(found) and dimension.holds(value):
                found[key] = value
        return {key: self[key].stored(value) for key, value in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the table that `read` parses."""
        return {key: _table(dimension) for key, dimension in self.items()}


def _table(dimension: Dimension) -> dict[str, Any]:
    within = dimension.within
    when = {"when": {key: list(values) for key, values in dimension.when.items()}} if dimension.when else {}
    if isinstance(within, Choices):
        return {"choices": list(within.choices), **when}
    step = {} if within.step is None else {"step": within.step}
    return {"low": within.low, "high": within.high, "log": within.log, **step, **when}


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Join nested tables: `trainer.lr = ...` without quotes means "trainer.lr"."""
    flat: dict[str, Any] = {}
    parts, tables = _parts(), {key.partition(".")[0] for key in recipe_keys() if "." in key}
    for key, value in table.items():
        if (key in parts or key in tables) and isinstance(value, Mapping):
            flat |= {f"{key}.{name}": each for name, each in value.items()}
        else:
            flat[f"{key}.name" if key in parts else key] = value
    return flat


def _parts() -> list[str]:
    """List the components of a recipe, whose options are known only to them."""
    return [key for key in recipe_keys() if "." not in key and key not in ("seed", "plugins")]


def _value_of(recipe: Mapping[str, Any], key: str) -> Value:
    table, _, name = key.partition(".")
    value = recipe.get(table)
    return value.get(name) if name and isinstance(value, Mapping) else value


def _dimension(key: str, value: Any, by: str) -> Dimension:
    parts = _parts()
    if not is_recipe_key(key):
        raise BadUsage(f"{by}: no recipe has this key.", nearest(key, recipe_keys()))
    if key in FIXED:
        raise BadUsage(f"{by} can't be searched: trials must be comparable.", f"Set {key} for all of them.")
    if isinstance(value, list | tuple):
        value = {"choices": list(value)}
    if not isinstance(value, Mapping):
        raise BadUsage(f"{by} is {value!r}: neither a range nor a list of values.", f"For example {EXAMPLE}.")
    within: Range | Choices = validate_options(Choices if "choices" in value else Range, value, by)
    when = {
        (f"{other}.name" if other in parts else other): tuple(allowed) if isinstance(allowed, list) else (allowed,)
        for other, allowed in within.when.items()
    }
    if isinstance(within, Choices):
        _check_choices(within, by)
    else:
        _check_range(within, by)
    return Dimension(key=key, within=within, when=when)


def _check_choices(within: Choices, by: str) -> None:
    if not within.choices:
        raise BadUsage(f"{by} has no values to choose from.", f"For example {EXAMPLE}.")
    for at, choice in enumerate(within.choices):
        if any(same(choice, other) for other in within.choices[:at]):
            raise BadUsage(f"{by} has {choice!r} twice.", "Write each value once.")


def _check_range(within: Range, by: str) -> None:
    low, high, step = within.low, within.high, within.step
    if low >= high:
        raise BadUsage(f"{by} goes from {low} to {high}.", "low must be less than high.")
    if within.log and low <= 0:
        raise BadUsage(f"{by}: a logarithmic scale has no {low}.", "low must be greater than 0, or log = false.")
    if step is None:
        return
    if within.log:
        raise BadUsage(f"{by} has both log and step.", "Leave one of them out.")
    steps = (high - low) / step if step > 0 else 0.0
    if steps < 1 or abs(steps - round(steps)) > 1e-9:
        raise BadUsage(f"{by}: {high} isn't {low} and a whole number of steps of {step}.", "Change high or step.")
