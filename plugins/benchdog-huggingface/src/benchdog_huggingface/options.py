"""Options of the source and the model. Nothing heavy is imported here, so that help and schemas are quick."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from benchdog.api import NA_WORDS, BadData, BadUsage, Bounds, Doc
from benchdog_huggingface.tokenizer import padding_id

CONFIG = "config.json"
FROM, FIRST = "_read_from", "_first"
"""What a kept configuration says besides: the folder that it was read from, the code of the first token."""
LEFT_OUT = ("_name_or_path", "architectures", "id2label", "label2id", "transformers_version", "torch_dtype", "dtype")
"""What Benchdog decides by itself, or what says nothing of the network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions:
    """Options of the source `hf`."""

    path: Annotated[
        Path | None,
        Doc(
            "Folder written by save_to_disk; or a .parquet, .arrow, .csv, .tsv, .json or .jsonl "
            "file, or a folder of them."
        ),
    ] = None
    target: Annotated[
        str,
        Doc("Column to predict; empty: the only ClassLabel column, or one named label, labels, target or class."),
    ] = ""
    input: Annotated[
        str | tuple[str, ...],
        Doc("Input column with texts or images, or the input columns of a table; empty: chosen by type."),
    ] = ""
    kind: Annotated[
        Literal["auto", "class", "number"],
        Doc("Kind of target; auto treats texts, labels and up to 20 distinct integers as classes."),
    ] = "auto"
    missing: Annotated[
        Literal["refuse", "drop"],
        Doc("Rows without a target, a text or an image: stop, or drop them."),
    ] = "refuse"
    drop: Annotated[tuple[str, ...], Doc("Columns of a table to drop.")] = ()
    na_values: Annotated[
        tuple[str, ...],
        Doc(
            "Words that mean a missing value, in place of the usual ones such as NA, none, null, ? and -; an empty "
            "cell always does."
        ),
    ] = NA_WORDS
    separator: Annotated[str, Doc("Column separator of a CSV file: auto, a character, tab, or spaces.")] = "auto"
    quote: Annotated[
        Literal["auto", "double", "none"],
        Doc(
            "Quotation marks in a CSV file: they enclose cells (double), are text (none), or auto, as in source csv."
        ),
    ] = "auto"
    tokenizer: Annotated[
        Path | None,
        Doc("For texts: a tokenizer.json, or the folder of a tokenizer or model; empty: tokens are UTF-8 bytes."),
    ] = None
    length: Annotated[int, Doc("Context length in tokens; longer texts are truncated."), Bounds(ge=2, le=65_536)] = (
        128
    )
    size: Annotated[int, Doc("Height and width in pixels; 0: as in the data."), Bounds(ge=0)] = 0
    mode: Annotated[Literal["auto", "L", "RGB"], Doc("Grayscale or color; auto: grayscale if the images are.")] = (
        "auto"
    )
    valid: Annotated[
        float, Doc("Fraction of samples in the validation split, if the data has none."), Bounds(gt=0, lt=1)
    ] = 0.15
    test: Annotated[
        float, Doc("Fraction of samples in the test split, if the data has none."), Bounds(gt=0, lt=1)
    ] = 0.15
    split_seed: Annotated[int, Doc("Seed of the split: another number assigns samples to other splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOptions:
    """Options of the model `hf`.

    What config.json says is kept with them: a run, and an artifact without a graph, can be built again when the
    folder is gone.
    """

    path: Annotated[
        Path | None, Doc("Folder of a transformers model: config.json, and model.safetensors if it is pretrained.")
    ] = None
    head: Annotated[
        Literal["own", "mean"],
        Doc("own: the architecture's head; mean: a linear layer on the mean of all token embeddings."),
    ] = "own"
    config: Annotated[str, Doc("Contents of config.json; read from the folder.")] = ""

    def __post_init__(self) -> None:
        if self.path is None:
            return
        if self.config and json.loads(self.config).get(FROM) == str(self.path):
            return
        first = 0 if padding_id(self.path) == 0 else 1
        object.__setattr__(self, "config", json.dumps({FROM: str(self.path), FIRST: first, **read_config(self.path)}))


@dataclass(frozen=True, kw_only=True, slots=True)
class MiniLMOptions:
    """Options of the model `minilm`."""

    dropout: Annotated[float, Doc("Dropout probability."), Bounds(ge=0, lt=1)] = 0.1


def read_config(folder: Path) -> dict[str, Any]:
    """Read what a folder's config.json says of the network.

    Raises:
        BadUsage: there is no such folder or file, or it asks for code of its own.
        BadData: the file is damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        what = "has no config.json" if folder.is_dir() else "is not a folder"
        raise BadUsage(f"{folder} {what}.", "Give the folder that save_pretrained wrote: --set model.path=FOLDER")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        kind = said["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = "it names no model_type" if isinstance(error, KeyError) else str(error)
        raise BadData(
            f"{path} is not a configuration of a transformers model: {fault}.", "Get the file again."
        ) from None
    if not isinstance(kind, str):
        raise BadData(f"{path}: model_type is {kind!r}, no name.", "Get the file again.")
    if "auto_map" in said:
        raise BadUsage(
            f"{path} asks for code that comes with the model (auto_map), which is never run.",
            "Take a model whose architecture transformers has.",
        )
    return {key: value for key, value in said.items() if key not in LEFT_OUT}
