"""`benchdog predict`: inference on files, folders, tables and text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import chain, compress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli import flags
from benchdog.cli.completion import candidates
from benchdog.cli.flags import pairs
from benchdog.cli.output import complain, emit_json, say
from benchdog.system.escapes import one_line

if TYPE_CHECKING:
    from benchdog.api import Answer
    from benchdog.deployment.inputs import Sample
    from benchdog.model.load import LoadedModel
    from benchdog.plugins import Plugins

FORMATS = ("table", "csv", "jsonl")
BATCH = 64
TABLES = ("model", "start", "output")
"""What --set describes of a network that is given by its class and its weights."""
WARNED = 20
"""Out-of-distribution inputs that are reported one by one."""


def command(
    ctx: typer.Context,
    model: flags.TrainedModel,
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, .csv tables; text for a text model.")],
    fmt: Annotated[
        str,
        typer.Option(
            "--format", help="Output format: table, csv or jsonl.", autocompletion=candidates.choices(*FORMATS)
        ),
    ] = "table",
    out: Annotated[
        Path | None, typer.Option(help="Output file; for images, masks, audio, long arrays a folder.")
    ] = None,
    writers: Annotated[
        list[str] | None,
        typer.Option(
            "--writer",
            help="Writer of such values, e.g. jpeg (repeatable).",
            autocompletion=candidates.components("writer"),
        ),
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip inputs that can't be read.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Inference option of the task, e.g. length=500; or of a writer, e.g. jpeg.quality=80.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=0, help="Batch size; 0: automatic.")] = 0,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of the class that MODEL names (file.py:Class), without a run.")
    ] = None,
    classes: Annotated[str, typer.Option(help="With --weights: names of the classes, a,b,c, in their order.")] = "",
    input_size: Annotated[
        str, typer.Option("--input", help="With --weights: size of the input, such as 3x32x32 for images in color.")
    ] = "",
    mean: Annotated[
        str, typer.Option(help="With --weights: mean that is subtracted from each channel, white being 1.")
    ] = "",
    std: Annotated[str, typer.Option(help="With --weights: standard deviation to divide each channel by.")] = "",
    task: Annotated[str, typer.Option(help="With --weights: classification, or segmentation.")] = "classification",
    trust: Annotated[bool, typer.Option("--trust", help="Allow formats that can execute code.")] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run inference with a trained model on files, folders, tables or text."""
    from benchdog.cli.prediction_files import PredictionFiles, output_folder
    from benchdog.cli.prediction_writers import Writer, collected, writer
    from benchdog.deployment.find_model import find_model
    from benchdog.deployment.request_options import together, with_request_options
    from benchdog.errors import BadUsage, nearest
    from benchdog.model.load import open_model

    if fmt not in FORMATS:
        raise BadUsage(f"Unknown format {fmt!r}.", nearest(fmt, FORMATS))
    plugins = ctx.obj.plugins()
    given, chosen = split_settings(pairs(settings or [], "length=500"), writers or [], network=weights is not None)
    network = (classes, input_size, mean, std, task)
    if weights is not None:
        opened = ctx.with_resource(_named_network(model, weights, *network, given, plugins))
    elif network != ("", "", "", "", "classification"):
        raise BadUsage("--classes, --input, --mean, --std and --task describe a network with --weights.")
    else:
        found = open_model(find_model(model, runs_dir, plugins), plugins, trust=trust)
        opened = with_request_options(found, plugins, given)
    counts = Counts()
    size, details = batch_size or min(BATCH, opened.max_batch), as_json or fmt == "jsonl"
    values = opened.value_files(chosen)
    batches = together(opened, plugins, predictions(opened, inputs, size, counts, details))
    first = next(batches, [])
    answers = chain([first], batches)
    folder, listed = output_folder(out, first, values), f"answers.{'txt' if fmt == 'table' else fmt}"
    arrays = PredictionFiles(values, folder, reserved=[listed], as_lists=out is not None)
    if as_json:
        rows = collected(answers, arrays)
        counts.check(skip_bad)
        bad = [{"id": each.id, "why": each.why} for each in counts.bad]
        emit_json({
            "model": str(opened.path), "task": opened.task_name, "answers": rows, "bad": bad,
            "skipped": counts.skipped,
        })  # fmt: skip
        for note in arrays.notes():
            complain(note)
        return
    sink: Writer = writer(fmt, opened.model_spec, folder / listed if folder else out, arrays)
    with sink as write:
        for batch in answers:
            write(batch)
        if out is not None:
            counts.check(skip_bad)
    counts.check(skip_bad)
    for note in arrays.notes():
        complain(note)
    if out is not None:
        say(f"{counts.good} {'prediction' if counts.good == 1 else 'predictions'} in {out}")


