"""Open an artifact or an export: check every file, find what runs it, answer for raw samples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
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
from benchdog.data.decode.decoder import Decoder, stack
from benchdog.data.synthetic import check_shapes
from benchdog.errors import BadData, BadUsage, BenchdogError, NotAvailable, Refused, no_artifact
from benchdog.model import metadata, samples, training_ranges
from benchdog.model.rebuild import WEIGHTS, Rebuilt, preprocess_of
from benchdog.plugins import Plugins
from benchdog.plugins.trust import check_reference
from benchdog.plugins.types import RegisteredComponent
from benchdog.system import files, format_versions, signing

GRAPH = "graph.pt2"
GRAPH_EXPORTER = "torch-export"
KEYS = ("format", "kind", "task", "spec", "preprocess", "max_batch", "files")


class LoadedModel:
    """An artifact or an export, checked and ready to answer.

    Attributes:
        kind: "artifact" or "export".
        meta: artifact.json or export.json.
        exporter: name of the exporter; "" for an artifact.
        trusted: made on this machine, or accepted by the user.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any], plugins: Plugins, trusted: bool) -> None:
        self.path = path
        self.trusted = trusted
        self.meta = meta
        self.kind: str = meta["kind"]
        self.spec = Spec.from_json(meta["spec"])
        self.preprocess: Preprocess = preprocess_of(meta)
        self.max_batch = int(meta["max_batch"])
        self.task_name: str = meta["task"]["name"]
        self.exporter: str = meta.get("exporter", "")
        self._plugins = plugins

    @cached_property
    def _runner(self) -> Runner:
        """Load what executes the model, when it is first called."""
        if self.kind == "export":
            return runner_of(exporter_of(self.meta, self._plugins), self.path, self._plugins, self.trusted)
        if self.meta.get("runner"):
            runner: Runner = trained_runner(self.meta, self._plugins)(self.path)
            return runner
        if GRAPH in self.meta["files"]:
            return runner_of(self._plugins.find("exporter", GRAPH_EXPORTER), self.path, self._plugins)
        return Rebuilt(self.path, self.meta, self._plugins, self.trusted)

    @cached_property
    def decoder(self) -> Decoder:
        """Decodes raw samples into what the model takes."""
        return Decoder(self.spec, self.preprocess)

    def outside(self, fields: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> list[dict[str, str]]:
        """Say which parts of a sample, raw and decoded, lie outside what was seen in training."""
        return training_ranges.outside(fields, arrays, self.spec, self.preprocess, self.meta.get("ranges") or {})

    def load(self) -> LoadedModel:
        """Load the model now and not at the first call."""
        _ = self._runner
        return self

    def graph(self) -> Any:
        """Give the torch module of the portable graph, for exporters; None when there is none."""
        return with_defaults(self._runner, RunnerDefaults).module

    def decode(self, raws: Sequence[Raw]) -> tuple[np.ndarray, ...]:
        """Decode raw samples into one array (B, ...) per input; BadData names the sample that can't be."""
        return self.decoder.batch(raws)

    def call(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run decoded inputs (B, ...), in pieces of `max_batch`: give (answer, score), batch first."""
        check_shapes(inputs, self.spec)
        rows = len(inputs[0])
        if any(len(x) != rows for x in inputs):
            raise BadData("The inputs have different numbers of samples.")
        if not rows:
            raise BadData("There is no sample to run.")
        whole = [np.require(x, requirements=["C", "W"]) for x in inputs]
        pieces = [
            self._runner(*(x[start : start + self.max_batch] for x in whole))
            for start in range(0, rows, self.max_batch)
        ]
        metadata.check_score(pieces[0][1], self.spec)
        if len(pieces) == 1:
            return pieces[0]
        answers, scores = zip(*pieces, strict=True)
        return np.concatenate(answers), np.concatenate(scores)

    def answers(self, raws: Sequence[Raw]) -> list[Answer]:
        """Answer for raw samples, in their order; samples of different shapes are run apart."""
        decoded = [self.decoder(raw) for raw in raws]
        return self.answers_to(decoded, [raw.id for raw in raws])

    def answers_to(self, decoded: Sequence[tuple[np.ndarray, ...]], ids: Sequence[str]) -> list[Answer]:
        """Answer for samples that are decoded already: a tuple of arrays without a batch axis each."""
        function, options = self._answering
        groups: dict[object, list[int]] = defaultdict(list)
        for place, arrays in enumerate(decoded):
            groups[tuple(x.shape for x in arrays)].append(place)
        found: dict[int, Answer] = {}
        for places in groups.values():
            inputs = stack([decoded[place] for place in places])
            for place, answer in zip(places, function(self.call, inputs, self.spec, options), strict=True):
                found[place] = replace(answer, id=ids[place])
        return [found[place] for place in range(len(decoded))]

    @cached_property
    def _answering(self) -> tuple[Any, Any]:
        found = self._plugins.find("task", self.task_name)
        assert isinstance(found.info, TaskInfo)
        return found.resolve(found.info.answer), self._plugins.options(found, self.meta["task"]["options"])

    def samples(self) -> list[Raw]:
        """Give the raw held-out samples of an artifact; an export has none."""
        return samples.read(self.path) if self.kind == "artifact" else []


NO_NUMBER = "the model's answer is not a number: a value is far outside of what it was trained on"


def no_number(answer: Answer) -> bool:
    """Say whether a part of an answer is NaN, as values far too large make it."""

    def within(value: Any) -> bool:
        if isinstance(value, Mapping):
            return any(map(within, value.values()))
        if isinstance(value, list | tuple):
            return any(map(within, value))
        if isinstance(value, np.ndarray):
            return value.dtype.kind == "f" and bool(np.isnan(value).any())
        return isinstance(value, float | np.floating) and math.isnan(value)

    return within(answer.values)


def open_model(path: Path, plugins: Plugins, trust: bool = False) -> LoadedModel:
    """Open a run's artifact, an artifact's or an export's folder.

    Args:
        path: a run's folder, an artifact's, an export's.
        plugins: where tasks and runners are found.
        trust: accept a format that can run code though it wasn't made on this machine.

    Raises:
        BadUsage: there is no such folder.
        BadData: a file is missing or changed, or the format is another.
        NotAvailable: a plugin that is needed is not installed; says which and how to get it.
        Refused: it can run code, and wasn't made here.
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
        # The installed exporter says what its format is; what the folder says of itself can only add caution.
        if (found.info.program or meta.get("program")) and not trusted:
            raise Refused(
                f"{folder} is {meta['exporter']}, which can run code, and wasn't made on this machine.",
                "Add --trust if you trust who made it.",
            )
    elif meta.get("runner"):
        trained_runner(meta, plugins)
    check_task(meta, plugins)
    return LoadedModel(folder, meta, plugins, trusted)


def _load_own_files(folder: Path, meta: Mapping[str, Any], plugins: Plugins) -> None:
    """Load the run's own copies of local plugin files, where they are needed and were made on this machine."""
    if meta["kind"] == "export":  # exports/<exporter> lies beside the artifact
        folder = folder.parent.parent / "artifact"
        if not (folder / "artifact.json").is_file():
            return
        meta = read_meta(folder, "artifact")
    if not signing.made_here(meta):
        return
    copies = [Path(file) for file in meta["recipe"].get("plugins", ())]
    if not copies or not (meta.get("runner") or _lacks(meta, plugins)):
        return
    places = [file if file.is_file() else folder.parent / "local" / file.name for file in copies]
    wanted = meta.get("local") or {}  # under the mark too: a copy that was changed since is no longer its own
    plugins.add_files([file for file in places if file.is_file() and files.sha256(file) == wanted.get(file.name)])


def _lacks(meta: Mapping[str, Any], plugins: Plugins) -> bool:
    names = [(kind, meta[kind]["name"]) for kind in ("task", "model")]
    known = {(kind, found.info.name) for kind, _ in names for found in plugins.all(kind).values()}
    return any(":" not in name and (kind, name) not in known for kind, name in names)


def locate(path: Path) -> tuple[Path, str]:
    """Find the folder with artifact.json or export.json: give it and its kind."""
    for folder in (path, path / "artifact"):
        for kind in ("artifact", "export"):
            if (folder / f"{kind}.json").is_file():
                return folder, kind
    if (path / "run.json").is_file():
        raise no_artifact(path.name)
    what = "holds no artifact.json or export.json" if path.is_dir() else "is no folder"
    raise BadUsage(f"{path} {what}.", "Give a run's name, a run's folder, an artifact or an export.")


def read_meta(folder: Path, kind: str) -> dict[str, Any]:
    """Read artifact.json or export.json and check that it is one of this format."""
    path = folder / f"{kind}.json"
    meta = files.read_json(path)
    if not isinstance(meta, dict) or meta.get("kind") != kind:
        raise BadData(f"{path} describes no {kind}.", "The file is damaged: make the folder again.")
    again = "Train again and take that artifact." if kind == "artifact" else "Export again, from a run trained anew."
    this = format_versions.ARTIFACT if kind == "artifact" else format_versions.EXPORT
    format_versions.check(meta.get("format"), this, path, again, meta.get("benchdog"))
    metadata.check(path, meta, *KEYS)
    return meta


def verify_files(folder: Path, listed: Mapping[str, Any]) -> None:
    """Compare every listed file with its SHA-256; files beside them are ignored, but for those that would be read.

    Raises:
        BadData: one is missing, changed, not listed, or lies outside the folder.
    """
    for name, digest in listed.items():
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name or not place.parts:
            raise BadData(f"{folder} lists the file {name!r}, which lies outside of it.", "Don't use this folder.")
        path = folder.joinpath(*place.parts)
        if not path.is_file():
            raise BadData(f"{path} is missing.", "The folder is incomplete: copy or make it again.")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BadData(f"{path} is a link to a place outside the folder.", "Don't use this folder.")
        if files.sha256(path) != digest:
            raise BadData(
                f"{path} is not what was written: its SHA-256 differs.",
                "The file was changed or damaged: copy or make the folder again.",
            )
    read = (folder / WEIGHTS, folder / GRAPH, folder / "model.json", *sorted((folder / samples.FOLDER).rglob("*")))
    for path in read:
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.startswith(".") and name not in listed:
            raise BadData(f"{path} isn't listed: it was put there later.", "Take it away, if it isn't yours.")


def hashes(folder: Path, *but: str) -> dict[str, str]:
    """List the files of a folder with their SHA-256, except those named: {"samples/000.png": "9f..."}."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {name: files.sha256(path) for path in found if (name := path.relative_to(folder).as_posix()) not in but}


def exporter_of(meta: Mapping[str, Any], plugins: Plugins) -> RegisteredComponent:
    """Find the exporter of an export; NotAvailable names its plugin and how to get it."""
    return _found("exporter", meta["exporter"], meta.get("plugin") or {}, plugins)


def check_task(meta: Mapping[str, Any], plugins: Plugins) -> None:
    """Make sure that the task is installed: its answers are what people see."""
    _found("task", meta["task"]["name"], meta["task"].get("plugin") or {}, plugins)


def _found(kind: str, name: str, owner: Mapping[str, Any], plugins: Plugins) -> RegisteredComponent:
    try:
        return plugins.find(kind, name)
    except NotAvailable:
        raise
    except BenchdogError as error:
        raise NotAvailable(
            f"The {kind} {name!r} of plugin {owner.get('dist') or 'unknown'!r} is not installed.",
            owner.get("install")
            or "Install that plugin; a file of your own is named before the command: "
            f"benchdog --plugin {owner.get('name') or 'FILE'}.py COMMAND ...",
        ) from error


def runner_of(found: RegisteredComponent, folder: Path, plugins: Plugins, trusted: bool = False) -> Runner:
    """Make the runner of an export in a folder."""
    assert isinstance(found.info, ExporterInfo)
    target = found.resolve(found.info.runner)
    runner: Runner = Rebuilt(folder, None, plugins, trusted) if target is Rebuilt else target(folder)
    return runner


def declared_runner(target: object, plugins: Plugins) -> RegisteredComponent | None:
    """Find the trainer that declares a runner; None when no installed one does."""
    for found in plugins.all("trainer").values():
        if target and isinstance(found.info, TrainerInfo) and found.info.runner == target:
            return found
    return None


def trained_runner(meta: Mapping[str, Any], plugins: Plugins) -> Any:
    """Give the runner class of what is no torch module.

    artifact.json names it, and mustn't choose what is run: only what an installed trainer declares as its
    runner is imported.
    """
    target = meta["runner"]
    found = declared_runner(target, plugins)
    if found is not None:
        return found.resolve(target)
    owner = (meta.get("model") or {}).get("plugin") or {}
    raise NotAvailable(
        f"{target!r}, which runs this model, is the runner of no trainer that is installed.",
        f"{owner.get('install') or 'Install its trainer'}; for a file of your own: --plugin FILE.",
    )
