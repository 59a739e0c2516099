"""Gradient accumulation: micro-batches match whole batches; batch-dependent models and losses are refused."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchdog.api import BadUsage
from benchdog.plugins.context import PluginContext
from benchdog.runs import state
from benchdog.training.resolve.batch_dependence import refuse_batch_dependence
from benchdog.training.setup import rebuilt
from support.accumulation_cases import (
    BATCH_DEPENDENT,
    BATCH_DEPENDENT_MODELS,
    SPLITTABLE,
    ListedSource,
    RandomSource,
    resolve_case,
    run_epoch,
)
from support.in_process import run, weights

pytestmark = pytest.mark.usefixtures("weights_alone")

MODEL = ["--model", "mlp", "--set", "model.hidden=[24]", "--quiet"]


def close(a, b, rtol=2e-3, atol=2e-5):
    mine, others = weights(a), weights(b)
    return all(np.allclose(mine[k], others[k], rtol, atol) for k in mine)


@pytest.mark.parametrize(("micro_batches", "size"), [(2, 30), (9, 97)])
def test_micro_batches_and_uneven_last_batch_match_whole_batches(tmp_path, micro_batches, size):
    place = tmp_path
    common = ["train", "digits", *MODEL, "--epochs", 1, "--batch-size", size, "--set", "trainer.optimizer=SGD",
              "--set", "trainer.lr=0.1"]  # fmt: skip
    run(*common, "--name", "whole", cwd=place)
    run(*common, "--name", "cut", "--set", f"loop.accumulate={micro_batches}", cwd=place)
    assert close(place / "runs" / "whole", place / "runs" / "cut")
    logs = [(place / "runs" / name / "losses.f32").read_bytes() for name in ("whole", "cut")]
    losses = [np.frombuffer(log, "<f4") for log in logs]
    assert len(losses[0]) == len(losses[1]) == -(-1250 // size)  # digits train samples
    assert np.allclose(losses[0], losses[1], rtol=2e-3)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(SPLITTABLE)),
    samples=st.integers(4, 17),
    batch=st.integers(2, 9),
    micro_batches=st.integers(2, 5),
    weights=st.sampled_from(["none", "whole", "any"]),
    seed=st.integers(0, 3),
)
@pytest.mark.slow
def test_micro_batches_give_losses_and_gradients_of_whole_batches(name, samples, batch, micro_batches, weights, seed):
    # The last batch is usually smaller, and may hold fewer samples than there are micro-batches.
    parts = resolve_case(SPLITTABLE[name], samples, weights, seed)
    whole, cut = (run_epoch(parts, batch, accumulate) for accumulate in (1, min(micro_batches, batch)))
    assert len(whole[0]) == len(cut[0]) == -(-samples // batch)
    np.testing.assert_allclose(cut[1], whole[1], rtol=1e-4, atol=1e-6)
    for mine, others in zip(cut[0], whole[0], strict=True):
        scale = max(float(gradient.abs().max()) for gradient in others)
        for a, b in zip(mine, others, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-6 + 1e-4 * scale)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(sorted(SPLITTABLE)), samples=st.integers(3, 9), seed=st.integers(0, 3))
def test_integer_sample_weight_equals_repeating_the_sample(name, samples, seed):
    weighted = resolve_case(SPLITTABLE[name], samples, "whole", seed)
    source = weighted.source
    assert isinstance(source, RandomSource)
    train = source.open()["train"]
    copies = [replace(raw, id=f"{raw.id}-{i}", weight=None) for raw in train for i in range(int(raw.weight or 0))]
    repeated = rebuilt(replace(weighted, source=ListedSource(source, copies)))
    with TemporaryDirectory() as place:  # scales and balanced weights are fitted on each sample once
        weighted.fit(Path(place))
        fitted = state.read(Path(place) / "fitted.safetensors")
    one = run_epoch(weighted, samples, 1, fitted)
    other = run_epoch(repeated, len(copies), 1, fitted)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-4, atol=1e-6)
    scale = max(float(gradient.abs().max()) for gradient in one[0][0])
    for a, b in zip(one[0][0], other[0][0], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-6 + 1e-4 * scale)


def test_every_shipped_model_has_an_accumulation_case():
    shipped = {name for name, found in PluginContext().plugins().all("model").items() if found.dist == "benchdog"}
    assert {case.model for case in SPLITTABLE.values()} | set(BATCH_DEPENDENT_MODELS) == shipped


REASONS = {
    **dict.fromkeys((*BATCH_DEPENDENT_MODELS, "unet of batches"), "BatchNorm"),
    "batch-dice": "the loss of task 'segmentation'",
    "embedding": "the loss of task 'embedding'",
    "a mean": "the loss of task 'regression'",
}


@pytest.mark.parametrize("cut", [{"loop.accumulate": 2}, {"backend.ranks": 2}])
@pytest.mark.parametrize("name", sorted(BATCH_DEPENDENT))
def test_batch_dependent_model_or_loss_is_refused_by_name(name, cut):
    case = BATCH_DEPENDENT[name]
    parts = resolve_case(case, **cut)
    with pytest.raises(BadUsage, match="can't be split") as caught:
        refuse_batch_dependence(parts, parts.build())
    assert REASONS[name] in caught.value.message
    assert ("2 micro-batches" if "loop.accumulate" in cut else "on 2 ranks") in caught.value.message
    assert "loop.allow_batch_dependence=true" in caught.value.hint
    refuse_batch_dependence(resolve_case(case), parts.build())
    refuse_batch_dependence(resolve_case(case, **{**cut, "loop.allow_batch_dependence": True}), parts.build())


@pytest.mark.parametrize("name", ["batch-dice", "embedding", "a mean"])
def test_batch_dependent_loss_refuses_sample_weights(name):
    with pytest.raises(BadUsage, match="The samples have weights, but the loss of task"):
        resolve_case(BATCH_DEPENDENT[name], weights="any")


@pytest.mark.parametrize(("more", "message"), [
    (["--model", "resnet", "--set", "model.depth=10", "--set", "model.width=8"], "BatchNorm2d"),
    (["--model", "mlp", "--set", 'loader.augment=["mix-up"]'], "mix-up"),
])  # fmt: skip
def test_batch_dependence_requires_an_explicit_setting(tmp_path, more, message):
    common = ["train", "digits", "--epochs", 1, "--quiet", *more, "--set", "loop.accumulate=2"]
    result = run(*common, cwd=tmp_path, code=2)
    assert message in result.err
    assert "loop.allow_batch_dependence=true" in result.err
    assert not (tmp_path / "runs").exists()
    run(*common, "--set", "loop.allow_batch_dependence=true", "--name", "allowed", cwd=tmp_path)
    assert json.loads((tmp_path / "runs" / "allowed" / "run.json").read_text())["status"] == "finished"
