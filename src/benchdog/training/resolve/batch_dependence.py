"""Layers, losses and augmentations that depend on the whole batch: it can't be split, or be a single sample."""

from __future__ import annotations

import torch
from torch import nn

from benchdog.api import LayerDefaults, TaskDefaults, with_defaults
from benchdog.data.sampler import micro_batch_sizes
from benchdog.errors import BadUsage
from benchdog.system.paths import short_name
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


def refuse_single_samples(components: Components, model: nn.Module | None = None) -> None:
    """Check that the model can train on every batch of an epoch: the last may have one sample, which some can't.

    Args:
        components: with the recipe that says how large batches are, and into how many parts they are split.
        model: is built where it is needed and not given; its running statistics change.

    Raises:
        BadUsage: it can't; the message has batch sizes that work.
    """
    loop, samples = components.recipe.loop, components.data.training_samples
    if samples is None or 1 not in batch_sizes(components, loop.batch):
        return
    model = model or components.build()
    if not (why := trouble_with_one(components, model)):
        return
    working = [size for size in nearby(components, loop.batch) if size]
    which = "Every batch" if loop.batch == 1 else "The last batch of an epoch"
    if loop.accumulate * components.recipe.ranks > 1:
        which = "A micro-batch"
    norm = ", or --set model.norm=group" if components.recipe.model.options.get("norm") == "batch" else ""
    take = f"Take --batch-size {' or '.join(map(str, working))}{norm}." if working else f"Add samples{norm}."
    raise BadUsage(f"{which} has one sample, and {short_name(components.recipe.model.name)!r} {why}.", take)


def batch_sizes(components: Components, batch: int) -> set[int]:
    """Return the sizes of the micro-batches of an epoch with another batch size; empty for a stream."""
    samples, recipe = components.data.training_samples, components.recipe
    return micro_batch_sizes(samples, batch, recipe.ranks, recipe.loop.accumulate) if samples else set()


def nearby(components: Components, batch: int) -> tuple[int, int]:
    """Return the next smaller and the next larger batch size without a micro-batch of one sample; 0 for none."""
    samples = components.data.training_samples or 0
    fewest = max(2, components.recipe.loop.accumulate)
    below, above = range(batch - 1, fewest - 1, -1), range(max(batch + 1, fewest), max(samples, batch) + 2)
    found = [next((b for b in sizes if 1 not in batch_sizes(components, b)), 0) for sizes in (below, above)]
    return found[0], found[1]


def trouble_with_one(components: Components, model: nn.Module) -> str:
    """Return why a model can't train on one sample, as a predicate ("normalizes over its batch"); "" if it can."""
    training = model.training
    try:
        with torch.no_grad():
            score = model.train()(*components.synthetic_inputs(1))
    except Exception as error:
        if any(map(depends_on_batch, model.modules())) and "more than 1 value per channel" in str(error):
            return "normalizes over its batch"
        return f"raises {type(error).__name__} for it: {' '.join(str(error).split())[:200]}"
    finally:
        model.train(training)
    score = score["score"] if isinstance(score, dict) else score
    return "" if len(score.shape) and len(score) == 1 else f"returns {tuple(score.shape)} for it"


def depends_on_batch(module: nn.Module) -> bool:
    """Whether a layer computes a sample's values from other samples of its batch too."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm) or with_defaults(module, LayerDefaults).mixes_samples
