"""Batch-size finder: an estimate of the memory that a step takes, confirmed by trying one."""

from __future__ import annotations

import re

import torch
from torch import nn

from benchdog.data.dataset import DecodedSplit
from benchdog.errors import BadUsage, Failed
from benchdog.recipe.recipe import AUTO
from benchdog.recipe.steps import ceil_div
from benchdog.system import machine
from benchdog.system.files import readable
from benchdog.system.paths import short_name
from benchdog.training.resolve.batch_dependence import (
    batch_sizes,
    depends_on_batch,
    nearby,
    refuse_batch_dependence,
    refuse_single_samples,
    trouble_with_one,
)
from benchdog.training.resolve.decision import Decision
from benchdog.training.setup import Components

UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1024, "MI": 1024**2, "GI": 1024**3}
STATES = 4
"""Copies of the weights: they themselves, gradients and the two moments of Adam."""
SHARE = 0.8
"""Share of the free memory that is used without a limit."""
LARGEST = 4096
STEPS = 20
"""Fewest steps of an epoch: a batch of half the data may fit, but trains nothing."""


def bytes_of(text: str) -> int:
    """Read an amount of memory: "8GB", "500 MiB".

    Raises:
        BadUsage: it is not an amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(|K|M|G|Ki|Mi|Gi)B?\s*", text, re.IGNORECASE)
    if not match or not float(match[1]):
        raise BadUsage(
            f"{text!r} is not an amount of memory.",
            "Write 8GB or 500MiB; the units are B, KB, MB, GB, KiB, MiB, GiB.",
        )
    return int(float(match[1]) * UNITS[match[2].upper()])


def fit_batch_size(components: Components, model: nn.Module | None, seconds: float = 0.0) -> Decision | None:
    """Decide the batch size where it is `auto`, or the number of micro-batches where loop.memory limits them.

    Raises:
        BadUsage: not even one sample fits, or the batch may not be split.
    """
    loop = components.recipe.loop
    if model is None or (loop.batch_size != AUTO and not loop.memory):
        return None
    limit = bytes_of(loop.memory) if loop.memory else int(free(components) * SHARE)
    if loop.batch_size == AUTO:
        samples = components.data.training_samples
        wanted = min(LARGEST, max(1, (samples or LARGEST) // STEPS))
        fitting = _fitting(components, model, limit, wanted)
        usual = fitting // 8 * 8 or fitting
        batch = _without_single_samples(components, model, usual)
        values = {"loop.batch_size": batch}
        if batch != usual:
            name = short_name(components.recipe.model.name)
            why = f"{usual} would leave a batch of one sample, and {name!r} needs two"
            return Decision(values=values, note=f"batch size {batch}: {why}")
        if fitting < wanted:
            return Decision(values=values, note=f"batch size {batch}: {fitting} samples fit into {readable(limit)}")
        reason = f"so that an epoch has {STEPS} steps" if wanted < LARGEST else "the largest that auto takes"
        return Decision(values=values, note=f"batch size {batch}, {reason}: it fits into {readable(limit)}")
    fitting = _fitting(components, model, limit, loop.micro_batch)
    count = ceil_div(loop.batch, fitting)
    if count <= loop.accumulate:
        return None
    values = {"loop.accumulate": count}
    refuse_batch_dependence(components.with_values(values), model)
    note = f"a batch of {loop.batch} in {count} micro-batches: {fitting} samples fit into {readable(limit)}"
    return Decision(values=values, note=note)


def _without_single_samples(components: Components, model: nn.Module, batch: int) -> int:
    """Return the nearest batch size without a batch of one sample, if the model normalizes over its batch.

    Raises:
        BadUsage: there is none that fits.
    """
    if 1 not in batch_sizes(components, batch):
        return batch
    if not any(map(depends_on_batch, model.modules())) and not trouble_with_one(components, model):
        return batch
    below, above = nearby(components, batch)
    if below or (above and fits(components, model, above)):
        return below or above
    refuse_single_samples(components.with_values({"loop.batch_size": batch}), model)
    return batch


def needs(components: Components, model: nn.Module) -> dict[str, int]:
    """Estimate bytes of memory and disk.

    Returns:
        {"parameters", "memory", "data", "disk"}, and of the forward pass: "kept", the bytes that autograd saves per
        sample, and "piece", the samples of a micro-batch.
    """
    recipe = components.recipe
    parameters = sum(p.numel() for p in model.parameters())
    weights = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    micro_batch = 1 if recipe.loop.batch_size == AUTO else recipe.loop.micro_batch
    kept = _kept_per_sample(components, model)
    data = 0
    if recipe.loader.workers == 0:
        for samples in components.data.splits.values():
            if isinstance(samples, DecodedSplit) and len(samples):
                data += samples.sample_bytes * len(samples)
    disk = weights * (3 * (recipe.loop.keep + 1) + 3) + 5 * 2**20
    memory = weights * STATES + kept * micro_batch + data
    return {
        "parameters": parameters,
        "memory": memory,
        "data": data,
        "disk": disk,
        "kept": kept,
        "piece": micro_batch,
    }


def _kept_per_sample(components: Components, model: nn.Module) -> int:
    """Count the bytes that autograd saves for the backward pass of one sample, on two synthetic ones."""
    inputs = components.synthetic_inputs(2)
    known = {p.data_ptr() for p in model.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in known:
            seen[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model.eval()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        score = model(*inputs)
    del score
    return sum(seen.values()) // 2


def free(components: Components) -> int:
    """Return the free bytes of memory of the backend's hardware."""
    if components.recipe.backend.name == "cuda" and torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return machine.memory()[1]


