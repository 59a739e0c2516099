"""The peers' jobs as Benchdog components: the same amount of data, the same network."""

from __future__ import annotations

import csv
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchdog.api import Column, Field, Preprocess, Raw, Spec, Target

PEERS = Path(os.environ.get("BENCHDOG_PEERS", "."))
HELD_OUT = 128


def _peers_module(path: Path) -> Any:
    """Import one of the peers' files."""
    spec = importlib.util.spec_from_file_location(f"peers_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


class Arrays:
    """A split backed by arrays."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def raw(self, i: int, /) -> Raw:
        return Raw(id=str(i), fields={"input": self.x[i]}, target=self.y[i])

    def batch(self, indices: Any) -> Any:
        return (self.x[indices],), self.y[indices]

    def whole(self) -> Any:
        """Return the whole split without copying."""
        return (self.x,), self.y


def _preprocess(spec: Spec, transform: str) -> Preprocess:
    field = spec.fields[0]
    decode: list[dict[str, Any]] = [{"op": "array", "dtype": field.dtype, "shape": list(field.shape)}]
    ops: dict[str, list[dict[str, Any]]] = {
        "scale": [{"op": "scale", "low": 0, "high": 255}],
        "standardise": [{"op": "standardise", "axes": "channel"}],
    }
    return Preprocess(decode={"input": decode}, transform={"input": ops.get(transform, [{"op": "identity"}])})


class Image:
    """The first N images of Fashion-MNIST; a few more for validation."""

    def __init__(self) -> None:
        self.peers = _peers_module(PEERS / "image" / "common.py")

    def spec(self) -> Spec:
        image = Field(kind="image", shape=(1, 28, 28), dtype="uint8", range=(0, 255))
        return Spec(fields=(image,), target=Target(kind="class", classes=tuple("0123456789")))

    def preprocess(self, spec: Spec) -> Preprocess:
        return _preprocess(spec, "scale")

    def open(self) -> dict[str, Arrays]:
        count = self.peers.N
        x = self.peers.idx("train-images-idx3-ubyte.gz").numpy()[:, None]
        y = self.peers.idx("train-labels-idx1-ubyte.gz").long().numpy()
        held_out = slice(count, count + HELD_OUT) if count < len(x) else slice(0, HELD_OUT)
        return {"train": Arrays(x[:count], y[:count]), "valid": Arrays(x[held_out], y[held_out])}


def image_net(spec: Spec) -> torch.nn.Module:
    """Return the peers' network."""
    net: torch.nn.Module = _peers_module(PEERS / "image" / "common.py").net()
    return net


class Tabular:
    """All white wines, standardized as the peers do; some of them again for validation."""

    def __init__(self) -> None:
        path = os.environ.get("WINE", str(PEERS.parent / "data" / "wine" / "winequality-white.csv"))
        with Path(path).open(encoding="utf-8") as file:
            rows = list(csv.reader(file, delimiter=";"))[1:]
        table = np.array([list(map(float, row)) for row in rows], np.float32)
        x = table[:, :-1]
        self.x, self.y = (x - x.mean(0)) / x.std(0), table[:, -1]

    def spec(self) -> Spec:
        columns = tuple(Column(name=f"c{i}") for i in range(11))
        field = Field(kind="table", shape=(11,), dtype="float32", columns=columns)
        return Spec(fields=(field,), target=Target(kind="number", dtype="float32"))

    def preprocess(self, spec: Spec) -> Preprocess:
        return _preprocess(spec, "identity")

    def open(self) -> dict[str, Arrays]:
        return {"train": Arrays(self.x, self.y), "valid": Arrays(self.x[:HELD_OUT], self.y[:HELD_OUT])}


def tabular_net(spec: Spec) -> torch.nn.Module:
    """Return the peers' network."""
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(nn.Linear(11, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


class Unet:
    """The peers' discs among squares; a few with another seed for validation."""

    def __init__(self) -> None:
        self.peers = _peers_module(PEERS / "unet" / "tuned_loop.py")

    def spec(self) -> Spec:
        side = self.peers.S
        image = Field(kind="image", shape=(1, side, side), dtype="uint8", range=(0, 255))
        mask = Target(kind="mask", classes=("background", "disc"), dtype="uint8", shape=(side, side))
        return Spec(fields=(image,), target=mask)

    def preprocess(self, spec: Spec) -> Preprocess:
        return _preprocess(spec, "scale")

    def open(self) -> dict[str, Arrays]:
        splits = {"train": self.peers.images(self.peers.N, 0), "valid": self.peers.images(HELD_OUT, 1)}
        return {name: Arrays(x.numpy(), y.numpy()) for name, (x, y) in splits.items()}


def unet_net(spec: Spec) -> torch.nn.Module:
    """Return the peers' network, with one output channel per class, as the task requires."""
    net: torch.nn.Module = _peers_module(PEERS / "unet" / "tuned_loop.py").net()
    last = net.o
    assert isinstance(last, torch.nn.Conv2d)
    net.o = torch.nn.Conv2d(last.in_channels, 2, 1)
    return net


class Lm:
    """Windows of the peers' book at random positions; their number makes an epoch equal to the peers' training."""

    def __init__(self) -> None:
        self.peers = _peers_module(PEERS / "lm" / "tuned_loop.py")
        path = Path(os.environ.get("BOOK", str(PEERS.parent / "data" / "text" / "1342-0.txt")))
        self.text = np.frombuffer(path.read_bytes(), np.uint8)

    def spec(self) -> Spec:
        length = self.peers.T
        field = Field(kind="tokens", shape=(length,), dtype="int64", range=(0, 255))
        names = tuple(f"{code:02x}" for code in range(256))
        target = Target(kind="next-token", name="next", classes=names, shape=(length,), spelling="hex")
        return Spec(fields=(field,), target=target)

    def preprocess(self, spec: Spec) -> Preprocess:
        return Preprocess(
            decode={"input": [{"op": "tokens", "unit": "byte"}]}, transform={"input": [{"op": "identity"}]}
        )

    def open(self) -> dict[str, Windows]:
        cut, count = int(len(self.text) * 0.9), self.peers.STEPS * self.peers.BS
        train, held_out = self.text[:cut], self.text[cut:]
        draw = np.random.default_rng(0)
        starts = draw.integers(0, len(train) - self.peers.T - 1, count)
        fixed = np.arange(0, HELD_OUT * self.peers.T, self.peers.T)
        return {"train": Windows(train, starts, self.peers.T), "valid": Windows(held_out, fixed, self.peers.T)}


class Windows:
    """Windows of bytes; the target is the window shifted by one byte."""

    def __init__(self, codes: np.ndarray, starts: np.ndarray, length: int) -> None:
        self.codes, self.starts, self.window = codes, starts, np.arange(length + 1)

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, i: int, /) -> Raw:
        (x,), y = self.batch([i])
        return Raw(id=str(i), fields={"input": x[0]}, target=y[0])

    def batch(self, indices: Any) -> Any:
        both = self.codes[self.starts[indices][:, None] + self.window].astype(np.int64)
        return (both[:, :-1],), both[:, 1:]


def lm_net(spec: Spec) -> torch.nn.Module:
    """Return the peers' network."""
    net: torch.nn.Module = _peers_module(PEERS / "lm" / "tuned_loop.py").net()
    return net if os.environ.get("BACKEND", "cpu") == "cpu" else Placed(net)


class Placed(torch.nn.Module):
    """A network written for the CPU that creates tensors in its forward pass: here on its input's device."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with x.device:
            score: torch.Tensor = self.net(x)
        return score
