"""The model, built from the spec: shapes and classes need no options."""

import math

from benchdog.api import BadUsage, Spec
from torch import nn

from .options import Options


def build(spec: Spec, options: Options) -> nn.Module:
    """Build a network from the first field, (B, *shape), to the logits, (B, *output).

    Raises:
        BadUsage: the data has several fields, tokens, or axes of variable size.
    """
    field = spec.fields[0]
    sizes = [axis for axis in field.shape if axis]
    score = [axis for axis in spec.output if axis]
    fixed = len(sizes) == len(field.shape) and len(score) == len(spec.output)
    if len(spec.fields) > 1 or field.kind == "tokens" or not fixed:
        raise BadUsage(
            f"The model 'my-thing' takes one input of a fixed size, not {field.kind} of shape {field.shape}.",
            "Choose another --model.",
        )
    hidden = [nn.Flatten(), nn.Linear(math.prod(sizes), options.width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(options.width, math.prod(score)), nn.Unflatten(1, score))
