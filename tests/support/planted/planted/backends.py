"""Backends with faults."""

import time
from contextlib import nullcontext

import torch

from benchdog.api import NotAvailable, Probe


class Good:
    def __init__(self, options=None):
        pass

    def probe(self):
        return Probe(available=True, why="the processor", devices=1)

    def open(self, rank, world):
        return Device(rank, world)


class Device:
    def __init__(self, rank, world):
        self.torch_device, self.rank, self.world = torch.device("cpu"), rank, world

    def prepare(self, model):
        return model

    def put(self, tensor):
        return tensor.clone()

    def autocast(self):
        return nullcontext()

    def backward(self, loss, scale):
        (loss * scale).backward()

    def step(self, optimizer, limit=None):
        if limit is not None:
            limit()
        optimizer.step()

    def sum_(self, tensor):
        return tensor

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass

    def close(self):
        pass


class Liar(Good):
    def open(self, rank, world):
        raise RuntimeError("no such unit: /dev/npu0")


class Raiser(Good):
    def probe(self):
        raise OSError("libnpu.so: cannot open shared object file")


class Sleeper(Good):
    def probe(self):
        time.sleep(1.2)
        return super().probe()


KEPT = []


class Keeping(Device):
    def put(self, tensor):
        KEPT.append(tensor.clone())
        return KEPT[-1]


class Keeper(Good):
    def open(self, rank, world):
        return Keeping(rank, world)


class Unlimited(Device):
    def step(self, optimizer):
        optimizer.step()


class NoLimit(Good):
    def open(self, rank, world):
        return Unlimited(rank, world)


class Unscaled(Device):
    def backward(self, loss, scale):
        loss.backward()


class NoScale(Good):
    def open(self, rank, world):
        return Unscaled(rank, world)


class OpensAnyway(Good):
    def probe(self):
        return Probe(available=False, why="there is no unit")


class Doubling(Device):
    def __init__(self, rank, world):
        super().__init__(rank, world)
        torch.set_default_dtype(torch.float64)


class ChangesDtype(Good):
    def open(self, rank, world):
        return Doubling(rank, world)


class NoReason(Good):
    def probe(self):
        return Probe(available=False, why="")

    def open(self, rank, world):
        raise NotAvailable("It isn't here.")
