"""A training restores torch's global settings: a notebook continues in the same process."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

FILL: Any = torch.utils.deterministic

DIGITS = ("digits", "--model", "linear", "--epochs", "1", "--quiet")


@pytest.fixture
def settings() -> Iterator[tuple[object, ...]]:
    """Set other values than a training does; yield them."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    filled = FILL.fill_uninitialized_memory
    torch.set_num_threads(2)
    torch.set_deterministic_debug_mode("default")
    FILL.fill_uninitialized_memory = True
    yield current()
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)
    FILL.fill_uninitialized_memory = filled


def current() -> tuple[object, ...]:
    return (
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
        FILL.fill_uninitialized_memory,
    )


@pytest.mark.parametrize(
    "command",
    [
        ("train", *DIGITS, "--set", "backend.threads=1"),
        ("find-lr", "digits", "--model", "linear", "--set", "backend.threads=1"),
    ],
    ids=["train", "find-lr"],
)
def test_settings_of_torch_are_restored_after(command, bench, settings, weights_alone):
    bench(*command)
    assert current() == settings


def test_settings_of_torch_are_restored_after_a_resume(bench, settings, tmp_path, weights_alone):
    bench("train", *DIGITS, "--set", "backend.threads=1", "--name", "a")
    facts = tmp_path / "runs" / "a" / "run.json"
    facts.write_text(facts.read_text(encoding="utf-8").replace('"finished"', '"stopped"'), encoding="utf-8")
    bench("train", "--resume", "a", "--quiet")
    assert current() == settings


def test_settings_of_torch_are_restored_after_a_failed_training(bench, settings):
    bench("train", *DIGITS, "--set", "backend.threads=1", "--lr", "1e30", "--set", "trainer.optimizer=SGD", code=None)
    assert current() == settings
