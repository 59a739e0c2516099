"""What is asked of a backend: what it says of its hardware, a step of training there, and nothing left behind."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import torch
from torch import nn

from benchdog.api import Probe
from benchdog.errors import BenchdogError
from benchdog.runs import state
from benchdog.testing.checks.common import accepts
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said, stands
from benchdog.testing.runner.results import Fault, Skip

QUICK = 1.0
"""Seconds that a probe may take, once its libraries are loaded."""
METHODS = {"prepare": 1, "put": 1, "autocast": 0, "backward": 2, "step": 2, "sum_": 1, "state_dict": 0,
           "load_state_dict": 1, "close": 0}  # fmt: skip


class Trial(trials.Trial):
    """A backend on trial."""

    settings: dict[str, Any]

    @property
    def probed(self) -> Probe:
        """What it says of its hardware."""
        return self.once("probed", self._probed)

    def _probed(self) -> Probe:
        backend = self.guarded("Making it", self.make)
        try:
            found: Probe = backend.probe()
        except Exception as error:
            raise Fault(
                f"probe() raises {said(error)}.",
                "Catch it, and return Probe(available=False, why=what is missing).",
                raised(error) or self.where,
            ) from error
        if not isinstance(found, Probe):
            raise Fault(f"probe() gives a {type(found).__name__}.", "Return a Probe of benchdog.api.", self.where)
        return found

    @property
    def device(self) -> Any:
        """A device that was opened, if its hardware is here."""
        return self.once("device", self._device)

    def _device(self) -> Any:
        if not self.probed.available:
            raise Skip(f"its hardware isn't here: {self.probed.why}")
        self.settings = settings()
        try:
            return self.make().open(0, 1)
        except Exception as error:
            raise Fault(
                f"probe() says that it is available, and open() raises {said(error)}.",
                "Let probe() look for all that open() needs, and say why it isn't there.",
                raised(error) or self.where,
            ) from error


def settings() -> dict[str, Any]:
    """Return what a backend might change for everybody."""
    return {
        "default type": torch.get_default_dtype(),
        "default device": str(torch.get_default_device()),
        "recording of gradients": torch.is_grad_enabled(),
    }


def probe(trial: Trial) -> str:
    """Check that it says quickly, and in words, whether its hardware is here."""
    found = trial.probed
    backend = trial.make()
    spans = []
    for _ in range(2):
        begun = time.perf_counter()
        backend.probe()
        spans.append(time.perf_counter() - begun)
    if min(spans) > QUICK:
        raise Fault(
            f"probe() takes {min(spans):.1f} s, and every run asks it.",
            f"Look without starting anything; {QUICK:g} s is allowed.",
            trial.where,
        )
    if not found.why.strip():
        raise Fault(
            "probe() gives no reason.",
            "Report in `why` which hardware is available, or what is missing.",
            trial.where,
        )
    if found.available:
        if found.devices < 1 or "fp32" not in found.precisions:
            raise Fault(
                f"probe() says available with {found.devices} devices and the precisions {found.precisions}.",
                "Count the devices, at least 1; fp32 is one of the precisions.",
                trial.where,
            )
        return f"available: {found.why}"
    return _refuses(trial, found)


def _refuses(trial: Trial, found: Probe) -> str:
    """Check that hardware that isn't here is refused in words."""
    try:
        trial.make().open(0, 1)
    except BenchdogError:
        return f"not available: {found.why}"
    except Exception as error:
        raise Fault(
            f"Its hardware isn't here, and open() raises {said(error)}.",
            "Raise NotAvailable of benchdog.api with what probe() says.",
            raised(error) or trial.where,
        ) from error
    raise Fault(
        "probe() says that its hardware isn't here, and open() gives a device all the same.",
        "Raise NotAvailable of benchdog.api with what probe() says.",
        trial.where,
    )


def opens(trial: Trial) -> str:
    """Check that what it opens can do all that a device must."""
    return trial.once("complete", lambda: _complete(trial))


def _complete(trial: Trial) -> str:
    device = trial.device
    for name, count in METHODS.items():
        method = getattr(device, name, None)
        if not callable(method):
            raise Fault(f"Its device has no {name}().", "Write it: see Device in benchdog.api.", stands(type(device)))
        accepts(method, count, f"{type(device).__name__}.{name}", "device")
    if (device.rank, device.world) != (0, 1) or not isinstance(getattr(device, "torch_device", None), torch.device):
        raise Fault(
            "Its device doesn't say where it is.",
            "Set torch_device (a torch.device), rank and world.",
            stands(type(device)),
        )
    return str(device.torch_device)


