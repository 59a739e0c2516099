"""The augmentation conforms to the contract and darkens images."""

import pytest
import torch
from benchdog.api import BadUsage, Field, Spec, Target
from benchdog.testing import conforms

from benchdog_my_thing.augmentation import MyThingAugmentation
from benchdog_my_thing.options import Options

test_conforms = conforms("augmentation", "my-thing")


class Half:
    """Random numbers that are all equal."""

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.full((2, *shape), 0.5)

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.zeros(2, *shape)


def test_images_get_darker_and_keep_dtype() -> None:
    images = torch.full((2, 1, 3, 3), 200, dtype=torch.uint8)
    (changed,), target = MyThingAugmentation(Options()).apply((images,), torch.tensor([0, 1]), Half())
    assert changed.dtype == torch.uint8
    assert set(changed.flatten().tolist()) == {150}
    assert set(images.flatten().tolist()) == {200}
    assert target.tolist() == [0, 1]


def test_check_refuses_tables() -> None:
    table = Spec(fields=(Field(kind="table", shape=(2,), dtype="float32"),), target=Target(kind="class"))
    with pytest.raises(BadUsage, match="images"):
        MyThingAugmentation(Options()).check(table)
