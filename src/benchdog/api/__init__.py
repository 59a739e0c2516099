"""The plugin API: hook marker, descriptors, data types, protocols of components, errors.

Standard library and pluggy only, so that importing a plugin's hook module costs nothing at start-up. Tensors appear
in annotations alone. Shapes are per sample unless they start with B, the batch axis.
"""

from __future__ import annotations

from typing import Final

import pluggy

from benchdog.api.class_references import import_module_of, is_reference
from benchdog.api.components import (
    AugmentationInfo,
    BackendInfo,
    Bounds,
    Component,
    DecoderInfo,
    Doc,
    ExporterInfo,
    ModelInfo,
    SourceInfo,
    TaskInfo,
    TrainerInfo,
    WriterInfo,
)
from benchdog.api.data import (
    Answer,
    ArrayValue,
    Batch,
    Cache,
    Column,
    Field,
    Op,
    Preprocess,
    Raw,
    SampleCounts,
    Shard,
    Source,
    Spec,
    Split,
    Splits,
    Stream,
    Target,
    split_of,
)
from benchdog.api.decoding import Decode, DecodeExample
from benchdog.api.folders import HIDDEN, FolderFiles, find_files
from benchdog.api.following import MetricsLog
from benchdog.api.image_formats import (
    IMAGE_FORMATS,
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    ImageFormat,
    has_more_pages,
    pixel_hash,
)
from benchdog.api.metrics import MeasuredTask, Metric, MetricSet, SampleStatistics, Statistics, compute_metrics
from benchdog.api.optional import (
    ArraySplit,
    BaselineTask,
    BatchSplit,
    CheckedTrainer,
    CollatingTask,
    DownloadedSource,
    FittedTask,
    IndexedSplit,
    InvertibleHeadTask,
    LaunchingBackend,
    LayerDefaults,
    PreparedTask,
    PreprocessedSource,
    PretrainedDefaults,
    RunnerDefaults,
    SampleLossTask,
    SourceDefaults,
    SplitDefaults,
    TaskDefaults,
    TrainerDefaults,
    with_defaults,
)
from benchdog.api.packaged_files import packaged_file
from benchdog.api.protocols import (
    ArtifactView,
    Augmentation,
    Backend,
    Call,
    Device,
    Draws,
    Exporter,
    Meter,
    Pretrained,
    Probe,
    RunFacts,
    Runner,
    Session,
    Task,
    Trained,
    Trainer,
    Trial,
    Watcher,
    Writer,
)
from benchdog.api.reading.cells import (
    AMBIGUOUS_NA,
    MISSING,
    NA_WORDS,
    MissingWords,
    category_key,
    is_number,
    number,
    numbers,
    spelling,
)
from benchdog.api.reading.classes import (
    class_names,
    class_spellings,
    lacking_notes,
    natural_key,
    spelling_notes,
)
from benchdog.api.reading.table import Table, TableFile, open_table, read_table
from benchdog.api.reading.text import plain_newlines, read_text
from benchdog.api.regular_files import (
    MAX_ARRAY_BYTES,
    MAX_IMAGE_BYTES,
    MAX_RECIPE_BYTES,
    MAX_TEXT_BYTES,
    open_regular,
    read_regular,
)
from benchdog.api.tokenizer import encoder_of_many
from benchdog.api.tokens import encoder, pieces, spellings, words
from benchdog.errors import (
    BadData,
    BadUsage,
    BenchdogError,
    Failed,
    NotAvailable,
    Refused,
    Stopped,
    nearest,
    shortlist,
)
from benchdog.strict_json import json_text

__all__ = [  # noqa: RUF022 -- in the order of the file
    "CONTRACT", "hookimpl", "hookspec", "Doc", "Bounds",
    "Component", "SourceInfo", "ModelInfo", "TaskInfo", "TrainerInfo", "ExporterInfo", "BackendInfo",
    "AugmentationInfo", "DecoderInfo", "WriterInfo",
    "Column", "Field", "Target", "Spec", "Op", "Preprocess", "Raw", "Batch", "Shard", "SampleCounts", "Answer",
    "ArrayValue",
    "Split", "Stream", "Splits", "Cache", "Source", "Task", "Meter", "Augmentation", "Draws", "Session", "Trainer",
    "Trial", "Watcher", "ArtifactView", "Exporter", "Runner", "Call", "Trained", "Pretrained", "Probe", "Device",
    "Backend", "Writer", "RunFacts", "MetricsLog", "Decode", "DecodeExample",
    "FittedTask", "CollatingTask", "SampleLossTask", "InvertibleHeadTask", "BaselineTask", "PreparedTask",
    "DownloadedSource", "PreprocessedSource", "BatchSplit", "ArraySplit", "IndexedSplit", "CheckedTrainer",
    "LaunchingBackend",
    "TaskDefaults", "SourceDefaults", "SplitDefaults", "TrainerDefaults", "LayerDefaults", "PretrainedDefaults",
    "RunnerDefaults", "with_defaults",
    "BenchdogError", "BadData", "BadUsage", "Failed", "NotAvailable", "Refused", "Stopped", "split_of", "nearest",
    "shortlist",
    "Metric", "MetricSet", "SampleStatistics", "Statistics", "MeasuredTask", "compute_metrics",
    "encoder", "encoder_of_many", "pieces", "words", "spellings", "packaged_file",
    "json_text",
    "is_reference", "import_module_of",
    "NA_WORDS", "MissingWords", "MISSING", "AMBIGUOUS_NA", "number", "numbers", "is_number",
    "spelling", "category_key",
    "class_names", "class_spellings", "spelling_notes", "lacking_notes", "natural_key",
    "Table", "TableFile", "open_table", "read_table", "read_text", "plain_newlines",
    "ImageFormat", "IMAGE_FORMATS", "IMAGE_SUFFIXES", "MAX_PIXELS", "pixel_hash", "has_more_pages",
    "find_files", "FolderFiles", "HIDDEN",
    "read_regular", "open_regular", "MAX_IMAGE_BYTES", "MAX_ARRAY_BYTES", "MAX_TEXT_BYTES", "MAX_RECIPE_BYTES",
]  # fmt: skip

CONTRACT: Final = 1
"""The version of this API. A plugin declares the one that it was written for as a literal, `CONTRACT = 1`."""

hookimpl = pluggy.HookimplMarker("benchdog")
hookspec = pluggy.HookspecMarker("benchdog")
