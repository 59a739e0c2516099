"""How the score is read from what the model returns: what was recognized is written into the recipe."""

from __future__ import annotations

from torch import nn

from benchdog.model.outputs import ONE, reading_of
from benchdog.training.resolve.decision import Decision
from benchdog.training.setup import Components


def choose_output(components: Components, model: nn.Module | None, seconds: float = 0.0) -> Decision:
    """Settle the table [output]: the output that is the score, its form, and the class of a single one.

    Args:
        components: of the run.
        model: as it was built, its score read; None if the trainer brings its own.
        seconds: the time budget, which changes nothing here.
    """
    reading = None if model is None else reading_of(model)
    classes = components.spec.target.classes
    if reading is None:  # the output is the score; a trainer's own model predicts scores
        return Decision(values={"output.form": "score"})
    positive = classes[reading.positive] if reading.form in ONE else ""
    values = {"output.score": reading.key, "output.form": reading.form, "output.positive": positive}
    note = f"output: {reading.why}" if reading.why else ""
    return Decision(values=values, note=note, log=note)
