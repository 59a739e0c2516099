"""A finished run, opened to be read: recipe, data, fitted values, model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import Preprocess, Spec
from benchdog.data import loader
from benchdog.data.dataset import DecodedSplit, load_into_memory
from benchdog.errors import BadData, BadUsage, no_artifact
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import Recipe
from benchdog.recipe.resolved import named_components, read_resolved
from benchdog.runs import fingerprints, provenance, state
from benchdog.runs.run import Run
from benchdog.system import files, paths
from benchdog.training.moved_data import relocated, reopen_run
from benchdog.training.setup import FITTED, Components

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class SplitArrays:
    """A split, decoded: `inputs` (N, ...) one per field, `target` (N, ...), `weight` (N,) or None."""

    inputs: tuple[np.ndarray, ...]
    target: np.ndarray
    weight: np.ndarray | None


class FinishedRun:
    """What a finished run was made of; `benchdog.open_run` opens one.

    Attributes:
        folder: the run's folder.
        recipe: the resolved recipe, as recipe.toml has it: every option with its value.
        facts: what run.json holds, such as `name`, `monitor` and `better`.
        environment: what environment.json holds, such as `threads` and `packages`.
    """

    def __init__(
        self,
        folder: Path,
        plugins_of: Callable[[tuple[str, ...]], Plugins],
        *,
        trust: bool = False,
        places: Mapping[str, str] | None = None,
    ) -> None:
        self._run = run = Run.open(folder)
        if run.facts.get("status") != "finished" or not (folder / "artifact").is_dir():
            raise no_artifact(run.name)
        self._stored: Recipe = read_resolved(folder)
        self._plugins = provenance.plugins_of_run(run, self._stored, plugins_of, trust)
        self._places = places or {}
        self._resolved = relocated(self._stored, self._places, self._plugins)
        self.folder = folder
        self.facts: dict[str, Any] = {**run.facts}
        self.recipe: dict[str, Any] = self._resolved.to_json()
        self.environment: dict[str, Any] = files.read_object(folder / "environment.json")

    @property
    def live(self) -> tuple[str, ...]:
        """Names of components that were objects of a notebook, which nothing can build again."""
        plugins = self._plugins
        return tuple(n for kind, n in named_components(self._resolved) if ":" not in n and n not in plugins.all(kind))

    @cached_property
    def _components(self) -> Components:
        if self.live:
            raise BadUsage(f"{', '.join(map(repr, self.live))} was an object of a notebook, and is gone with it.")
        command = f"evaluate {paths.short(self.folder)}"
        components = reopen_run(self._run, self._stored, self._plugins, command, self._places)
        components.fit(self.folder)
        if self.facts.get("data") != provenance.fingerprint(components.data):
            raise BadData("The data has changed since the training.", "Restore the old data, or train again.")
        return components

    @property
    def spec(self) -> Spec:
        """The data's fields and target, and the model's output."""
        return self._components.spec

    @property
    def preprocess(self) -> Preprocess:
        """The operations from raw samples to the model's inputs."""
        return self._components.data.preprocess

    @property
    def evaluation_batch_size(self) -> int:
        """How many held-out samples were evaluated at once."""
        return loader.evaluation_batch_size(self._resolved.loop, self.spec)

    @cached_property
    def fitted(self) -> Mapping[str, Any]:
        """What was fitted on the training split: buffers of the `transform`, and what the `task` keeps."""
        return {key: value for key, value in state.read(self.folder / FITTED).items() if key in ("transform", "task")}

    def arrays(self, split: str) -> SplitArrays:
        """Decode a split into memory.

        Raises:
            BadUsage: the data is a stream.
            BadData: the data is missing, or a sample isn't the one that the run was trained on.
        """
        samples = self._components.data.of_name(split)
        if not isinstance(samples, DecodedSplit):
            raise BadUsage(f"The data of run {self.folder.name!r} is a stream, which isn't read as a whole.")
        data = load_into_memory(samples)
        fingerprints.check(self.folder, {split: data}, self._components.data)
        weight = None if data.weight is None else data.weight.numpy()
        return SplitArrays(tuple(x.numpy() for x in data.inputs), data.target.numpy(), weight)

    def model_inputs(self, *inputs: np.ndarray) -> tuple[Tensor, ...]:
        """Transform decoded samples (B, ...) into what the model gets."""
        import torch

        return tuple(self._components.transform(*(torch.from_numpy(x) for x in inputs)))

    def new_model(self) -> nn.Module:
        """Build the model with its initial weights, drawn from the seed."""
        return self._components.build()

    def trained_model(self) -> nn.Module:
        """Build the model with the weights that the run ended with.

        Raises:
            BadData: they don't fit the model that the recipe builds today.
        """
        from safetensors.torch import load_file

        model = self.new_model()
        stored = load_file(self.folder / "artifact" / "model.safetensors")
        weights = {name.removeprefix("model."): x for name, x in stored.items() if name.startswith("model.")}
        wanted = model.state_dict()
        if any(name not in wanted or wanted[name].shape != x.shape for name, x in weights.items()):
            raise BadData("The run's weights don't fit the model that its recipe builds.", "Train again.")
        model.load_state_dict(weights, strict=False)  # tensors that are shared are stored once
        return model
