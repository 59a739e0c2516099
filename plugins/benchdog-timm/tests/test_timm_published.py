"""Published weights in a file with names of its own: timm's network equals the model efficientnet-lite0 with them."""

from importlib.util import find_spec

import pytest
import torch

from benchdog.api import Field, Spec, Target, packaged_file
from benchdog.model.weights import fill, read, renamed
from benchdog_timm import efficientnet, imagenet
from benchdog_timm.model import build
from benchdog_timm.options import EfficientNetOptions, Options

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec(imagenet.WEIGHTS[0]) is None, reason="the package with the weights is not here"),
]
REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage of EfficientNet-Lite0."""
FIRST = (("_depthwise_conv", "conv_dw"), ("_bn1", "bn1"), ("_project_conv", "conv_pw"), ("_bn2", "bn2"))
OTHERS = (
    *(("_expand_conv", "conv_pw"), ("_bn0", "bn1"), ("_depthwise_conv", "conv_dw")),
    *(("_bn1", "bn2"), ("_project_conv", "conv_pwl"), ("_bn2", "bn3")),
)


def rules():
    """Give what [start] rename would say."""
    found, number = [], 0
    for stage, count in enumerate(REPEATS):
        for block in range(count):
            for theirs, timms in OTHERS if stage else FIRST:
                found.append((rf"^_blocks\.{number}\.{theirs}\.", f"blocks.{stage}.{block}.{timms}."))
            number += 1
    top = (("_conv_stem", "conv_stem"), ("_bn0", "bn1"), ("_conv_head", "conv_head"), ("_bn1", "bn2"))
    return [*found, *((rf"^{theirs}\.", f"{timms}.") for theirs, timms in (*top, ("_fc", "classifier")))]


def test_timms_network_of_a_files_weights_is_the_published_one():
    side = 96
    field = Field(kind="image", shape=(3, side, side), dtype="uint8", range=(0, 255))
    target = Target(kind="class", classes=tuple(map(str, range(1000))))
    spec = Spec(fields=(field,), target=target).with_output(1000)
    tensors = read(packaged_file(*imagenet.WEIGHTS, "The weights are"))
    timms = build(spec, Options(net="tf_efficientnet_lite0")).eval()
    ours = efficientnet.build(spec, EfficientNetOptions()).eval()
    report = fill(timms, renamed(tensors, rules()), head=True)
    assert (report.share, report.fresh, report.unused) == (1.0, {}, [])
    fill(ours, renamed(tensors, imagenet.EfficientNetLite0Weights.rename), head=True)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(timms(x), ours(x), atol=1e-3, rtol=1e-3)