def _fitting(components: Components, model: nn.Module, limit: int, wanted: int) -> int:
    """Return how many of the wanted samples fit, by the estimate, then by trying."""
    need = needs(components, model)
    fixed = need["memory"] - need["kept"] * need["piece"]
    count = (limit - fixed) // max(1, need["kept"])
    if count < 1:
        raise BadUsage(
            f"The model and its data take about {readable(fixed)}, and a sample {readable(need['kept'])} more; "
            f"that doesn't fit into {readable(limit)}.",
            "Raise --memory, choose a smaller model, or set trainer.activation_checkpointing=true.",
        )
    count = min(int(count), wanted)
    while count > 1 and not fits(components, model, count):
        count = count * 4 // 5
    return count


def fits(components: Components, model: nn.Module, count: int) -> bool:
    """Whether the memory of the backend's hardware is enough for a step of so many synthetic samples."""
    kind = components.recipe.backend.name
    device = torch.device(kind if kind in ("cuda", "mps") else "cpu")
    try:
        on_device = model.to(device).train()
        score = on_device(*(x.to(device) for x in components.synthetic_inputs(count)))
        (score["score"] if isinstance(score, dict) else score).float().sum().backward()
        return True
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return False
    finally:
        model.zero_grad(set_to_none=True)
        model.to("cpu")
        if device.type == "cuda":
            torch.cuda.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that there was not enough memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in str(error) or "out of memory" in str(error)
    )


def smaller_micro_batches(components: Components, model: nn.Module) -> Decision:
    """After an out-of-memory error, decide twice as many micro-batches; the training resumes with them.

    Raises:
        Failed: the batch can't be split; names the batch size that fits.
    """
    loop = components.recipe.loop
    samples = loop.micro_batch
    what = f"The memory isn't enough for {samples} samples at once"
    if samples == 1:
        raise Failed(f"{what}.", "Choose a smaller model, or set trainer.activation_checkpointing=true.")
    values = {"loop.accumulate": 2 * loop.accumulate}
    try:
        refuse_batch_dependence(components.with_values(values), model)
        refuse_single_samples(components.with_values(values), model)
    except BadUsage as error:
        size = samples // 2
        while size > 1 and not fits(components, model, size):
            size //= 2
        raise Failed(f"{what}. {error.message}", f"A batch of {size * loop.accumulate} fits: --batch-size.") from None
    note = f"{what}; resuming with {2 * loop.accumulate} micro-batches for each batch, which is the same mathematics"
    return Decision(values=values, note=note)
