"""What timm knows of a network's published weights: how their images were scaled. The weights are a file of yours."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from benchdog.api import NotAvailable, Op, Preprocess, Spec
from benchdog_timm.library import known, timm
from benchdog_timm.options import Options

LARGEST = 255
"""A byte's: timm's means and deviations are shares of it."""


class Published:
    """The scaling that a file of weights expects, by the network's configuration in timm."""

    task = ""
    rename: tuple[tuple[str, str], ...] = ()

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def transform(self) -> tuple[Op, ...]:
        """Return the scaling of the network's weights, or of those with the tag that is named."""
        config = timm().get_pretrained_cfg(known(self.options.net))
        mean, deviation = ([round(LARGEST * value, 4) for value in each] for each in (config.mean, config.std))
        return ({"op": "normalise", "mean": mean, "deviation": deviation},)

    def weights(self) -> Path:
        """Refuse: timm gets them over the network, which Benchdog doesn't use while it trains."""
        raise NotAvailable(
            f"timm's package holds no weights of {self.options.net!r}.",
            "Download its model.safetensors, and name the file: --set start.weights=model.safetensors",
        )

    def preprocess(self) -> Preprocess:
        """Refuse: there is nothing to answer before it is trained for something."""
        raise self._unready()

    def spec(self) -> Spec:
        """Refuse likewise."""
        raise self._unready()

    def _unready(self) -> NotAvailable:
        return NotAvailable(
            "The model 'timm' answers nothing before it is trained.", "benchdog train ... --model timm"
        )
