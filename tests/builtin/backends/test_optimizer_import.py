"""Optimizer steps without importing torch's compiler: the same results as the original step."""

import inspect

import pytest
import torch
from torch import nn

from benchdog.builtin.backends.optimizer_import import plain_step

OPTIMIZERS = {
    name: cls
    for name, cls in inspect.getmembers(torch.optim, inspect.isclass)
    if issubclass(cls, torch.optim.Optimizer) and name not in ("Optimizer", "LBFGS", "SparseAdam")
}
TRAINING = """
import sys
from benchdog.api import hookimpl

CONTRACT = 1


@hookimpl
def benchdog_run_ended(run):
    print("compiler" if "torch._dynamo" in sys.modules else "none", file=sys.stderr)
"""


def weights(cls, step, **more):
    torch.manual_seed(0)
    net = nn.Linear(4, 3, bias=cls is not torch.optim.Muon)
    optimizer = cls(net.parameters(), lr=0.01, **more)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for i in range(4):
        optimizer.zero_grad()
        net(torch.arange(8.0).view(2, 4) + i).square().sum().backward()
        step(optimizer)
        schedule.step()
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_plain_step_is_bit_identical(name):
    cls = OPTIMIZERS[name]
    assert torch.equal(weights(cls, plain_step), weights(cls, lambda optimizer: optimizer.step()))


def test_plain_step_of_fused_optimizer_is_bit_identical():
    both = [weights(torch.optim.AdamW, step, fused=True) for step in (plain_step, lambda o: o.step())]
    assert torch.equal(*both)


def test_plain_step_runs_hooks_and_overridden_step():
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    heard = []
    handle = optimizer.register_step_post_hook(lambda *_: heard.append("hook"))
    plain_step(optimizer)
    handle.remove()
    plain_step(optimizer)
    optimizer.step = lambda: heard.append("own")  # type: ignore[method-assign, assignment, misc]
    plain_step(optimizer)

    class Mine(torch.optim.SGD):
        def step(self, closure=None):
            heard.append("mine")

    plain_step(Mine(net.parameters(), lr=0.1))
    assert heard == ["hook", "own", "mine"]


def test_training_and_evaluation_do_not_import_torch_dynamo(process, tmp_path):
    (tmp_path / "watch.py").write_text(TRAINING, encoding="utf-8")
    settings = ["--epochs", 1, "--set", "trainer.schedule=one-cycle", "--set", "loop.accumulate=2"]
    words = ["--plugin", "watch.py", "train", "digits", "--model", "cnn", *settings, "--quiet"]
    done = process(*words, module="support.bare")  # without the export of the graph, which imports it
    assert done.err.splitlines() == ["none"]
