from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchdog.api import BadData, BadUsage, SampleCounts, Spec, natural_key, shortlist
from benchdog.builtin.sources import options as given
from benchdog.builtin.sources.images.digits import Digits
from benchdog.builtin.sources.images.fashion_mnist import FILES, SYSTEM, FashionMnist
from benchdog.builtin.sources.images.shapes import Shapes
from benchdog.builtin.sources.splitting import split_by_content

pytestmark = pytest.mark.usefixtures("weights_alone")

Check = Callable[..., Spec]


# --- splitting --------------------------------------------------------------------------------------


def test_split_by_content_keeps_duplicates_together_and_stratifies() -> None:
    contents = [str(i % 40).encode() for i in range(120)]
    labels = [i % 40 % 4 for i in range(120)]
    parts = split_by_content(contents, labels, valid=0.1, test=0.1, seed=0)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(120))
    seen = {name: {contents[i] for i in at} for name, at in parts.items()}
    assert not seen["train"] & seen["valid"]
    assert not seen["train"] & seen["test"]
    assert not seen["valid"] & seen["test"]
    assert all({labels[i] for i in at} == {0, 1, 2, 3} for at in parts.values())


def test_split_by_content_is_stable_when_samples_are_added() -> None:
    contents = [str(i).encode() for i in range(400)]
    few_, many = (split_by_content(contents[:n], [0] * n, valid=0.2, test=0.2, seed=0) for n in (200, 400))
    assert all(set(few_[name]) <= set(many[name]) for name in few_)
    other = split_by_content(contents, [0] * 400, valid=0.2, test=0.2, seed=1)
    assert set(other["test"]) != set(many["test"])


def test_split_by_content_assigns_rare_labels_to_train_first() -> None:
    parts = split_by_content([b"a", b"b"], [0, 0], valid=0.9, test=0.05, seed=0)
    assert len(parts["train"]) == len(parts["valid"]) == 1
    assert not len(split_by_content([b"a"] * 5, [0] * 5, valid=0, test=0, seed=0)["test"])
    with pytest.raises(BadUsage, match="no training data"):
        split_by_content([b"a"], [0], valid=0.5, test=0.5, seed=0)


def test_natural_key_and_shortened() -> None:
    assert sorted(["10", "9", "a2", "a10", "B1", ""], key=natural_key) == ["", "9", "10", "a2", "a10", "B1"]
    assert shortlist([1, 2, 3]) == "1, 2, 3"
    assert shortlist(range(9), 2) == "0, 1 and 7 more"


# --- digits and fashion-mnist ----------------------------------------------------------------------


def test_digits_source(check: Check) -> None:
    source = Digits(given.DigitsOptions())
    spec = check(source)
    assert spec.target.classes == tuple("0123456789")
    splits = source.open()
    assert sum(len(split) for split in splits.values()) == 1797
    assert all(set(split.targets) == set(range(10)) for split in splits.values())
    assert max(split.images.max() for split in splits.values()) == 255
    more = Digits(given.DigitsOptions(test=0.4)).open()
    assert len(more["test"]) > len(splits["test"])


def idx(folder: Path, name: str, values: np.ndarray) -> None:
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    (folder / name).write_bytes(gzip.compress(head + values.tobytes()))


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, n in (("train", 200), ("t10k", 30)):
        idx(tmp_path, f"{part}-images-idx3-ubyte.gz", rng.integers(0, 256, (n, 28, 28), np.uint8))
        idx(tmp_path, f"{part}-labels-idx1-ubyte.gz", (np.arange(n) % 10).astype(np.uint8))
    return tmp_path


