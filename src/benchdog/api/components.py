"""Descriptors of components and annotations of their options: how a plugin registers what it offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from benchdog.api.regular_files import MAX_IMAGE_BYTES


@dataclass(frozen=True, slots=True)
class Doc:
    """One-line documentation of an option: `Annotated[int, Doc("Layers.")]`."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Bounds of a numeric option: `Annotated[float, Doc("..."), Bounds(gt=0)]`."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """Descriptor of a component that a plugin registers.

    Attributes:
        name: lower case; what users type.
        summary: one line for lists and help.
        target: the class or function, as a string "package.module:attribute", so that listing components imports
            nothing of theirs; a leading ":" means the module of the hook itself.
        options: the component's options, a stdlib dataclass, as a string likewise; its module must import nothing
            heavy. "" for a component without options.
        requires: import names of packages that must be installed for the component to work.
        install: how to install them.
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
    """Descriptor of a data source.

    Attributes:
        defaults: recipe keys with values that suit the data: {"loop.epochs": 5}.
        named_by: the option whose file or folder names a run ("path": wines-mlp-1); "" for the source's name.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    named_by: str = ""
    kind: ClassVar[str] = "source"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo(Component):
    """Descriptor of a model: a function or class, called as `build(spec, options)`, that returns an `nn.Module`.

    Attributes:
        codes: whether a table's categories come as integer codes 0 to n (0: missing or unseen), for an embedding,
            instead of one-hot columns.
        pretrained: a `Pretrained`, called as `Target(options)`, that has the published weights: `predict NAME` then
            works without training, and `[start] weights = "package"` fine-tunes them.
    """

    codes: bool = False
    pretrained: str = ""
    kind: ClassVar[str] = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskInfo(Component):
    """Descriptor of a task.

    Attributes:
        answer: the predict function, `(call, inputs, spec, options) -> list[Answer]`, in a module without torch. It
            turns the arrays that `call(*inputs)` returns into predictions, one per sample.
        together: a function `(answers, spec, options) -> list[Answer]` there; it adds what can be predicted for
            several inputs only, such as their similarities. "" for none.
        place: a function `(answer, region, spec, options) -> Answer` there; it converts positions in the decoded
            image into pixels of the image file, of which the decoded image shows `region`: left, top, width, height.
            Images are turned upright first. "" for answers without positions.
        asked: options that a user may override at prediction time (`predict --set length=500`).
        targets: the kinds of target that the task is the default for.
        models: the default model by field kind: {"image": "cnn"}.
        values: what the arrays in an answer are, by key: {"mask": "mask"}. A writer of that kind makes files of them
            ("image", "mask", "audio", "array", or a plugin's own); an array that isn't named here is an "array".
    """

    answer: str
    together: str = ""
    place: str = ""
    asked: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "task"


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationInfo(Component):
    """Descriptor of an augmentation. `mixes`: whether it blends samples of a batch with each other, as mixup does."""

    mixes: bool = False
    kind: ClassVar[str] = "augmentation"


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderInfo(Component):
    """Descriptor of a decode operation, a `Decode`; its options are the operation's JSON parameters.

    A source names it in its `Preprocess`: {"op": "wav", "rate": 8000}. Artifacts and exports keep that, so `predict`
    and `serve` read what training read.

    Attributes:
        takes: what a raw value is: the "bytes" of a file, a "text", or a "row", a mapping of the columns that the
            option `columns` lists ([{"name": "age"}, ...]).
        suffixes: of files with one raw value, lower case with the dot; "" for files without a suffix. `predict` finds
            them in folders.
        media_types: of a request body with one, such as "audio/wav" or "image/*"; `serve` accepts them.
        called: what such files are called, in messages: "WAV files".
        max_bytes: largest file that is read.
        examples: a function `() -> list[DecodeExample]`, with which the conformance kit tries the operation.
        counterparts: source text that decodes alike in another language, by the suffix of its file: {"js":
            "package.module:TEXT"}. Exports carry it.
    """

    takes: str = "bytes"
    suffixes: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    called: str = "files of its format"
    max_bytes: int = MAX_IMAGE_BYTES
    examples: str = ""
    counterparts: Mapping[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "decoder"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerInfo(Component):
    """Descriptor of a trainer.

    Attributes:
        resumable: whether a stopped run can be resumed.
        uses_model: whether it trains the recipe's model; false for one with a model of its own.
        uses_data: whether it reads the source's splits; false for one that brings its data, such as an environment.
            The source then only describes what the model gets, and the trainer measures itself.
        runner: the `Runner` of the `Trained` that it returns, if that is not a torch module. No other class is
            loaded for it, whatever an artifact names.
    """

    resumable: bool = True
    uses_model: bool = True
    uses_data: bool = True
    runner: str = ""
    kind: ClassVar[str] = "trainer"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExporterInfo(Component):
    """Descriptor of an exporter.

    Attributes:
        runner: the `Runner` that executes the export.
        program: whether loading the format can run code; such an export is loaded only if it was made on this
            machine, or with --trust.
    """

    runner: str
    program: bool = False
    kind: ClassVar[str] = "exporter"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendInfo(Component):
    """Descriptor of a backend: hardware to train on."""

    kind: ClassVar[str] = "backend"


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterInfo(Component):
    """Descriptor of a writer: it makes files of the arrays in answers, for `predict --out` and for a server.

    Attributes:
        writes: the kind of value that it writes: "image", "mask", "audio", "array", or one of a plugin's own.
        suffix: of its files, with the dot: ".png".
        media_type: of its files; a client chooses a writer by it (Accept).
    """

    writes: str
    suffix: str
    media_type: str = "application/octet-stream"
    kind: ClassVar[str] = "writer"
