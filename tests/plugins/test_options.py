"""Options of components: validation, error messages, JSON round trip and JSON Schema."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchdog.api import Bounds, Doc
from benchdog.errors import BadUsage
from benchdog.plugins.options import describe, json_schema, to_json, validate


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    size: Annotated[int, Doc("How big."), Bounds(ge=1, le=100)]
    rate: Annotated[float, Doc("How fast."), Bounds(gt=0)] = 0.1
    name: Annotated[str, Doc("What it is called.")] = ""
    kind: Annotated[Literal["plain", "fancy"], Doc("Which.")] = "plain"
    path: Annotated[Path | None, Doc("Where.")] = None
    hidden: Annotated[tuple[int, ...], Doc("Widths.")] = (8, 8)
    more: Annotated[dict[str, float], Doc("Others.")] = field(default_factory=dict)
    several: Annotated[int | Literal["auto"], Doc("How many.")] = "auto"
    on: bool = True


def test_validate_fills_in_defaults():
    made = validate(Options, {"size": 3, "rate": 2, "hidden": [1], "path": "a/b", "several": 4}, "thing")
    assert made == Options(size=3, rate=2.0, hidden=(1,), path=Path("a/b"), several=4)
    assert validate(Options, {"size": 3}, "thing") == Options(size=3)


def test_describe_returns_documentation_and_defaults():
    described = describe(Options)
    assert list(described)[:2] == ["size", "rate"]
    assert described["size"].required
    assert described["size"].doc == "How big."
    assert not described["more"].required
    assert described["more"].default == {}


INVALID: list[tuple[dict[str, Any], list[str]]] = [
    ({"size": 1, "rat": 1}, ["no option 'rat'", "Did you mean 'rate'?", "hidden"]),
    ({}, ["needs 'size'", "How big."]),
    ({"size": "3"}, ["size is '3'", "integer", "How big."]),
    ({"size": 3.5}, ["size is 3.5", "integer"]),
    ({"size": True}, ["size is True", "integer"]),
    ({"size": 0}, ["size is 0", "greater than or equal to 1"]),
    ({"size": 101}, ["size is 101", "less than or equal to 100"]),
    ({"size": 1, "rate": 0}, ["rate is 0", "greater than 0"]),
    ({"size": 1, "rate": float("nan")}, ["rate is nan", "greater than 0"]),
    ({"size": 1, "name": 7}, ["name is 7", "string"]),
    ({"size": 1, "kind": "fance"}, ["kind is 'fance'", "'plain' or 'fancy'"]),
    ({"size": 1, "hidden": [1, "b"]}, ["hidden[1]", "integer"]),
    ({"size": 1, "hidden": 3}, ["hidden is 3"]),
    ({"size": 1, "more": {"a": "b"}}, ["more[a]", "number"]),
    ({"size": 1, "several": "many"}, ["several is 'many'", "integer or 'auto'"]),
    ({"size": 1, "on": 1}, ["on is 1", "boolean"]),
    ({"size": 1, "on": None}, ["on is None"]),
]


@pytest.mark.parametrize(("values", "parts"), INVALID, ids=[parts[0] for _, parts in INVALID])
def test_invalid_option_is_reported_by_its_key(values, parts):
    with pytest.raises(BadUsage) as caught:
        validate(Options, values, "model 'thing'")
    text = str(caught.value)
    assert text.startswith("model 'thing'")
    for part in parts:
        assert part in text


numbers = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False)
options = st.builds(
    Options,
    size=st.integers(1, 100),
    rate=numbers,
    name=st.text(st.characters(exclude_categories=["Cs"])),
    kind=st.sampled_from(["plain", "fancy"]),
    path=st.none() | st.just(Path("some/where")),
    hidden=st.lists(st.integers(-(2**60), 2**60)).map(tuple),
    more=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False, allow_infinity=False)
    ),
    several=st.integers() | st.just("auto"),
    on=st.booleans(),
)


@given(made=options)
def test_options_round_trip_through_json_and_match_the_schema(made):
    data = to_json(made)
    assert validate(Options, data, "x") == made
    jsonschema.validate(data, json_schema(Options))


@pytest.mark.parametrize("values", [values for values, parts in INVALID if "rate is nan" not in parts])
def test_json_schema_refuses_the_same_invalid_options(values):
    assert not jsonschema.Draft202012Validator(json_schema(Options)).is_valid(values)


def test_options_of_none_are_an_empty_table():
    assert to_json(None) == {}
    assert to_json({"a": 1}) == {"a": 1}