def computes(trial: Trial) -> str:
    """Check that tensors arrive, gradients are those of the processor, and a step changes the weights."""
    opens(trial)
    device, where = trial.device, stands(type(trial.device))
    torch.manual_seed(3)
    net, x = nn.Linear(5, 3, dtype=torch.float32), torch.randn(4, 5, dtype=torch.float32)
    reference, scale = nn.Linear(5, 3, dtype=torch.float32), torch.tensor(0.25, dtype=torch.float32)
    reference.load_state_dict(net.state_dict())
    reference(x).square().sum().backward(scale)
    model = trial.guarded("prepare()", device.prepare, net)
    given = trial.guarded("put()", device.put, x)
    kind = device.torch_device.type
    weight = next(model.parameters())
    if given.device.type != kind or weight.device.type != kind:
        raise Fault(
            f"put() and prepare() leave things on {given.device} and {weight.device}; torch_device says {kind}.",
            "Move tensors and models to torch_device.",
            where,
        )
    with device.autocast():
        loss = model(given).square().sum()
    trial.guarded("backward()", device.backward, loss, scale.to(device.torch_device))
    for mine, other in zip(model.parameters(), reference.parameters(), strict=True):
        if mine.grad is None or not torch.allclose(mine.grad.cpu().float(), other.grad, 0.05, 1e-3):  # type: ignore[arg-type]
            raise Fault(
                "backward(loss, scale) gives other gradients than the processor.",
                "Add the gradient of loss times scale: (loss * scale).backward().",
                where,
            )
    _steps(trial, device, model)
    total = torch.ones(2, device=device.torch_device, dtype=torch.float32)
    trial.guarded("sum_()", device.sum_, total)
    if not torch.equal(total.cpu(), torch.ones(2)):
        raise Fault("sum_() of one rank changes the tensor.", "Leave it as it is when world is 1.", where)
    kept = trial.guarded("state_dict()", device.state_dict)
    trial.guarded("What state_dict() gives, in a checkpoint,", state.snapshot, kept)
    trial.guarded("load_state_dict()", device.load_state_dict, kept)
    return "a step as on the processor"


def _steps(trial: Trial, device: Any, model: nn.Module) -> None:
    optimizer, called = torch.optim.SGD(model.parameters(), lr=0.1), []
    before = [p.detach().clone() for p in model.parameters()]

    def limit() -> None:
        called.append(all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)))

    trial.guarded("step()", device.step, optimizer, limit)
    if called != [True]:
        raise Fault(
            "step(optimizer, limit) doesn't call limit before the optimizer.",
            "Call limit() first, if it is given: it clips gradients.",
            stands(type(device)),
        )
    if all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)):
        raise Fault("step() doesn't change the weights.", "Let the optimizer step.", stands(type(device)))


def clean(trial: Trial) -> str:
    """Check that closing leaves no tensor alive and torch as it was, and that it can be opened again."""
    opens(trial)
    trial.device.close()
    for name, value in settings().items():
        if value != trial.settings[name]:
            raise Fault(
                f"It leaves torch's {name} changed: {trial.settings[name]} before, {value} after close().",
                "Set it back in close().",
                trial.where,
            )
    device = trial.guarded("Opening it again", trial.make().open, 0, 1)
    tensor, net = torch.randn(8), nn.Linear(2, 2)
    moved, model = device.put(tensor), device.prepare(net)
    alive = [weakref.ref(each) for each in (moved, model, *model.parameters())]
    with device.autocast():
        score = model(torch.ones(1, 2, device=device.torch_device))
    device.backward(score.sum(), torch.ones((), device=device.torch_device))
    device.step(torch.optim.SGD(model.parameters(), lr=0.1), None)
    trial.guarded("close()", device.close)
    del tensor, net, moved, model, score
    gc.collect()
    left = [ref() for ref in alive if ref() is not None]
    if left:
        raise Fault(
            f"After close() its device still holds {len(left)} tensors or models that it was given.",
            "Keep nothing that put() and prepare() give, or let it go in close().",
            stands(type(device)),
        )
    return "nothing left after close()"
