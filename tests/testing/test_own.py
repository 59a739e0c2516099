"""Benchdog's own components, and those of the packages under plugins/, pass the kit that strangers' must pass."""

from importlib.metadata import distributions

import pytest

from inside import run

PACKAGES = sorted(
    {
        dist.name.lower()
        for dist in distributions()
        for entry in dist.entry_points
        if entry.group.startswith("benchdog") and dist.name.lower().startswith("benchdog-")
    }
)


@pytest.mark.parametrize("package", ["benchdog", *PACKAGES])
def test_plugins_load_as_they_should(package, tmp_path):
    only = [word for check in ("import", "hooks", "names", "loads", "own-name", "help") for word in ("--only", check)]
    told = run("plugins", "check", package, *only, "--json", cwd=tmp_path).json
    assert told["results"]
    assert told["counts"]["fault"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("package", ["benchdog", *PACKAGES])
def test_every_component_passes(package, tmp_path):
    told = run("plugins", "check", package, "--json", cwd=tmp_path).json
    assert [r for r in told["results"] if r["state"] == "fault"] == []
    elsewhere = [r for r in told["results"] if r["state"] == "skipped" and "isn't here" not in r["found"]]
    assert elsewhere == []
