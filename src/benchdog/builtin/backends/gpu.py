"""Graphics processors: NVIDIA's and AMD's (cuda), Apple's (mps)."""

from __future__ import annotations

import torch

from benchdog.api import Device, NotAvailable, Probe
from benchdog.builtin.backends.device import TorchDevice
from benchdog.builtin.backends.options import Cuda as CudaOptions
from benchdog.builtin.backends.options import Mps as MpsOptions


class Cuda:
    """Train on NVIDIA (or, with a ROCm build of torch, AMD) GPUs."""

    def __init__(self, options: CudaOptions) -> None:
        self.options = options

    def probe(self) -> Probe:
        """Return which GPUs there are, or why none."""
        if torch.cuda.is_available():
            count = torch.cuda.device_count()
            names = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
            bf16 = ("bf16",) if torch.cuda.is_bf16_supported() else ()
            return Probe(available=True, why=names, devices=count, precisions=("fp32", *bf16, "fp16"))
        if torch.version.cuda is None and torch.version.hip is None:
            return Probe(available=False, why=f"torch {torch.__version__} is a build without CUDA")
        return Probe(available=False, why="torch sees no GPU; is a driver installed? (benchdog doctor)")

    def open(self, rank: int, world: int, /) -> Device:
        """Take the GPU of this rank."""
        check(self.probe(), "cuda", self.options.precision, world)
        options = self.options
        return TorchDevice(
            "cuda", rank, world, options.precision, "nccl", options.deterministic, options.channels_last
        )


class Mps:
    """Train on Apple's graphics processor."""

    def __init__(self, options: MpsOptions) -> None:
        self.options = options

    def probe(self) -> Probe:
        """Return whether there is one."""
        if torch.backends.mps.is_available():
            return Probe(available=True, why="Apple GPU", devices=1, precisions=("fp32", "bf16", "fp16"))
        built = torch.backends.mps.is_built()
        why = (
            "this Mac has no Metal GPU, or macOS is too old" if built else "this build of torch has no Metal support"
        )
        return Probe(available=False, why=why)

    def open(self, rank: int, world: int, /) -> Device:
        """Take the GPU."""
        options = self.options
        check(self.probe(), "mps", options.precision, world)
        return TorchDevice(
            "mps", rank, world, options.precision, "gloo", options.deterministic, options.channels_last
        )


def check(probe: Probe, name: str, precision: str, world: int) -> None:
    """Refuse hardware, a precision or a number of GPUs that isn't there."""
    if not probe.available:
        raise NotAvailable(f"Backend {name!r} is not available: {probe.why}.", "Use --backend cpu, or auto.")
    if precision not in probe.precisions:
        have = ", ".join(probe.precisions)
        raise NotAvailable(f"Backend {name!r} has no precision {precision!r} here.", f"Available: {have}.")
    if world > probe.devices:
        raise NotAvailable(f"{world} ranks need {world} devices; there are {probe.devices}.", "Lower backend.ranks.")
