"""Several targets: columns of a table, labels of an image; and their baselines."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchdog.api import BadData, BadUsage, Batch, Field, Spec, Target
from benchdog.builtin.sources.images.folder import ImageFolder
from benchdog.builtin.sources.options import CsvOptions, ImageFolderOptions
from benchdog.builtin.sources.table.csv import Csv
from benchdog.builtin.tasks.options import SegmentationOptions
from benchdog.builtin.tasks.segmentation import Segmentation
from benchdog.data.targets import check_targets
from benchdog.evaluation import baselines
from benchdog.model import model_card
from benchdog.model.verify import verify
from support.task_cases import MIXED, labels, ordinal

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.fixture
def table(tmp_path):
    """Write a table with given cells in some columns."""

    def write(**columns):
        rng = np.random.default_rng(0)
        n = len(next(iter(columns.values())))
        x = rng.normal(size=(n, 2)).round(4)
        lines = ["x,y," + ",".join(columns)]
        lines += [
            ",".join([str(x[i, 0]), str(x[i, 1]), *(str(cells[i]) for cells in columns.values())]) for i in range(n)
        ]
        path = tmp_path / "t.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


ZERO_ONE = [0, 1, 1, 0, 1] * 12
OTHER = [1, 0, 0, 0, 1, 1] * 10


def test_several_binary_target_columns_are_labels(table, check):
    source = Csv(CsvOptions(path=table(a=ZERO_ONE, b=OTHER), target=("a", "b")))
    spec = check(source)
    assert spec.target == Target(kind="labels", name="a, b", classes=("a", "b"), shape=(2,), dtype="float32")
    assert [column.name for column in spec.fields[0].columns] == ["x", "y"]
    assert any("treated as labels" in note for note in source.notes)
    rows = np.concatenate([split.whole()[1] for split in source.open().values()])
    assert rows.sum(0).tolist() == [sum(ZERO_ONE), sum(OTHER)]
    first = source.open()["train"].raw(0)
    line = int(first.id.removeprefix("line-")) - 2
    assert first.target.tolist() == [ZERO_ONE[line], OTHER[line]]


def test_several_numeric_target_columns_are_numbers(table, check):
    far = [10 + i / 7 for i in range(60)]
    source = Csv(CsvOptions(path=table(a=ZERO_ONE, far=far), target=("far", "a")))
    spec = check(source)
    assert (spec.target.kind, spec.target.classes, spec.target.shape) == ("number", ("far", "a"), (2,))
    asked = Csv(CsvOptions(path=table(a=ZERO_ONE, b=OTHER), target=("a", "b"), kind="number"))
    assert check(asked).target.kind == "number"
    alone = Csv(CsvOptions(path=table(a=ZERO_ONE, b=OTHER), target="a", kind="labels"))
    assert check(alone).target.shape == (1,)
    plain = Csv(CsvOptions(path=table(a=ZERO_ONE, b=OTHER), target="a"))
    assert check(plain).target.kind == "class"


def test_rare_label_is_in_every_split(table):
    rare = [1 if i in (3, 4, 5) else 0 for i in range(60)]
    for seed in range(4):
        source = Csv(CsvOptions(path=table(a=ZERO_ONE, rare=rare), target=("a", "rare"), split_seed=seed))
        assert all(split.whole()[1][:, 1].sum() == 1 for split in source.open().values())
    lone = [1 if i == 3 else 0 for i in range(60)]
    source = Csv(CsvOptions(path=table(a=ZERO_ONE, lone=lone), target=("a", "lone")))
    source.open()
    assert any(note.startswith("Label 'lone' has 1 row: none in valid and test") for note in source.notes)


@pytest.mark.parametrize(
    ("columns", "options", "error", "message"),
    [
        ({"a": ZERO_ONE, "b": ["x", *OTHER[1:]]}, {}, BadData, "'b' is not a number in line 2 (x)"),
        ({"a": ZERO_ONE, "b": [2, *OTHER[1:]]}, {"kind": "labels"}, BadData, "'b' is neither 0 nor 1 in line 2"),
        ({"a": ZERO_ONE, "b": OTHER}, {"kind": "class"}, BadUsage, "2 targets can't be one class"),
        ({"a": ZERO_ONE, "b": ["", *OTHER[1:]]}, {}, BadData, "target 'b' is missing in 1 of 60"),
        ({"a": ZERO_ONE, "b": [1] * 60}, {}, BadData, "'b' is 1 in every row"),
        ({"a": ZERO_ONE, "b": OTHER}, {"target": ("a", "a")}, BadUsage, "'a' is also named"),
        ({"a": ZERO_ONE, "b": OTHER}, {"target": ("a", "c")}, BadUsage, "no column 'c'"),
        ({"a": ZERO_ONE, "b": OTHER}, {"drop": ("b",)}, BadUsage, "'b' is also named"),
    ],
)
def test_invalid_target_columns_are_refused(table, columns, options, error, message):
    source = Csv(CsvOptions(path=table(**columns), **{"target": ("a", "b"), **options}))
    with pytest.raises(error) as caught:
        source.spec()
    assert message in str(caught.value)


def test_rows_with_a_missing_target_can_be_dropped(table, check):
    path = table(a=["", *ZERO_ONE[1:]], b=[*OTHER[:-1], "?"])
    source = Csv(CsvOptions(path=path, target=("a", "b"), target_missing="drop"))
    check(source)
    assert sum(len(split) for split in source.open().values()) == 58


def test_leakage_is_noted_for_each_target_and_duplicate_columns_once(table):
    far = [10 + i / 7 for i in range(60)]
    path = table(a=far, b=ZERO_ONE, copy=[0.5 * i for i in ZERO_ONE], twin=[0.5 * i for i in ZERO_ONE])
    source = Csv(CsvOptions(path=path, target=("a", "b"), kind="number"))
    source.spec()
    assert [note for note in source.notes if "'copy' determines the target 'b'" in note]
    assert sum("are equal in every row" in note for note in source.notes) == 1


# --- images ----------------------------------------------------------------------------------------


@pytest.fixture
def labeled_images(tmp_path):
    """Write images and a CSV file of their labels."""
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    names = ["", "red", "red;round", " round ; red ", "round;round", "small"]
    for i in range(48):
        Image.fromarray(rng.integers(0, 255, (6, 6), np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{names[i % 6]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_image_with_several_labels_or_none(labeled_images, check):
    options = ImageFolderOptions(labels=labeled_images / "labels.csv", label_separator=";")
    source = ImageFolder(options)
    spec = check(source)
    assert spec.target == Target(
        kind="labels", name="labels", classes=("red", "round", "small"), shape=(3,), dtype="float32"
    )
    found = {
        raw.id: raw.target.tolist() for split in source.open().values() for raw in map(split.raw, range(len(split)))
    }
    assert len(found) == 48
    rows = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert all(found[f"{i}.png"] == rows[i % 6] for i in range(48))
    assert all(split.targets.any(0).all() for split in source.open().values())


def test_without_label_separator_a_cell_is_one_class(labeled_images):
    with pytest.raises(BadData, match="no label in line 2"):
        ImageFolder(ImageFolderOptions(labels=labeled_images / "labels.csv")).spec()
    with pytest.raises(BadUsage, match="label_separator"):
        ImageFolder(ImageFolderOptions(path=labeled_images, label_separator=";"))


def test_verify_detects_flipped_labels():
    spec = labels().spec.with_output(4)
    score = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)

    def runner(shift):
        def call(x):
            moved = x + np.float32(shift)
            return 1 / (1 + np.exp(-moved)), moved

        return call

    lines = verify(runner(0), runner(0), (score,), spec, 4)
    assert all(line["ok"] for line in lines)
    near = np.full((8, 4), 2e-4, np.float32)  # within tolerance, but across the threshold
    lines = verify(runner(-2.5e-4), runner(0), (near,), spec, 4)
    assert not any(line["ok"] for line in lines)
    sure = np.full((8, 4), 1e-5, np.float32)  # too close to the threshold to matter
    assert all(line["ok"] for line in verify(runner(-2e-5), runner(0), (sure,), spec, 4))


@pytest.mark.parametrize(
    ("task", "case", "output", "message"),
    [
        ("embedding", MIXED["embedding"], 4, "A vector of 4 numbers, near to those of the same `target`."),
        ("multi-label", labels(), 4, "`target` (labels) for every sample, any of 4: 10, 9, 100, 1."),
        ("ordinal", ordinal(), 3, "`target` (class) for every sample, one of 4: 10, 9, 100, 1."),
    ],
)
def test_model_card_describes_output(task, case, output, message):
    meta = {
        "spec": case.spec.with_output(output).to_json(), "recipe": {}, "run": "r", "parameters": 0, "metrics": {},
        "model": {"name": "mlp"}, "task": {"name": task}, "benchdog": "0", "created": "2026-01-01", "samples": [],
    }  # fmt: skip
    assert message in model_card.write(meta)


# --- class indices and baselines ---------------------------------------------------------------------


def test_ignore_index_is_allowed_only_in_masks():
    masks = Spec(
        fields=(Field(kind="image", shape=(1, 2, 2), dtype="uint8"),),
        target=Target(kind="mask", classes=("a", "b"), shape=(2, 2)),
    )
    mask = np.array([[[0, 1], [255, 255]]])
    check_targets(mask, masks, str, 255)
    for target, code in ((mask, None), (mask, 254), (mask - 1, 254)):
        with pytest.raises(BadData, match="Sample 0 has a target outside the 2 classes"):
            check_targets(target, masks, str, code)
    with pytest.raises(BadData, match="outside"):
        check_targets(np.array([1, 255]), ordinal().spec, str, 255)
    spec = labels().spec
    check_targets(np.eye(4, dtype=np.float32), spec, str)
    with pytest.raises(BadData, match=r"Sample 1 has a target that int64 can't hold: 0\.5"):
        check_targets(np.array([[0, 1, 0, 0], [0, 0.5, 0, 0]], np.float32), spec, str)


def test_baselines_for_labels_ordinal_and_embedding_tasks():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    codes = x.argmax(1)
    fields = (Field(kind="table", shape=(4,), dtype="float32"),)

    def lines(case, target, output):
        task = case.make()
        spec = Spec(fields=fields, target=case.spec.target, output=output)
        task.check(spec)
        if hasattr(task, "fit"):
            task.fit([torch.from_numpy(target)])
        found = baselines.measure(((x,), target), ((x,), target), spec, task)
        return {line["name"]: line["metrics"] for line in found}

    found = lines(labels(), (x > 0.5).astype(np.float32), (4,))
    assert list(found) == ["base rates", "linear model"]
    assert found["linear model"]["macro_f1"] > 0.95
    assert found["base rates"]["loss"] == pytest.approx(0.62, abs=0.03)
    found = lines(ordinal(), codes, (3,))
    assert found["majority class"]["accuracy"] == pytest.approx(np.bincount(codes).max() / 200, abs=0.15)
    assert found["linear model"]["accuracy"] > 0.9
    found = lines(MIXED["embedding"], codes, (6,))
    assert list(found) == ["inputs as they are"]
    assert found["inputs as they are"]["recall_at_1"] > 0.6


def test_mask_baselines_exclude_ignored_pixels():
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (20, 6, 6))
    image = (mask * 100 + rng.integers(0, 20, mask.shape)).astype(np.float32)[:, None]
    mask[:, :2] = 255
    spec = Spec(
        fields=(Field(kind="image", shape=(1, 6, 6), dtype="float32"),),
        target=Target(kind="mask", classes=("a", "b"), shape=(6, 6)),
        output=(2, 6, 6),
    )
    task = Segmentation(SegmentationOptions(ignore=255))
    task.check(spec)
    found = baselines.measure(((image,), mask), ((image,), mask), spec, task)
    metrics = {line["name"]: line["metrics"] for line in found}
    assert metrics["threshold"]["iou"] == 1
    assert sum(map(sum, metrics["majority class"]["confusion"])) == 20 * 24


def test_task_without_baselines_has_no_baseline_lines():
    case = MIXED["embedding"]
    task = case.make()
    task.baselines = None
    x = np.zeros((4, 4), np.float32)
    spec = Spec(fields=(Field(kind="table", shape=(4,), dtype="float32"),), target=case.spec.target, output=(6,))
    assert baselines.measure(((x,), np.arange(4)), ((x,), np.arange(4)), spec, task) == []
    assert task.loss(torch.zeros(2, 6), Batch((), torch.zeros(2)))[0] >= 0


@pytest.mark.slow
def test_ordinal_wine_quality_beats_majority_class(tmp_path, shared):
    from support.in_process import run

    path = shared / "data" / "wine" / "winequality-white.csv"
    run("train", path, "--task", "ordinal", "--epochs", 20, "--name", "r", "--quiet", cwd=tmp_path)
    result = run("evaluate", "r", "--json", cwd=tmp_path).json
    lines = {line["name"]: line["metrics"] for line in result["baselines"]}
    assert result["metrics"]["mae"] < lines["majority class"]["mae"] - 0.05
    assert result["metrics"]["quadratic_kappa"] > 0.4
