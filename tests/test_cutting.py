"""A batch that is cut into pieces gives what the whole gives; where it can't, that is said."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside import run, weights

MODEL = ["--model", "mlp", "--set", "model.hidden=[24]", "--quiet"]


def close(a, b, rtol=2e-3, atol=2e-5):
    mine, others = weights(a), weights(b)
    return all(np.allclose(mine[k], others[k], rtol, atol) for k in mine)


@settings(max_examples=5, deadline=None)
@given(st.integers(2, 9), st.integers(30, 97))
def test_pieces_of_any_number_and_an_uneven_last_batch_change_nothing_but_rounding(tmp_path_factory, pieces, size):
    place = tmp_path_factory.mktemp("cut")
    common = ["train", "digits", *MODEL, "--epochs", 1, "--batch-size", size, "--set", "trainer.optimiser=SGD",
              "--set", "trainer.lr=0.1"]  # fmt: skip
    run(*common, "--name", "whole", cwd=place)
    run(*common, "--name", "cut", "--set", f"loop.accumulate={pieces}", cwd=place)
    assert close(place / "runs" / "whole", place / "runs" / "cut")
    logs = [(place / "runs" / name / "losses.f32").read_bytes() for name in ("whole", "cut")]
    losses = [np.frombuffer(log, "<f4") for log in logs]
    assert len(losses[0]) == len(losses[1]) == -(-1255 // size) or len(losses[0]) == len(losses[1])
    assert np.allclose(*losses, rtol=2e-3)


@pytest.mark.parametrize(("more", "said"), [
    (["--model", "resnet", "--set", "model.width=4"], "BatchNorm2d"),
    (["--model", "mlp", "--set", 'loader.augment=["mix-up"]'], "mix-up"),
])  # fmt: skip
def test_what_mixes_samples_is_not_cut_unasked(tmp_path, more, said):
    common = ["train", "digits", "--epochs", 1, "--quiet", *more, "--set", "loop.accumulate=2"]
    result = run(*common, cwd=tmp_path, code=2)
    assert said in result.err
    assert 'loop.mixing="allow"' in result.err
    assert not (tmp_path / "runs").exists()
    run(*common, "--set", "loop.mixing=allow", "--name", "asked", cwd=tmp_path)
    assert json.loads((tmp_path / "runs" / "asked" / "run.json").read_text())["status"] == "finished"
