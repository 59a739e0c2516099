"""Limits of the parsers of TOML and JSON: a reason in place of a traceback."""

import os

import pytest

from benchdog.system import parsing

TOO_MUCH = {
    "thousands of digits": ("9" * 5000, "too many digits"),
    "more than 64 bits": (str(2**64), "more than 64 bits"),
    "deep": ("[" * 100 + "]" * 100, "nested too deep"),
    "deeper than the parser goes": ("[" * 100_000, "nested too deep"),
    "NUL": ('"a\\u0000b"', "NUL"),
}


@pytest.mark.parametrize(("text", "reason"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_values_beyond_the_limits_are_refused_with_a_reason(text, reason):
    for parse, document in ((parsing.parse_json, f'{{"a": [{text}]}}'), (parsing.parse_toml, f"a = [{text}]")):
        with pytest.raises(ValueError, match=reason):
            parse(document)


def test_deep_table_names_and_keys_with_nul_are_refused():
    for text, reason in ((f"[{'.'.join('a' * 500)}]\nx = 1", "nested too deep"), ('"a\\u0000" = 1', "NUL")):
        with pytest.raises(ValueError, match=reason):
            parsing.parse_toml(text)


def test_numbers_of_64_bits_and_usual_nesting_are_read():
    text = f"[{2**64 - 1}, {-(2**63)}, {'[' * 40}1.5{']' * 40}]"
    assert parsing.parse_json(text)[:2] == [2**64 - 1, -(2**63)]


def test_files_are_regular_and_utf8(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{\n"a": "\xff"}')
    with pytest.raises(ValueError, match="line 2 is not UTF-8"):
        parsing.read_json(path)
    with path.open("wb") as file:
        file.truncate(parsing.MAX_JSON_BYTES + 1)  # sparse: it takes no room
    with pytest.raises(OSError, match="more than"):
        parsing.read_json(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="named pipe"):
            parsing.read_toml(tmp_path / "pipe")
