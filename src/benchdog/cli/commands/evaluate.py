"""`benchdog evaluate`: judge a model on held-out samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchdog.cli.completion import engine
from benchdog.cli.output import columns, emit_json, say


def command(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(help="A run: its name, its folder, or last.", autocompletion=engine.runs)
    ] = "last",
    split: Annotated[
        str, typer.Option(help="test, valid or train.", autocompletion=engine.words("test", "valid", "train"))
    ] = "test",
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN|folder|class", help="Measure parts of the samples too, the worst first."),
    ] = None,
    runs_dir: Annotated[Path | None, typer.Option(help="The folder of runs.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run the code that a run from elsewhere brings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Judge a model on held-out samples, beside simple baselines; the report is written anew."""
    from benchdog.deployment import pretrained
    from benchdog.errors import BadUsage
    from benchdog.evaluation import evaluate_run
    from benchdog.system import paths

    if by is not None and not by.strip():
        raise BadUsage("--by names nothing.", "Give a column, folder or class; or leave --by out.")
    folder = pretrained.find_run(model, paths.runs_dir(runs_dir), ctx.obj.plugins)
    result = evaluate_run.evaluate(folder, split, ctx.obj.plugins, trust=trust, by=by or "")
    if as_json:
        emit_json(result)
        return
    names = [name for name, value in result["metrics"].items() if isinstance(value, int | float)]
    ways = [line["name"] for line in result["baselines"]]
    rows = [
        [
            name,
            with_interval(result["metrics"][name], result["intervals"].get(name)),
            *(line["metrics"].get(name) for line in result["baselines"]),
        ]
        for name in names
    ]
    typer.echo(columns(rows, [f"{result['samples']} {split} samples", "this model", *ways]))
    for line in (*_calibration(result), *_thresholds(result), *_slices(result)):
        typer.echo(line)
    if weighted := result.get("weighted"):
        say(f"samples count by their weights in {', '.join(weighted)}, each once in all other metrics")
    if result["intervals"]:
        say(f"in brackets: 95 % intervals, from {result['resamples']} resamples")
    for note in result["notes"]:
        say(f"note: {note}")
    say(f"report: {paths.short(Path(result['report']))}")


def with_interval(value: float, pair: list[float] | None) -> str:
    """Write a figure and its interval: "0.9815 (0.9631 to 0.9963)"."""
    return f"{value:.4f}" + (f" ({pair[0]:.4f} to {pair[1]:.4f})" if pair else "")


def _calibration(result: Mapping[str, Any]) -> list[str]:
    told = result.get("calibration")
    if not told:
        return []
    error, brier = (with_interval(told[key], told["intervals"].get(key)) for key in ("ece", "brier"))
    return ["", f"calibration error {error}, Brier score {brier}"]


def _thresholds(result: Mapping[str, Any]) -> list[str]:
    """List the thresholds that were chosen on the valid split, and what they reach here."""
    lines = [line for line in result.get("thresholds", ()) if line.get("chosen")]
    rows = []
    for line in lines:
        best, half = line["chosen"], line["at_half"]
        rows.append([line["class"], *(best[key] for key in ("threshold", "f1", "precision", "recall")), half["f1"]])
    heads = ["best for F1 on valid", "threshold", "F1", "precision", "recall", "F1 at 0.5"]
    return ["", columns(rows, heads)] if rows else []


def _slices(result: Mapping[str, Any]) -> list[str]:
    """Lay out the slices: counts, metrics, intervals of the monitored metric."""
    cut = result.get("slices")
    if not cut:
        return []
    names = list(dict.fromkeys(name for line in cut["slices"] for name in line["metrics"]))
    names.sort(key=lambda name: name != cut["monitor"])
    rows = []
    for line in cut["slices"]:
        told = [
            with_interval(line["metrics"][name], line["intervals"].get(name)) if name in line["metrics"] else "-"
            for name in names
        ]
        rows.append([line["slice"], line["samples"], *told])
    return ["", columns(rows, [cut["by"], "samples", *names])]
