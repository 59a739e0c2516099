"""Augmentation: determined by seed, epoch and sample alone; masks are transformed with their images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchdog.api import Column, Field, Spec, Target
from benchdog.data.augment import Augment
from benchdog.data.randomness import Draws, sample_draws
from benchdog.errors import BadUsage
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import ComponentConfig
from support.in_process import run, same, weights

pytestmark = pytest.mark.usefixtures("weights_alone")

CPU = torch.device("cpu")
IMAGE = Field(kind="image", shape=(1, 12, 10), dtype="uint8", range=(0, 255))
COLOR = Field(kind="image", shape=(3, 12, 10), dtype="uint8", range=(0, 255))
VOLUME = Field(kind="volume", shape=(1, 6, 8, 8), dtype="float32")
MASK = Target(kind="mask", classes=("a", "b", "c"), shape=(12, 10), dtype="uint8")
CLASS = Target(kind="class", classes=("a", "b", "c"))
NAMES = ("flip", "crop", "affine", "color", "noise", "cut-out", "mix-up")


@pytest.fixture(scope="module")
def plugins():
    return Plugins.discover()


def augment(plugins, spec, *parts, seed=0):
    return Augment([ComponentConfig(name=n, options=dict(o)) for n, o in parts], spec, seed, plugins)


def random_images(field, count, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, *field.shape)
    values = rng.integers(0, 256, shape).astype("uint8") if field.dtype == "uint8" else rng.normal(size=shape)
    return torch.from_numpy(values.astype(field.dtype))


def test_draws_are_uniform_normal_and_uncorrelated():
    draws = Draws(torch.arange(4000))
    first, second = draws.uniform(3), draws.uniform(3)
    assert first.min() >= 0
    assert first.max() < 1
    assert abs(float(first.mean()) - 0.5) < 0.01
    assert abs(float(first.var()) - 1 / 12) < 0.005
    assert not torch.equal(first, second)
    together = torch.cat([first, second], 1).T
    assert torch.corrcoef(together).fill_diagonal_(0).abs().max() < 0.06
    normal = Draws(torch.arange(4000)).normal(2)
    assert abs(float(normal.mean())) < 0.03
    assert abs(float(normal.std()) - 1) < 0.03


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 500), st.permutations(range(12)), st.integers(1, 11))
def test_sample_draws_depend_only_on_seed_epoch_and_sample(seed, epoch, order, cut):
    whole = sample_draws(range(12), seed, epoch, 0, CPU).uniform(4)
    parts = [sample_draws(torch.tensor(part), seed, epoch, 0, CPU).uniform(4) for part in (order[:cut], order[cut:])]
    assert torch.equal(torch.cat(parts), whole[order])
    assert not torch.equal(whole, sample_draws(range(12), seed, epoch + 1, 0, CPU).uniform(4))
    assert not torch.equal(whole, sample_draws(range(12), seed + 1, epoch, 0, CPU).uniform(4))
    assert not torch.equal(whole, sample_draws(range(12), seed, epoch, 1, CPU).uniform(4))
    named = sample_draws([f"s{i}" for i in range(12)], seed, epoch, 0, CPU).uniform(4)
    assert len(torch.unique(named)) == named.numel()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", [IMAGE, COLOR, VOLUME], ids=["grayscale", "color", "volume"])
def test_augmentation_keeps_shape_and_dtype_and_does_not_modify_input(plugins, name, field):
    spec = Spec(fields=(field,), target=CLASS)
    x, y = random_images(field, 9), torch.arange(9) % 3
    before = x.clone()
    (changed,), target = augment(plugins, spec, (name, {}))((x,), y, range(9), 0)
    assert torch.equal(x, before)
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert not torch.equal(changed, x)
    assert target.shape == ((9, 3) if name == "mix-up" else (9,))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "mix-up"])
def test_augmentation_is_the_same_for_micro_batches(plugins, name):
    spec = Spec(fields=(COLOR,), target=CLASS)
    x, y = random_images(COLOR, 10), torch.arange(10) % 3
    made = augment(plugins, spec, (name, {}), ("flip", {}), seed=3)
    (whole,), _ = made((x,), y, range(10), 2)
    micro_batches = [made((x[a:b],), y[a:b], range(a, b), 2)[0][0] for a, b in ((0, 3), (3, 10))]
    assert torch.equal(torch.cat(micro_batches), whole)


@pytest.mark.parametrize(("name", "options"), [
    ("flip", {"axes": ["horizontal", "vertical"]}), ("crop", {"padding": 3}),
    ("affine", {"degrees": 30.0, "shift": 0.2, "scale": 1.3, "shear": 10.0}),
])  # fmt: skip
def test_geometric_augmentation_transforms_mask_with_image(plugins, name, options):
    spec = Spec(fields=(IMAGE,), target=MASK)
    mask = torch.zeros(8, 12, 10, dtype=torch.uint8)
    mask[:, 3:9, 2:6] = 2
    image = (mask * 100).unsqueeze(1)  # an image whose pixels encode their class
    (moved,), target = augment(plugins, spec, (name, options))((image,), mask, range(8), 0)
    assert target.dtype == mask.dtype
    assert not torch.equal(target, mask)
    inside = moved[:, 0] > 100
    assert (inside == (target == 2)).float().mean() > (0.93 if name == "affine" else 0.9999)


def test_flip_mirrors_half_the_images_and_crop_shifts_by_whole_pixels(plugins):
    spec = Spec(fields=(IMAGE,), target=CLASS)
    x, y = random_images(IMAGE, 400), torch.zeros(400, dtype=torch.long)
    (flipped,), _ = augment(plugins, spec, ("flip", {}))((x,), y, range(400), 0)
    mirrored = (flipped == x.flip(-1)).flatten(1).all(1)
    unchanged = (flipped == x).flatten(1).all(1)
    assert bool((mirrored ^ unchanged).all())
    assert 150 < int(mirrored.sum()) < 250
    (moved,), _ = augment(plugins, spec, ("crop", {"padding": 2}))((x,), y, range(400), 0)
    padded = torch.nn.functional.pad(x, [2, 2, 2, 2])
    places = [(i, j) for i in range(5) for j in range(5)]
    views = torch.stack([padded[:, :, i : i + 12, j : j + 10] for i, j in places])
    hits = (views == moved).flatten(2).all(2)  # (places, samples)
    assert bool(hits.any(0).all())
    assert bool(hits.any(1).all())


def test_affine_rotation_and_shift_by_known_values(plugins):
    from benchdog.builtin.augmentations.geometry import Affine
    from benchdog.builtin.augmentations.options import AffineOptions

    step = Affine(AffineOptions(degrees=90, shift=0, scale=1.0))
    step.check(Spec(fields=(IMAGE,), target=CLASS))
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 1, 4] = 1  # above the center
    rotated = step.move(x, torch.tensor([[1.0, 0, 0, 0, 0]]))
    assert int(rotated.flatten().argmax()) in (4 * 9 + 1, 4 * 9 + 7)
    moved = Affine(AffineOptions(degrees=0, shift=1 / 9, scale=1.0)).move(x, torch.tensor([[0.0, 0, 0, 1, 0]]))
    assert int(moved.flatten().argmax()) == 1 * 9 + 3


def test_mix_up_blends_images_and_targets_with_the_same_weight(plugins):
    field = Field(kind="image", shape=(1, 4, 4), dtype="float32")
    x = torch.eye(3)[torch.arange(30) % 3].repeat_interleave(6, 1)[:, :16].view(30, 1, 4, 4)
    y = torch.arange(30) % 3
    made = augment(plugins, Spec(fields=(field,), target=CLASS), ("mix-up", {"alpha": 1.0}))
    (mixed,), target = made((x,), y, range(30), 0)
    assert torch.allclose(target.sum(1), torch.ones(30))
    assert float(target.max(1).values.min()) >= 0.5 - 1e-6
    assert bool((target.argmax(1) == y).all())
    assert torch.allclose(mixed[:, 0, 0, :].mean(1), target[:, 0], atol=1e-6)
    number = Target(kind="number", dtype="float32")
    (_,), values = augment(plugins, Spec(fields=(field,), target=number), ("mix-up", {}))(
        (x,), y.float(), range(30), 0
    )
    assert values.shape == (30,)
    assert made.mixing == "mix-up"


def test_noise_does_not_change_category_codes(plugins):
    columns = (Column(name="a"), Column(name="b", kind="category", categories=("x", "y")))
    field = Field(kind="table", shape=(2,), dtype="float32", columns=columns)
    x = torch.tensor([[1.0, 2.0]] * 5)
    (noisy,), _ = augment(plugins, Spec(fields=(field,), target=CLASS), ("noise", {}))((x,), x[:, 0], range(5), 0)
    assert torch.equal(noisy[:, 1], x[:, 1])
    assert not torch.equal(noisy[:, 0], x[:, 0])


@pytest.mark.parametrize(("chain", "message"), [
    ('["filp"]', "'flip'"),
    ('[{ name = "crop", paddings = 2 }]', "'padding'"),
    ('[{ name = "crop", padding = 0 }]', "greater than"),
    ('[{ padding = 2 }]', "has no name"),
    ('[{ name = "flip", axes = ["depth"] }]', "2-D"),
    ('"flip"', "loader"),
])  # fmt: skip
def test_invalid_augmentation_settings_are_refused(tmp_path, chain, message):
    result = run("train", "digits", "--set", f"loader.augment={chain}", cwd=tmp_path, code=2)
    assert message in result.err
    assert not (tmp_path / "runs").exists()


def test_augmentation_that_does_not_fit_field_or_target_is_refused(plugins):
    table = Field(kind="table", shape=(2,), dtype="float32")
    for name in ("flip", "color", "cut-out"):
        with pytest.raises(BadUsage, match="table"):
            augment(plugins, Spec(fields=(table,), target=CLASS), (name, {}))
    with pytest.raises(BadUsage, match="mask"):
        augment(plugins, Spec(fields=(IMAGE,), target=MASK), ("mix-up", {}))


SETTINGS = ["--epochs", 2, "--quiet", "--set", 'loader.augment=["flip", {name="crop", padding=1}, "noise"]']


def test_augmentation_is_reproducible_with_and_without_cached_data(tmp_path):
    run("train", "digits", *SETTINGS, "--name", "one", cwd=tmp_path)
    run("train", tmp_path / "runs" / "one" / "recipe.toml", "--name", "two", "--quiet", cwd=tmp_path)
    run("train", "digits", *SETTINGS, "--set", "loader.memory=0", "--set", "loader.workers=0", "--name", "three",
        cwd=tmp_path)  # fmt: skip
    run("train", "digits", "--epochs", 2, "--quiet", "--name", "plain", cwd=tmp_path)
    runs = tmp_path / "runs"
    assert same(runs / "one", runs / "two")
    assert same(runs / "one", runs / "three")
    mine, plain = weights(runs / "one"), weights(runs / "plain")
    assert any(mine[key].tobytes() != plain[key].tobytes() for key in mine)
    assert 'name = "crop"' in (runs / "one" / "recipe.toml").read_text(encoding="utf-8")


def test_third_party_augmentation_runs_and_reproduces_from_recipe(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Darken:\n"
        "    def check(self, spec): pass\n"
        "    def apply(self, inputs, target, draws):\n"
        "        by = draws.uniform(1).view(-1, 1, 1, 1)\n"
        "        return tuple((x * by).to(x.dtype) for x in inputs), target\n",
        encoding="utf-8",
    )
    run("train", "digits", "--epochs", 1, "--quiet", "--set", 'loader.augment=["mine.py:Darken"]', "--name", "dark",
        cwd=tmp_path)  # fmt: skip
    text = (tmp_path / "runs" / "dark" / "recipe.toml").read_text(encoding="utf-8")
    assert 'name = "local/mine.py:Darken"' in text
    run("train", tmp_path / "runs" / "dark" / "recipe.toml", "--name", "again", "--quiet", cwd=tmp_path)
    assert same(tmp_path / "runs" / "dark", tmp_path / "runs" / "again")
