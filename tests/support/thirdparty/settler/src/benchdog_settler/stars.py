import random

from benchdog.api import Column, Field, Raw, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="stars", summary="Dwarfs and giants, a synthetic table.", target=":StarsSource")]


class StarsSource:
    def spec(self):
        columns = (Column(name="color"), Column(name="brightness"))
        field = Field(kind="table", shape=(2,), dtype="float32", columns=columns)
        return Spec(fields=(field,), target=Target(kind="class", classes=("dwarf", "giant")))

    def open(self):
        draw = random.Random(0)
        rows = [{"color": draw.gauss(i % 2, 0.5), "brightness": draw.gauss(i % 2, 0.5)} for i in range(600)]
        return [Raw(id=str(i), fields={"input": row}, target=i % 2) for i, row in enumerate(rows)]
