"""Options of components: validation, error messages, JSON round trip and JSON Schema."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchdog.api import Bounds, Doc
from benchdog.errors import BadUsage
from benchdog.plugins.options import describe, json_schema, to_json, validate
from benchdog.recipe.layers import toml_value


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


class Color(Enum):
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Part:
    a: int = 1


@dataclass(frozen=True, kw_only=True)
class Types:
    """One option of each type that docs/guides/plugins/options.md lists."""

    flag: bool = False
    count: Annotated[int, Bounds(ge=1)] = 1
    rate: Annotated[float, Bounds(gt=0)] = 0.5
    name: str = ""
    mode: Literal["sine", "square"] = "sine"
    maybe: int | None = None
    either: int | Literal["auto"] = "auto"
    sizes: tuple[int, ...] = ()
    widths: list[int] = field(default_factory=list)
    pair: tuple[int, str] = (1, "a")
    table: dict[str, float] = field(default_factory=dict)
    path: Path | None = None
    color: Color = Color.RED
    part: Part = field(default_factory=Part)
    parts: tuple[Part, ...] = ()


@pytest.mark.parametrize(
    ("key", "typed", "made"),
    [
        ("flag", "true", True), ("count", "3", 3), ("rate", "1e-3", 1e-3), ("rate", "1", 1.0), ("name", "abc", "abc"),
        ("name", "'3'", "3"), ("mode", "square", "square"), ("maybe", "3", 3), ("either", "auto", "auto"),
        ("either", "3", 3), ("sizes", "[1,2]", (1, 2)), ("widths", "[3]", [3]), ("pair", "[2,'b']", (2, "b")),
        ("table", "{a=1}", {"a": 1.0}), ("path", "rows.csv", Path("rows.csv")), ("color", "red", Color.RED),
        ("part", "{a=2}", Part(a=2)), ("parts", "[{a=2},{}]", (Part(a=2), Part())),
    ],
)  # fmt: skip
def test_value_typed_on_the_command_line_becomes_the_annotated_type(key, typed, made):
    value = toml_value(typed)
    options = validate(Types, {key: value}, "thing")
    assert getattr(options, key) == made
    assert type(getattr(options, key)) is type(made)
    assert validate(Types, to_json(options), "thing") == options
    jsonschema.validate(to_json(options), json_schema(Types))


@pytest.mark.parametrize(
    ("key", "typed", "told"),
    [
        ("flag", "yes", "flag is 'yes': input should be a valid boolean"),
        ("count", "3.0", "count is 3.0: input should be a valid integer"),
        ("rate", "'1'", "rate is '1': input should be a valid number"),
        ("name", "3", "name is 3: input should be a valid string"),
        ("mode", "round", "mode is 'round': input should be 'sine' or 'square'"),
        ("maybe", "none", "maybe is 'none': input should be a valid integer"),
        ("sizes", "1,2", "sizes is '1,2': input should be a valid array"),
        ("pair", "[1]", "pair[1] is [1]: field required"),
        ("table", "{a='x'}", "table[a] is {'a': 'x'}: input should be a valid number"),
        ("color", "RED", "color is 'RED': input should be 'red'"),
        ("part", "{b=2}", "thing: part has no key 'b'"),
        ("parts", "[{a=1},{b=2}]", "thing: parts has no key 'b'"),
    ],
)
def test_value_of_another_type_is_refused(key, typed, told):
    with pytest.raises(BadUsage) as refused:
        validate(Types, {key: toml_value(typed)}, "thing")
    assert told in refused.value.message


def test_text_that_reads_as_a_number_is_to_be_quoted():
    with pytest.raises(BadUsage) as refused:
        validate(Types, {"name": toml_value("2024")}, "thing")
    assert "quoted: name='\"2024\"'" in refused.value.hint
