"""An artifact: the trained model on disk, with everything that is needed to use and to check it."""

from __future__ import annotations

import copy
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from benchdog import __version__
from benchdog.api import DecoderInfo, Preprocess, Raw, Spec, Trained, TrainerInfo
from benchdog.data.decode.decoder import Decoder, find_operation, qualified
from benchdog.errors import BadUsage, BenchdogError, NotAvailable
from benchdog.model import model_card
from benchdog.model.artifact_files import GRAPH, hash_files
from benchdog.model.export_view import View, head_of
from benchdog.model.load import GRAPH_EXPORTER, declared_runner, open_model, runner_of
from benchdog.model.rebuild import WEIGHTS, save_weights
from benchdog.model.samples import covering
from benchdog.model.samples import write as write_samples
from benchdog.model.verify import verify
from benchdog.plugins import Plugins
from benchdog.plugins.neighbors import digest
from benchdog.system import files, format_versions, signing
from benchdog.system.json_output import exact, plain

if TYPE_CHECKING:
    from torch import nn

__all__ = ["covering", "open_model", "owner", "save", "versions"]


def save(
    folder: Path,
    *,
    trained: nn.Module | Trained,
    transform: nn.Module,
    head: nn.Module,
    spec: Spec,
    preprocess: Preprocess,
    recipe: Mapping[str, Any],
    task: Mapping[str, Any],
    model: Mapping[str, Any],
    metrics: Mapping[str, Any],
    samples: Sequence[Raw],
    run: str,
    max_batch: int,
    plugins: Plugins,
    model_spec: Spec | None = None,
    validated: int | None = None,
    ranges: Mapping[str, Any] | None = None,
) -> None:
    """Write an artifact's folder atomically.

    Args:
        trained: the model without transform and head, or something trained that stores itself.
        spec: of the decoded data, with the score's shape as output.
        model_spec: of what the module gets, where its task prepares the data (see `PreparedTask`).
        task: {"name", "options"} in JSON form; model likewise, with "output" where its score is read from what it
            returns (see benchdog.model.outputs).
        metrics: of the best epoch, by name.
        samples: raw held-out samples to keep (see `covering`); none keeps the data private.
        max_batch: largest batch that this model and its exports take.
        validated: the number of samples that gave the metrics, if it is known.
        ranges: what the training split's values lie between (see benchdog.model.training_ranges), if it is known.
        plugins: the exporter "torch-export" among them writes the portable graph.
    """
    model_spec = model_spec or spec
    own = {} if model_spec == spec else {"model_spec": model_spec.to_json()}
    decode = _qualified(preprocess, spec, plugins)
    decoder = Decoder(spec, replace(preprocess, decode=decode), plugins)
    with files.fresh_folder(folder) as place:
        meta: dict[str, Any] = {
            "format": format_versions.ARTIFACT,
            "kind": "artifact",
            "benchdog": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "run": run,
            "task": _named("task", task, plugins),
            "model": _named("model", model, plugins),
            "spec": spec.to_json(),
            **own,
            "preprocess": {"decode": decode, "transform": dict(preprocess.transform)},
            "decoders": {
                name: owner(DecoderInfo.kind, name, plugins)
                for name in sorted({op["op"] for ops in decode.values() for op in ops if ":" in op["op"]})
            },
            "recipe": dict(recipe),
            "local": {file.name: digest(file) for file in map(Path, recipe.get("plugins", ())) if file.is_file()},
            "parameters": 0,
            "metrics": plain(metrics),
            "ranges": dict(ranges) if ranges else None,
            "runner": None,
            "max_batch": max_batch,
            "samples": [raw.id for raw in samples],
            "versions": versions(),
        }
        if samples:
            foreign = {name: info for name, info in decoder.first.items() if ":" in decode[name][0]["op"]}
            write_samples(place, samples, {name: next(iter(info.suffixes), "") for name, info in foreign.items()})
        files.write_json(place / "artifact.json", exact(meta))  # an exporter may read what the graph belongs to
        if _stores_itself(trained):
            _check_runner(trained, recipe, plugins)
            trained.save(place)
            meta |= {"runner": trained.runner, "graph": "not a torch module"}
        else:
            module = _deployed(transform, trained, head)
            meta["parameters"] = sum(p.numel() for p in module.parameters())
            _write_weights(module, place)
            view = View(place, model_spec, decoder, max_batch, lambda: module, () if own else samples)
            meta["graph"] = _write_graph(view, place, plugins)
        files.write_text(place / "README.md", model_card.write(meta, validated))
        meta["files"] = hash_files(place, "artifact.json")
        meta["machine"] = signing.sign(json.loads(json.dumps(meta)))
        files.write_json(place / "artifact.json", exact(meta))


