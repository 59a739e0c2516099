"""The options of the built-in sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from benchdog.api import NA_WORDS, Bounds, Doc

NA_VALUES = "Words that mean a missing value, in any case; an empty cell always does."
SEPARATOR = "Column separator of a table: auto, a character, tab, or spaces (any number of them)."
QUOTE = (
    "Quotation marks in a table: they enclose cells (double), are text (none), or auto: text if they don't pair up "
    "in a table of tabs."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsOptions:
    """Options of the source `digits`."""

    labeled: Annotated[
        float,
        Doc("Fraction of the training images that keep their label; the others are the split unlabeled."),
        Bounds(gt=0, le=1),
    ] = 1.0
    valid: Annotated[float, Doc("Fraction of samples in the validation split."), Bounds(gt=0, lt=1)] = 0.15
    test: Annotated[float, Doc("Fraction of samples in the test split."), Bounds(gt=0, lt=1)] = 0.15
    split_seed: Annotated[int, Doc("Seed of the split: another number assigns samples to other splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FashionMnistOptions:
    """Options of the source `fashion-mnist`."""

    path: Annotated[
        Path | None,
        Doc("Folder of the four .gz files; else /usr/share/datasets/fashion-mnist, else a download."),
    ] = None
    valid: Annotated[
        float,
        Doc("Fraction of the 60,000 training images used as the validation split."),
        Bounds(gt=0, lt=1),
    ] = 0.1
    limit: Annotated[int, Doc("Use only this many training images; 0: all."), Bounds(ge=0)] = 0
    split_seed: Annotated[int, Doc("Seed of the split: another number assigns samples to other splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFolderOptions:
    """Options of the source `image-folder`."""

    path: Annotated[
        Path | None,
        Doc("Folder with a folder per class, or with train/, valid/ and test/ that have one per class."),
    ] = None
    labels: Annotated[Path | None, Doc("CSV file with the columns path (relative to the folder) and label.")] = None
    label_separator: Annotated[
        str, Doc('Separator of several labels per image in that file, such as ";" (multi-label); empty: one label.')
    ] = ""
    weight: Annotated[str, Doc("Column of that file with sample weights: numbers, 0 or more.")] = ""
    na_values: Annotated[tuple[str, ...], Doc("Words in that file that mean no label, in any case.")] = ()
    folders: Annotated[
        Literal["auto", "classes", "splits"],
        Doc("Meaning of the top folders; auto: splits, if they are named like splits (Training, seg_test, val2017)."),
    ] = "auto"
    unlabeled: Annotated[
        str, Doc('Folder in it of images without a class, the split unlabeled; ".": no image has one.')
    ] = ""
    size: Annotated[int, Doc("Height and width in pixels; 0: as in the files."), Bounds(ge=0)] = 0
    height: Annotated[int, Doc("Height in pixels, if it differs from the width."), Bounds(ge=0)] = 0
    width: Annotated[int, Doc("Width in pixels, if it differs from the height."), Bounds(ge=0)] = 0
    mode: Annotated[Literal["auto", "L", "RGB"], Doc("Grayscale or color; auto: grayscale if every file is.")] = (
        "auto"
    )
    bad: Annotated[
        Literal["report", "skip"],
        Doc("Damaged files: stop and list them, or skip them."),
    ] = "report"
    group: Annotated[
        Literal["", "prefix"],
        Doc("prefix keeps files in one split whose names agree up to the last _ or -, such as video frames."),
    ] = ""
    valid: Annotated[float, Doc("Fraction of samples in the validation split."), Bounds(gt=0, lt=1)] = 0.15
    test: Annotated[float, Doc("Fraction of samples in the test split."), Bounds(gt=0, lt=1)] = 0.15
    split_seed: Annotated[int, Doc("Seed of the split: another number assigns samples to other splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePairsOptions:
    """Options of the source `image-pairs`."""

    path: Annotated[Path | None, Doc("Folder of the input images.")] = None
    targets: Annotated[
        Path | None, Doc("Folder of the target images, with the same names; else each image is its own target.")
    ] = None
    size: Annotated[
        int, Doc("Height and width in pixels of inputs and targets; 0: as in the files."), Bounds(ge=0)
    ] = 0
    mode: Annotated[Literal["auto", "L", "RGB"], Doc("Grayscale or color; auto: grayscale if every file is.")] = (
        "auto"
    )
    valid: Annotated[float, Doc("Fraction of samples in the validation split."), Bounds(gt=0, lt=1)] = 0.15
    test: Annotated[float, Doc("Fraction of samples in the test split."), Bounds(gt=0, lt=1)] = 0.15
    split_seed: Annotated[int, Doc("Seed of the split: another number assigns samples to other splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvOptions:
    """Options of the source `csv`."""

    path: Annotated[Path | None, Doc("CSV file in UTF-8 with a header line.")] = None
    target: Annotated[
        str | tuple[str, ...], Doc('Column to predict, or several: ["a", "b"]; empty: the last one.')
    ] = ""
    kind: Annotated[
        Literal["auto", "class", "labels", "number"],
        Doc(
            "Kind of target; auto treats texts and up to 20 distinct integers (at most a third of the rows) as "
            "classes, and several columns of 0 and 1 as labels."
        ),
    ] = "auto"
    target_missing: Annotated[
        Literal["refuse", "drop", "unlabeled"],
        Doc("Rows without a target: stop, drop them, or keep them as the split unlabeled."),
    ] = "refuse"
    weight: Annotated[str, Doc("Column with sample weights: numbers, 0 or more.")] = ""
    drop: Annotated[tuple[str, ...], Doc("Columns to drop.")] = ()
    categories: Annotated[tuple[str, ...], Doc("Numeric columns to treat as categorical, such as codes.")] = ()
    group: Annotated[str, Doc("Group column: rows with equal values stay in one split, such as a patient's id.")] = ""
    time: Annotated[
        str, Doc("Time column: the latest rows are the test split, those before them the validation split.")
    ] = ""
    na_values: Annotated[tuple[str, ...], Doc(NA_VALUES)] = NA_WORDS
    separator: Annotated[str, Doc(SEPARATOR)] = "auto"
    quote: Annotated[Literal["auto", "double", "none"], Doc(QUOTE)] = "auto"
    valid: Annotated[float, Doc("Fraction of samples in the validation split."), Bounds(gt=0, lt=1)] = 0.15
    test: Annotated[float, Doc("Fraction of samples in the test split."), Bounds(gt=0, lt=1)] = 0.15
    split_seed: Annotated[int, Doc("Seed of the split: another number assigns samples to other splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapesOptions:
    """Options of the source `shapes`."""

    count: Annotated[int, Doc("Number of images in all splits."), Bounds(ge=10, le=1_000_000)] = 2000
    size: Annotated[int, Doc("Size in pixels; 0: 64 in 2-D, 32 in 3-D."), Bounds(ge=0, le=512)] = 0
    dimensions: Annotated[Literal[2, 3], Doc("2: disks in images; 3: balls in volumes.")] = 2
    seed: Annotated[int, Doc("Seed of the images."), Bounds(ge=0)] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TextOptions:
    """Options of the source `text`."""

    path: Annotated[
        Path | None, Doc("A text file, a folder of .txt files, a folder per class, or a CSV file; UTF-8.")
    ] = None
    column: Annotated[str, Doc("Column of a CSV file with the texts; optional if there is only one.")] = ""
    label: Annotated[str, Doc("Column of a CSV file with a class or number per text; empty: language modeling.")] = ""
    kind: Annotated[
        Literal["auto", "class", "number"],
        Doc("Kind of label; as in the source csv."),
    ] = "auto"
    target_missing: Annotated[
        Literal["refuse", "drop", "unlabeled"],
        Doc("Rows without a label: stop, drop them, or keep them as the split unlabeled."),
    ] = "refuse"
    weight: Annotated[str, Doc("Column of a CSV file with sample weights: numbers, 0 or more.")] = ""
    na_values: Annotated[tuple[str, ...], Doc(NA_VALUES)] = NA_WORDS
    separator: Annotated[str, Doc(SEPARATOR)] = "auto"
    quote: Annotated[Literal["auto", "double", "none"], Doc(QUOTE)] = "auto"
    folders: Annotated[
        Literal["auto", "classes", "splits", "ignore"],
        Doc(
            "Meaning of the top folders; auto: splits, if named like them, else classes, if all texts are in several."
        ),
    ] = "auto"
    unit: Annotated[
        Literal["character", "byte", "bpe", "wordpiece"],
        Doc("Tokenizer: characters, UTF-8 bytes, byte-pair encoding trained on the training split, or WordPiece."),
    ] = "character"
    pieces: Annotated[
        Path | None, Doc("WordPiece vocabulary, one per line (BERT's vocab.txt); empty: that of the model minilm.")
    ] = None
    vocabulary: Annotated[int, Doc("Vocabulary size of bpe, including the 256 bytes."), Bounds(ge=257, le=65_536)] = (
        1024
    )
    length: Annotated[
        int, Doc("Context length in tokens; a text with a label is truncated to it."), Bounds(ge=1, le=65_536)
    ] = 128
    stride: Annotated[
        int,
        Doc("Stride between training windows in tokens; 0: the length, so that each token is seen once."),
        Bounds(ge=0),
    ] = 0
    split: Annotated[
        Literal["auto", "order", "blocks", "texts"],
        Doc("How texts without labels are split: hold out the end, blocks, or whole texts (auto: from 10 texts on)."),
    ] = "auto"
    valid: Annotated[float, Doc("Fraction of samples in the validation split."), Bounds(gt=0, lt=1)] = 0.1
    test: Annotated[float, Doc("Fraction of samples in the test split."), Bounds(gt=0, lt=1)] = 0.1
    split_seed: Annotated[int, Doc("Seed of the split: another number assigns other blocks or texts.")] = 0
