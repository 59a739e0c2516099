"""With published weights renamed, timm's network equals the model efficientnet-lite0."""

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
"""Number of blocks in each stage of EfficientNet-Lite0."""
FIRST = (("_depthwise_conv", "conv_dw"), ("_bn1", "bn1"), ("_project_conv", "conv_pw"), ("_bn2", "bn2"))
OTHERS = (
    *(("_expand_conv", "conv_pw"), ("_bn0", "bn1"), ("_depthwise_conv", "conv_dw")),
    *(("_bn1", "bn2"), ("_project_conv", "conv_pwl"), ("_bn2", "bn3")),
)
OUTSIDE = (
    *(("_conv_stem", "conv_stem"), ("_bn0", "bn1"), ("_conv_head", "conv_head")),
    *(("_bn1", "bn2"), ("_fc", "classifier")),
)
"""Names outside the blocks."""


def rename_rules():
    """Return the (pattern, replacement) pairs of `start.rename`."""
    renames, number = [], 0
    for stage, count in enumerate(REPEATS):
        for block in range(count):
            for published, timm_name in OTHERS if stage else FIRST:
                renames.append((rf"^_blocks\.{number}\.{published}\.", f"blocks.{stage}.{block}.{timm_name}."))
            number += 1
    return [*renames, *((rf"^{published}\.", f"{timm_name}.") for published, timm_name in OUTSIDE)]


def test_timm_network_with_published_weights_equals_efficientnet_lite0():
    side = 96
    field = Field(kind="image", shape=(3, side, side), dtype="uint8", range=(0, 255))
    target = Target(kind="class", classes=tuple(map(str, range(1000))))
    spec = Spec(fields=(field,), target=target).with_output(1000)
    tensors = read(packaged_file(*imagenet.WEIGHTS, "The weights are"))
    timm_net = build(spec, Options(net="tf_efficientnet_lite0")).eval()
    lite0 = efficientnet.build(spec, EfficientNetOptions()).eval()
    report = fill(timm_net, renamed(tensors, rename_rules()), head=True)
    assert (report.share, report.fresh, report.unused) == (1.0, {}, [])
    fill(lite0, renamed(tensors, imagenet.EfficientNetLite0Weights.rename), head=True)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(timm_net(x), lite0(x), atol=1e-3, rtol=1e-3)
