"""The source: a synthetic table of two numeric columns and a class."""

import random

from benchdog.api import Column, Field, Raw, Spec, Target

from .options import Options


class MyThingSource:
    """Synthetic stars; every second one is a giant. Equal options produce equal stars on every machine."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def spec(self) -> Spec:
        """Describe a decoded sample and the target."""
        columns = (Column(name="color"), Column(name="brightness"))
        field = Field(kind="table", shape=(2,), dtype="float32", columns=columns)
        return Spec(fields=(field,), target=Target(kind="class", classes=("dwarf", "giant")))

    def open(self) -> list[Raw]:
        """Return all samples; they are split by content, so equal samples share a split."""
        draw = random.Random(0)
        return [self._star(draw, number) for number in range(self.options.samples)]

    def _star(self, draw: random.Random, number: int) -> Raw:
        giant = number % 2
        spread = self.options.spread
        row = {"color": draw.gauss(giant, spread), "brightness": draw.gauss(2 * giant, 2 * spread)}
        return Raw(id=f"star-{number:04}", fields={"input": row}, target=giant)
