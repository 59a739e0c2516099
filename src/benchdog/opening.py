"""Open an artifact or an export: check every file, find what runs it, answer for raw samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchdog import decode, files, marks, samples
from benchdog.api import Answer, ExporterInfo, Preprocess, Raw, Runner, Spec, TaskInfo
from benchdog.errors import BadData, BadUsage, BenchdogError, NotAvailable, Refused
from benchdog.found import Found
from benchdog.plugins import Plugins
from benchdog.rebuild import Rebuilt, check_reference, preprocess_of
from benchdog.view import check_shapes

FORMAT = 0
GRAPH = "graph.pt2"
GRAPH_EXPORTER = "torch-export"
KEYS = ("format", "kind", "task", "spec", "preprocess", "max_batch", "files")


class Opened:
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

    def load(self) -> Opened:
        """Load the model now and not at the first call."""
        _ = self._runner
        return self

    def graph(self) -> Any:
        """Give the torch module of the portable graph, for exporters; None when there is none."""
        return getattr(self._runner, "module", None)

    def decode(self, raws: Sequence[Raw]) -> tuple[np.ndarray, ...]:
        """Decode raw samples into one array (B, ...) per input; BadData names the sample that can't be."""
        return decode.stack([decode.decode(raw, self.spec, self.preprocess) for raw in raws])

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
        if len(pieces) == 1:
            return pieces[0]
        answers, scores = zip(*pieces, strict=True)
        return np.concatenate(answers), np.concatenate(scores)

    def answers(self, raws: Sequence[Raw]) -> list[Answer]:
        """Answer for raw samples, in their order; samples of different shapes are run apart."""
        decoded = [decode.decode(raw, self.spec, self.preprocess) for raw in raws]
        return self.answers_to(decoded, [raw.id for raw in raws])

    def answers_to(self, decoded: Sequence[tuple[np.ndarray, ...]], ids: Sequence[str]) -> list[Answer]:
        """Answer for samples that are decoded already: a tuple of arrays without a batch axis each."""
        function, options = self._answering
        groups: dict[object, list[int]] = defaultdict(list)
        for place, arrays in enumerate(decoded):
            groups[tuple(x.shape for x in arrays)].append(place)
        found: dict[int, Answer] = {}
        for places in groups.values():
            inputs = decode.stack([decoded[place] for place in places])
            answers = function(self.call, inputs, self.spec, options)
            for place, answer in zip(places, answers, strict=True):
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


def open_model(path: Path, plugins: Plugins, trust: bool = False) -> Opened:
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
    trusted = trust or marks.made_here(meta)
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
    return Opened(folder, meta, plugins, trusted)


def locate(path: Path) -> tuple[Path, str]:
    """Find the folder with artifact.json or export.json: give it and its kind."""
    for folder in (path, path / "artifact"):
        for kind in ("artifact", "export"):
            if (folder / f"{kind}.json").is_file():
                return folder, kind
    if (path / "run.json").is_file():
        raise BadUsage(f"Run {path.name!r} has no artifact.", f"Finish it: benchdog train --resume {path.name}")
    what = "holds no artifact.json or export.json" if path.is_dir() else "is no folder"
    raise BadUsage(f"{path} {what}.", "Give a run's name, a run's folder, an artifact or an export.")


def read_meta(folder: Path, kind: str) -> dict[str, Any]:
    """Read artifact.json or export.json and check that it is one of this format."""
    path = folder / f"{kind}.json"
    meta = files.read_json(path)
    if not isinstance(meta, dict) or meta.get("kind") != kind:
        raise BadData(f"{path} describes no {kind}.", "The file is damaged: make the folder again.")
    if meta.get("format") != FORMAT:
        raise BadData(
            f"{path} has format {meta.get('format')!r}; this Benchdog reads {FORMAT}.",
            f"Use the Benchdog that wrote it ({meta.get('benchdog', 'unknown')}), or make it again.",
        )
    try:
        for key in KEYS:
            meta[key]
        Spec.from_json(meta["spec"])
        preprocess_of(meta)
        for table in (meta["task"], *([meta["model"]] if "model" in meta else [])):
            if not isinstance(table["name"], str) or not isinstance(table["options"], dict):
                raise TypeError("a component has no name or options")
        if not 0 < int(meta["max_batch"]) < 2**31 or not isinstance(meta["files"], dict):
            raise ValueError("max_batch or files is out of order")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"{path} is incomplete: {error}.", "The file is damaged: make the folder again.") from None
    return meta


def verify_files(folder: Path, listed: Mapping[str, Any]) -> None:
    """Compare every listed file with its SHA-256; files beside them are ignored.

    Raises:
        BadData: one is missing, changed, or lies outside the folder.
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


def hashes(folder: Path, *but: str) -> dict[str, str]:
    """List the files of a folder with their SHA-256, except those named: {"samples/000.png": "9f..."}."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {name: files.sha256(path) for path in found if (name := path.relative_to(folder).as_posix()) not in but}


def exporter_of(meta: Mapping[str, Any], plugins: Plugins) -> Found:
    """Find the exporter of an export; NotAvailable names its plugin and how to get it."""
    return _found("exporter", meta["exporter"], meta.get("plugin") or {}, plugins)


def check_task(meta: Mapping[str, Any], plugins: Plugins) -> None:
    """Make sure that the task is installed: its answers are what people see."""
    _found("task", meta["task"]["name"], meta["task"].get("plugin") or {}, plugins)


def _found(kind: str, name: str, owner: Mapping[str, Any], plugins: Plugins) -> Found:
    try:
        return plugins.find(kind, name)
    except NotAvailable:
        raise
    except BenchdogError as error:
        raise NotAvailable(
            f"The {kind} {name!r} of plugin {owner.get('dist') or 'unknown'!r} is not installed.",
            f"{owner.get('install') or 'Install that plugin'}; for a file of your own: --plugin FILE.",
        ) from error


def runner_of(found: Found, folder: Path, plugins: Plugins, trusted: bool = False) -> Runner:
    """Make the runner of an export in a folder."""
    assert isinstance(found.info, ExporterInfo)
    target = found.resolve(found.info.runner)
    runner: Runner = Rebuilt(folder, None, plugins, trusted) if target is Rebuilt else target(folder)
    return runner


def trained_runner(meta: Mapping[str, Any], plugins: Plugins) -> Any:
    """Give the runner class of what is no torch module.

    artifact.json names it, and mustn't choose what is run: only a class that a plugin's package defines is
    taken, no function, and nothing that such a package imports from elsewhere.
    """
    target = str(meta["runner"])
    module, _, attribute = target.partition(":")
    package = module.partition(".")[0]
    for kind in ("trainer", "model", "exporter", "task", "source", "backend"):
        for found in plugins.all(kind).values():
            if package and found.module.partition(".")[0] == package and attribute.isidentifier():
                runner = found.resolve(target)
                if isinstance(runner, type) and runner.__module__.partition(".")[0] == package:
                    return runner
    owner = (meta.get("model") or {}).get("plugin") or {}
    raise NotAvailable(
        f"{target!r}, which runs this model, belongs to no plugin that is installed.",
        f"{owner.get('install') or 'Install its trainer'}; for a file of your own: --plugin FILE.",
    )
