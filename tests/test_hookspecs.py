"""The contract: every hook has documentation, an example that runs, a test, and a user that is shipped."""

import doctest
import inspect
from pathlib import Path

import pytest

from benchdog import hookspecs

ROOT = Path(__file__).parents[1]
HOOKS = [name for name in vars(hookspecs) if name.startswith("benchdog_")]
SHIPPED = ("src/benchdog/builtin", "plugins/*/src", "src/benchdog/plugins/templates/*/src")
TESTS = ("tests", "plugins/*/tests")


def texts(places: tuple[str, ...]) -> list[str]:
    """Read the Python files below these folders, but this one."""
    here = Path(__file__).resolve()
    files = [file for place in places for folder in ROOT.glob(place) for file in folder.rglob("*.py")]
    return [file.read_text(encoding="utf-8") for file in files if file.resolve() != here]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_an_example_that_runs(name):
    hook = getattr(hookspecs, name)
    (example,) = doctest.DocTestFinder().find(hook, name, globs={})
    assert example.examples, f"{name} has no example"
    result = doctest.DocTestRunner().run(example)
    assert result.failed == 0
    assert inspect.signature(hook).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented(name):
    text = (ROOT / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")
    assert f"### {name}\n" in text, f"{name} isn't in docs/reference/hooks.md: python scripts/hook_reference.py"


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_test(name):
    assert any(name in text for text in texts(TESTS)), f"no test speaks of {name}"


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_user_that_is_shipped(name):
    used = any(f"@hookimpl\ndef {name}(" in text for text in texts(SHIPPED))
    assert used, f"nothing that is shipped implements {name}: a hook comes with a real user"
