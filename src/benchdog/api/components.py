"""Options and descriptors: how a plugin says what it offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Doc:
    """The one-line documentation of an option: `Annotated[int, Doc("Layers.")]`."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The values that a numeric option may take: `Annotated[float, Doc("..."), Bounds(gt=0)]`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """A named part that a plugin offers.

    `target` and `options` are strings ("package.module:attribute"; a leading ":" means the module of
    the hook itself), so that listing components imports nothing of what they need. `options` names a
    stdlib dataclass in a module that imports nothing heavy. `requires` holds import names that must be
    installed for the component to work; `install` says how to get them.
    """

    name: str
    summary: str
    target: str
    options: str = ""
    requires: tuple[str, ...] = ()
    install: str = ""
    kind: ClassVar[str] = "component"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo(Component):
    """Offer a data source. `defaults` are recipe keys that suit it: {"loop.epochs": 5}.

    `named_by` is the option whose file or folder names a run ("path": wines-mlp-1), else the source's name does.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    named_by: str = ""
    kind: ClassVar[str] = "source"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo(Component):
    """Offer a model: a function or class called as `build(spec, options)`.

    `codes` asks for the categories of a table as codes 0 to n, 0 for missing, in place of a column for each.
    `pretrained` names a class (see `Pretrained`), made as `Target(options)`, that knows the model as its publisher
    trained it: then `predict NAME` answers without a run, and `[start] weights = "package"` begins from there.
    """

    codes: bool = False
    pretrained: str = ""
    kind: ClassVar[str] = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskInfo(Component):
    """Offer a task.

    `targets` are the target kinds that it is chosen for; `models` its default model by field kind;
    `answer` a function `(call, inputs, spec, options) -> list[Answer]` in a module without torch. `together` is
    a function `(answers, spec, options) -> list[Answer]` there that adds what can be said only of several inputs
    asked for at once: how they lie to each other. `asked` are the options that may be given anew with a question.
    """

    answer: str
    together: str = ""
    asked: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "task"


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationInfo(Component):
    """Offer an augmentation. `mixes` says that it blends samples of a batch with each other."""

    mixes: bool = False
    kind: ClassVar[str] = "augmentation"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerInfo(Component):
    """Offer a trainer.

    `resumable` is false for one that can't go on after a stop; `uses_model` for one that brings its own model.
    `runner` is the runner of what it returns when that is no torch module; no other class is taken for it.
    """

    resumable: bool = True
    uses_model: bool = True
    runner: str = ""
    kind: ClassVar[str] = "trainer"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExporterInfo(Component):
    """Offer an exporter. `runner` executes the export; `program` says that the format can run code."""

    runner: str
    program: bool = False
    kind: ClassVar[str] = "exporter"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendInfo(Component):
    """Offer hardware."""

    kind: ClassVar[str] = "backend"
