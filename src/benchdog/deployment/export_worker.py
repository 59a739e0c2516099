"""The two jobs of an export that have a process of their own: to write it, and to verify it."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import DecoderInfo
from benchdog.data.synthetic import generate_inputs
from benchdog.errors import BadUsage, BenchdogError, Failed, NotAvailable, Refused
from benchdog.model import samples
from benchdog.model.artifact import versions
from benchdog.model.artifact_files import GRAPH
from benchdog.model.export_view import View, as_module, head_of
from benchdog.model.export_view import inputs as decoded
from benchdog.model.load import LoadedModel, open_model, runner_of
from benchdog.model.rebuild import WEIGHTS, rebuild
from benchdog.model.verify import Reference, verify
from benchdog.plugins import Plugins
from benchdog.system import files
from benchdog.system.parent import end_with_parent

if TYPE_CHECKING:
    from torch import nn


def main() -> None:
    """Read a request from stdin, do its job, write the answer to stdout.

    Whatever a library prints goes to stderr: stdout carries one JSON document.
    """
    end_with_parent()
    answer_to = os.dup(1)
    os.dup2(2, 1)
    result = answer(json.loads(sys.stdin.buffer.read()))
    sys.stdout.flush()
    with os.fdopen(answer_to, "wb") as out:
        out.write(json.dumps(result).encode())


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do a request's job; an error is part of the answer, its traceback goes to stderr."""
    job = {"export": write, "verify": check}[request["job"]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            result = job(request)
        except BenchdogError as error:
            traceback.print_exc()
            result = {"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}}
        except Exception as error:  # a third party's exporter may raise anything
            traceback.print_exc()
            result = {"error": _told(request, error)}
    said = [f"{each.category.__name__}: {' '.join(str(each.message).split())[:300]}" for each in caught]
    return {"warnings": list(dict.fromkeys(said)), **result}


def _told(request: Mapping[str, Any], error: Exception) -> dict[str, str]:
    """Return one sentence on what third-party code raised."""
    text = " ".join(str(error).split())[:500]
    return {
        "kind": "Failed",
        "message": f"The exporter {request['exporter']!r} failed: {type(error).__name__}: {text}",
        "hint": "Nothing was kept. BENCHDOG_STRICT=1 shows where it failed.",
    }


def write(request: Mapping[str, Any]) -> dict[str, Any]:
    """Let the exporter write its files into the empty folder."""
    plugins = Plugins.discover(request["local"])
    opened = open_model(Path(request["source"]), plugins, request["trust"])
    view = View(
        opened.path,
        opened.model_spec,
        opened.decoder,
        opened.max_batch,
        lambda: _module(opened, plugins),
        () if opened.prepares else opened.samples(),
    )
    exporter = plugins.make("exporter", request["exporter"], request["options"])
    exporter.export(view, Path(request["folder"]))
    return {"counterparts": _write_counterparts(opened, plugins, Path(request["folder"]))}


def _write_counterparts(opened: LoadedModel, plugins: Plugins, folder: Path) -> dict[str, list[str]]:
    """Write what decodes as the plugins' operations do in other languages; name the files by operation."""
    written: dict[str, list[str]] = {}
    for name in opened.meta.get("decoders") or {}:
        found = plugins.find(DecoderInfo.kind, name)
        assert isinstance(found.info, DecoderInfo)
        written[name] = []
        for suffix, target in sorted(found.info.counterparts.items()):
            text, file = found.resolve(target), f"decoders/{name.replace(':', '-')}.{suffix}"
            if not isinstance(text, str):
                raise Failed(f"The counterpart {target!r} of the decoder {name!r} is no text.", "Tell its author.")
            (folder / file).parent.mkdir(exist_ok=True)
            files.write_text(folder / file, text)
            written[name].append(file)
    return written


def check(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run what was written next to the artifact and compare."""
    plugins = Plugins.discover(request["local"])
    opened = open_model(Path(request["source"]), plugins, request["trust"])
    spec, raws = opened.model_spec, [] if opened.prepares else samples.read(opened.path)
    arrays = decoded(spec, opened.decoder, raws) if raws else generate_inputs(spec, 32)
    found = plugins.find("exporter", request["exporter"])
    try:
        runner = runner_of(found, Path(request["folder"]), plugins, True)
    except NotAvailable:
        raise
    except BadUsage as error:
        raise NotAvailable(
            f"The export {request['exporter']!r} needs the plugin of its model: {error.message}",
            "Name the model's file: benchdog --plugin FILE export ..., or choose --to torch-export or onnx, "
            "which need no plugin.",
        ) from error
    except Exception as error:  # what was written can't be loaded: that is the verdict on it
        said = error.message if isinstance(error, BenchdogError) else f"{type(error).__name__}: {error}"
        raise Refused(
            f"The export {request['exporter']!r} can't be loaded: {' '.join(said.split())[:500]}",
            "Nothing was kept.",
        ) from error
    reference, head = _reference(opened, plugins)
    lines = verify(runner, reference, arrays, spec, opened.max_batch, head)
    inputs = f"{len(arrays[0])} held-out samples" if raws else "inputs generated within the spec's range"
    return {"verification": lines, "inputs": inputs, "versions": versions()}


def _module(opened: LoadedModel, plugins: Plugins) -> nn.Module:
    """Return the artifact's module: built again by its plugin, else its portable graph."""
    if (opened.path / WEIGHTS).is_file():
        try:
            return rebuild(opened.path, opened.meta, plugins, opened.trusted)
        except (BadUsage, NotAvailable, Refused):  # the plugin isn't here, or it was a notebook's object
            if GRAPH not in opened.meta["files"]:
                raise
    elif opened.meta.get("runner"):
        raise BadUsage(
            f"{opened.path} is not a torch module, and this exporter takes nothing else.",
            "Choose an exporter of the plugin that trained it, or use the artifact itself.",
        )
    from torch import nn

    module = opened.graph()
    if not isinstance(module, nn.Module):
        raise Failed(f"{opened.path} has neither weights that can be used nor a graph.")
    return as_module(module)


def _reference(opened: LoadedModel, plugins: Plugins) -> tuple[Reference, Callable[[Any], Any] | None]:
    """Return what an export must agree with: the module built again where possible, else the artifact; its head."""
    if opened.meta.get("runner") or not (opened.path / WEIGHTS).is_file():
        return opened.call, None
    module = _module(opened, plugins)

    def reference(*arrays: Any) -> tuple[Any, Any]:
        import torch

        with torch.inference_mode():
            answer, score = module(*(torch.from_numpy(x) for x in arrays))
        return answer.numpy(), score.numpy()

    return reference, head_of(module)
