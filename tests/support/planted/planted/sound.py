"""Components without faults: the kit must find nothing in them.

As a plugin it is only an observer; `planted` offers the components, so that one process tries all of them.
"""

from benchdog.api import (
    AugmentationInfo,
    BackendInfo,
    DecoderInfo,
    ExporterInfo,
    ModelInfo,
    SourceInfo,
    TaskInfo,
    TrainerInfo,
    WriterInfo,
    hookimpl,
)
from planted.options import SUMMARY

CONTRACT = 1


def sources():
    options, lacking = "planted.options:Sound", {"summary": SUMMARY, "target": "planted.sources:Good"}
    return [
        SourceInfo(name="sound-rows", summary=SUMMARY, target="planted.sources:Good", options=options),
        SourceInfo(name="sound-bare", summary=SUMMARY, target="planted.sources:Bare"),
        SourceInfo(name="sound-shards", summary=SUMMARY, target="planted.sources:Shards"),
        SourceInfo(name="lacks-package", requires=("no_such_package",), install="Get it.", **lacking),
        SourceInfo(name="lacks-data", summary=SUMMARY, target="planted.sources:Downloads"),
        SourceInfo(name="lacks-option", options="planted.options:Required", **lacking),
    ]


def models():
    return [ModelInfo(name="sound-net", summary=SUMMARY, target="planted.models:build")]


def tasks():
    names = {"sound-task": "Good", "sound-boxes": "Counting", "sound-collate": "Collating"}
    noise = {"target": "planted.noise:Noise", "answer": "planted.noise:answer"}
    return [
        TaskInfo(name="sound-noise", summary=SUMMARY, **noise),
        *(
            TaskInfo(name=name, summary=SUMMARY, target=f"planted.tasks:{cls}", answer="planted.answers:answer")
            for name, cls in names.items()
        ),
    ]


def augmentations():
    return [AugmentationInfo(name="sound-dim", summary=SUMMARY, target="planted.augmentations:Good")]


def decoders():
    target, examples = "planted.decoders:Good", "planted.decoders:examples"
    return [DecoderInfo(name="sound-signal", summary=SUMMARY, target=target, examples=examples, suffixes=(".sig",))]


def trainers():
    return [
        TrainerInfo(name="sound-sgd", summary=SUMMARY, target="planted.trainers:Good"),
        TrainerInfo(name="sound-semi", summary=SUMMARY, target="planted.trainers:Semi"),
    ]


def exporters():
    target, runner = "planted.exporters:Good", "planted.exporters:Runner"
    return [ExporterInfo(name="sound-graph", summary=SUMMARY, target=target, runner=runner, program=True)]


def backends():
    return [BackendInfo(name="sound-unit", summary=SUMMARY, target="planted.backends:Good")]


def writers():
    kind = {"writes": "image", "suffix": ".png", "media_type": "image/png"}
    return [WriterInfo(name="sound-png", summary=SUMMARY, target="planted.writers:Good", **kind)]


@hookimpl
def benchdog_epoch_ended(run, metrics):
    assert all(isinstance(value, float) for value in metrics.values()), run.name
