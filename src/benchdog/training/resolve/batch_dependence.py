"""Layers, losses and augmentations that depend on the whole batch, which micro-batches or ranks would split."""

from __future__ import annotations

from torch import nn

from benchdog.api import LayerDefaults, TaskDefaults, with_defaults
from benchdog.errors import BadUsage
from benchdog.training.setup import Components


def refuse_batch_dependence(components: Components, model: nn.Module | None = None) -> None:
    """Check that a batch may be split: nothing may depend on which samples are computed together.

    Args:
        components: with the recipe that splits batches, or doesn't.
        model: is built where it is needed and not given.

    Raises:
        BadUsage: something does, and the recipe doesn't allow that.
    """
    recipe, ranks = components.recipe, components.recipe.ranks
    if recipe.loop.allow_batch_dependence or recipe.loop.accumulate * ranks == 1:
        return
    model = model or components.build()
    layers = (f"layer {n!r} ({type(m).__name__})" for n, m in model.named_modules() if depends_on_batch(m))
    loss = "" if with_defaults(components.task, TaskDefaults).adds_up else f"the loss of task {recipe.task.name!r}"
    augmentation = f"augmentation {components.augment.mixing!r}" if components.augment.mixing else ""
    why = next(layers, "") or loss or augmentation
    if why:
        split = f"{recipe.loop.accumulate} micro-batches" if ranks == 1 else f"micro-batches on {ranks} ranks"
        raise BadUsage(
            f"A batch of {recipe.loop.batch} can't be split into {split} without changing the result: "
            f"{why} depends on the whole batch.",
            "Accept that with --set loop.allow_batch_dependence=true, or take it out "
            '(norm = "group" in place of batch).',
        )


def depends_on_batch(module: nn.Module) -> bool:
    """Whether a layer computes a sample's values from other samples of its batch too."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm) or with_defaults(module, LayerDefaults).mixes_samples
