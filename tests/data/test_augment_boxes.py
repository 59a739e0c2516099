"""Augmentations that move images move their boxes; padding stays padding."""

import numpy as np
import pytest
import torch

from benchdog.api import BadUsage, Field, Spec, Target
from benchdog.data.augment import Augment
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import ComponentConfig

TARGET = Target(kind="boxes", classes=("a", "b"), shape=(None, 5), dtype="float32", padding=-1)
SPEC = Spec(fields=(Field(kind="image", shape=(1, 20, 30), dtype="uint8", range=(0, 255)),), target=TARGET)
COUNT = 12


def augmented(name, **options):
    """Return images with a bright rectangle each, and their boxes, augmented."""
    images = torch.zeros((COUNT, 1, 20, 30), dtype=torch.uint8)
    target = torch.full((COUNT, 2, 5), -1.0)
    for i in range(COUNT):
        x, y, width, height = 1 + i, i % 7, 8, 5
        images[i, 0, y : y + height, x : x + width] = 255
        target[i, 0] = torch.tensor([x, y, x + width, y + height, i % 2])
    step = Augment([ComponentConfig(name=name, options=options)], SPEC, 3, Plugins.discover())
    (moved,), boxes = step((images,), target, list(range(COUNT)), 0)
    return images, target, moved, boxes


def bounds(image):
    """Return the box around an image's bright pixels; None without any."""
    rows, columns = np.nonzero(image[0].numpy())
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else None


@pytest.mark.parametrize(
    ("name", "options"), [("flip", {"axes": ["horizontal", "vertical"]}), ("crop", {"padding": 4})]
)
def test_box_surrounds_the_same_pixels_afterwards(name, options):
    images, target, moved, boxes = augmented(name, **options)
    assert not torch.equal(images, moved)
    assert boxes.shape == target.shape
    assert (boxes[:, 1] == -1).all()
    for image, (box, _), (before, _) in zip(moved, boxes, target, strict=True):
        assert box[:4].tolist() == bounds(image)
        assert box[4] == before[4]


def test_box_that_is_cropped_away_becomes_padding():
    _, _, moved, boxes = augmented("crop", padding=19)
    gone = [bounds(image) is None for image in moved]
    assert any(gone)
    assert not all(gone)
    assert (~TARGET.real_rows(boxes)[:, 0]).tolist() == gone


def test_affine_refuses_boxes():
    with pytest.raises(BadUsage, match="'affine' doesn't move boxes"):
        augmented("affine")