def _qualified(preprocess: Preprocess, spec: Spec, plugins: Plugins) -> dict[str, list[dict[str, Any]]]:
    """Return the decode operations with the owner in the name of a plugin's, which no other plugin can then take."""
    decode: dict[str, list[dict[str, Any]]] = {}
    for field in spec.fields:
        ops = preprocess.decode.get(field.name, ())
        decode[field.name] = [{**op, "op": qualified(find_operation(field, op, plugins))} for op in ops]
    return decode


def _stores_itself(trained: nn.Module | Trained) -> TypeGuard[Trained]:
    return isinstance(trained, Trained) and not hasattr(trained, "parameters")


def _check_runner(trained: Trained, recipe: Mapping[str, Any], plugins: Plugins) -> None:
    """Check that the trainer declares the runner of what it returned: no other would be opened."""
    name = (recipe.get("trainer") or {}).get("name")
    declared = declared_runner(trained.runner, plugins)
    if declared is None or (name and plugins.info(TrainerInfo, name).runner != trained.runner):
        raise BadUsage(
            f"The trainer {name or 'of this model'!r} returned something that is run by {trained.runner!r}, "
            "which it doesn't declare.",
            f"Its author writes TrainerInfo(..., runner={trained.runner!r}).",
        )


def _deployed(transform: nn.Module, model: Any, head: nn.Module) -> nn.Module:
    """Copy the parts to the CPU: fp32, evaluation mode, plain memory layout, no gradients."""
    import torch

    from benchdog.data.transform.transform import Deployed

    for (
        part
    ) in model.modules():  # deepcopy refuses computed tensors, as weight_norm keeps one of the last forward pass
        vars(part).update({k: x.detach() for k, x in vars(part).items() if torch.is_tensor(x) and not x.is_leaf})
    module = Deployed(*(copy.deepcopy(part) for part in (transform, model, head)))
    module = module.to("cpu", torch.float32).eval().requires_grad_(False)
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.contiguous()
    return module


def _write_weights(module: nn.Module, folder: Path) -> None:
    with files.saving(folder / WEIGHTS):
        save_weights(module, folder / WEIGHTS)
        shutil.copymode(folder / "artifact.json", folder / WEIGHTS)  # safetensors keeps others out


def _write_graph(view: View, folder: Path, plugins: Plugins) -> str | None:
    """Write graph.pt2 and compare it with the module; give None, or why there is none."""
    import numpy as np
    import torch

    def reference(*inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            answer, score = view.module()(*(torch.from_numpy(x) for x in inputs))
        return answer.numpy(), score.numpy()

    try:
        found = plugins.find("exporter", GRAPH_EXPORTER)
        plugins.make("exporter", GRAPH_EXPORTER).export(view, folder)
        runner = runner_of(found, folder, plugins)
        head = head_of(view.module())
        lines = verify(runner, reference, view.arrays(), view.spec, view.max_batch, head)
        wrong = next((line for line in lines if not line["ok"]), None)
        reason = f"its scores differ at batch {wrong['batch']}" if wrong else None
    except BenchdogError as error:
        reason = error.message
    except Exception as error:  # torch.export and its writer fail in many ways; the weights are enough to continue
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if reason:
        (folder / GRAPH).unlink(missing_ok=True)
    return reason


def _named(kind: str, part: Mapping[str, Any], plugins: Plugins) -> dict[str, Any]:
    """Describe a component so that its plugin can be found again: name, options, plugin."""
    try:
        plugin = owner(kind, part["name"], plugins)
    except NotAvailable:
        raise
    except BenchdogError:  # a live object of a notebook has no plugin
        plugin = None
    return {**part, "options": dict(part["options"]), "plugin": plugin}


def owner(kind: str, name: str, plugins: Plugins) -> dict[str, str]:
    """Return which plugin offers a component, in which version, and how to get it."""
    found = plugins.find(kind, name)
    local = found.dist == "" or not found.version
    install = found.info.install or ("" if local else f"pip install {found.dist}")
    return {"name": found.plugin, "dist": found.dist, "version": found.version, "install": install}


def versions() -> dict[str, str]:
    """Return the versions of what an artifact's numbers depend on."""
    known = {"benchdog": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "pillow", "safetensors"):
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    return known
