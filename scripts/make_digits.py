"""Make src/benchdog/builtin/sources/images/digits.npz from scikit-learn's copy of the UCI optical digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parents[1] / "src" / "benchdog" / "builtin" / "sources" / "images" / "digits.npz"

if __name__ == "__main__":
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if not np.array_equal(images, digits.images) or images.shape != (1797, 8, 8) or images.max() != 16:
        raise SystemExit("These are not the 1,797 images of 8x8 pixels from 0 to 16.")
    np.savez_compressed(TARGET, images=images, labels=digits.target.astype(np.uint8))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")
