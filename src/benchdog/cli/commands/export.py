"""`benchdog export`: convert a trained model to a deployment format, verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchdog.cli.completion import candidates
from benchdog.cli.flags import pairs
from benchdog.cli.output import columns, echo, emit_json, say
from benchdog.system.files import readable


def command(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A run, its name or folder or last; the folder of an artifact; a pretrained model.",
            autocompletion=candidates.models,
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Exporter: torch-export, torchscript, safetensors, onnx (benchdog-onnx), "
            "or any other in `benchdog plugins list`.",
            autocompletion=candidates.components("exporter"),
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Output folder (default: exports/EXPORTER in the run's).")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Option of the exporter (repeatable).")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Timeout in seconds, for export and for verification.")
    ] = 1800.0,
    trust: Annotated[bool, typer.Option("--trust", help="Allow models defined outside plugins.")] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Export a model, verify it on held-out samples, and keep it only if its outputs match."""
    from benchdog.deployment.export import export
    from benchdog.deployment.find_model import find_model
    from benchdog.errors import BadUsage, nearest
    from benchdog.system import paths

    plugins = ctx.obj.plugins()
    if not to:
        raise BadUsage("Missing option: --to EXPORTER.", nearest("", plugins.all("exporter")))
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
    if all(line[1] == "-" for line in lines):  # only text has lengths
        echo(columns([(line[0], *line[2:]) for line in lines], (HEADER[0], *HEADER[2:])))
    else:
        echo(columns(lines, HEADER))
    size = readable(sum(report["files"].values()))
    say(f"Verified on {report['inputs']}. {len(report['files'])} file(s), {size} in {report['path']}")


HEADER = ("batch", "length", "max abs. error", "max rel. error", "labels", "")


def _line(line: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(line["batch"]),
        "-" if line["length"] is None else str(line["length"]),
        f"{line['max_abs_diff']:.2g}",
        f"{line['max_rel_diff']:.2g}",
        "equal" if line["labels_equal"] else "differ",
        "ok" if line["ok"] else "wrong",
    )
