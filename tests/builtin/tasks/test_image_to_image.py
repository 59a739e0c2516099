"""The task `image-to-image`: head, loss and metrics against their definitions, predictions, augmentation."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import mean_absolute_error, mean_squared_error

from benchdog.api import BadUsage, Batch, Field, Spec, Target, compute_metrics
from benchdog.builtin.augmentations.geometry import Crop, Flip
from benchdog.builtin.augmentations.options import CropOptions, FlipOptions
from benchdog.builtin.tasks.answers import image_to_image
from benchdog.builtin.tasks.image_to_image import ImageToImage
from benchdog.builtin.tasks.options import ImageToImageOptions
from benchdog.data.randomness import sample_draws
from benchdog.evaluation import baselines
from support.bare import bare
from support.in_process import run, run_export


def spec_of(dtype: str = "uint8", shape: tuple[int, ...] = (1, 4, 6), kind: str = "image") -> Spec:
    field = Field(kind="image", shape=(1, 4, 6), dtype="uint8", range=(0, 255))
    return Spec(fields=(field,), target=Target(kind=kind, shape=shape, dtype=dtype), output=shape)


def task_of(spec: Spec, **options: object) -> ImageToImage:
    task = ImageToImage(ImageToImageOptions(**options))  # type: ignore[arg-type]
    task.check(spec)
    return task


def batch_of(spec: Spec, n: int = 5, weight: torch.Tensor | None = None) -> tuple[torch.Tensor, Batch]:
    draws = torch.Generator().manual_seed(3)
    shape = (n, *(axis or 0 for axis in spec.output))
    score = torch.rand(shape, generator=draws) * 1.6 - 0.3
    target = torch.randint(0, 256, shape, generator=draws).to(getattr(torch, spec.target.dtype))
    return score, Batch((), target, weight=weight)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_metrics_equal_their_definitions_over_parts_and_by_sample(dtype):
    spec = spec_of(dtype)
    task = task_of(spec, range=(0.0, 255.0) if dtype == "float32" else ())
    score, batch = batch_of(spec)
    predicted = task.head(spec)(score).numpy()
    assert (predicted.min(), predicted.max()) == (0, 255)
    truth = batch.target.numpy().astype(np.float64)
    squared = mean_squared_error(truth.ravel(), predicted.ravel())
    wanted = {
        "mse": squared,
        "mae": mean_absolute_error(truth.ravel(), predicted.ravel()),
        "psnr": 20 * np.log10(255) - 10 * np.log10(squared),
        "loss": ((score.numpy() - truth / 255) ** 2).mean(),
    }
    parts = task.meter(spec)
    for rows in (slice(2), slice(2, 5)):
        parts.add(score[rows], Batch((), batch.target[rows]))
    assert parts.value() == pytest.approx(wanted, rel=1e-5)
    kept = task.metrics(spec)
    sums = kept.per_sample(predicted, score.numpy(), batch.target.numpy(), None).sums
    statistics = {name: values.sum(0)[None] for name, values in sums.items()} | {"samples": np.array([5.0])}
    computed = compute_metrics(kept.metrics, statistics)
    assert {name: value[0] for name, value in computed.items()} == pytest.approx(
        {name: wanted[name] for name in ("mse", "mae", "psnr")}, rel=1e-5
    )


@pytest.mark.parametrize(("loss", "error"), [("mse", np.square), ("mae", np.abs)])
def test_loss_is_the_mean_of_each_image_and_honors_weights(loss, error):
    spec = spec_of()
    score, batch = batch_of(spec, weight=torch.tensor([1.0, 0.0, 2.0, 0.5, 0.0]))
    each = error(score.numpy() - batch.target.numpy() / 255).reshape(5, -1).mean(1)
    total, weight = task_of(spec, loss=loss).loss(score, batch)
    assert float(weight) == 3.5
    assert float(total) == pytest.approx((each * [1, 0, 2, 0.5, 0]).sum(), rel=1e-5)


def test_floats_without_a_range_are_predicted_in_their_own_units():
    spec = spec_of("float32")
    task = task_of(spec)
    score, batch = batch_of(spec)
    assert torch.equal(task.head(spec)(score), score)
    assert set(task.meter(spec).value()) <= {"loss", "mse", "mae"}
    assert float(task.loss(score, batch)[0]) == pytest.approx(
        float(((score - batch.target) ** 2).mean()) * 5, rel=1e-5
    )


@pytest.mark.parametrize(
    ("spec", "options", "part"),
    [
        (spec_of(kind="mask"), {}, "needs an image to answer"),
        (spec_of(shape=(4, 6)), {}, "a target of (C, H, W)"),
        (spec_of(), {"range": (1.0, 1.0)}, "is empty"),
    ],
)
def test_target_or_range_that_does_not_fit_is_refused(spec, options, part):
    with pytest.raises(BadUsage) as caught:
        task_of(spec, **options)
    assert part in str(caught.value)


def test_prediction_is_rounded_and_what_is_not_a_number_stays_so():
    spec = spec_of(shape=(1, 1, 2))
    images = np.array([[[[1.4, 254.6]]], [[[np.nan, 3]]]], np.float32)
    first, second = image_to_image(lambda x: (images, images), (images,), spec, None)
    assert first.values["image"].dtype == np.uint8
    assert first.values["image"].tolist() == [[[1, 255]]]
    assert np.isnan(second.values["image"]).any()


def test_flip_moves_the_target_with_the_image_and_crop_refuses_another_size():
    flip = Flip(FlipOptions())
    flip.check(spec_of())
    image = torch.arange(8 * 24, dtype=torch.uint8).view(8, 1, 4, 6)
    (moved,), target = flip.apply((image,), image.clone(), sample_draws(range(8), 1, 0, 0, torch.device("cpu")))
    assert torch.equal(moved, target)
    assert not torch.equal(moved, image)
    with pytest.raises(BadUsage, match="by the same pixels"):
        Crop(CropOptions(padding=1)).check(spec_of(shape=(1, 8, 12)))


def test_rescaled_input_is_exact_for_an_affine_target_and_left_out_for_an_autoencoder():
    spec = spec_of()
    draws = np.random.default_rng(2)
    target = draws.integers(50, 200, (40, 1, 4, 6)).astype(np.uint8)
    noisy = target + draws.normal(0, 20, target.shape)
    for given, names in ((target, ["mean image"]), (noisy, ["mean image", "rescaled input"])):
        split = ((((given.astype(np.float32) - 125) / 40),), target)
        found = baselines.measure(split, split, spec, task_of(spec))
        assert [each["name"] for each in found] == names
        mean = target.mean(0)
        assert found[0]["metrics"]["mse"] == pytest.approx(np.square(target - mean).mean(), rel=1e-5)
    assert found[1]["metrics"]["mse"] < 400


@pytest.mark.parametrize("targets", [True, False], ids=["pairs", "autoencoder"])
def test_trains_evaluates_predicts_and_exports(tmp_path, targets):
    for number in range(24):
        draws = np.random.default_rng(number)
        image = np.full((8, 8), draws.integers(20, 200), np.uint8)
        for name, each in (("in", image), ("out", image + 40)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(each).save(tmp_path / name / f"{number}.png")
    choice = ("--set", "source.targets=out") if targets else ()
    small = ("--set", "model.width=2", "--epochs", 2, "--name", "run", "--quiet")
    with nullcontext() if targets else bare():
        run("train", "image-pairs", "--data", "in", *choice, *small, cwd=tmp_path)
    metrics = run("evaluate", "run", "--json", cwd=tmp_path).json["metrics"]
    assert {"mse", "mae", "psnr"} <= set(metrics)
    shown = run("predict", "run", "in/0.png", "--out", "drawn", "--json", cwd=tmp_path)
    assert shown.json["answers"][0]["image"] == "0.png"
    with Image.open(tmp_path / "drawn" / "0.png") as drawn:
        assert (drawn.size, drawn.mode) == ((8, 8), "L")
    with Image.open(tmp_path / "runs" / "run" / "worst" / "test" / "0.png") as sheet:
        assert sheet.width > 2 * sheet.height  # input, target, prediction
    plan = json.loads((tmp_path / "runs" / "run" / "artifact" / "artifact.json").read_text(encoding="utf-8"))
    assert plan["spec"]["target"]["kind"] == "image"
    if not targets:
        return
    page = (tmp_path / "runs" / "run" / "report.html").read_text(encoding="utf-8")
    assert "image · actual · predicted" in page
    assert "PSNR of" in page
    run_export("run", "--to", "torch-export", cwd=tmp_path)
