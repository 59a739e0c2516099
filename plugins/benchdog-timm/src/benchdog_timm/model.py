"""The model `timm`: a network of timm's, made for the data's channels, size and classes."""

from __future__ import annotations

from typing import Any

from torch import nn

from benchdog.api import BadUsage, Spec
from benchdog_timm.library import known, timm
from benchdog_timm.options import Options


def build(spec: Spec, options: Options) -> nn.Module:
    """Build the network from an image (B, C, H, W) to the score (B, outputs); its weights are drawn.

    Raises:
        BadUsage: the data is not a single image, timm has no such network, or it can't be made for this size.
    """
    field = spec.fields[0]
    if len(spec.fields) != 1 or field.kind != "image" or not spec.channels:
        raise BadUsage(
            f"The model 'timm' needs one image, but the data is {', '.join(f.kind for f in spec.fields)}.",
            "Choose another --model.",
        )
    if len(spec.output) != 1 or not spec.outputs:
        raise BadUsage(
            "The model 'timm' gives one row of values per image, the task wants another shape.",
            "For a mask: unet.",
        )
    name = known(options.net)
    more: dict[str, Any] = {}
    if options.drop_path:
        more["drop_path_rate"] = options.drop_path
    height, width = spec.size
    if takes_size(name):
        if not height or not width:
            raise BadUsage(f"{name} needs images of one size.", "Give the source a size.")
        more["img_size"] = (height, width)
    try:
        net: nn.Module = timm().create_model(
            name.partition(".")[0],
            pretrained=False,
            in_chans=spec.channels,
            num_classes=spec.outputs,
            drop_rate=options.dropout,
            **more,
        )
    except (AssertionError, ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise BadUsage(
            f"timm can't make {name} for images of {spec.channels} x {height} x {width}: {said}.",
            "Give the images a size that the network divides: --set source.size=224, say.",
        ) from None
    return net


def takes_size(name: str) -> bool:
    """Return whether a network is made for images of one size."""
    config = timm().get_pretrained_cfg(name)
    return bool(config is not None and config.fixed_input_size)
