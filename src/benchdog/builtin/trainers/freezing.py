"""Which parts of a model learn, when, and how fast: what fine-tuning adds to plain training."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from benchdog.api import BadUsage, nearest
from benchdog.builtin.trainers.options import Supervised as Options


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a parameter is in a part, or fits a pattern with * and ?."""
    return any(name == p or name.startswith(f"{p}.") or fnmatchcase(name, p) for p in patterns)


class Tuning:
    """Decides for each parameter by its name and the epoch alone, so that a resume needs no state.

    Args:
        stages: names of the model's parts from the input up; the last is the head.
        apart: parameters that learn whatever the settings say.

    Raises:
        BadUsage: a pattern fits nothing, or settings contradict each other.
    """

    def __init__(
        self, options: Options, model: nn.Module, stages: Sequence[str], apart: Sequence[nn.Parameter] = ()
    ) -> None:
        self.options, self.model, self.stages = options, model, list(stages)
        self.apart = list(apart)
        others = {id(p) for p in apart}
        everything = {name: p for name, p in model.named_parameters() if id(p) not in others}
        self.learnable = {name: p for name, p in everything.items() if p.requires_grad}
        for key in ("freeze", "unfreeze"):
            for pattern in getattr(options, key):
                if not any(fits(name, [pattern]) for name in everything):
                    raise BadUsage(f"trainer.{key}: no parameter fits {pattern!r}.", nearest(pattern, self.stages))
        count = options.freeze_groups
        if options.lora and not count:
            count = -1
        if abs(count) >= max(1, len(self.stages)) and count != 0:
            raise BadUsage(
                f"trainer.freeze_groups is {count}, and the model has {len(self.stages)} layer groups.",
                f"From the input up: {', '.join(self.stages)}.",
            )
        self.frozen_parts = count if count >= 0 else len(self.stages) + count
        if options.unfreeze_every and not self.frozen_parts:
            raise BadUsage(
                "trainer.unfreeze_every is set, and no layer groups are frozen.", "Set trainer.freeze_groups."
            )
        if options.unfreeze_every and options.lora:
            raise BadUsage("trainer.unfreeze_every and trainer.lora exclude each other.", "Leave one of them out.")

    def place(self, name: str) -> int:
        """Return the number of the part that a parameter is in; 0 for one that is in none."""
        return next((i for i, part in enumerate(self.stages) if name == part or name.startswith(f"{part}.")), 0)

    def learns(self, name: str, epoch: int) -> bool:
        """Return whether a parameter learns in an epoch, counted from 0."""
        options = self.options
        if fits(name, options.unfreeze):
            return True
        freed = epoch // options.unfreeze_every if options.unfreeze_every else 0
        return not fits(name, options.freeze) and self.place(name) >= self.frozen_parts - freed

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimizer's groups of all that ever learns, with rates where parts have rates of their own.

        They don't depend on the number of epochs: a run that continues may get more of them.

        Raises:
            BadUsage: nothing learns.
        """
        names = [name for name in self.learnable if self.learns(name, sys.maxsize)]
        if not names and not self.apart:
            raise BadUsage(
                "The model has no parameters that learn.",
                "Let some: look at trainer.freeze and freeze_groups, or choose another --model.",
            )
        decay = self.options.layer_decay
        if decay == 1.0:
            return [{"params": [*(self.learnable[name] for name in names), *self.apart]}]
        groups = []
        for i in sorted({self.place(name) for name in names}):
            rate = self.options.lr * decay ** (len(self.stages) - 1 - i)
            groups.append({"params": [self.learnable[n] for n in names if self.place(n) == i], "lr": rate})
        return [*groups, *([{"params": self.apart}] if self.apart else [])]

    def begin(self, epoch: int) -> None:
        """Put the model into training mode for an epoch, and what doesn't learn out of it."""
        self.model.train()
        for name, parameter in self.learnable.items():
            wanted = self.learns(name, epoch)
            if parameter.requires_grad != wanted:
                parameter.requires_grad_(wanted)
        if self.options.hold_statistics == "none":
            return
        for name, module in self.model.named_modules():
            if getattr(module, "track_running_stats", False) and (
                self.options.hold_statistics == "all" or not self.learns(f"{name}.weight", epoch)
            ):
                module.eval()
