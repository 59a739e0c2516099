"""Rows of a table."""

import torch
from torch import Tensor

# positions of columns by name; MEAN and SCALE (1 / std) are those of the training split
NUMBERS = {"age": 0, "height": 1}
MEAN = torch.tensor([40.0, 170.0])
SCALE = torch.tensor([0.1, 0.1])
MAY_BE_MISSING = {"age": 0}
CATEGORIES = {"town": (2, 3)}  # position, number of categories; code 0 is missing or unknown
ONE_HOT = True


def transform(x: Tensor) -> Tensor:
    """Standardize numbers, flag missing ones (they count as the mean), one-hot encode categories or keep codes."""
    numbers = x[:, list(NUMBERS.values())].float()
    known = torch.where(numbers.isnan(), MEAN, numbers)
    parts = [(known - MEAN) * SCALE, x[:, list(MAY_BE_MISSING.values())].isnan().float()]
    for column, count in CATEGORIES.values():
        codes = x[:, [column]].float()  # (B, 1)
        parts.append((codes == torch.arange(1, count + 1)).float() if ONE_HOT else codes)
    return torch.cat(parts, 1)
