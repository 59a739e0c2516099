"""`benchdog export`: write a trained model in a format for elsewhere, verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchdog.cli.completion import engine
from benchdog.cli.flags import pairs
from benchdog.cli.output import columns, emit_json, say
from benchdog.system.machine import readable


def command(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help='A run\'s name, "last", the folder of a run or an artifact, or a ready-made model.',
            autocompletion=engine.models,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The exporter: torch-export, torchscript, safetensors, onnx (benchdog-onnx), "
            "or another of `benchdog plugins list`.",
            autocompletion=engine.components("exporter"),
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option(help="The export's folder; exports/<exporter> in the run's.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="An exporter's option: key=value.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for writing, and for verifying.")] = 1800.0,
    trust: Annotated[bool, typer.Option("--trust", help="Accept a model whose code is no plugin's.")] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="The folder of runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Export a model, verify it on held-out samples, and keep it only if it agrees."""
    from benchdog.deployment.export import export
    from benchdog.deployment.find_model import find_model
    from benchdog.errors import BadUsage, nearest
    from benchdog.system import paths

    plugins = ctx.obj.plugins()
    if not to:
        raise BadUsage("Say which format to write: --to EXPORTER.", nearest("", plugins.all("exporter")))
    plugins.find("exporter", to)
    source = find_model(model, runs_dir, plugins)
    if out is None and source.is_relative_to(paths.cache_dir()):
        out = paths.runs_dir(runs_dir) / model.rpartition(":")[2] / "exports" / to.replace(":", "-")
    say(f"Exporting {source} with {to}, then verifying it ...")
    report = export(
        source,
        to,
        out,
        plugins,
        pairs(settings or [], "opset=20"),
        local=ctx.obj.local,
        timeout=timeout,
        trust=trust,
    )
    plugins.close()
    if as_json:
        emit_json({**report})
        return
    for warning in report["warnings"]:
        say(f"warning: {warning}")
    lines = [_line(line) for line in report["verification"]]
    if all(line[1] == "-" for line in lines):  # lengths are a matter of texts
        typer.echo(columns([(line[0], *line[2:]) for line in lines], (HEADER[0], *HEADER[2:])))
    else:
        typer.echo(columns(lines, HEADER))
    size = readable(sum(report["files"].values()))
    say(f"Verified on {report['inputs']}. {len(report['files'])} file(s), {size} in {report['path']}")


HEADER = ("batch", "length", "largest difference", "relative", "labels", "")


def _line(line: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(line["batch"]),
        "-" if line["length"] is None else str(line["length"]),
        f"{line['max_abs_diff']:.2g}",
        f"{line['max_rel_diff']:.2g}",
        "equal" if line["labels_equal"] else "differ",
        "ok" if line["ok"] else "wrong",
    )
