"""`benchdog evaluate`: evaluate a model on a held-out split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchdog.cli import flags
from benchdog.cli.completion import candidates
from benchdog.cli.output import columns, echo, emit_json, say


def command(
    ctx: typer.Context,
    model: flags.Run = "last",
    split: Annotated[
        str,
        typer.Option(
            help="Split: test, valid or train.", autocompletion=candidates.choices("test", "valid", "train")
        ),
    ] = "test",
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN|folder|class", help="Also report per-slice metrics, worst first."),
    ] = None,
    data: flags.MovedData = None,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code that comes with a run from another machine.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Evaluate a model on a held-out split, compared with simple baselines; the report is regenerated."""
    from benchdog.deployment import pretrained
    from benchdog.errors import BadUsage
    from benchdog.evaluation import evaluate_run
    from benchdog.system import paths

    if by is not None and not by.strip():
        raise BadUsage("--by is empty.", "Pass a column, folder or class, or leave out --by.")
    folder = pretrained.find_run(model, paths.runs_dir(runs_dir), ctx.obj.plugins)
    places = flags.place_of(data)
    result = evaluate_run.evaluate(folder, split, ctx.obj.plugins, trust=trust, by=by or "", places=places)
    if as_json:
        emit_json(result)
        return
    names = [name for name, value in result["metrics"].items() if isinstance(value, int | float)]
    baselines = [line["name"] for line in result["baselines"]]
    rows = [
        [
            name,
            with_interval(result["metrics"][name], result["intervals"].get(name)),
            *(line["metrics"].get(name) for line in result["baselines"]),
        ]
        for name in names
    ]
    echo(columns(rows, [f"{result['samples']} {split} samples", "this model", *baselines]))
    for line in (*_calibration(result), *_thresholds(result), *_slices(result)):
        echo(line)
    if weighted := result.get("weighted"):
        say(f"sample weights apply to {', '.join(weighted)}; all other metrics are unweighted")
    if result["intervals"]:
        say(f"(in parentheses: 95 % bootstrap CI, {result['resamples']:,} resamples)")
    for note in result["notes"]:
        say(f"note: {note}")
    say(f"report: {paths.short(Path(result['report']))}")


def with_interval(value: float, pair: list[float] | None) -> str:
    """Format a metric with its confidence interval: "0.9815 (0.9631 to 0.9963)"."""
    return f"{value:.4f}" + (f" ({pair[0]:.4f} to {pair[1]:.4f})" if pair else "")


def _calibration(result: Mapping[str, Any]) -> list[str]:
    calibration = result.get("calibration")
    if not calibration:
        return []
    intervals = calibration["intervals"]
    ece, brier = (with_interval(calibration[key], intervals.get(key)) for key in ("ece", "brier"))
    return ["", f"expected calibration error {ece}, Brier score {brier}"]


def _thresholds(result: Mapping[str, Any]) -> list[str]:
    """Format the decision thresholds tuned on the validation split, with their metrics on this split."""
    lines = [line for line in result.get("thresholds", ()) if line.get("chosen")]
    rows = []
    for line in lines:
        best, half = line["chosen"], line["at_half"]
        rows.append([line["class"], *(best[key] for key in ("threshold", "f1", "precision", "recall")), half["f1"]])
    header = ["tuned for F1 on valid", "threshold", "F1", "precision", "recall", "F1 at 0.5"]
    return ["", columns(rows, header)] if rows else []


def _slices(result: Mapping[str, Any]) -> list[str]:
    """Format the slices: counts, metrics, intervals of the monitored metric."""
    slices = result.get("slices")
    if not slices:
        return []
    names = list(dict.fromkeys(name for line in slices["slices"] for name in line["metrics"]))
    names.sort(key=lambda name: name != slices["monitor"])
    rows = []
    for line in slices["slices"]:
        cells = [
            with_interval(line["metrics"][name], line["intervals"].get(name)) if name in line["metrics"] else "-"
            for name in names
        ]
        rows.append([line["slice"], line["samples"], *cells])
    return ["", columns(rows, [slices["by"], "samples", *names])]
