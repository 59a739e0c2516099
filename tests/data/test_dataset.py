"""From splits to batches: sampling order, micro-batches, splitting by content, checks of a source."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchdog.api import Field, Raw, Spec, Split, Target
from benchdog.data import dataset
from benchdog.data.content import content_bytes
from benchdog.data.dataset import DecodedSplit, open_splits
from benchdog.data.decode.decoder import default_preprocess
from benchdog.data.fast_path import check_fast_path
from benchdog.data.randomness import derive_seed
from benchdog.data.sampler import epoch_order, micro_batches
from benchdog.errors import BadData, BadUsage
from benchdog.plugins import Plugins
from support.in_process import run, same
from support.local_sources import write

pytestmark = pytest.mark.usefixtures("weights_alone")

# --- sampling order and micro-batches


@given(samples=st.integers(0, 300), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 10**6))
def test_epoch_order_is_a_permutation_that_depends_on_seed_and_epoch(samples, seed, epoch):
    order = epoch_order(samples, seed, epoch)
    assert sorted(order.tolist()) == list(range(samples))
    assert torch.equal(order, epoch_order(samples, seed, epoch))
    if samples > 30:
        assert not torch.equal(order, epoch_order(samples, seed, epoch + 1))
        assert not torch.equal(order, epoch_order(samples, (seed + 1) % 2**63, epoch))


@given(seed=st.integers(0, 2**63 - 1), salt=st.integers(0, 2**32 - 1))
def test_derived_seeds_differ_in_their_low_32_bits(seed, salt):
    """Torch's generator on the CPU looks at 32 bits of a seed."""
    made = [derive_seed(seed, number, salt) for number in range(50)]
    assert all(0 <= value < 2**63 for value in made)
    assert len({value & 0xFFFFFFFF for value in made}) == 50


@given(size=st.integers(1, 200), world=st.integers(1, 9), accumulate=st.integers(1, 9))
def test_micro_batches_partition_the_batch(size, world, accumulate):
    batch = torch.arange(size)
    cut = [micro_batches(batch, rank, world, accumulate) for rank in range(world)]
    flat = [micro_batch for of_rank in cut for micro_batch in of_rank]
    assert all(len(micro_batch) for micro_batch in flat)
    assert all(1 <= len(of_rank) <= accumulate for of_rank in cut)
    seen = torch.cat(flat).tolist()
    if size >= world:
        assert seen == list(range(size))
        lengths = [sum(map(len, of_rank)) for of_rank in cut]
        assert max(lengths) - min(lengths) <= 1
    else:
        assert seen == list(range(size)) * world, "too small to split: every rank has all of it"


# --- splitting by content


class Opened:
    """A live source that opens what it is given."""

    def __init__(self, opened: Any) -> None:
        self.opened = opened

    def spec(self) -> Spec:
        return Spec(fields=(Field(kind="table", shape=(1,), dtype="float32"),), target=Target(kind="number"))

    def open(self) -> Any:
        return self.opened


def divided(opened: list[Raw], seed: int = 0) -> dict[str, set[str]]:
    """Divide a list; return the ids of each split."""
    ids = {}
    for name, split in open_splits(Opened(opened), seed).items():
        assert isinstance(split, Split)
        ids[name] = {split.raw(i).id for i in range(len(split))}
    return ids


def raw(i, value, target=0):
    return Raw(id=str(i), fields={"input": value}, target=target)


@given(
    st.lists(st.binary(min_size=1, max_size=3) | st.text(max_size=3) | st.integers(0, 9), min_size=1, max_size=80),
    st.randoms(),
)
def test_list_is_split_by_content_independent_of_order(values, random):
    raws = [raw(i, value) for i, value in enumerate(values)]

    def split_ids(given):
        try:
            return divided(given)
        except BadData:  # too few for every split, in any order
            return None

    first = split_ids(raws)
    random.shuffle(raws)
    assert split_ids(raws) == first
    if first is None:
        return
    assert set.union(*first.values()) == {r.id for r in raws}
    where: dict[bytes, str] = {}
    for name, ids in first.items():
        for i in ids:
            assert where.setdefault(content_bytes(raw(i, values[int(i)])), name) == name, (
                "duplicates are in different splits"
            )


