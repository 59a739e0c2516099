"""The contract: every hook has documentation and an example that runs."""

import doctest
import inspect

import pytest

from benchdog import hookspecs

HOOKS = [name for name in vars(hookspecs) if name.startswith("benchdog_")]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_an_example_that_runs(name):
    hook = getattr(hookspecs, name)
    (example,) = doctest.DocTestFinder().find(hook, name, globs={})
    assert example.examples, f"{name} has no example"
    result = doctest.DocTestRunner().run(example)
    assert result.failed == 0
    assert inspect.signature(hook).return_annotation is not inspect.Signature.empty
