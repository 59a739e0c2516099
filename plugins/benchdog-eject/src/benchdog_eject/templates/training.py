"""The training loop."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from benchdog_eject.templates.evaluation import evaluate
from benchdog_eject.templates.loading import load
from benchdog_eject.templates.losses.cross_entropy import loss_of
from benchdog_eject.templates.models.mlp import build_model
from benchdog_eject.templates.saving import save
from benchdog_eject.templates.schedules.curve import build_schedule
from benchdog_eject.templates.seeds import mix
from benchdog_eject.templates.settings import BATCH_SIZE, EPOCHS, ORDER_SEED, SEED
from benchdog_eject.templates.transforms.scaled import transform

THREADS = 1
OPTIMIZER: Any = torch.optim.Adam
OPTIMIZER_OPTIONS: dict[str, Any] = {"lr": 0.001, "fused": True}
SCHEDULE_EVERY = "step"  # or epoch; metric: after an epoch, with the monitored metric
MICRO_BATCHES = 1  # gradient accumulation
CLIP_VALUE = 0.0
CLIP_NORM = 0.0
AVERAGE = ""  # of the weights: ema, swa
EMA_DECAY = 0.999
SWA_START = 0  # epoch
MONITOR = "accuracy"
HIGHER_IS_BETTER = True
PATIENCE = 0  # epochs without a better metric, after which training stops; 0: never
CHANNELS_LAST = False


def backward(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Compute the gradient of the mean loss of a batch."""
    if MICRO_BATCHES == 1:
        loss, weight = loss_of(model(transform(x)), y)
        (loss / weight if weight > 0 else 0 * loss).backward()  # type: ignore[no-untyped-call]
        return
    total: float | Tensor = 0.0
    parts = min(MICRO_BATCHES, len(y))
    for x_part, y_part in zip(x.tensor_split(parts), y.tensor_split(parts), strict=True):
        loss, weight = loss_of(model(transform(x_part)), y_part)
        loss.backward()  # type: ignore[no-untyped-call]
        total = total + weight
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= total


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, share: float) -> None:
    """Move averaged weights a share of the way to the model's; counters are copied."""
    targets = [*model.parameters(), *model.buffers()]
    for mean, value in zip([*average.parameters(), *average.buffers()], targets, strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, share)
        else:
            mean.copy_(value)


def main() -> None:
    """Train, and save the weights of the best epoch."""
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    x_train, y_train = load("train")
    x_valid, y_valid = load("valid")
    torch.manual_seed(mix(SEED, 0, salt=4))
    model = build_model()
    if CHANNELS_LAST:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = OPTIMIZER(model.parameters(), **OPTIMIZER_OPTIONS)
    schedule = build_schedule(optimizer)
    average = copy.deepcopy(model).requires_grad_(False) if AVERAGE else model
    best, lowest, kept, waited, step = None, 0.0, model.state_dict(), 0, 0

    for epoch in range(EPOCHS):
        model.train()
        order = torch.randperm(len(y_train), generator=torch.Generator().manual_seed(mix(ORDER_SEED, epoch, salt=1)))
        for batch in order.split(BATCH_SIZE):  # type: ignore[no-untyped-call]
            torch.manual_seed(mix(SEED, step, salt=0))
            backward(model, x_train[batch], y_train[batch])
            if CLIP_VALUE:
                nn.utils.clip_grad_value_(model.parameters(), CLIP_VALUE)
            if CLIP_NORM:
                nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
            optimizer.zero_grad()
            if SCHEDULE_EVERY == "step":
                schedule.step()
            if AVERAGE == "ema":
                follow(average, model, 1 - min(EMA_DECAY, (1 + step) / (10 + step)))
            step += 1
        if AVERAGE == "swa":
            follow(average, model, 1 / max(1, epoch + 1 - SWA_START))
        metrics = evaluate(average, x_valid, y_valid)
        if SCHEDULE_EVERY == "epoch":
            schedule.step()
        elif SCHEDULE_EVERY == "metric":
            schedule.step(metrics[MONITOR])
        print(f"epoch {epoch + 1}/{EPOCHS}:", ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
        value, loss = metrics[MONITOR], metrics["loss"]
        better = best is None or (value > best if HIGHER_IS_BETTER else value < best)
        if better or (value == best and loss < lowest):  # of equal epochs, that with the lowest loss
            best, lowest, kept = value, loss, copy.deepcopy(average.state_dict())
        waited = 0 if better else waited + 1
        if waited == PATIENCE > 0:
            break

    model.load_state_dict(kept)
    save(model)


if __name__ == "__main__":
    main()
