"""How much each key had to do with how good a trial was: the share of the trials' order that it explains alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchdog_optuna.options import Range
from benchdog_optuna.space import Space

PARTS = 4
"""Parts of equal size that the values of a range are cut into."""


def importances(space: Space, trials: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, float]:
    """Give each key's share, the largest first: epsilon squared of the Kruskal-Wallis test, which chance makes 0.

    Ranks are compared, not results, so that trials which are far off count no more than others, and one that was
    pruned counts with what it had reached.

    Args:
        space: what was searched.
        trials: the values of each trial, and its result.
    """
    shares = {}
    for key, dimension in space.items():
        having = [(values[key], result) for values, result in trials if key in values]
        found = [value for value, _ in having]
        ranks = ranked(np.array([result for _, result in having], float))
        shares[key] = explained(_groups(found, isinstance(dimension.within, Range)), ranks)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _groups(values: Sequence[Any], number: bool) -> np.ndarray:
    """Give each trial the number of its group: a part of the range, or a choice."""
    if not number:
        names = [json.dumps(value, sort_keys=True) for value in values]
        return np.unique(names, return_inverse=True)[1] if names else np.zeros(0, int)
    numbers = np.array(values, float)
    if not len(numbers):
        return np.zeros(0, int)
    cuts = np.quantile(numbers, np.arange(1, PARTS) / PARTS)
    return np.unique(np.searchsorted(cuts, numbers), return_inverse=True)[1]


def ranked(results: np.ndarray) -> np.ndarray:
    """Give each result's rank from 1; equal ones share theirs."""
    _, at, counts = np.unique(results, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: np.ndarray = (last - (counts - 1) / 2)[at]
    return shared


def explained(groups: np.ndarray, ranks: np.ndarray) -> float:
    """Give the share of the ranks' variance that lies between groups, less what chance would put there."""
    count, kinds = len(ranks), len(np.unique(groups))
    total = float(((ranks - ranks.mean()) ** 2).sum()) if count else 0.0
    if kinds < 2 or count <= kinds or total == 0:
        return 0.0
    means = np.bincount(groups, ranks) / np.bincount(groups)
    between = float((np.bincount(groups) * (means - ranks.mean()) ** 2).sum())
    h = (count - 1) * between / total
    return min(1.0, max(0.0, (h - kinds + 1) / (count - kinds)))
