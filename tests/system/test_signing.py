"""This machine's key: outside the cache, made once, and one that is left in the cache still counts."""

from pathlib import Path

import pytest

from benchdog.system import paths, signing

META = {"format": 1, "files": {"a": "b"}}


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHDOG_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("BENCHDOG_CACHE", str(tmp_path / "cache"))
    return tmp_path


def signed():
    return {**META, "machine": signing.sign(META)}


def test_another_cache_does_not_make_what_was_signed_foreign(places, monkeypatch):
    meta = signed()
    assert not (places / "cache").exists()
    monkeypatch.setenv("BENCHDOG_CACHE", str(places / "another"))
    assert signing.made_here(meta)
    assert not signing.made_here({**meta, "files": {}})
    monkeypatch.setenv("BENCHDOG_STATE", str(places / "elsewhere"))
    assert not signing.made_here(meta)


def test_key_in_the_cache_still_counts_and_is_taken_over(places, monkeypatch):
    (places / "cache").mkdir()
    old = places / "cache" / "machine.key"
    old.write_text("7" * 64, encoding="ascii")
    meta = {**META, "machine": signing._digest(b"7" * 64, META)}
    assert signing.made_here(meta)
    assert signed() == meta
    old.unlink()  # the cache is cleared
    assert signing.made_here(meta)
    assert (places / "state" / "machine.key").stat().st_mode & 0o077 == 0


def test_key_in_another_cache_is_still_accepted(places, monkeypatch):
    signed()
    (places / "cache").mkdir()
    (places / "cache" / "machine.key").write_text("7" * 64, encoding="ascii")
    assert signing.made_here({**META, "machine": signing._digest(b"7" * 64, META)})
    assert not signing.made_here({**META, "machine": signing._digest(b"", META)})


@pytest.mark.parametrize(
    ("env", "expected"),
    [({"BENCHDOG_STATE": "/a/b"}, "/a/b"), ({"XDG_STATE_HOME": "/x"}, "/x/benchdog"),
     ({"XDG_STATE_HOME": "relative"}, "/home/me/.local/state/benchdog"), ({}, "/home/me/.local/state/benchdog")],
)  # fmt: skip
def test_state_folder_is_where_the_system_has_it(monkeypatch, env, expected):
    for name in ("BENCHDOG_STATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **env}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", "linux")
    assert paths.state_dir() == Path(expected)
