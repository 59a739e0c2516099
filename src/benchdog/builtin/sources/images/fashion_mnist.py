"""Fashion-MNIST: 70,000 grayscale images of clothes, 28x28, in ten classes (Xiao et al. 2017, MIT license)."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.api import (
    MAX_IMAGE_BYTES,
    BadData,
    BadUsage,
    Cache,
    Field,
    SampleCounts,
    Spec,
    Target,
    read_regular,
)
from benchdog.builtin.sources.images.arrays import ImageSplit
from benchdog.builtin.sources.options import FashionMnistOptions
from benchdog.builtin.sources.splitting import count_overlap, split_by_content

HOST = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
SYSTEM = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist installs the same files."""
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
Array = np.ndarray[Any, np.dtype[np.uint8]]


class FashionMnist:
    """The official test images are the test split; valid is split off the training images by content."""

    def __init__(self, options: FashionMnistOptions) -> None:
        self.options = options
        self.counts: SampleCounts | None = None
        self.seen: dict[str, int] = {}
        self.folder = options.path or (SYSTEM if _complete(SYSTEM) else None)

    def fetch(self, cache: Cache) -> None:
        """Download the four files (31 MB) unless a folder has them."""
        if self.folder is not None and self.folder.is_file():
            raise BadUsage(
                f"{self.folder} is a file; fashion-mnist is a fixed dataset and takes no other data.",
                f"Leave path out, or set it to the folder of the four .gz files. To train on that file: "
                f"benchdog train {self.folder}",
            )
        if self.folder is None:
            for name, sha256 in FILES.items():
                cache.download(HOST + name, sha256=sha256, name=name)
            self.folder = cache.folder

    def spec(self) -> Spec:
        """Describe grayscale images of 28x28 pixels in ten classes."""
        image = Field(kind="image", shape=(1, 28, 28), dtype="uint8", range=(0, 255))
        return Spec(fields=(image,), target=Target(kind="class", name="article", classes=CLASSES))

    def open(self) -> dict[str, ImageSplit]:
        """Load all splits, 55 MB."""
        options = self.options
        images, labels = self._part("train")
        found = len(images)
        images, labels = images[: options.limit or None], labels[: options.limit or None]
        contents = [image.tobytes() for image in images]
        parts = split_by_content(contents, labels.tolist(), valid=options.valid, test=0, seed=options.split_seed)
        splits = {
            name: ImageSplit(images[at], labels[at], [f"train-{i:05}" for i in at]) for name, at in parts.items()
        }
        images, labels = self._part("t10k")
        beyond = found - len(contents)
        self.counts = SampleCounts(
            found=found + len(images),
            used=found + len(images) - beyond,
            skipped={"beyond the limit": beyond} if beyond else {},
            unit="images",
        )
        test = range(len(contents), len(contents) + len(images))
        self.seen = count_overlap([*contents, *(image.tobytes() for image in images)], {**parts, "test": test})
        return splits | {"test": ImageSplit(images, labels, [f"test-{i:05}" for i in range(len(images))])}

    def _part(self, part: str) -> tuple[Array, np.ndarray[Any, np.dtype[np.int64]]]:
        images = self._read(f"{part}-images-idx3-ubyte.gz", (28, 28))[:, None]
        labels = self._read(f"{part}-labels-idx1-ubyte.gz", ()).astype(np.int64)
        if len(images) != len(labels) or labels.max(initial=0) >= len(CLASSES):
            raise BadData(f"The {part} images and labels in {self.folder} don't match.")
        return images, labels

    def _read(self, name: str, shape: tuple[int, ...]) -> Array:
        """Read an idx file: two zeros, type 8 (bytes), number of axes, their lengths, then the values."""
        path = (self.folder or SYSTEM) / name
        try:
            data = gzip.decompress(read_regular(path, MAX_IMAGE_BYTES))
        except FileNotFoundError:
            raise BadData(f"{path} is missing.", "Set path to a folder that has it, or leave path out.") from None
        except (OSError, EOFError, zlib.error) as error:
            raise BadData(f"{path} is damaged: {error}.", "Remove it and download it again.") from None
        axes = 1 + len(shape)
        head, body = data[: 4 + 4 * axes], data[4 + 4 * axes :]
        lengths = tuple(int.from_bytes(head[i : i + 4], "big") for i in range(4, 4 + 4 * axes, 4))
        if head[:4] != bytes([0, 0, 8, axes]) or lengths[1:] != shape or len(body) != np.prod(lengths):
            raise BadData(f"{path} is not an idx file of {shape or 'labels'}.")
        return np.frombuffer(body, np.uint8).reshape(lengths)


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)
