"""The processor."""

from __future__ import annotations

import os
import platform

import torch

from benchdog.api import Device, Probe
from benchdog.builtin.backends.device import TorchDevice
from benchdog.builtin.backends.options import Cpu as Options


class Cpu:
    """Train on the processor: deterministic always, on several ranks through gloo."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def probe(self) -> Probe:
        """Return what the processor is."""
        name = f"{platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
        return Probe(available=True, why=name, devices=os.cpu_count() or 1, precisions=("fp32", "bf16"))

    def open(self, rank: int, world: int, /) -> Device:
        """Take this process's share of the processor."""
        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        elif world > 1:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // world))
        return TorchDevice(
            "cpu", rank, world, self.options.precision, "gloo", channels_last=self.options.channels_last
        )
