"""Options of the trainers. Nothing heavy is imported here, so that help and schemas are quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Supervised:
    """Options of `supervised`."""

    optimizer: Annotated[str, Doc("A class of torch.optim by name, or package.module:Class.")] = "Adam"
    optimizer_options: Annotated[
        Mapping[str, Any], Doc("More arguments of the optimizer: { momentum = 0.9, nesterov = true }.")
    ] = field(default_factory=dict)
    lr: Annotated[float, Doc("Learning rate; with a schedule, its maximum."), Bounds(gt=0)] = 1e-3
    weight_decay: Annotated[
        float, Doc("Weight decay; 0: none, whatever the optimizer's own default."), Bounds(ge=0)
    ] = 0.0
    schedule: Annotated[
        str,
        Doc(
            "Learning rate schedule: constant, linear, cosine, one-cycle, plateau, or a class of "
            "torch.optim.lr_scheduler by name."
        ),
    ] = "constant"
    schedule_options: Annotated[Mapping[str, Any], Doc("More arguments of the schedule: { step_size = 10 }.")] = (
        field(default_factory=dict)
    )
    warmup: Annotated[
        float, Doc("Linear warmup: a number of steps, or a fraction of all steps if below 1."), Bounds(ge=0)
    ] = 0.0
    clip_norm: Annotated[float, Doc("Clip the gradient norm to this maximum; 0: no clipping."), Bounds(ge=0)] = 0.0
    clip_value: Annotated[float, Doc("Clip gradient values to this maximum; 0: no clipping."), Bounds(ge=0)] = 0.0
    average: Annotated[
        Literal["none", "ema", "swa"],
        Doc("Evaluate and keep averaged weights: ema over steps, swa over the last epochs."),
    ] = "none"
    ema_decay: Annotated[float, Doc("Decay of the ema per step."), Bounds(ge=0, lt=1)] = 0.999
    swa_start: Annotated[
        float,
        Doc("Fraction of the epochs before swa starts; at least the last two are averaged."),
        Bounds(ge=0, lt=1),
    ] = 0.75
    activation_checkpointing: Annotated[
        bool, Doc("Recompute the activations of blocks in the backward pass: less memory, more time.")
    ] = False
    compile: Annotated[
        Literal["auto", "no", "yes"],
        Doc("Use torch.compile; auto: in long runs, if a measurement shows a gain."),
    ] = "auto"
    freeze: Annotated[
        tuple[str, ...], Doc('Layer groups, or patterns of parameter names, to freeze: ["stem", "blocks.0"].')
    ] = ()
    freeze_groups: Annotated[
        int, Doc("Number of frozen layer groups, from the input up; -1: all but the head, -2: all but the last two.")
    ] = 0
    unfreeze: Annotated[
        tuple[str, ...], Doc("Exceptions to freeze and freeze_groups: layer groups, or patterns of parameter names.")
    ] = ()
    unfreeze_every: Annotated[
        int,
        Doc("Epochs after which the next group of freeze_groups is unfrozen, from the head down; 0: never."),
        Bounds(ge=0),
    ] = 0
    layer_decay: Annotated[
        float,
        Doc("Layer-wise learning rate decay: factor from each layer group to the one below; 1: none."),
        Bounds(gt=0, le=1),
    ] = 1.0
    hold_statistics: Annotated[
        Literal["frozen", "all", "none"],
        Doc("Layers whose running statistics (BatchNorm) are not updated: frozen ones, all, or none."),
    ] = "frozen"
    lora: Annotated[
        int,
        Doc("Rank of LoRA adapters, trained with the layers frozen (arXiv:2106.09685); 0: no LoRA."),
        Bounds(ge=0),
    ] = 0
    lora_layers: Annotated[
        tuple[str, ...],
        Doc("Linear layers and 1x1 convolutions with an adapter: layer groups, or patterns of names."),
    ] = ("*",)
    lora_scale: Annotated[float, Doc("Scale of the adapters (alpha / rank)."), Bounds(gt=0)] = 1.0
