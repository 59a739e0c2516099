"""Loaded models: an artifact or an export, its files verified, ready to predict from raw samples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.api import (
    Answer,
    ExporterInfo,
    Preprocess,
    Raw,
    Runner,
    RunnerDefaults,
    Spec,
    TaskInfo,
    TrainerInfo,
    with_defaults,
)
from benchdog.data.decode.decoder import Decoder, qualified, stack
from benchdog.data.decode.operations import image_region
from benchdog.data.synthetic import check_shapes
from benchdog.errors import BadData, BenchdogError, NotAvailable, Refused
from benchdog.model import metadata, samples, training_ranges
from benchdog.model.artifact_files import GRAPH, locate, read_meta, verify_files
from benchdog.model.rebuild import Rebuilt, model_spec_of, preprocess_of
from benchdog.model.value_files import ValueFiles
from benchdog.plugins import Plugins, returned
from benchdog.plugins.error_origin import third_party_origin
from benchdog.plugins.loading import said
from benchdog.plugins.neighbors import digest
from benchdog.plugins.trust import check_reference, outside_plugins
from benchdog.plugins.types import RegisteredComponent
from benchdog.system import signing
from benchdog.system.allocator import INFERENCE, keep_freed_memory
from benchdog.system.paths import short_name

GRAPH_EXPORTER = "torch-export"
Decoded = tuple[np.ndarray, ...]
"""A decoded sample or batch: an array per input, in the spec's order."""