def test_equal_images_in_other_files_stay_in_one_split():
    raws = []
    for i in range(60):
        image = Image.fromarray(np.random.default_rng(i).integers(0, 256, (4, 4), np.uint8))
        for suffix, saved in (("png", image), ("bmp", image), ("png", image.convert("RGB"))):
            file = io.BytesIO()
            saved.save(file, suffix)
            raws.append(Raw(id=f"{i}.{suffix}.{saved.mode}", fields={"input": file.getvalue()}, target=0))

    class Images(Opened):
        def spec(self) -> Spec:
            field = Field(kind="image", shape=(1, 4, 4), dtype="uint8")
            return Spec(fields=(field,), target=Target(kind="number"))

    for split in open_splits(Images(raws)).values():
        assert isinstance(split, Split)
        ids = [split.raw(i).id for i in range(len(split))]
        assert len(ids) == 3 * len({name.split(".")[0] for name in ids}) > 0


def test_content_bytes_depend_on_fields_only():
    a = Raw(id="1", fields={"x": b"1", "y": np.array([1.0])}, target=0)
    b = Raw(id="2", fields={"y": np.array([1.0]), "x": b"1"}, target=1)
    assert content_bytes(a) == content_bytes(b)
    assert content_bytes(a) != content_bytes(Raw(id="1", fields={"x": b"1", "y": np.array([1])}))
    assert content_bytes(a) != content_bytes(Raw(id="1", fields={"x": b"1", "y": np.array([[1.0]])}))
    assert content_bytes(raw(1, {"a": 1, "b": None})) == content_bytes(raw(2, {"b": None, "a": 1}))


def test_split_fractions_are_about_15_percent_and_depend_on_seed():
    raws = [raw(i, np.array([i])) for i in range(2000)]
    splits = divided(raws)
    assert 0.67 < len(splits["train"]) / 2000 < 0.73
    assert 0.13 < len(splits["valid"]) / 2000 < 0.17
    assert divided(raws, seed=1)["test"] != splits["test"]


@pytest.mark.parametrize(
    ("opened", "message"),
    [
        ([], "train split has no samples (0 in all)"),
        ({"train": []}, "train split has no samples"),
        ({"train": [raw(0, b"x")]}, "valid split has no samples (1 in all)"),
        ({"train": [raw(0, b"x")], "validation": []}, "'validation'"),
    ],
)
def test_source_without_required_splits_is_refused(opened, message):
    with pytest.raises(BadData) as caught:
        open_splits(Opened(opened))
    assert message in caught.value.message


# --- samples


def table(split, classes=("a", "b", "c"), kind="class", dtype="int64", shape=()):
    spec = Spec(
        fields=(Field(kind="table", shape=(4,), dtype="float32"),),
        target=Target(kind=kind, classes=classes, dtype=dtype, shape=shape),
    )
    return DecodedSplit(split, spec, default_preprocess(spec))


def listed(*targets):
    rng = np.random.default_rng(0)
    return dataset.ListSplit(
        [raw(f"row {i}", rng.normal(size=4).astype("float32"), t) for i, t in enumerate(targets)]
    )


@pytest.mark.parametrize("code", [-1, 3, 255])
def test_class_index_out_of_range_names_the_sample(code):
    samples = table(listed(0, 1, code, 2))
    assert samples.batch([0, 1, 3])[1].tolist() == [0, 1, 2]
    with pytest.raises(BadData, match=r"Sample row 2 has a target outside the 3 classes"):
        samples.batch([3, 2, 0])


def test_mask_with_class_index_out_of_range_names_the_sample():
    good, bad = np.zeros((2, 2), int), np.array([[0, 1], [3, 0]])
    with pytest.raises(BadData, match="Sample row 1"):
        table(listed(good, bad), kind="mask", shape=(2, 2)).batch([0, 1])