def split_settings(
    given: dict[str, Any], writers: list[str], network: bool = False
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Separate the options of writers, such as jpeg.quality, from the task's, or from those of a named network.

    Raises:
        BadUsage: an option of a writer that isn't chosen.
    """
    from benchdog.errors import BadUsage

    chosen: dict[str, dict[str, Any]] = {name: {} for name in writers}
    rest = {}
    for key, value in given.items():
        name, dot, option = key.rpartition(".")
        if not dot or (network and key.partition(".")[0] in TABLES):
            rest[key] = value
        elif name in chosen:
            chosen[name][option] = value
        else:
            raise BadUsage(f"--set {key} is an option of the writer {name!r}.", f"Choose it: --writer {name}.")
    return rest, chosen


def _named_network(
    model: str, weights: Path, classes: str, size: str, mean: str, std: str, task: str,
    settings: dict[str, Any], plugins: Plugins,
) -> AbstractContextManager[LoadedModel]:  # fmt: skip
    from benchdog.deployment.named_network import NamedNetwork, opened

    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    told = NamedNetwork(
        name=model, weights=weights, classes=names, size=size, mean=_numbers(mean, "--mean"),
        deviation=_numbers(std, "--std"), task=task, settings=settings,
    )  # fmt: skip
    return opened(told, plugins, lambda sentence: say(f"note: {sentence}"))


def _numbers(text: str, flag: str) -> tuple[float, ...]:
    from benchdog.errors import BadUsage

    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise BadUsage(f"{flag} {text} isn't numbers.", f"Write {flag} 0.49,0.48,0.45") from None


class Counts:
    """Counts of an inference: inputs predicted, unreadable, out of distribution; files skipped, by reason."""

    def __init__(self) -> None:
        self.good = 0
        self.bad: list[Any] = []
        self.outside = 0
        self.skipped: dict[str, list[str]] = {}

    def check(self, skip_bad: bool) -> None:
        """Raise BadData for unreadable inputs, unless they are skipped, or when there was no input at all."""
        from benchdog.errors import BadData

        if not self.good and not self.bad:
            raise BadData("There is nothing to predict.", "The inputs contain no sample.")
        if self.bad and not skip_bad:
            raise BadData(
                f"{len(self.bad)} of {self.good + len(self.bad)} inputs can't be read.",
                "Fix them, or pass --skip-bad.",
            )


def predictions(
    opened: LoadedModel, arguments: list[str], size: int, counts: Counts, details: bool = False
) -> Iterator[list[Answer]]:
    """Yield predictions batch by batch; report unreadable and out-of-distribution inputs on stderr.

    With `details` a prediction's `outside` also lists the values that are outside the ranges of the training data.
    """
    from benchdog.deployment.inputs import Unreadable, samples

    batch: list[Sample] = []
    for item in samples(arguments, opened.decoder, say, counts.skipped):
        if isinstance(item, Unreadable):
            counts.bad.append(item)
            say(f"{one_line(item.id)}: {item.why}")
            continue
        batch.append(item)
        if len(batch) == size:
            yield _predict(opened, batch, counts, details)
            batch = []
    if batch:
        yield _predict(opened, batch, counts, details)
    if counts.outside > WARNED:
        say(f"{counts.outside - WARNED} more inputs lie outside the training data (--json lists them all)")


def _predict(opened: LoadedModel, batch: list[Sample], counts: Counts, details: bool) -> list[Answer]:
    from benchdog.deployment.inputs import Unreadable

    answers = opened.predict_decoded([sample.arrays for sample in batch], [sample.id for sample in batch])
    answers = [opened.placed(each, sample.fields) for each, sample in zip(answers, batch, strict=True)]
    reasons = [opened.nan_reason(each) for each in answers]
    for each, reason in zip(answers, reasons, strict=True):
        if reason:
            counts.bad.append(Unreadable(each.id, reason))
            say(f"{one_line(each.id)}: {reason}")
    kept = [not reason for reason in reasons]
    batch, answers = list(compress(batch, kept)), list(compress(answers, kept))
    counts.good += len(batch)
    if not opened.has_ranges:
        return answers
    outside = [opened.out_of_range(sample.fields, sample.arrays) for sample in batch]
    for sample, lines in zip(batch, outside, strict=True):
        if lines:
            counts.outside += 1
            if counts.outside <= WARNED:
                say(f"{one_line(sample.id)}: {'; '.join(line['said'] for line in lines)}")
    if not details:
        return answers
    pairs_of = zip(answers, outside, strict=True)
    return [replace(each, values={**each.values, "outside": lines}) for each, lines in pairs_of]
