"""How large a batch the memory has room for: a model of what a step keeps, confirmed by trying."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import nn

from benchdog.data.dataset import DecodedSplit
from benchdog.errors import BadUsage, Failed
from benchdog.recipe.recipe import AUTO
from benchdog.system import machine
from benchdog.system.files import readable
from benchdog.training.batch_dependence import refuse_batch_dependence
from benchdog.training.setup import Components

UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1024, "MI": 1024**2, "GI": 1024**3}
STATES = 4
"""Weights, gradients and the two moments of Adam."""
SHARE = 0.8
"""Share of the free memory that is used when no limit is given."""
LARGEST = 4096
STEPS = 20
"""Steps that an epoch keeps at least: a batch of half the data would fit, and learn nothing."""


def bytes_of(text: str) -> int:
    """Read an amount of memory: "8GB", "500 MiB".

    Raises:
        BadUsage: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(|K|M|G|Ki|Mi|Gi)B?\s*", text, re.IGNORECASE)
    if not found or not float(found[1]):
        raise BadUsage(
            f"{text!r} is not an amount of memory.",
            "Write 8GB or 500MiB; the units are B, KB, MB, GB, KiB, MiB, GiB.",
        )
    return int(float(found[1]) * UNITS[found[2].upper()])


def fit_batch_size(parts: Components, model: nn.Module) -> str:
    """Set what `auto` and the limit leave open: the batch's size, or its pieces; give a sentence, "" when nothing is.

    Raises:
        BadUsage: not even one sample fits, or the batch may not be cut.
    """
    loop = parts.recipe.loop
    if loop.batch_size != AUTO and not loop.memory:
        return ""
    limit = bytes_of(loop.memory) if loop.memory else int(free(parts) * SHARE)
    count = parts.data.sizes()["train"]
    wanted = min(LARGEST, max(1, (count or LARGEST) // STEPS))
    if loop.batch_size != AUTO:
        wanted = -(-loop.batch // loop.accumulate)
    fitting = _fitting(parts, model, limit, wanted)
    if loop.batch_size == AUTO:
        batch = fitting // 8 * 8 or fitting
        parts.recipe = replace(parts.recipe, loop=replace(loop, batch_size=batch))
        if fitting < wanted:
            return f"batch size {batch}: {fitting} samples fit into {readable(limit)}"
        reason = f"so that an epoch has {STEPS} steps" if wanted < LARGEST else "the largest that auto takes"
        return f"batch size {batch}, {reason}: it fits into {readable(limit)}"
    pieces = -(-loop.batch // fitting)
    if pieces <= loop.accumulate:
        return ""
    parts.recipe = replace(parts.recipe, loop=replace(loop, accumulate=pieces))
    refuse_batch_dependence(parts, model)
    return f"a batch of {loop.batch} in {pieces} pieces: {fitting} samples fit into {readable(limit)}"


def needs(parts: Components, model: nn.Module) -> dict[str, int]:
    """Estimate bytes: states of the parameters, what the backward pass keeps of a batch, decoded data.

    `kept` is what it keeps per sample, `piece` how many samples are computed at once.
    """
    recipe = parts.recipe
    parameters = sum(p.numel() for p in model.parameters())
    weights = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    piece = 1 if recipe.loop.batch_size == AUTO else -(-recipe.loop.batch // recipe.loop.accumulate)
    kept = _kept_per_sample(parts, model)
    data = 0
    if recipe.loader.workers == 0:
        for samples in parts.data.splits.values():
            if isinstance(samples, DecodedSplit) and len(samples):
                data += samples.sample_bytes * len(samples)
    disk = weights * (3 * (recipe.loop.keep + 1) + 3) + 5 * 2**20
    memory = weights * STATES + kept * piece + data
    return {"parameters": parameters, "memory": memory, "data": data, "disk": disk, "kept": kept, "piece": piece}


def _kept_per_sample(parts: Components, model: nn.Module) -> int:
    """Count the bytes that autograd saves for the backward pass of one sample, on two made-up ones."""
    inputs = parts.made_up(2)
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


def free(parts: Components) -> int:
    """Measure the free memory of the backend's hardware."""
    if parts.recipe.backend.name == "cuda" and torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return machine.memory()[1]


def _fitting(parts: Components, model: nn.Module, limit: int, wanted: int) -> int:
    """Give how many of the wanted samples fit, by the model of memory, then by trying."""
    need = needs(parts, model)
    fixed = need["memory"] - need["kept"] * need["piece"]
    count = (limit - fixed) // max(1, need["kept"])
    if count < 1:
        raise BadUsage(
            f"The model and its data take about {readable(fixed)}, and a sample {readable(need['kept'])} more; "
            f"that doesn't fit into {readable(limit)}.",
            "Give more --memory, a smaller model, or set trainer.recompute.",
        )
    count = min(int(count), wanted)
    while count > 1 and not tried(parts, model, count):
        count = count * 4 // 5
    return count


def tried(parts: Components, model: nn.Module, count: int) -> bool:
    """Do one step of a made-up batch on the backend's hardware; say whether the memory was enough."""
    kind = parts.recipe.backend.name
    device = torch.device(kind if kind in ("cuda", "mps") else "cpu")
    try:
        here = model.to(device).train()
        score = here(*(x.to(device) for x in parts.made_up(count)))
        (score["score"] if isinstance(score, dict) else score).float().sum().backward()
        return True
    except (MemoryError, RuntimeError) as error:
        if not short(error):
            raise
        return False
    finally:
        model.zero_grad(set_to_none=True)
        model.to("cpu")
        if device.type == "cuda":
            torch.cuda.empty_cache()


def short(error: BaseException) -> bool:
    """Say whether an error means that there was not enough memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in str(error) or "out of memory" in str(error)
    )


def smaller_pieces(parts: Components, model: nn.Module) -> str:
    """After a shortage, cut batches into twice as many pieces; give a sentence about it.

    Raises:
        Failed: they can't be cut; says which batch would fit.
    """
    loop = parts.recipe.loop
    piece = -(-loop.batch // loop.accumulate)
    what = f"The memory isn't enough for {piece} samples at once"
    if piece == 1:
        raise Failed(f"{what}.", "Take a smaller model, or set trainer.recompute=true.")
    was = parts.recipe
    parts.recipe = replace(was, loop=replace(loop, accumulate=2 * loop.accumulate))
    try:
        refuse_batch_dependence(parts, model)
    except BadUsage as error:
        parts.recipe = was
        size = piece // 2
        while size > 1 and not tried(parts, model, size):
            size //= 2
        raise Failed(f"{what}. {error.message}", f"A batch of {size * loop.accumulate} fits: --batch-size.") from None
    return f"{what}; going on with a batch in {2 * loop.accumulate} pieces, which is the same mathematics"
