"""The contract of every source: three splits, and batches that equal decoded raw samples."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchdog.api import Spec
from benchdog.data.decode import decoder


def check_source(source: Any, sizes: dict[str, int] | None = None) -> Spec:
    """Check a source: three splits, and batches that equal decoded raw samples."""
    spec: Spec = source.spec()
    splits = source.open()
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    preprocess = source.preprocess(spec) if hasattr(source, "preprocess") else decoder.default_preprocess(spec)
    assert json.loads(json.dumps(preprocess.decode)) == dict(preprocess.decode)
    assert list(splits) == ["train", "valid", "test"]
    if sizes is not None:
        assert {name: len(split) for name, split in splits.items()} == sizes
    ids: set[str] = set()
    for split in splits.values():
        assert len(split)
        at = np.unique(np.linspace(0, len(split) - 1, 20).astype(int))
        raws = [split.raw(int(i)) for i in at]
        slow = decoder.Decoder(spec, preprocess).batch(raws)
        targets = np.stack([raw.target for raw in raws])
        assert targets.dtype == spec.target.dtype
        assert targets.shape[1:] == spec.target.shape
        assert not ids & {raw.id for raw in raws}
        ids |= {raw.id for raw in raws}
        if hasattr(split, "batch"):
            for indices in (at, at.tolist()):
                fast, fast_targets = split.batch(indices)
                assert len(fast) == len(slow)
                for a, b in zip(fast, slow, strict=True):
                    assert a.dtype == b.dtype
                    assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
                assert fast_targets.dtype == targets.dtype
                assert np.array_equal(fast_targets, targets)
    return spec
