"""The backend conforms to the contract, steps, and restores the thread count."""

import pytest
import torch
from benchdog.api import BadUsage
from benchdog.testing import conforms

from benchdog_one_core.backend import OneCoreBackend
from benchdog_one_core.options import Options

test_conforms = conforms("backend", "one-core")


def test_step_follows_gradient() -> None:
    device = OneCoreBackend(Options()).open(0, 1)
    try:
        weight = torch.ones(1, requires_grad=True)
        device.backward((weight * 2).sum(), torch.tensor(0.5))
        device.step(torch.optim.SGD([weight], lr=1.0))
        assert weight.tolist() == [0.0]
    finally:
        device.close()


def test_close_restores_thread_count() -> None:
    before = torch.get_num_threads()
    device = OneCoreBackend(Options(threads=before + 1)).open(0, 1)
    assert torch.get_num_threads() == before + 1
    device.close()
    assert torch.get_num_threads() == before


def test_backend_refuses_several_ranks() -> None:
    with pytest.raises(BadUsage, match="one process"):
        OneCoreBackend(Options()).open(0, 2)
