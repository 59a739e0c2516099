"""Whether a batch may be cut into pieces, for accumulation or ranks, without another result."""

from __future__ import annotations

from torch import nn

from benchdog.api import LayerDefaults, TaskDefaults, with_defaults
from benchdog.errors import BadUsage
from benchdog.training.setup import Components


def refuse_batch_dependence(parts: Components, model: nn.Module | None = None) -> None:
    """See that a batch may be cut: then what is computed together mustn't matter.

    Args:
        model: is built where it is needed and not given.

    Raises:
        BadUsage: it does matter, and the recipe doesn't allow that.
    """
    recipe, ranks = parts.recipe, parts.recipe.ranks
    if recipe.loop.mixing == "allow" or recipe.loop.accumulate * ranks == 1:
        return
    model = model or parts.build()
    layers = (f"layer {n!r} ({type(m).__name__})" for n, m in model.named_modules() if depends_on_batch(m))
    loss = "" if with_defaults(parts.task, TaskDefaults).adds_up else f"the loss of task {recipe.task.name!r}"
    augmentation = f"augmentation {parts.augment.mixing!r}" if parts.augment.mixing else ""
    why = next(layers, "") or loss or augmentation
    if why:
        cut = f"{recipe.loop.accumulate} pieces" if ranks == 1 else f"pieces on {ranks} ranks"
        raise BadUsage(
            f"A batch of {recipe.loop.batch} can't be cut into {cut} without another result: "
            f"{why} sees several samples at once.",
            'Accept that with --set loop.mixing="allow", or take it out (norm = "group" in place of batch).',
        )


def depends_on_batch(module: nn.Module) -> bool:
    """Say whether a layer computes a sample's values from other samples of its batch too."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm) or with_defaults(module, LayerDefaults).mixes_samples