def test_targets_that_do_not_stack_name_their_samples():
    with pytest.raises(BadData, match=r"Sample row 1 has the target 'cat', which is not a number"):
        table(listed(0, "cat")).batch([0, 1])
    numbers = table(listed(1.5, -2.0), classes=(), kind="number", dtype="float32")
    assert numbers.batch([1, 0])[1].tolist() == [-2.0, 1.5]
    assert numbers.batch([1])[1].dtype == np.float32


def test_split_loaded_into_memory_equals_decoded_split(monkeypatch):
    monkeypatch.setattr(dataset, "CHUNK", 7)
    samples = table(listed(*(i % 3 for i in range(50))))
    resident = dataset.load_into_memory(samples)
    inputs, target = samples.batch(range(50))
    assert len(resident) == 50
    assert np.array_equal(resident.inputs[0].numpy(), inputs[0])
    assert np.array_equal(resident.target.numpy(), target)
    assert samples.sample_bytes == 4 * 4 + 8


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sources"))


def opened(local, wrong, split="train"):
    source = Plugins.discover([local]).make("source", "positions", {"wrong": wrong})
    spec = source.spec()
    chosen = open_splits(source)[split]
    assert isinstance(chosen, Split)
    return DecodedSplit(chosen, spec, default_preprocess(spec))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("fast values", "another input"),
        ("fast dtype", "another input"),
        ("fast target", "other targets"),
        ("fast target dtype", "other targets"),
        ("fast no tuple", "tuple of 1 arrays"),
        ("fast too many", "tuple of 1 arrays"),
    ],
)
def test_fast_path_that_differs_from_raw_is_refused(local, wrong, message):
    with pytest.raises(BadData) as caught:
        check_fast_path(opened(local, wrong))
    assert message in caught.value.message
    assert "Fix the source" in caught.value.hint


def test_fast_path_that_agrees_with_raw_is_used(local):
    samples = opened(local, "fast")
    check_fast_path(samples)
    fast, slow = samples.read([3, 1, 4]), samples.read_raw([3, 1, 4])
    assert np.array_equal(fast[0][0], slow[0][0])
    assert np.array_equal(fast[1], slow[1])


def test_fast_path_is_checked_in_every_split_before_training(local, tmp_path):
    result = run(
        "--plugin", local, "train", "positions", "--set", "source.wrong=valid fast values", cwd=tmp_path, code=5
    )
    assert "batch()" in result.err
    assert not (tmp_path / "runs").exists()


def test_class_index_out_of_range_stops_the_run(local, tmp_path):
    result = run(
        "--plugin", local, "train", "positions", "--set", "source.wrong=code", "--epochs", 1, cwd=tmp_path, code=5
    )
    assert "train/7 has a target outside the 3 classes" in result.err


# --- workers


TRAIN = ["train", "positions", "--epochs", 2, "--batch-size", 16, "--quiet", "--model", "linear"]


@pytest.mark.slow
def test_loader_workers_and_memory_do_not_change_weights(local, tmp_path):
    """Spawned workers rebuild the source from the recipe: the plugin's file must be found again there."""
    run("--plugin", local, *TRAIN, "--name", "resident", cwd=tmp_path)
    run("--plugin", local, *TRAIN, "--name", "none", "--set", "loader.memory=0", "--workers", 0, cwd=tmp_path)
    run("--plugin", local, *TRAIN, "--name", "two", "--set", "loader.memory=0", "--workers", 2, cwd=tmp_path)
    runs = tmp_path / "runs"
    assert same(runs / "none", runs / "two")
    assert same(runs / "none", runs / "resident")


def test_negative_number_of_workers_is_refused(tmp_path):
    result = run("train", "digits", "--workers=-1", cwd=tmp_path, code=2)
    assert "workers is -1" in result.err
    with pytest.raises(BadUsage):
        Plugins.discover().find("source", "positions")
