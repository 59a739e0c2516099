import math

from benchdog.api import BadUsage, ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models():
    return [ModelInfo(name="tiny-net", summary="One hidden layer.", target=":build")]


def build(spec, options):
    from torch import nn

    if spec.fields[0].kind == "tokens":
        raise BadUsage("tiny-net takes numbers, not texts.")
    hidden = [nn.Flatten(), nn.Linear(math.prod(spec.fields[0].shape), 64), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(64, math.prod(spec.output)), nn.Unflatten(1, spec.output))
