"""Build a stored model again from its weights, by the plugin that made it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import Preprocess, Spec
from benchdog.errors import BadData, BadUsage, BenchdogError, NotAvailable
from benchdog.plugins import companions
from benchdog.plugins.trust import check_reference
from benchdog.system import files
from benchdog.system.json_output import restored

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from benchdog.plugins import Plugins
    from benchdog.plugins.types import RegisteredComponent

WEIGHTS = "model.safetensors"


def model_spec_of(meta: Mapping[str, Any]) -> Spec:
    """Return the spec of what the module gets: that of the decoded data, unless the task prepares it."""
    return Spec.from_json(meta.get("model_spec") or meta["spec"])


def preprocess_of(meta: Mapping[str, Any]) -> Preprocess:
    """Return the preprocessing that an artifact or export stores."""
    return Preprocess(decode=meta["preprocess"]["decode"], transform=meta["preprocess"]["transform"])


def rebuild(folder: Path, meta: Mapping[str, Any], plugins: Plugins, trusted: bool = False) -> nn.Module:
    """Return the module (answer, score) with the folder's weights, fp32, evaluation mode, on the CPU.

    Args:
        folder: holds model.safetensors.
        meta: names task, model, spec and preprocess, as artifact.json does.

    Raises:
        NotAvailable: the model's plugin is not installed; the hint says how to get it.
        Refused: it names code that is not a plugin's, and `trusted` is false.
        BadData: the weights don't fit the model that the plugin builds today.
    """
    from benchdog.data.transform.transform import Deployed, Transform
    from benchdog.model.outputs import Reading, attach

    for kind in ("task", "model"):
        check_reference(kind, meta[kind]["name"], plugins, trusted)
    spec, preprocess = model_spec_of(meta), preprocess_of(meta)
    transform = Transform(preprocess, spec)
    task = plugins.make("task", meta["task"]["name"], meta["task"]["options"])
    model = build_model(meta["model"], transform.spec(spec), plugins)
    if reading := meta["model"].get("output"):
        attach(model, Reading(**reading))
    module = Deployed(transform, model, task.head(spec)).float().eval()
    load_weights(module, folder / WEIGHTS)
    return module.requires_grad_(False)  # lazy layers have no weights before


def build_model(model: Mapping[str, Any], spec: Spec, plugins: Plugins) -> nn.Module:
    """Build an untrained model by its name and options.

    Raises:
        NotAvailable: its plugin is not installed.
        BadUsage: an unknown option, or a class that is not a torch module.
    """
    try:
        found = plugins.find("model", model["name"])
    except BenchdogError as error:
        owner = model.get("plugin") or {}
        # A class of the user's own: the error says what is wrong with it. Or a model that has moved to another
        # package since: artifacts of then name the package that offered it, the error the one that does now.
        if not owner.get("dist") or companions.absent("model", model["name"]):
            raise
        raise NotAvailable(
            f"The model {model['name']!r} of plugin {owner.get('dist', 'unknown')!r} is not installed.",
            f"{owner.get('install') or 'Install that plugin'}, or name its file: --plugin FILE.",
        ) from error
    with plugins.watched(found, drawing=True):
        return _built(found, model, spec, plugins)


def _built(found: RegisteredComponent, model: Mapping[str, Any], spec: Spec, plugins: Plugins) -> nn.Module:
    options = plugins.options(found, model["options"])
    build = found.resolve(found.info.target)
    if not found.plugin and inspect.isclass(build):
        _check_module_class(model["name"], build)
    if "spec" in inspect.signature(build).parameters:
        built: nn.Module = build(spec, options) if found.plugin else build(spec=spec, **(options or {}))
    else:
        built = build(**{key: _filled(value, spec) for key, value in model["options"].items()})
    return built


def _check_module_class(name: str, cls: type) -> None:
    """Raise BadUsage for a class of the user's own that is not a torch module: it isn't called."""
    from torch import nn

    if not issubclass(cls, nn.Module):
        raise BadUsage(
            f"The model {name!r} can't be used: {cls.__name__} is not a torch.nn.Module.", "Make it a subclass."
        )


def _filled(value: Any, spec: Spec) -> Any:
    """Fill "{spec.channels}" and the like into an option; a text that is one number becomes it."""
    if not isinstance(value, str) or "{spec." not in value:
        return value
    text = value.format(spec=spec)
    try:
        return int(text)
    except ValueError:
        return text


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's weights as safetensors; a tensor with several names is stored under the first of them."""
    from safetensors.torch import save_file

    state, names = module.state_dict(), _shared(module)
    kept = {name: x.detach().clone() for name, x in state.items() if name == names[name][0]}
    save_file(kept, path, {name: group[0] for name, group in names.items() if name != group[0]} or None)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read weights into a module; of a tensor with several names one is enough.

    Raises:
        BadData: the file is damaged, or holds other weights than the module has.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadData(f"{path} can't be read: {error}.", "The file is damaged: make the folder again.") from None
    reason = ""
    try:
        missing, unknown = module.load_state_dict(stored, strict=False)
        names = _shared(module)  # only now do lazy layers have tensors
        missing = [name for name in missing if not any(other in stored for other in names[name])]
        if missing or unknown:
            wrong = (("lacks", missing), ("holds", unknown))
            reason = " and ".join(f"{verb} {', '.join(map(repr, found[:3]))}" for verb, found in wrong if found)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
    if reason:
        raise BadData(f"{path} doesn't fit the model: {reason}.", "Use the version of the plugin that made it.")
    _check_numbers(module, path)


