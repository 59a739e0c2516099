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
    lr: Annotated[float, Doc("Learning rate; with a schedule, its highest."), Bounds(gt=0)] = 1e-3
    weight_decay: Annotated[
        float, Doc("Weight decay; 0: none, whatever the optimizer's own default."), Bounds(ge=0)
    ] = 0.0
    schedule: Annotated[
        str,
        Doc(
            "How the rate changes: constant, linear, cosine, one-cycle, plateau, "
            "or a class of torch.optim.lr_scheduler by name."
        ),
    ] = "constant"
    schedule_options: Annotated[Mapping[str, Any], Doc("More arguments of the schedule: { step_size = 10 }.")] = (
        field(default_factory=dict)
    )
    warmup: Annotated[
        float, Doc("Steps over which the rate rises at first, as a share (below 1) or a number."), Bounds(ge=0)
    ] = 0.0
    clip_norm: Annotated[float, Doc("The longest gradient, by its norm; 0: no limit."), Bounds(ge=0)] = 0.0
    clip_value: Annotated[float, Doc("The largest value in a gradient; 0: no limit."), Bounds(ge=0)] = 0.0
    average: Annotated[
        Literal["none", "ema", "swa"],
        Doc("Judge and keep averaged weights: ema over steps, swa over the last epochs."),
    ] = "none"
    ema_decay: Annotated[float, Doc("How much of the average an ema keeps per step."), Bounds(ge=0, lt=1)] = 0.999
    swa_start: Annotated[
        float,
        Doc("Share of the epochs before swa begins to average; at least the last two are averaged."),
        Bounds(ge=0, lt=1),
    ] = 0.75
    activation_checkpointing: Annotated[
        bool, Doc("Recompute the activations of blocks in the backward pass: less memory, more time.")
    ] = False
    compile: Annotated[
        Literal["auto", "no", "yes"],
        Doc("Make machine code of the net by torch.compile; auto: in a long run, if that is measured to pay."),
    ] = "auto"
    freeze: Annotated[
        tuple[str, ...], Doc('Layer groups, or patterns of parameter names, to freeze: ["stem", "blocks.0"].')
    ] = ()
    freeze_groups: Annotated[
        int, Doc("Number of frozen layer groups, from the input up; -1: all but the head, -2: all but the last two.")
    ] = 0
    unfreeze: Annotated[
        tuple[str, ...], Doc("Layer groups, or patterns, that are trained although they are among those.")
    ] = ()
    unfreeze_every: Annotated[
        int,
        Doc("Epochs after which the next group of freeze_groups is unfrozen, from the head down; 0: never."),
        Bounds(ge=0),
    ] = 0
    layer_decay: Annotated[
        float, Doc("What each part's rate is of that of the part above it; 1: all the same."), Bounds(gt=0, le=1)
    ] = 1.0
    hold_statistics: Annotated[
        Literal["frozen", "all", "none"],
        Doc("Whose running statistics (BatchNorm's) stay as they are: those of parts that don't learn, all, none."),
    ] = "frozen"
    lora: Annotated[
        int,
        Doc("Train LoRA corrections of this rank next to frozen layers (arXiv:2106.09685); 0: learn the layers."),
        Bounds(ge=0),
    ] = 0
    lora_layers: Annotated[
        tuple[str, ...], Doc("The linear layers and 1x1 convolutions that get one: parts, or patterns of names.")
    ] = ("*",)
    lora_scale: Annotated[float, Doc("What a correction is multiplied by."), Bounds(gt=0)] = 1.0
