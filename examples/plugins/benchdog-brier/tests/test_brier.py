"""The task conforms to the contract; its loss and metrics equal values computed by hand."""

import numpy as np
import pytest
import torch
from benchdog.api import BadUsage, Batch, Field, Spec, Target
from benchdog.testing import conforms

from benchdog_brier.answers import answer
from benchdog_brier.task import BrierTask

test_conforms = conforms("task", "brier")

FIELD = Field(kind="table", shape=(2,), dtype="float32")
SPEC = Spec(fields=(FIELD,), target=Target(kind="class", classes=("cat", "dog")))
SCORE = torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log()


def batch(weight: torch.Tensor | None = None) -> Batch:
    return Batch((), torch.tensor([0, 1]), weight=weight)


def test_loss_returns_sum_and_weight() -> None:
    loss, weight = BrierTask().loss(SCORE, batch())
    assert float(loss) == pytest.approx(2 * 0.25**2 + 2 * 0.5**2)
    assert weight == 2


def test_loss_applies_sample_weights() -> None:
    loss, weight = BrierTask().loss(SCORE, batch(weight=torch.tensor([3.0, 0.0])))
    assert float(loss) == pytest.approx(3 * 2 * 0.25**2)
    assert float(weight) == 3


def test_meters_merge() -> None:
    one, other = BrierTask().meter(SPEC), BrierTask().meter(SPEC)
    one.add(SCORE, batch())
    other.merge(one.state())
    other.merge(one.state())
    assert other.value() == one.value()
    assert one.value()["accuracy"] == 0.5


def test_check_refuses_numbers() -> None:
    with pytest.raises(BadUsage, match="needs a class"):
        BrierTask().check(Spec(fields=(FIELD,), target=Target(kind="number")))


def test_answer_names_the_class() -> None:
    probabilities = np.array([[0.25, 0.75]], np.float32)
    (predicted,) = answer(lambda *_: (probabilities, np.log(probabilities)), (), SPEC, None)
    assert predicted.values == {"label": "dog", "probability": 0.75}
