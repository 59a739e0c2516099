"""The same components without their faults: nothing may be found in them."""

from benchdog.api import (
    AugmentationInfo,
    BackendInfo,
    ExporterInfo,
    ModelInfo,
    SourceInfo,
    TaskInfo,
    TrainerInfo,
    hookimpl,
)
from planted import SUMMARY

CONTRACT = 1


@hookimpl
def benchdog_sources():
    options, lacking = "planted.options:Sound", {"summary": SUMMARY, "target": "planted.sources:Good"}
    return [
        SourceInfo(name="sound-rows", summary=SUMMARY, target="planted.sources:Good", options=options),
        SourceInfo(name="sound-shards", summary=SUMMARY, target="planted.sources:Shards"),
        SourceInfo(name="lacks-package", requires=("no_such_package",), install="Get it.", **lacking),
        SourceInfo(name="lacks-data", summary=SUMMARY, target="planted.sources:Downloads"),
        SourceInfo(name="lacks-option", options="planted.options:Required", **lacking),
    ]


@hookimpl
def benchdog_models():
    return [ModelInfo(name="sound-net", summary=SUMMARY, target="planted.models:build")]


@hookimpl
def benchdog_tasks():
    return [
        TaskInfo(name="sound-task", summary=SUMMARY, target="planted.tasks:Good", answer="planted.answers:answer")
    ]


@hookimpl
def benchdog_augmentations():
    return [AugmentationInfo(name="sound-dim", summary=SUMMARY, target="planted.augmentations:Good")]


@hookimpl
def benchdog_trainers():
    return [TrainerInfo(name="sound-sgd", summary=SUMMARY, target="planted.trainers:Good")]


@hookimpl
def benchdog_exporters():
    target, runner = "planted.exporters:Good", "planted.exporters:Runner"
    return [ExporterInfo(name="sound-graph", summary=SUMMARY, target=target, runner=runner, program=True)]


@hookimpl
def benchdog_backends():
    return [BackendInfo(name="sound-unit", summary=SUMMARY, target="planted.backends:Good")]


@hookimpl
def benchdog_epoch_ended(run, metrics):
    assert all(isinstance(value, float) for value in metrics.values()), run.name
