"""The model conforms to the contract, fits its data, and refuses what it does not support."""

import pytest
import torch
from benchdog.api import BadUsage, Field, Spec, Target
from benchdog.testing import conforms

from benchdog_my_thing.model import build
from benchdog_my_thing.options import Options

test_conforms = conforms("model", "my-thing")

TARGET = Target(kind="class", classes=("cat", "dog", "owl"))


def spec(kind: str, *shape: int | None) -> Spec:
    return Spec(fields=(Field(kind=kind, shape=shape, dtype="float32"),), target=TARGET).with_output(3)


def test_model_returns_logits_per_class() -> None:
    model = build(spec("image", 1, 8, 8), Options(width=5))
    assert model(torch.zeros(4, 1, 8, 8)).shape == (4, 3)
    assert sum(p.numel() for p in model.parameters()) == 64 * 5 + 5 + 5 * 3 + 3


def test_model_returns_logits_per_pixel() -> None:
    image = Field(kind="image", shape=(1, 8, 8), dtype="float32")
    masks = Spec(fields=(image,), target=Target(kind="mask", classes=("sky", "sea")), output=(2, 8, 8))
    assert build(masks, Options())(torch.zeros(4, 1, 8, 8)).shape == (4, 2, 8, 8)


@pytest.mark.parametrize("data", [spec("tokens", 10), spec("image", 1, None, None)])
def test_build_refuses_unsupported_data(data: Spec) -> None:
    with pytest.raises(BadUsage, match="my-thing"):
        build(data, Options())
