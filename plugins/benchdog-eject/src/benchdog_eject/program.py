"""A run as one plain PyTorch program: refused, written, and tried out before it is handed over."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from benchdog.api import BadUsage
from benchdog_eject.assembly import assemble
from benchdog_eject.choices import Unsupported, choose
from benchdog_eject.templates.saving import digest

if TYPE_CHECKING:
    from benchdog import FinishedRun, SplitArrays

FEW = 4
"""Samples on which the program's model is compared with the run's."""
TOLERANCE = 1e-3
"""Of metrics, which other numbers of threads round in another way."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program's text, and the arrays that it reads."""

    text: str
    arrays: dict[str, np.ndarray]


def eject(run: FinishedRun, data: str = "data.npz") -> Program:
    """Write a finished run as a program.

    Args:
        run: what is ejected.
        data: where the program finds its arrays, relative to its own folder.

    Raises:
        BadUsage: something of the run is in no template; the message says what.
        BadData: the data isn't what the run was trained on.
    """
    try:
        refuse(run)
        splits = {name: run.arrays(name) for name in ("train", "valid")}
        if splits["train"].weight is not None:
            raise Unsupported("its samples have weights (source.weight)")
        choices = choose(run, data, len(splits["train"].target), digest(run.trained_model()))
        imports, body = assemble(choices.templates, choices.constants)
        start = 'if __name__ == "__main__":\n    main()'
        text = f'"""{_head(run, data)}\n"""\n\n{imports}\n\n{body}\n\n\n{start}\n'
        _try_out(text, run, splits)
    except Unsupported as error:
        raise refused(run, str(error)) from None
    arrays = {f"{name}.input": split.inputs[0] for name, split in splits.items()}
    return Program(text, arrays | {f"{name}.target": split.target for name, split in splits.items()})


def refused(run: FinishedRun, why: str) -> BadUsage:
    """Return the error for a run that can't be ejected."""
    return BadUsage(
        f"Run {run.facts['name']!r} can't be ejected: {why}.",
        "docs/guides/eject.md says what can be. For the weights alone: benchdog export RUN --to safetensors",
    )


def refuse(run: FinishedRun) -> None:
    """Check what the recipe alone tells.

    Raises:
        BadUsage: it has something that is in no template.
    """
    recipe, options, backend = run.recipe, run.recipe["trainer"], run.recipe["backend"]
    trainer = options["name"]
    frozen = [key for key in ("freeze", "freeze_groups", "unfreeze", "unfreeze_every") if options.get(key)]
    augment = recipe["loader"]["augment"]
    reasons = {
        f"its trainer is {trainer!r}, and only the loop of 'supervised' is known": trainer != "supervised",
        f"{', '.join(map(repr, run.live))} was a live object of a notebook": bool(run.live),
        f"it ran on {backend['name']!r}, not on the CPU": backend["name"] != "cpu",
        "it ran on several ranks": int(backend.get("ranks", 1)) > 1,
        "it trained in another precision than fp32": backend.get("precision", "fp32") != "fp32",
        "its model was compiled (trainer.compile)": options.get("compile", "no") != "no",
        "it starts from trained weights ([start])": bool(recipe["start"]["weights"]),
        "it trains LoRA adapters (trainer.lora)": bool(options.get("lora")),
        f"layers of its model are frozen (trainer.{', '.join(frozen)})": bool(frozen),
        "its layers have learning rates of their own (trainer.layer_decay)": options.get("layer_decay", 1) != 1,
        "its running statistics are held (trainer.hold_statistics)": options.get("hold_statistics") == "all",
        "its samples are augmented (loader.augment)": bool(augment),
    }
    why = [reason for reason, holds in reasons.items() if holds]
    if why:
        raise refused(run, "; ".join(why))


def _head(run: FinishedRun, data: str) -> str:
    """Return what the program is, and under what circumstances it gives the run's bits."""
    recipe, environment = run.recipe, run.environment
    threads = int(recipe["backend"].get("threads", 0)) or environment["threads"]
    what = (
        f"A plain PyTorch program, ejected from Benchdog: it reads the run's samples from {data} and ends with its "
        f"weights, bit for bit, with torch {environment['packages']['torch']} on a CPU with "
        f"{environment['cpu_capability']} and {threads} thread{'s' * (threads != 1)}. They are written to "
        "model.safetensors."
    )
    name, task = run.facts["name"], recipe["task"]["name"]
    title = f'The run "{name}": {task}, {recipe["model"]["name"]} on {recipe["source"]["name"]}.'
    return f"{title}\n\n{textwrap.fill(what, 110)}"


def _try_out(text: str, run: FinishedRun, splits: Mapping[str, SplitArrays]) -> None:
    """Run the program's parts and compare them with the run's.

    Raises:
        Unsupported: initial weights, model inputs or logits differ in a bit, or metrics of the trained model do.
    """
    space: dict[str, Any] = {"__name__": "ejected"}
    exec(compile(text, "ejected", "exec"), space)
    torch.manual_seed(space["mix"](space["SEED"], 0, salt=4))
    built, wanted = space["build_model"](), run.new_model()
    if digest(built) != digest(wanted):
        raise Unsupported("the template of its model builds another one")
    few = splits["train"].inputs[0][:FEW]
    x, (expected,) = space["transform"](torch.from_numpy(few)), run.model_inputs(few)
    if not torch.equal(x, expected):
        raise Unsupported("the template of its transform gives other inputs")
    for training in (True, False):
        if not torch.equal(_logits(built, x, training), _logits(wanted, x, training)):
            raise Unsupported("the template of its model gives other logits")
    built.load_state_dict(run.trained_model().state_dict())
    valid = splits["valid"]
    metrics = space["evaluate"](built, torch.from_numpy(valid.inputs[0]), torch.from_numpy(valid.target))
    best = float(run.facts["best"]["value"])
    if not math.isclose(metrics[run.facts["monitor"]], best, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        raise Unsupported("the template of its task gives other metrics")


def _logits(model: nn.Module, x: torch.Tensor, training: bool) -> torch.Tensor:
    model.train(training)
    torch.manual_seed(0)
    with torch.no_grad():
        logits: torch.Tensor = model(x)
    return logits
