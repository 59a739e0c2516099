"""`benchdog predict`: answer for files, tables and texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli.completion import engine
from benchdog.cli.flags import pairs
from benchdog.cli.output import emit_json, say

if TYPE_CHECKING:
    from benchdog.api import Answer
    from benchdog.deployment.inputs import Sample
    from benchdog.model.load import LoadedModel

FORMATS = ("table", "csv", "jsonl")
BATCH = 64
WARNED = 20
"""Inputs whose strange values are told one by one."""


def command(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help='A run\'s name, "last", the folder of a run, an artifact or an export, or a ready-made model.',
            autocompletion=engine.models,
        ),
    ],
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, .csv tables; texts for a model of texts.")],
    fmt: Annotated[
        str, typer.Option("--format", help="table, csv or jsonl.", autocompletion=engine.words(*FORMATS))
    ] = "table",
    out: Annotated[Path | None, typer.Option(help="Write here: a file, or a folder where answers are masks.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out inputs that can't be read.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="What the task may be told: length=500.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=0, help="Samples run at once; 0 chooses.")] = 0,
    trust: Annotated[bool, typer.Option("--trust", help="Accept a format that can run code.")] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="The folder of runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Answer for inputs with a trained model."""
    from benchdog.cli.prediction_writers import Writer, collected, writer
    from benchdog.deployment.find_model import find_model
    from benchdog.deployment.request_options import together, with_request_options
    from benchdog.errors import BadUsage, nearest
    from benchdog.model.load import open_model

    if fmt not in FORMATS:
        raise BadUsage(f"There is no format {fmt!r}.", nearest(fmt, FORMATS))
    plugins = ctx.obj.plugins()
    given = pairs(settings or [], "length=500")
    opened = with_request_options(
        open_model(find_model(model, runs_dir, plugins), plugins, trust=trust), plugins, given
    )
    counts = Counts()
    size, whole = batch_size or min(BATCH, opened.max_batch), as_json or fmt == "jsonl"
    answers = together(opened, plugins, answer(opened, inputs, size, counts, whole))
    if as_json:
        rows = collected(answers, opened.spec, out)
        counts.judge(skip_bad)
        bad = [{"id": each.id, "why": each.why} for each in counts.bad]
        emit_json(
            {
                "model": str(opened.path),
                "task": opened.task_name,
                "answers": rows,
                "bad": bad,
            }
        )
        return
    sink: Writer = writer(fmt, opened.spec, out)
    with sink as write:
        for batch in answers:
            write(batch)
        if out is not None:
            counts.judge(skip_bad)
    counts.judge(skip_bad)
    if out is not None:
        say(f"{counts.good} answers in {out}")


class Counts:
    """How many inputs were answered, and which couldn't be."""

    def __init__(self) -> None:
        self.good = 0
        self.bad: list[Any] = []
        self.outside = 0

    def judge(self, skip_bad: bool) -> None:
        """Raise BadData when inputs couldn't be read and that isn't accepted, or when there was none."""
        from benchdog.errors import BadData

        if not self.good and not self.bad:
            raise BadData("There is nothing to answer for.", "The inputs hold no sample.")
        if self.bad and not skip_bad:
            raise BadData(
                f"{len(self.bad)} of {self.good + len(self.bad)} inputs can't be read.",
                "Mend them, or leave them out with --skip-bad.",
            )


def answer(
    opened: LoadedModel, arguments: list[str], size: int, counts: Counts, with_request_options: bool = False
) -> Iterator[list[Answer]]:
    """Yield the answers batch by batch; tell of each unreadable input, and of what lies outside the training's data.

    `told` puts the latter into the answers too, as `outside`.
    """
    from benchdog.deployment.inputs import Unreadable, samples

    batch: list[Sample] = []
    for item in samples(arguments, opened.decoder, say):
        if isinstance(item, Unreadable):
            counts.bad.append(item)
            say(f"{item.id}: {item.why}")
            continue
        batch.append(item)
        if len(batch) == size:
            yield _answered(opened, batch, counts, with_request_options)
            batch = []
    if batch:
        yield _answered(opened, batch, counts, with_request_options)
    if counts.outside > WARNED:
        say(f"{counts.outside - WARNED} more lie outside what was seen in training (--json names them all)")


def _answered(opened: LoadedModel, batch: list[Sample], counts: Counts, with_request_options: bool) -> list[Answer]:
    from benchdog.deployment.inputs import Unreadable

    answers = opened.predict_decoded([sample.arrays for sample in batch], [sample.id for sample in batch])
    reasons = [opened.nan_reason(each) for each in answers]
    for each, reason in zip(answers, reasons, strict=True):
        if reason:
            counts.bad.append(Unreadable(each.id, reason))
            say(f"{each.id}: {reason}")
    kept = [not reason for reason in reasons]
    batch, answers = list(compress(batch, kept)), list(compress(answers, kept))
    counts.good += len(batch)
    if not opened.has_ranges:
        return answers
    found = [opened.out_of_range(sample.fields, sample.arrays) for sample in batch]
    for sample, lines in zip(batch, found, strict=True):
        if lines:
            counts.outside += 1
            if counts.outside <= WARNED:
                say(f"{sample.id}: {'; '.join(line['said'] for line in lines)}")
    if not with_request_options:
        return answers
    return [
        replace(each, values={**each.values, "outside": lines}) for each, lines in zip(answers, found, strict=True)
    ]
