"""Verification of a runner against its reference, and the reported differences."""

import numpy as np
import pytest

from benchdog.api import Field, Runner, Spec, Target
from benchdog.data.synthetic import generate_inputs
from benchdog.model.verify import class_axis, verify


def spec_of(kind: str, classes: int, *output: int | None) -> Spec:
    names = tuple(map(str, range(classes)))
    field = Field(kind="table", shape=(4,), dtype="float32")
    return Spec(fields=(field,), target=Target(kind=kind, classes=names), output=output)


def fixed(score: np.ndarray) -> Runner:
    return lambda *x: (score[: len(x[0])], score[: len(x[0])])


@pytest.mark.parametrize(
    ("wanted", "got", "ok"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], True),
        ([[1.0, 2.0]], [[1.0, 2.002]], True),
        ([[1.0, 2.0]], [[1.0, 2.003]], False),
        ([[1.0, 1.00005]], [[1.00005, 1.0]], True),  # labels swap where the scores tie
        ([[np.nan, 2.0]], [[np.nan, 2.0]], True),
        ([[np.inf, 2.0]], [[np.nan, 2.0]], False),
        ([[1.0, 2.0]], [[1.0, np.nan]], False),
    ],
)
def test_verify_compares_scores_within_tolerance(wanted, got, ok):
    a, b = (np.array(v, np.float32).repeat(4, 0) for v in (wanted, got))
    lines = verify(fixed(b), fixed(a), (np.zeros((4, 4), np.float32),), spec_of("class", 2, 2), 4)
    assert [line["ok"] for line in lines] == [ok] * len(lines)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda a, s: (a, np.repeat(s[:1], len(s), 0)), "at batch 2: scores differ"),
        (lambda a, s: (s, s), "at batch 1: answers differ where scores agree"),
        (lambda a, s: (a, s.astype(np.float16)), "at batch 1: the score is float16"),
        (lambda a, s: (a, s[:, :1]), "at batch 1: the score has shape (1, 1)"),
        (lambda a, s: (a[0], s), "at batch 1: the answer has shape (2,)"),
        (lambda a, s: s, "at batch 1: the runner raised ValueError"),
    ],
)
def test_verify_reports_runner_faults(fault, message):
    draw = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    good = lambda x: (draw[: len(x)] + 1, draw[: len(x)] * x[:, :1])  # noqa: E731
    inputs = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
    lines = verify(lambda *x: fault(*good(*x)), lambda *x: good(*x), (inputs,), spec_of("class", 2, 2), 4)
    wrong = next(line for line in lines if not line["ok"])
    assert f"at batch {wrong['batch']}: {wrong['why']}".startswith(message)


def test_verify_tolerance_scales_with_magnitude_of_predictions():
    spec = spec_of("number", 0, 1)
    score = np.array([[0.5]] * 4, np.float32)
    answer = np.array([[0.1], [9e4], [5], [7]], np.float32)
    for off, ok in ((5.0, True), (500.0, False)):
        reference = lambda *x: (answer[: len(x[0])], score[: len(x[0])])  # noqa: E731
        runner = lambda *x: (answer[: len(x[0])] + np.float32(off), score[: len(x[0])])  # noqa: E731, B023
        lines = verify(runner, reference, (np.zeros((4, 4), np.float32),), spec, 4)
        assert lines[-1]["ok"] is ok


@pytest.mark.parametrize(("wrong", "ok"), [(False, True), (True, False)])
def test_rows_in_order_of_nearly_equal_scores_may_swap_places(wrong, ok):
    spec = spec_of("boxes", 0, 2)
    score = np.array([[0.5, 0.50001]] * 4, np.float32)
    head = lambda s: np.argsort(-s, axis=1)[..., None] + s[..., None] * 0  # noqa: E731
    reference = lambda *x: (head(score[: len(x[0])]), score[: len(x[0])])  # noqa: E731
    swapped = score[:, ::-1].copy()
    answer = head(score) if wrong else head(swapped)
    runner = lambda *x: (answer[: len(x[0])], swapped[: len(x[0])])  # noqa: E731
    if wrong:
        answer = answer + 5
    inputs = (np.zeros((4, 4), np.float32),)
    assert not all(line["ok"] for line in verify(runner, reference, inputs, spec, 4))
    assert all(line["ok"] for line in verify(runner, reference, inputs, spec, 4, head)) is ok


@pytest.mark.parametrize(
    ("spec", "axis"),
    [
        (spec_of("class", 3, 3), 1),
        (spec_of("mask", 3, 3, 8, 8), 1),
        (spec_of("next-token", 9, None, 9), 2),
        (spec_of("next-token", 9, 9, 9), 2),
        (spec_of("number", 2, 2), None),
        (spec_of("number", 0, 1), None),
        (spec_of("class", 2, 1), 1),
    ],
)
def test_class_axis(spec, axis):
    assert class_axis(spec) == axis


def test_generated_inputs_match_spec():
    fields = (
        Field(kind="image", shape=(1, 4, None), dtype="uint8", range=(10, 20)),
        Field(kind="tokens", shape=(None,), dtype="int64", range=(0, 5)),
    )
    image, tokens = generate_inputs(Spec(fields=fields, target=Target(kind="class")), 50)
    assert (image.shape, image.dtype, image.min(), image.max()) == ((50, 1, 4, 8), np.dtype("uint8"), 10, 20)
    assert (tokens.shape, tokens.dtype, tokens.min(), tokens.max()) == ((50, 8), np.dtype("int64"), 0, 5)
