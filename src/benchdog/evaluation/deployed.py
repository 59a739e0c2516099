"""Evaluation of the model as it will be deployed, which must agree with the one that was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from benchdog.api import Trained
from benchdog.data.transform.transform import Deployed
from benchdog.errors import Refused
from benchdog.evaluation.evaluate import evaluate_module
from benchdog.evaluation.results import Evaluation
from benchdog.runs.run import Run
from benchdog.training.setup import Components


def evaluate_deployed(
    run: Run, components: Components, trained: Trained | None, model: nn.Module, head: nn.Module
) -> Evaluation:
    """Evaluate transform, model and task head as one on the validation split.

    Args:
        run: the run, with the best epoch's metric.
        components: fitted, on the CPU.
        trained: a trainer's own model; None if `model` was trained.
        model: with the best epoch's weights.
        head: of the task.

    Returns:
        The evaluation, as in evaluation-valid.json.

    Raises:
        Refused: its metric isn't that of the best epoch.
    """
    if trained is not None:
        result = evaluate_module(run.folder, trained, components, "valid", module=None)
    else:
        module = Deployed(components.transform, model, head).eval()
        whole = _on_arrays(Deployed(components.transform, model, head).eval())
        result = evaluate_module(run.folder, whole, components, "valid", module=lambda: module)
    check_agreement(run.facts["best"], result["metrics"], components.recipe.backend.options.get("precision", "fp32"))
    return result


def check_agreement(best: Mapping[str, Any] | None, metrics: Mapping[str, Any], precision: str) -> None:
    """Check that the model to deploy is as good as the one that was trained.

    Raises:
        Refused: it isn't; then decoding, transform, head or trainer differ between the two.
    """
    value = metrics.get(best["metric"]) if best else None
    if best is None or not isinstance(value, int | float) or math.isnan(best["value"]):
        return
    tolerance = 0.02 if precision == "fp32" else 0.1  # rounding flips a sample now and then
    if abs(value - best["value"]) > tolerance * (1 + abs(best["value"])):
        raise Refused(
            f"The trained model reached valid.{best['metric']} {best['value']:.4f}, the model to deploy {value:.4f}.",
            "Decoding, transform or head must be the same for both: look at the trainer, or tell its author.",
        )


def _on_arrays(module: nn.Module) -> Any:
    """Return a function of decoded arrays that returns (answer, score) as arrays."""

    def call(*inputs: Any) -> Any:
        with torch.inference_mode():
            answer, score = module(*map(torch.from_numpy, inputs))
        return answer.numpy(), score.numpy()

    return call