def _shared(module: nn.Module) -> dict[str, list[str]]:
    """Return, for each name of a module's state, all names of the same tensor, sorted."""
    groups: dict[Any, list[str]] = {}
    keys = {}
    for name, x in sorted(module.state_dict().items()):
        keys[name] = (x.data_ptr(), x.shape, x.stride(), x.dtype) if x.numel() else name
        groups.setdefault(keys[name], []).append(name)
    return {name: groups[key] for name, key in keys.items()}


def _check_numbers(module: nn.Module, path: Path) -> None:
    """Refuse weights of another kind of number than the module's, and those that aren't finite.

    A model's buffers may hold infinity, as masks do.
    """
    from safetensors import safe_open

    wanted, weights = module.state_dict(), dict(module.named_parameters())
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_tensor(name)
            real = tensor.is_floating_point()
            sound = name not in wanted or (real == wanted[name].is_floating_point() and not tensor.is_complex())
            if sound and real:
                whole = name in weights or name.startswith("transform.")
                sound = not bool(tensor.float().isnan().any()) and not (whole and bool(tensor.float().isinf().any()))
            if not sound:
                raise BadData(
                    f"{path} holds something other than finite numbers in {name!r}.",
                    "The file is damaged, or the training diverged: make it again.",
                )


class Rebuilt:
    """Run weights by rebuilding their model: runs `safetensors`, and artifacts without a graph."""

    def __init__(
        self,
        folder: Path,
        meta: Mapping[str, Any] | None = None,
        plugins: Plugins | None = None,
        trusted: bool = False,
    ) -> None:
        from benchdog.plugins import Plugins

        if meta is None:
            from benchdog.model import metadata
            from benchdog.system import format_versions

            meta = restored(files.read_json(folder / "model.json"))
            metadata.check(folder / "model.json", meta, "task", "model", "spec", "preprocess")
            format_versions.check(
                meta.get("format"), format_versions.ARTIFACT, folder / "model.json", "Export again."
            )
        self._module = rebuild(folder, meta, Plugins.discover() if plugins is None else plugins, trusted)

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        with torch.inference_mode():
            answer, score = self._module(*(torch.from_numpy(x) for x in inputs))
        return answer.numpy(), score.numpy()
