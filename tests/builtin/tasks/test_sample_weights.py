"""Sample weights: 2 equals the sample twice, 0 its absence, in every additive loss; metrics stay unweighted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchdog.api import Batch
from benchdog.builtin.tasks.options import NextTokenOptions
from support.task_cases import CASES, IGNORED, MIXED, loss_of, spec_of

NAMES = st.sampled_from(sorted(CASES))
COUNTS = st.lists(st.integers(0, 3), min_size=1, max_size=8)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=2e-5, atol=2e-5)


@settings(deadline=None, max_examples=120)
@given(name=NAMES, counts=COUNTS, soft=st.booleans(), seed=st.integers(0, 4))
def test_integer_weight_equals_repeated_sample(name, counts, soft, seed):
    case, n = CASES[name], len(counts)
    task, times = case.task(), torch.tensor(counts)
    score = case.scores(n, seed)
    target = case.blended(n, seed) if soft and case.soft else case.targets(n, seed)
    total, weight, gradient = loss_of(task, score, target, times.float())
    assert gradient.isfinite().all()
    if not any(counts):
        assert (float(total), weight) == (0.0, 0.0)
        assert not gradient.any()
        return
    rows = torch.arange(n).repeat_interleave(times)
    copies = loss_of(task, score[rows], target[rows])
    close(total, copies[0])
    assert weight == pytest.approx(copies[1], rel=1e-5)
    close(gradient, torch.zeros_like(gradient).index_add_(0, rows, copies[2]))


@settings(deadline=None, max_examples=120)
@given(name=NAMES, n=st.integers(1, 8), soft=st.booleans(), seed=st.integers(0, 5))
def test_weight_scales_loss_and_total_weight(name, n, soft, seed):
    case, task = CASES[name], CASES[name].task()
    assert task.weighs
    by = torch.rand(n, generator=torch.Generator().manual_seed(seed)) * 5
    score = case.scores(n, seed)
    target = case.blended(n, seed) if soft and case.soft else case.targets(n, seed)
    total, weight, gradient = loss_of(task, score, target, by)
    single = [loss_of(task, score[i : i + 1], target[i : i + 1]) for i in range(n)]
    close(total, sum(w * one[0] for w, one in zip(by, single, strict=True)))
    assert weight == pytest.approx(sum(float(w) * one[1] for w, one in zip(by, single, strict=True)), rel=1e-5)
    close(gradient, torch.cat([w * one[2] for w, one in zip(by, single, strict=True)]))
    ones = loss_of(task, score, target, torch.ones(n))
    plain = loss_of(task, score, target)
    close(ones[0], plain[0])
    assert ones[1] == pytest.approx(plain[1], rel=1e-5)


@pytest.mark.parametrize("name", sorted(CASES))
def test_only_loss_metrics_are_weighted(name):
    case, task = CASES[name], CASES[name].task()
    score, target = case.scores(12, 1), case.targets(12, 1)
    by = torch.arange(12.0) / 3
    plain, weighted = task.meter(case.spec), task.meter(case.spec)
    for rows in (slice(0, 5), slice(5, 12)):
        plain.add(score[rows], Batch((), target[rows]))
        weighted.add(score[rows], Batch((), target[rows], weight=by[rows]))
    one, other = plain.value(), weighted.value()
    follow = ("loss", "perplexity", "bits_per_byte", "bits_per_character")
    for key, value in one.items():
        if key not in follow:
            assert str(value) == str(other[key]), key
    total, weight, _ = loss_of(task, score, target, by)
    assert other["loss"] == pytest.approx(float(total) / weight, rel=1e-5)
    assert other["loss"] != pytest.approx(one["loss"], rel=1e-6)


def test_weighted_text_metrics_equal_repeated_texts():
    case, task = CASES["next-token ignoring"], CASES["next-token ignoring"].task()
    score, target, by = case.scores(4, 2), case.targets(4, 2), torch.tensor([0.0, 1.0, 2.0, 3.0])
    weighted, copies = task.meter(case.spec), task.meter(case.spec)
    weighted.add(score, Batch((), target, weight=by))
    rows = torch.arange(4).repeat_interleave(by.long())
    copies.add(score[rows], Batch((), target[rows]))
    for key in ("loss", "perplexity", "bits_per_byte", "bits_per_character"):
        assert weighted.value()[key] == pytest.approx(copies.value()[key], rel=1e-6)


def test_ignored_tokens_do_not_change_loss_and_metrics():
    whole = CASES["next-token"].task()
    ignoring = CASES["next-token ignoring"].task()
    spec = spec_of("next-token", (5,), CASES["next-token"].spec.fields[0])
    score, target = CASES["next-token"].scores(3, 0), CASES["next-token"].targets(3, 0)
    cut = target.clone()
    cut[:, 3:] = IGNORED
    total, weight, gradient = loss_of(ignoring, score, cut)
    shorter = loss_of(whole, score[:, :3], target[:, :3])
    close(total, shorter[0])
    assert weight == shorter[1] == 9
    assert not gradient[:, 3:].any()
    meters = ignoring.meter(spec), whole.meter(spec)
    meters[0].add(score, Batch((), cut))
    meters[1].add(score[:, :3], Batch((), target[:, :3]))
    assert meters[0].value() == pytest.approx(meters[1].value())
    assert NextTokenOptions().ignore is None


@pytest.mark.parametrize("name", sorted(MIXED))
def test_batch_dependent_losses_declare_not_adds_up(name):
    assert not MIXED[name].task().adds_up
