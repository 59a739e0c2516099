"""The options of the built-in sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsOptions:
    """Options of the source `digits`."""

    valid: Annotated[float, Doc("Share of the validation split."), Bounds(gt=0, lt=1)] = 0.15
    test: Annotated[float, Doc("Share of the test split."), Bounds(gt=0, lt=1)] = 0.15
    split_seed: Annotated[int, Doc("Another number gives another division into splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FashionMnistOptions:
    """Options of the source `fashion-mnist`."""

    path: Annotated[
        Path | None,
        Doc("Folder of the four .gz files; else /usr/share/datasets/fashion-mnist, else a download."),
    ] = None
    valid: Annotated[
        float,
        Doc("Share of the validation split, taken from the 60,000 training images."),
        Bounds(gt=0, lt=1),
    ] = 0.1
    limit: Annotated[int, Doc("Use only so many of the training images; 0 means all."), Bounds(ge=0)] = 0
    split_seed: Annotated[int, Doc("Another number gives another division into splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFolderOptions:
    """Options of the source `image-folder`."""

    path: Annotated[
        Path | None,
        Doc("Folder with a folder per class, or with train/, valid/ and test/ that have one per class."),
    ] = None
    labels: Annotated[Path | None, Doc("CSV file with the columns path (relative to the folder) and label.")] = None
    label_separator: Annotated[
        str, Doc('What stands between the labels of an image in that file, ";" say: then several may be true.')
    ] = ""
    weight: Annotated[
        str, Doc("Column of that file with what each image counts in the loss: a number, 0 or more.")
    ] = ""
    size: Annotated[int, Doc("Pixels of height and width; 0 means the files' own."), Bounds(ge=0)] = 0
    height: Annotated[int, Doc("Pixels of height, where it isn't the width."), Bounds(ge=0)] = 0
    width: Annotated[int, Doc("Pixels of width, where it isn't the height."), Bounds(ge=0)] = 0
    mode: Annotated[Literal["auto", "L", "RGB"], Doc("Grey or colour; auto is grey when every file is.")] = "auto"
    bad: Annotated[
        Literal["report", "skip"],
        Doc("What to do about damaged files: stop and list them, or leave them out."),
    ] = "report"
    group: Annotated[
        Literal["", "prefix"],
        Doc("prefix keeps files together whose names agree up to the last _ or -, such as frames of a film."),
    ] = ""
    valid: Annotated[float, Doc("Share of the validation split."), Bounds(gt=0, lt=1)] = 0.15
    test: Annotated[float, Doc("Share of the test split."), Bounds(gt=0, lt=1)] = 0.15
    split_seed: Annotated[int, Doc("Another number gives another division into splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvOptions:
    """Options of the source `csv`."""

    path: Annotated[Path | None, Doc("The file: UTF-8, its first line names the columns.")] = None
    target: Annotated[
        str | tuple[str, ...], Doc('Column to predict, or several: ["a", "b"]; the last one when not given.')
    ] = ""
    kind: Annotated[
        Literal["auto", "class", "labels", "number"],
        Doc(
            "What the target is; auto takes texts and up to 20 different whole numbers for classes, and several "
            "columns of 0 and 1 for labels."
        ),
    ] = "auto"
    target_missing: Annotated[
        Literal["refuse", "drop"], Doc("What to do about rows without a target: stop, or leave them out.")
    ] = "refuse"
    weight: Annotated[str, Doc("Column of what each row counts in the loss: a number, 0 or more.")] = ""
    drop: Annotated[tuple[str, ...], Doc("Columns to leave out.")] = ()
    categories: Annotated[tuple[str, ...], Doc("Number columns that mean categories, such as codes.")] = ()
    group: Annotated[str, Doc("Column whose equal values stay in one split, such as a patient's id.")] = ""
    time: Annotated[str, Doc("Column to split by: the latest rows are test, those before them valid.")] = ""
    separator: Annotated[str, Doc("auto, or the character between two cells.")] = "auto"
    valid: Annotated[float, Doc("Share of the validation split."), Bounds(gt=0, lt=1)] = 0.15
    test: Annotated[float, Doc("Share of the test split."), Bounds(gt=0, lt=1)] = 0.15
    split_seed: Annotated[int, Doc("Another number gives another division into splits.")] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapesOptions:
    """Options of the source `shapes`."""

    count: Annotated[int, Doc("Images in all splits together."), Bounds(ge=10, le=1_000_000)] = 2000
    size: Annotated[
        int, Doc("Pixels along each axis; 0 means 64 in two dimensions, 32 in three."), Bounds(ge=0, le=512)
    ] = 0
    dimensions: Annotated[Literal[2, 3], Doc("2 for discs in images, 3 for balls in volumes.")] = 2
    seed: Annotated[int, Doc("Another number gives other images."), Bounds(ge=0)] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TextOptions:
    """Options of the source `text`."""

    path: Annotated[
        Path | None, Doc("A text file, a folder of .txt files, a folder per class, or a CSV file; UTF-8.")
    ] = None
    column: Annotated[str, Doc("Column of a CSV file with the texts; needn't be said when there is one.")] = ""
    label: Annotated[str, Doc("Column of a CSV file with a class or number per text; none: texts to go on with.")] = (
        ""
    )
    kind: Annotated[
        Literal["auto", "class", "number"],
        Doc("What the label is; auto takes texts and up to 20 different whole numbers for classes."),
    ] = "auto"
    weight: Annotated[
        str, Doc("Column of a CSV file with what each text counts in the loss: a number, 0 or more.")
    ] = ""
    folders: Annotated[
        Literal["auto", "classes", "ignore"],
        Doc("What folders in the folder mean; auto takes them for classes when all texts lie in several."),
    ] = "auto"
    unit: Annotated[
        Literal["character", "byte", "bpe", "wordpiece"],
        Doc("What a token is: a character, a UTF-8 byte, a byte pair learnt from the training split, a word piece."),
    ] = "character"
    pieces: Annotated[
        Path | None, Doc("A file with a word piece in each line (BERT's vocab.txt); none: those of the model minilm.")
    ] = None
    vocabulary: Annotated[int, Doc("Tokens of bpe, the 256 bytes among them."), Bounds(ge=257, le=65_536)] = 1024
    length: Annotated[
        int, Doc("Tokens that the model sees at once; a text with a label is cut there."), Bounds(ge=1, le=65_536)
    ] = 128
    stride: Annotated[
        int, Doc("Tokens between two training windows; 0 means the length: each is seen once."), Bounds(ge=0)
    ] = 0
    split: Annotated[
        Literal["auto", "order", "blocks", "texts"],
        Doc(
            "How texts without labels are divided: the end is held out, or blocks, or whole texts (auto: from 10 on)."
        ),
    ] = "auto"
    valid: Annotated[float, Doc("Share of the validation split."), Bounds(gt=0, lt=1)] = 0.1
    test: Annotated[float, Doc("Share of the test split."), Bounds(gt=0, lt=1)] = 0.1
    split_seed: Annotated[int, Doc("Another number gives another division into blocks or texts.")] = 0