class LoadedModel:
    """An artifact or an export, verified and ready to predict; built by `benchdog.load_model`.

    Attributes:
        path: its folder.
        kind: "artifact" or "export".
        meta: the content of artifact.json or export.json.
        spec: inputs and target of the data; `preprocess` says how raw values become them.
        model_spec: of what `call` takes; another one than `spec` if the task prepares its batches (`PreparedTask`).
        decoder: decodes a raw sample into an array per input, without a batch axis.
        max_batch: the largest batch that the runner takes; larger ones are split into micro-batches.
        task_name: the task that turns scores into answers.
        exporter: the exporter's name; "" for an artifact.
        trusted: made on this machine, or accepted by the user.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any], plugins: Plugins, trusted: bool) -> None:
        self.path = path
        self.trusted = trusted
        self.meta = meta
        self.kind: str = meta["kind"]
        self.spec = Spec.from_json(meta["spec"])
        self.model_spec = model_spec_of(meta)
        self.preprocess: Preprocess = preprocess_of(meta)
        self.max_batch = int(meta["max_batch"])
        self.task_name: str = meta["task"]["name"]
        self.exporter: str = meta.get("exporter", "")
        self._plugins = plugins
        self.decoder = Decoder(self.spec, self.preprocess, plugins)

    @property
    def name(self) -> str:
        """The name of its run, else of its folder."""
        return str(self.meta.get("run") or self.path.resolve().name)

    @property
    def architecture(self) -> str:
        """The name of the network, a local file without its folder; "" for an export that doesn't say it."""
        return short_name(str((self.meta.get("model") or {}).get("name") or ""))

    @property
    def has_ranges(self) -> bool:
        """Whether the ranges of the training data are known, so that `out_of_range` can compare."""
        return bool(self.meta.get("ranges"))

    @cached_property
    def _runner(self) -> Runner:
        keep_freed_memory(INFERENCE)
        if self.kind == "export":
            return runner_of(exporter_of(self.meta, self._plugins), self.path, self._plugins, self.trusted)
        if self.meta.get("runner"):
            runner: Runner = trained_runner(self.meta, self._plugins)(self.path)
            return runner
        if GRAPH in self.meta["files"]:
            return runner_of(self._plugins.find("exporter", GRAPH_EXPORTER), self.path, self._plugins)
        return Rebuilt(self.path, self.meta, self._plugins, self.trusted)

    def value_files(self, chosen: Mapping[str, Mapping[str, Any]] | None = None) -> ValueFiles:
        """Return what makes files of the arrays in this model's answers.

        Args:
            chosen: options of writers by name, in place of the default ones: {"jpeg": {"quality": 80}}.
        """
        info = self._plugins.info(TaskInfo, self.task_name)
        return ValueFiles(self._plugins, self.model_spec, info.values, chosen)

    def load(self) -> LoadedModel:
        """Load the weights now; else the first prediction does."""
        _ = self._runner
        return self

    def graph(self) -> Any:
        """Return the torch module of the portable graph, for exporters; None when there is none."""
        return with_defaults(self._runner, RunnerDefaults).module

    @property
    def prepares(self) -> bool:
        """Whether the task prepares what the model gets, so that decoded samples aren't the model's inputs."""
        return self.model_spec != self.spec

    def samples(self) -> list[Raw]:
        """Read the raw held-out samples of an artifact; an export has none."""
        return samples.read(self.path) if self.kind == "artifact" else []

    # --- from raw samples to answers

    def predict(self, raws: Sequence[Raw]) -> list[Answer]:
        """Predict from raw samples, in their order; BadData names one that can't be decoded."""
        answers = self.predict_decoded([self.decoder(raw) for raw in raws], [raw.id for raw in raws])
        return [self.placed(answer, raw.fields) for answer, raw in zip(answers, raws, strict=True)]

    def predict_decoded(self, decoded: Sequence[Decoded], ids: Sequence[str]) -> list[Answer]:
        """Predict from what `decoder` returned; samples of different shapes go into different batches."""
        by_shape: dict[object, list[int]] = defaultdict(list)
        for index, arrays in enumerate(decoded):
            by_shape[tuple(x.shape for x in arrays)].append(index)
        answers: dict[int, Answer] = {}
        for indices in by_shape.values():
            inputs = stack([decoded[index] for index in indices])
            for index, answer in zip(indices, self._answers(inputs), strict=True):
                answers[index] = replace(answer, id=ids[index])
        return [answers[index] for index in range(len(decoded))]

    def _answers(self, inputs: Decoded) -> list[Answer]:
        """Call the task's predict function; its failure in Benchdog's own code means that the folder is damaged."""
        function, options = self._answer_function
        try:
            found = function(self.call, inputs, self.model_spec, options)
            return returned.answers(found, len(inputs[0]), self.task_name)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            if third_party_origin(error):
                raise
            raise BadData(
                f"The output of the model in {self.path} doesn't match its description: {said(error)}.",
                "The folder is damaged: make it again.",
            ) from error

    def call(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run decoded inputs (B, ...) in micro-batches of `max_batch`; return (answer, score), batch first.

        Raises:
            BadData: shapes or types other than the spec's, or no sample at all.
        """
        check_shapes(inputs, self.model_spec)
        rows = len(inputs[0])
        if any(len(x) != rows for x in inputs):
            raise BadData("The inputs have different numbers of samples.")
        if not rows:
            raise BadData("There is no sample to run.")
        contiguous = [np.require(x, requirements=["C", "W"]) for x in inputs]  # some runners read the memory itself
        outputs = [
            self._runner(*(x[start : start + self.max_batch] for x in contiguous))
            for start in range(0, rows, self.max_batch)
        ]
        metadata.check_score(outputs[0][1], self.model_spec)
        if len(outputs) == 1:
            return outputs[0]
        answers, scores = zip(*outputs, strict=True)
        return np.concatenate(answers), np.concatenate(scores)

    def placed(self, answer: Answer, fields: Mapping[str, Any]) -> Answer:
        """Convert an answer's positions in the decoded image into pixels of the image file, for a task that has any.

        Args:
            fields: the sample's raw values; an image that is no file stays as it is.
        """
        component = self._plugins.find("task", self.task_name)
        assert isinstance(component.info, TaskInfo)
        first = self.spec.fields[0].name
        value, operations = fields.get(first), self.preprocess.decode.get(first, ())
        if not component.info.place or not isinstance(value, bytes) or not operations:
            return answer
        region = image_region(value, operations[0]) if operations[0]["op"] == "image" else None
        if region is None:
            return answer
        function, options = component.resolve(component.info.place), self._answer_function[1]
        placed: Answer = function(answer, region, self.spec, options)
        return placed

    @cached_property
    def _answer_function(self) -> tuple[Any, Any]:
        component = self._plugins.find("task", self.task_name)
        assert isinstance(component.info, TaskInfo)
        return component.resolve(component.info.answer), self._plugins.options(
            component, self.meta["task"]["options"]
        )

    # --- whether an answer can be relied on

    def out_of_range(self, fields: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> list[dict[str, str]]:
        """Compare a sample, raw and decoded, with the ranges of the training data.

        Returns:
            A {"field", "said"} for each value outside; [] where all lie inside, or no ranges are known.
        """
        return training_ranges.outside(fields, arrays, self.spec, self.preprocess, self.meta.get("ranges") or {})

    @staticmethod
    def nan_reason(answer: Answer) -> str:
        """Return why an answer is unusable: a part of it is NaN, as overflowing inputs make it; "" otherwise."""
        return NAN_REASON if _has_nan(answer.values) else ""


NAN_REASON = "the prediction is not a number (NaN): a value is far outside the training data"


def _has_nan(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_nan, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_nan, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and bool(np.isnan(value).any())
    return isinstance(value, float | np.floating) and math.isnan(value)


def open_model(path: Path, plugins: Plugins, trust: bool = False) -> LoadedModel:
    """Open the folder of a run, an artifact or an export, and verify its files.

    Args:
        path: the folder.
        plugins: where tasks and runners are looked up.
        trust: accept a format that can run code though it wasn't made on this machine.

    Raises:
        BadUsage: there is no such folder.
        BadData: a file is missing or changed, or its format isn't supported.
        NotAvailable: a required plugin is not installed; the message names it and the hint how to get it.
        Refused: it can run code, and wasn't made on this machine.
    """
    folder, kind = locate(path)
    meta = read_meta(folder, kind)
    verify_files(folder, meta["files"])
    trusted = trust or signing.made_here(meta)
    _load_own_files(folder, meta, plugins)
    check_reference("task", meta["task"]["name"], plugins, trusted)
    if kind == "export":
        check_reference("exporter", meta["exporter"], plugins, trusted)
        found = exporter_of(meta, plugins)
        assert isinstance(found.info, ExporterInfo)
        # The installed exporter knows whether its format can run code; the folder itself can only add caution.
        if (found.info.program or meta.get("program")) and not trusted:
            raise Refused(
                f"{folder} is {meta['exporter']}, which can run code, and wasn't made on this machine.",
                "Add --trust if you trust who made it.",
            )
    elif meta.get("runner"):
        trained_runner(meta, plugins)
    check_task(meta, plugins)
    check_decoders(meta, plugins)
    return LoadedModel(folder, meta, plugins, trusted)


def _load_own_files(folder: Path, meta: Mapping[str, Any], plugins: Plugins) -> None:
    """Load the run's copies of local plugin files, where they are needed and were made on this machine."""
    if meta["kind"] == "export":  # exports/<exporter> is next to the artifact
        folder = folder.parent.parent / "artifact"
        if not (folder / "artifact.json").is_file():
            return
        meta = read_meta(folder, "artifact")
    if not signing.made_here(meta):
        return
    copies = [Path(file) for file in meta["recipe"].get("plugins", ())]
    if not copies or not (meta.get("runner") or _needs_local(meta, plugins)):
        return
    places = [file if file.is_file() else folder.parent / "local" / file.name for file in copies]
    hashes = meta.get("local") or {}  # signed too: a copy that was changed since isn't the run's any more
    plugins.add_files([file for file in places if file.is_file() and digest(file) == hashes.get(file.name)])


def _needs_local(meta: Mapping[str, Any], plugins: Plugins) -> bool:
    names = [(kind, meta[kind]["name"]) for kind in ("task", "model")]
    known = {(kind, found.info.name) for kind, _ in names for found in plugins.all(kind).values()}
    decoders = {qualified(found) for found in plugins.all("decoder").values()}
    return any(":" not in name and (kind, name) not in known for kind, name in names) or not decoders.issuperset(
        meta.get("decoders") or ()
    )


def exporter_of(meta: Mapping[str, Any], plugins: Plugins) -> RegisteredComponent:
    """Look up the exporter of an export; NotAvailable names its plugin and how to get it."""
    return _installed("exporter", meta["exporter"], meta.get("plugin") or {}, plugins)


def check_task(meta: Mapping[str, Any], plugins: Plugins) -> None:
    """Check that the task is installed: its answers are what people see."""
    _installed("task", meta["task"]["name"], meta["task"].get("plugin") or {}, plugins)


def check_decoders(meta: Mapping[str, Any], plugins: Plugins) -> None:
    """Check that the plugins of the decode operations are installed; NotAvailable names them."""
    for name, owner in (meta.get("decoders") or {}).items():
        if outside_plugins("decoder", name, plugins):  # a reference such as "os:system" is never looked up
            raise _not_installed("decoder", name, owner)
        _installed("decoder", name, owner, plugins)


def _installed(kind: str, name: str, owner: Mapping[str, Any], plugins: Plugins) -> RegisteredComponent:
    try:
        return plugins.find(kind, name)
    except NotAvailable:
        raise
    except BenchdogError as error:
        raise _not_installed(kind, name, owner) from error


def _not_installed(kind: str, name: str, owner: Mapping[str, Any]) -> NotAvailable:
    return NotAvailable(
        f"The {kind} {name!r} of plugin {owner.get('dist') or 'unknown'!r} is not installed.",
        owner.get("install")
        or "Install that plugin; a file of your own is named before the command: "
        f"benchdog --plugin {owner.get('name') or 'FILE'}.py COMMAND ...",
    )


def runner_of(found: RegisteredComponent, folder: Path, plugins: Plugins, trusted: bool = False) -> Runner:
    """Build the runner of an export in a folder."""
    keep_freed_memory(INFERENCE)
    assert isinstance(found.info, ExporterInfo)
    target = found.resolve(found.info.runner)
    runner: Runner = Rebuilt(folder, None, plugins, trusted) if target is Rebuilt else target(folder)
    return runner


def declared_runner(target: object, plugins: Plugins) -> RegisteredComponent | None:
    """Return the trainer that declares a runner; None when no installed one does."""
    for found in plugins.all("trainer").values():
        if target and isinstance(found.info, TrainerInfo) and found.info.runner == target:
            return found
    return None


def trained_runner(meta: Mapping[str, Any], plugins: Plugins) -> Any:
    """Return the runner class of a model that isn't a torch module.

    artifact.json names it, but must not choose what is imported: only the declared runner of an installed trainer
    is.
    """
    target = meta["runner"]
    found = declared_runner(target, plugins)
    if found is not None:
        return found.resolve(target)
    owner = (meta.get("model") or {}).get("plugin") or {}
    raise NotAvailable(
        f"{target!r}, which runs this model, isn't the runner of any installed trainer.",
        f"{owner.get('install') or 'Install its trainer'}; for a file of your own: --plugin FILE.",
    )
