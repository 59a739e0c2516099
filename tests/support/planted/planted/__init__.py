"""A plugin with a fault in every component, for the conformance kit to find. Don't copy anything from here."""

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
from planted import sound
from planted.options import OPTIONS, SUMMARY

CONTRACT = 1


def named(module: str, names: str) -> list[dict[str, str]]:
    """Return arguments of descriptors, named after the classes: WrongShape is wrong-shape."""
    arguments = []
    for name in names.split():
        word = "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")
        arguments.append({"name": word, "summary": SUMMARY, "target": f"planted.{module}:{name}"})
    return arguments


@hookimpl
def benchdog_sources():
    names = """Unseeded GlobalSeed Drifts Reuses WrongShape WrongType OutOfRange UnknownClass WrongTarget CutTarget
    SomeWeights SameIds FastLies ByHash LeavesFiles CallsHome Prints NoValid LostPlace NoOpen TwoSpecs
    Exits Vanishes Miscounts HidesLabels OtherIds OtherTargets UnknownTransform WholeLies"""
    more = [
        SourceInfo(**{**each, "options": "planted.options:Path_"}) for each in named("sources", "BadPath AnyPath")
    ]
    odd = [
        SourceInfo(name=name, summary=SUMMARY, target="planted.sources:Good", options=f"planted.options:{cls}")
        for name, cls in OPTIONS.items()
    ]
    gone = SourceInfo(name="gone", summary=SUMMARY, target="planted.sources:Nowhere")
    return [*(SourceInfo(**each) for each in named("sources", names)), *more, *odd, gone, *sound.sources()]


@hookimpl
def benchdog_models():
    names = """RawError BreaksLater WrongOutput BatchStatistics InPlace HiddenTensor NumpyWeights AlwaysDrops
    CountsInEval NoModule BySet NotFinite NoGradient"""
    return [*(ModelInfo(**each) for each in named("models", names)), *sound.models()]


@hookimpl
def benchdog_tasks():
    names = """RawCheck MeanLoss LossInPlace RandomLoss DetachedLoss WrongHead MeterOfMeans OtherMetric IgnoresWeights
    CountsPadding CollatesTogether CodesOnly Forgets AnswersByBatch NoJson LosesAnswers NoWriter LostLosses
    ClaimsScores ShortBaselines"""
    answers = {
        "answers-by-batch": "planted.answers:by_batch",
        "no-json": "planted.answers:odd",
        "no-writer": "planted.answers:mesh",
    }
    noise = "WrongNoise HalfPrepared NoiseInPlace OwnNoise SharedNoise"
    together = {"loses-answers": "planted.answers:first"}
    tasks = [
        TaskInfo(
            **each,
            answer=answers.get(each["name"], "planted.answers:answer"),
            together=together.get(each["name"], ""),
            values={"surface": "mesh"},
        )
        for each in named("tasks", names)
    ]
    preparing = [TaskInfo(**each, answer="planted.noise:answer") for each in named("noise", noise)]
    return [*tasks, *preparing, *sound.tasks()]


@hookimpl
def benchdog_augmentations():
    names = "PerBatch TorchRandom InPlaceToo ToFloats TooBright RawRefusal WrongTargets"
    return [*(AugmentationInfo(**each) for each in named("augmentations", names)), *sound.augmentations()]


@hookimpl
def benchdog_decoders():
    names = """NoExamples TextExamples NotJsonOptions DoublePrecision ReusesBuffer Dithers KeepsValue StructError
    FillsZeros HashesNames"""
    examples = {
        "no-examples": "",
        "text-examples": "planted.decoders:texts",
        "not-json-options": "planted.decoders:not_json",
    }
    options = {"not-json-options": "planted.options:Rate"}
    decoders = [
        DecoderInfo(
            **each,
            examples=examples.get(each["name"], "planted.decoders:examples"),
            options=options.get(each["name"], ""),
        )
        for each in named("decoders", names)
    ]
    return [*decoders, *sound.decoders()]


@hookimpl
def benchdog_trainers():
    names = """Endless Swallows ForgetsMomentum UnseededNoise CountsNothing IgnoresLast ChangesBatches NoEpoch Deaf
    OwnPlace ChangesOthers TrainsTeacher Blind"""
    return [*(TrainerInfo(**each) for each in named("trainers", names)), *sound.trainers()]


@hookimpl
def benchdog_exporters():
    names = "NoFiles OtherModel PointsBack ChangesArtifact RawDamage RunnerInPlace Takes"
    exporters = [
        ExporterInfo(**each, runner=f"{each['target']}Runner", program=True) for each in named("exporters", names)
    ]
    return [*exporters, *sound.exporters()]


@hookimpl
def benchdog_backends():
    names = "Liar Raiser Sleeper Keeper NoLimit NoScale OpensAnyway ChangesDtype NoReason"
    return [*(BackendInfo(**each) for each in named("backends", names)), *sound.backends()]


@hookimpl
def benchdog_writers():
    names = "NothingWritten InPlaceWriter Closes NotPng Sideways Dated Salted RawOdd Halfway"
    kind = {"writes": "image", "suffix": ".png", "media_type": "image/png"}
    return [*(WriterInfo(**each, **kind) for each in named("writers", names)), *sound.writers()]


@hookimpl
def benchdog_run_started(run):
    raise KeyError("a token")
