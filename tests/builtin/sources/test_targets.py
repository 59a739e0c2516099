"""Several targets: columns of a table, labels of an image; and the baselines that fit them."""

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
from benchdog.data.dataset import check_targets
from benchdog.evaluation import baselines
from benchdog.model import model_card
from benchdog.model.verify import verify
from support.task_cases import MIXED, labels, ordinal


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


def test_columns_of_0_and_1_are_labels(table, check):
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


def test_columns_of_numbers_stay_numbers(table, check):
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


def test_a_label_that_is_rare_is_in_every_split(table):
    rare = [1 if i in (3, 4, 5) else 0 for i in range(60)]
    for seed in range(4):
        source = Csv(CsvOptions(path=table(a=ZERO_ONE, rare=rare), target=("a", "rare"), split_seed=seed))
        assert all(split.whole()[1][:, 1].sum() == 1 for split in source.open().values())
    lone = [1 if i == 3 else 0 for i in range(60)]
    source = Csv(CsvOptions(path=table(a=ZERO_ONE, lone=lone), target=("a", "lone")))
    source.open()
    assert any(note.startswith("Label 'lone' has 1 row: none in valid and test") for note in source.notes)


@pytest.mark.parametrize(
    ("columns", "options", "error", "said"),
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
def test_targets_that_can_not_be_are_told(table, columns, options, error, said):
    source = Csv(CsvOptions(path=table(**columns), **{"target": ("a", "b"), **options}))
    with pytest.raises(error) as caught:
        source.spec()
    assert said in str(caught.value)


def test_rows_without_one_of_the_targets_can_be_left_out(table, check):
    path = table(a=["", *ZERO_ONE[1:]], b=[*OTHER[:-1], "?"])
    source = Csv(CsvOptions(path=path, target=("a", "b"), target_missing="drop"))
    check(source)
    assert sum(len(split) for split in source.open().values()) == 58


def test_a_leak_is_told_of_each_target_and_twins_once(table):
    far = [10 + i / 7 for i in range(60)]
    path = table(a=far, b=ZERO_ONE, copy=[0.5 * i for i in ZERO_ONE], twin=[0.5 * i for i in ZERO_ONE])
    source = Csv(CsvOptions(path=path, target=("a", "b"), kind="number"))
    source.spec()
    assert [note for note in source.notes if "'copy' determines the target 'b'" in note]
    assert sum("are equal in every row" in note for note in source.notes) == 1


# --- pictures --------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """Write pictures and a list of their labels."""
    rng = np.random.default_rng(0)
    lines = ["path,label"]
    names = ["", "red", "red;round", " round ; red ", "round;round", "small"]
    for i in range(48):
        Image.fromarray(rng.integers(0, 255, (6, 6), np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{names[i % 6]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_an_image_may_have_several_labels_or_none(pictures, check):
    options = ImageFolderOptions(labels=pictures / "labels.csv", label_separator=";")
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


def test_without_a_separator_a_cell_is_one_class_and_must_not_be_empty(pictures):
    with pytest.raises(BadData, match="no label in line 2"):
        ImageFolder(ImageFolderOptions(labels=pictures / "labels.csv")).spec()
    with pytest.raises(BadUsage, match="label_separator"):
        ImageFolder(ImageFolderOptions(path=pictures, label_separator=";"))


def test_an_export_that_turns_a_label_over_is_found():
    spec = labels().spec.with_output(4)
    score = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)

    def runner(shift):
        def call(x):
            moved = x + np.float32(shift)
            return 1 / (1 + np.exp(-moved)), moved

        return call

    lines = verify(runner(0), runner(0), (score,), spec, 4)
    assert all(line["ok"] for line in lines)
    near = np.full((8, 4), 2e-4, np.float32)  # within the limits of a score, and on the other side
    lines = verify(runner(-2.5e-4), runner(0), (near,), spec, 4)
    assert not any(line["ok"] for line in lines)
    sure = np.full((8, 4), 1e-5, np.float32)  # too near to one half for anybody to be sure
    assert all(line["ok"] for line in verify(runner(-2e-5), runner(0), (sure,), spec, 4))


@pytest.mark.parametrize(
    ("task", "case", "output", "said"),
    [
        ("embedding", MIXED["embedding"], 4, "A vector of 4 numbers, near to those of the same `target`."),
        ("multi-label", labels(), 4, "`target` (labels) for every sample, any of 4: 10, 9, 100, 1."),
        ("ordinal", ordinal(), 3, "`target` (class) for every sample, one of 4: 10, 9, 100, 1."),
    ],
)
def test_the_card_says_what_comes_out(task, case, output, said):
    meta = {
        "spec": case.spec.with_output(output).to_json(), "recipe": {}, "run": "r", "parameters": 0, "metrics": {},
        "model": {"name": "mlp"}, "task": {"name": task}, "benchdog": "0", "created": "2026-01-01", "samples": [],
    }  # fmt: skip
    assert said in model_card.write(meta)


# --- codes and baselines ---------------------------------------------------------------------------


def test_codes_that_are_ignored_are_allowed_in_masks_alone():
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
    with pytest.raises(BadData, match="Sample 1 has a label that is neither 0 nor 1"):
        check_targets(np.array([[0, 1, 0, 0], [0, 0.5, 0, 0]], np.float32), spec, str)


def test_baselines_speak_for_every_target():
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


def test_baselines_of_masks_leave_ignored_pixels_out():
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (20, 6, 6))
    picture = (mask * 100 + rng.integers(0, 20, mask.shape)).astype(np.float32)[:, None]
    mask[:, :2] = 255
    spec = Spec(
        fields=(Field(kind="image", shape=(1, 6, 6), dtype="float32"),),
        target=Target(kind="mask", classes=("a", "b"), shape=(6, 6)),
        output=(2, 6, 6),
    )
    task = Segmentation(SegmentationOptions(ignore=255))
    task.check(spec)
    found = baselines.measure(((picture,), mask), ((picture,), mask), spec, task)
    metrics = {line["name"]: line["metrics"] for line in found}
    assert metrics["threshold"]["iou"] == 1
    assert sum(map(sum, metrics["majority class"]["confusion"])) == 20 * 24


def test_a_task_that_no_baseline_fits_has_none():
    case = MIXED["embedding"]
    task = case.make()
    task.baselines = None
    x = np.zeros((4, 4), np.float32)
    spec = Spec(fields=(Field(kind="table", shape=(4,), dtype="float32"),), target=case.spec.target, output=(6,))
    assert baselines.measure(((x,), np.arange(4)), ((x,), np.arange(4)), spec, task) == []
    assert task.loss(torch.zeros(2, 6), Batch((), torch.zeros(2)))[0] >= 0


@pytest.mark.slow
def test_wines_in_their_order_are_off_by_less_than_by_the_commonest(tmp_path, shared):
    from support.in_process import run

    path = shared / "data" / "wine" / "winequality-white.csv"
    run("train", path, "--task", "ordinal", "--epochs", 20, "--name", "r", "--quiet", cwd=tmp_path)
    result = run("evaluate", "r", "--json", cwd=tmp_path).json
    lines = {line["name"]: line["metrics"] for line in result["baselines"]}
    assert result["metrics"]["mae"] < lines["majority class"]["mae"] - 0.05
    assert result["metrics"]["quadratic_kappa"] > 0.4