def test_fashion_mnist_keeps_the_official_test_split(check: Check, fashion: Path) -> None:
    source = FashionMnist(given.FashionMnistOptions(path=fashion))
    spec = check(source)
    assert spec.target.classes[9] == "Ankle boot"
    splits = source.open()
    assert len(splits["test"]) == 30
    assert len(splits["train"]) + len(splits["valid"]) == 200
    source = FashionMnist(given.FashionMnistOptions(path=fashion, limit=50))
    limited = source.open()
    assert len(limited["train"]) + len(limited["valid"]) == 50
    assert source.counts == SampleCounts(found=230, used=80, skipped={"beyond the limit": 150}, unit="images")


def test_fashion_mnist_counts_test_images_that_are_in_train(fashion: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 28, 28), np.uint8)  # as the fixture draws them
    idx(fashion, "t10k-images-idx3-ubyte.gz", images[:30])
    source = FashionMnist(given.FashionMnistOptions(path=fashion))
    source.open()
    assert source.seen == {"test": 30}


def test_fashion_mnist_downloads_missing_files(fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchdog.builtin.sources.images.fashion_mnist.SYSTEM", fashion / "nowhere")
    asked: dict[str, str] = {}

    class Cache:
        folder = fashion

        def download(self, url: str, *, sha256: str, name: str = "") -> Path:
            asked[url] = sha256
            return fashion / name

    source = FashionMnist(given.FashionMnistOptions())
    source.fetch(Cache())
    assert {url.rsplit("/", 1)[1]: sha256 for url, sha256 in asked.items()} == FILES
    assert len(source.open()["test"]) == 30
    mine = FashionMnist(given.FashionMnistOptions(path=fashion))
    asked.clear()
    mine.fetch(Cache())
    assert not asked


def test_corrupt_fashion_mnist_files_are_named(fashion: Path) -> None:
    source = FashionMnist(given.FashionMnistOptions(path=fashion))
    images = fashion / "train-images-idx3-ubyte.gz"
    whole = images.read_bytes()
    for data, why in ((whole[:5000], "damaged"), (b"hello", "damaged"), (gzip.compress(b"hello"), "not an idx")):
        images.write_bytes(data)
        with pytest.raises(BadData, match=why) as caught:
            source.open()
        assert str(images) in caught.value.message
    images.unlink()
    with pytest.raises(BadData, match="missing"):
        source.open()
    idx(fashion, images.name, np.zeros((10, 28, 28), np.uint8))
    with pytest.raises(BadData, match="don't match"):
        source.open()


@pytest.mark.skipif(not all((SYSTEM / name).is_file() for name in FILES), reason="not installed here")
def test_fashion_mnist_system_copy() -> None:
    splits = FashionMnist(given.FashionMnistOptions()).open()
    assert sum(len(split) for split in splits.values()) == 70_000
    assert np.bincount(splits["test"].targets).tolist() == [1000] * 10


# --- shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
def test_shapes_source(check: Check, dimensions: Any) -> None:
    source = Shapes(given.ShapesOptions(count=40, dimensions=dimensions))
    spec = check(source, {"train": 28, "valid": 6, "test": 6})
    assert spec.fields[0].kind == ("image" if dimensions == 2 else "volume")
    (images,), masks = source.open()["train"].batch(range(28))
    assert set(np.unique(masks)) == {0, 1}
    assert 0.01 < masks.mean() < 0.3
    best = max(
        ((images[:, 0] > level) & (masks > 0)).sum() / ((images[:, 0] > level) | (masks > 0)).sum()
        for level in range(20, 250, 5)
    )
    assert best <= 0.6


def test_shapes_depend_only_on_seed_and_index() -> None:
    small, large = (Shapes(given.ShapesOptions(count=n, size=32)).open()["train"] for n in (20, 30))
    (a,), x = small.batch([13, 2])
    (b,), y = large.batch([2, 13])
    assert np.array_equal(a, b[::-1])
    assert np.array_equal(x, y[::-1])
    (other,), _ = Shapes(given.ShapesOptions(count=20, size=32, seed=1)).open()["train"].batch([13, 2])
    assert not np.array_equal(a, other)
