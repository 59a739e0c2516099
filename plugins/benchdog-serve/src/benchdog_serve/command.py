"""`benchdog serve`: a trained model behind HTTP."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli import flags

UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def command(
    ctx: typer.Context,
    model: flags.TrainedModel,
    host: Annotated[str, typer.Option(help="The address to bind; 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 picks a free one.")] = 8000,
    max_body: Annotated[str, typer.Option(metavar="SIZE", help="Largest request body.")] = "20MB",
    max_samples: Annotated[int, typer.Option(min=1, help="Most samples per request.")] = 256,
    max_pixels: Annotated[str, typer.Option(metavar="COUNT", help="Most pixels of a request's images.")] = "100M",
    max_batch: Annotated[int, typer.Option(min=1, help="Most samples per batch.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a request may take.")] = 30.0,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Accept this Host header too; repeatable.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Let pages of this origin use the server; repeatable.")
    ] = None,
    root_path: Annotated[str, typer.Option(metavar="PATH", help="Path prefix that a proxy adds.")] = "",
    trust: Annotated[bool, typer.Option("--trust", help="Accept a format that can run code.")] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON with the URL.")] = False,
) -> None:
    """Serve a model over HTTP, with a page to try it, until Ctrl-C."""
    from benchdog import load_model
    from benchdog.api import BadUsage
    from benchdog.cli.output import emit_line, say
    from benchdog_serve import server
    from benchdog_serve.app import Limits, Service, build
    from benchdog_serve.origins import origin_of

    if not math.isfinite(timeout):
        raise BadUsage(f"--timeout {timeout} is not a time.", "For example --timeout 30.")
    limits = Limits(
        body=size_of(max_body, "--max-body"),
        samples=max_samples,
        pixels=size_of(max_pixels, "--max-pixels", "100M"),
        batch=max_batch,
        timeout=timeout,
    )
    origins = [origin_of(each) for each in allow_origin or []]
    root = root_of(root_path)
    cut = 0
    taken = server.bind(host, port)
    try:
        loaded = load_model(model, runs_dir=runs_dir, plugins=ctx.obj, trust=trust)
        local = server.is_loopback(taken)
        # held-out samples can be private: they aren't shown to the network
        service = Service(loaded, limits, examples=local)
        try:
            service.warm()
            url = server.url_of(taken, host)
            if not local:
                warning = f"warning: anyone on the network can use this server (--host {host})"
                say(f"{warning}: it has no password.")

            def started() -> None:
                say(f"Serving {loaded.name} at {url} (Ctrl-C stops)")
                if as_json:
                    emit_line({"url": url})

            app = build(service, server.allowed(taken, host, allow_host or []), origins, root)
            server.make(app, started).run(sockets=[taken])
            cut = app.cut
        finally:
            service.close()
    finally:
        taken.close()
        ctx.obj.plugins().close()
    if cut:
        say("1 request was cut off." if cut == 1 else f"{cut} requests were cut off.")
    say("Stopped.")


def size_of(text: str, option: str, example: str = "20MB") -> int:
    """Parse the value of an option as a number: "20MB", "512 KiB" or "1000000".

    Raises:
        BadUsage: it is none.
    """
    from benchdog.api import BadUsage

    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", text, re.IGNORECASE)
    count = float(match[1]) * UNITS[(match[2] or "").upper()] if match else 0
    if not 1 <= count < 2**63:
        raise BadUsage(f"{option} {text!r} is not a size.", f"For example {option} {example}.")
    return int(count)


def root_of(text: str) -> str:
    """Parse the value of --root-path: "/models/digits", or "" for none.

    Raises:
        BadUsage: it is no path.
    """
    from benchdog.api import BadUsage

    path = text.rstrip("/")
    if path and not re.fullmatch(r"(/[\w.~-]+)+", path):
        raise BadUsage(f"--root-path {text!r} is not a path.", "For example --root-path /models/digits.")
    return path
