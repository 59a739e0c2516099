"""Sample weights: from a CSV column or a custom source to the loss; never ignored."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchdog import notebook
from benchdog.api import BadData, BadUsage, Field, Raw, Shard, Spec, Target
from benchdog.builtin.sources.images.folder import ImageFolder
from benchdog.builtin.sources.options import CsvOptions, ImageFolderOptions, TextOptions
from benchdog.builtin.sources.table.csv import Csv
from benchdog.builtin.sources.texts.text import LabeledTexts, Text
from benchdog.runs.run import Run
from benchdog.training.rank import staged
from support.accumulation_cases import SPLITTABLE, RandomSource, resolve_case
from support.in_process import run, same, weights

pytestmark = pytest.mark.usefixtures("weights_alone")

HEAD = "a,b,count,kind"
ROWS = [
    f"{i % 17},{(i * 7) % 23},{(0, 1, 2.5, 0.5)[i % 4]},{'yes' if (i * 5) % 17 > 8 else 'no'}" for i in range(300)
]
TRAIN = ["train", "csv", "--set", "source.target=kind", "--model", "mlp", "--epochs", 2, "--quiet"]
COUNT = ["--set", "source.weight=count"]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "t.csv").write_text("\n".join([HEAD, *ROWS]), encoding="utf-8")
    return tmp_path


def train(place, name, *more, path="t.csv", code=0):
    return run(*TRAIN, "--set", f"source.path={path}", "--name", name, *more, cwd=place, code=code)


def test_rows_of_weight_0_do_not_change_training(place):
    train(place, "with", *COUNT)
    kept = [row for i, row in enumerate(ROWS) if i % 4]
    (place / "kept.csv").write_text("\n".join([HEAD, *kept]), encoding="utf-8")
    train(place, "without", *COUNT, path="kept.csv")
    assert same(place / "runs" / "with", place / "runs" / "without")
    train(place, "all alike", "--set", 'source.drop=["count"]')
    assert not same(place / "runs" / "with", place / "runs" / "all alike")
    facts = json.loads((place / "runs" / "with" / "run.json").read_text())
    assert sum(facts["samples"].values()) == 225


def test_equal_weights_match_unweighted_training(place):
    rows = [f"{row},3" for row in ROWS]
    (place / "three.csv").write_text("\n".join([f"{HEAD},three", *rows]), encoding="utf-8")
    drop = ["--set", 'source.drop=["count"]', "--set", "trainer.optimizer=SGD"]
    train(place, "three", *drop, "--set", "source.weight=three", path="three.csv")
    train(
        place, "none", "--set", 'source.drop=["count", "three"]', "--set", "trainer.optimizer=SGD", path="three.csv"
    )
    mine, others = (weights(place / "runs" / name) for name in ("three", "none"))
    for name, values in others.items():
        np.testing.assert_allclose(mine[name], values, rtol=1e-4, atol=1e-6)
    logs = [(place / "runs" / name / "metrics.jsonl").read_text() for name in ("three", "none")]
    ends = [json.loads(log.splitlines()[-1]) for log in logs]
    assert ends[0]["valid.loss"] == pytest.approx(ends[1]["valid.loss"], rel=1e-4)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_sample_weights_with_data_not_in_memory(place, workers):
    train(place, "in", *COUNT)
    train(place, "out", *COUNT, "--set", "loader.memory=0", "--workers", workers)
    mine, others = (weights(place / "runs" / name) for name in ("in", "out"))
    for name, values in others.items():
        np.testing.assert_allclose(mine[name], values, rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("graph_and_report")
def test_evaluate_reports_which_metrics_are_weighted(place):
    train(place, "a", *COUNT)
    result = run("evaluate", "a", cwd=place)
    assert "sample weights apply to loss; all other metrics are unweighted" in result.err
    evaluation = json.loads(run("evaluate", "a", "--json", cwd=place).out)
    assert evaluation["weighted"] == ["loss"]
    low, high = evaluation["intervals"]["loss"]
    assert low < evaluation["metrics"]["loss"] < high
    page = (place / "runs" / "a" / "report.html").read_text(encoding="utf-8")
    assert "Sample weights apply to loss; in all other metrics each sample counts once." in page
    train(place, "b", "--set", 'source.drop=["count"]')
    plain = run("evaluate", "b", "--json", cwd=place)
    assert "weighted" not in json.loads(plain.out)
    assert "weights in" not in run("evaluate", "b", cwd=place).err


def test_runs_why_reports_changed_sample_weight(place):
    train(place, "a", *COUNT)
    changed = [row.replace(",2.5,", ",2.6,") if i == 102 else row for i, row in enumerate(ROWS)]
    (place / "t.csv").write_text("\n".join([HEAD, *changed]), encoding="utf-8")
    train(place, "b", *COUNT)
    differences = json.loads(run("runs", "why", "a", "b", "--json", cwd=place).out)["partings"]
    assert any(p["where"] == "data" and "weight of " in p["what"] and "line-104" in p["what"] for p in differences)


# --- the column ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("", "NA"), r"the weight 'count' is missing in line 4, 5 \(NA\)"),
        (("heavy",), r"is not a number in line 4 \(heavy\)"),
        (("-1", "inf", "1e-60"), r"negative, infinite or too small in line 4 \(-1\), 5 \(inf\), 6 \(1e-60\)"),
        (("nan",), "is missing in line 4"),
    ],
)
def test_invalid_weight_in_csv_is_refused_with_line_number(tmp_path, cells, message):
    counts = ["1", "1", *cells, *["1"] * 40]
    lines = ["a,count,kind", *(f"{i},{count},{'xy'[i % 2]}" for i, count in enumerate(counts))]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(BadData, match=message):
        Csv(CsvOptions(path=tmp_path / "t.csv", target="kind", weight="count")).spec()


def test_weight_column_is_neither_feature_nor_target(place):
    def made(**options):
        return Csv(CsvOptions(path=place / "t.csv", **options))

    source = made(target="kind", weight="count")
    assert [column.name for column in source.spec().fields[0].columns] == ["a", "b"]
    assert "75 rows of weight 0 are dropped." in source.notes
    assert any("'count' is the sample weight: 0.5 to 2.5, mean 1.33" in note for note in source.notes)
    assert {raw.weight for split in source.open().values() for raw in map(split.raw, range(len(split)))} == {
        0.5, 1.0, 2.5,
    }  # fmt: skip
    for options in ({"target": "count"}, {"drop": ("count",)}, {"group": "count"}, {"categories": ("count",)}):
        with pytest.raises(BadUsage, match="also named by another option"):
            made(**{"target": "kind", **options}, weight="count").spec()
    with pytest.raises(BadUsage, match=r"no column 'cont' \(weight\)"):
        made(target="kind", weight="cont").spec()
    rows = [row.rsplit(",", 2)[0] + ",0," + row.rsplit(",", 1)[1] for row in ROWS]
    (place / "zero.csv").write_text("\n".join([HEAD, *rows]), encoding="utf-8")
    with pytest.raises(BadData, match="is 0 in every row"):
        Csv(CsvOptions(path=place / "zero.csv", target="kind", weight="count")).spec()
    # The last column is the target, unless it holds the weights.
    (place / "last.csv").write_text("\n".join(["a,kind,count", *(f"{i % 7},{'xy'[i % 2]},2" for i in range(40))]))
    assert Csv(CsvOptions(path=place / "last.csv", weight="count")).spec().target.name == "kind"


def test_row_of_weight_0_needs_no_target(tmp_path):
    lines = ["a,b,count,kind", *(f"{i},{i % 3},{0 if i % 5 == 0 else 1},{'' if i % 5 == 0 else 'xy'[i % 2]}"
                                 for i in range(60))]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    source = Csv(CsvOptions(path=tmp_path / "t.csv", target="kind", weight="count"))
    assert sum(len(split) for split in source.open().values()) == 48


def test_sample_weights_of_images_and_texts_in_csv(tmp_path):
    from PIL import Image

    lines = ["path,label,count"]
    for i in range(12):
        Image.new("L", (4, 4), i * 20).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'ab'[i % 2]},{i % 4}")
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    source = ImageFolder(ImageFolderOptions(labels=tmp_path / "labels.csv", weight="count"))
    found = {raw.id: raw.weight for split in source.open().values() for raw in map(split.raw, range(len(split)))}
    assert found == {f"{i}.png": float(i % 4) for i in range(12) if i % 4}
    with pytest.raises(BadUsage, match="weight is a column of a CSV file"):
        ImageFolder(ImageFolderOptions(path=tmp_path, weight="count"))
    with pytest.raises(BadData, match="no column 'cout'"):
        ImageFolder(ImageFolderOptions(labels=tmp_path / "labels.csv", weight="cout")).spec()

    texts = ["text,mood,count", *(f"{'good' if i % 2 else 'bad'} day {i},{i % 2},{1 + i % 3}" for i in range(40))]
    (tmp_path / "texts.csv").write_text("\n".join(texts), encoding="utf-8")
    options = TextOptions(path=tmp_path / "texts.csv", label="mood", weight="count", length=8)
    split = Text(options).open()["train"]
    assert isinstance(split, LabeledTexts)
    for raw in map(split.raw, range(len(split))):
        assert raw.weight == 1 + int(raw.fields["text"].split()[-1]) % 3
    assert split.whole()[2].tolist() == [split.raw(i).weight for i in range(len(split))]
    with pytest.raises(BadUsage, match="Texts without labels can't have weights"):
        Text(replace(options, label="", column="text")).spec()


# --- components without support --------------------------------------------------------------------


def test_components_without_sample_weight_support_are_refused(place):
    (place / "plain.py").write_text(
        "class Plain:\n    def train(self, session):\n        return session.model\n", encoding="utf-8"
    )
    for more, message in (
        (["--task", "embedding"], "the loss of task 'embedding', as configured, depends on the batch as a whole"),
        (["--set", 'loader.augment=["mix-up"]'], "the augmentation 'mix-up' mixes samples"),
        (["--trainer", "plain.py:Plain"], "doesn't declare that it supports them (weighs = True)"),
    ):
        result = train(place, "refused", *COUNT, *more, code=2)
        assert "The samples have weights, but" in result.err
        assert message in result.err
    assert not (place / "runs").exists()


TASKS = """
from benchdog.api import TaskInfo, hookimpl
from benchdog.builtin.tasks.classification import Classification
CONTRACT = 1

class Silent(Classification):
    weighs = False

class Good(Classification):
    pass

@hookimpl
def benchdog_tasks():
    more = {"answer": "benchdog.builtin.tasks.answers:classification",
            "options": "benchdog.builtin.tasks.options:ClassificationOptions"}
    return [TaskInfo(name=n.lower(), summary=n, target=":" + n, **more) for n in ("Silent", "Good")]
"""


def test_custom_task_must_declare_sample_weight_support(place):
    (place / "tasks.py").write_text(TASKS, encoding="utf-8")
    plugin = ["--plugin", "tasks.py", *TRAIN, "--set", "source.path=t.csv"]
    result = run(*plugin, *COUNT, "--task", "silent", cwd=place, code=2)
    assert "the task 'silent' doesn't declare that it supports them (weighs = True)" in result.err
    run(*plugin, *COUNT, "--task", "good", "--name", "good", cwd=place)
    run(*plugin, "--task", "silent", "--name", "silent", cwd=place)  # without weights it needs no support
    train(place, "own", *COUNT)
    assert same(place / "runs" / "good", place / "runs" / "own")


# --- custom sources --------------------------------------------------------------------------------

SPEC = Spec(
    fields=(Field(kind="table", shape=(3,), dtype="float32"),), target=Target(kind="class", classes=("no", "yes"))
)


def raws(count, seed, weighted=True):
    draw = np.random.default_rng(seed)
    for i in range(count):
        code = int(draw.integers(2))
        x = draw.normal(code, 1, 3).astype("float32")
        yield Raw(id=f"{seed}-{i}", fields={"input": x}, target=code, weight=i % 3 if weighted else None)


class Own:
    """Lists, with weights of 0 among them."""

    def __init__(self, change=lambda splits: splits):
        self.change = change

    def spec(self):
        return SPEC

    def open(self):
        return self.change({name: list(raws(n, n)) for name, n in (("train", 90), ("valid", 31), ("test", 40))})


def test_reported_loss_is_the_weighted_mean(tmp_path):
    trained = notebook.train(Own(), epochs=2, runs_dir=tmp_path, quiet=True, task="classification", model="mlp")
    result = json.loads((trained.folder / "evaluation-valid.json").read_text())
    valid = [raw for raw in Own().open()["valid"] if raw.weight]
    assert result["samples"] == len(valid)
    predictions = [answer.values for answer in trained.predict(valid)]
    probabilities = [
        a["probabilities"]["yes" if raw.target else "no"] for a, raw in zip(predictions, valid, strict=True)
    ]
    by = np.array([raw.weight for raw in valid])
    assert result["metrics"]["loss"] == pytest.approx(float(-(by * np.log(probabilities)).sum() / by.sum()), rel=1e-4)
    right = np.mean(
        [a["label"] == ("yes" if raw.target else "no") for a, raw in zip(predictions, valid, strict=True)]
    )
    assert result["metrics"]["accuracy"] == pytest.approx(right)
    log = [json.loads(line) for line in (trained.folder / "metrics.jsonl").read_text().splitlines()]
    best = next(
        line for line in log if line.get("epoch") == trained.facts["best"]["epoch"] and line["kind"] == "epoch"
    )
    assert best["valid.loss"] == pytest.approx(result["metrics"]["loss"], rel=1e-5)


def change(split, where, **values):
    def changed(splits):
        splits[split][where] = replace(splits[split][where], **values)
        return splits

    return changed


def weightless(raws):
    return [replace(raw, weight=0) for raw in raws]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (change("train", 5, weight=-1.0), "Sample 90-5 has the weight -1"),
        (change("train", 5, weight=math.inf), "Sample 90-5 has the weight inf"),
        (change("valid", 7, weight=None), "31-7 has no weight, others have one"),
        (change("train", 0, weight=None), "90-0 has no weight, others have one"),
        (lambda splits: {**splits, "valid": weightless(splits["valid"])}, "valid split have the weight 0"),
    ],
)
@pytest.mark.parametrize("memory", [2048, 0])
def test_invalid_sample_weights_are_refused(tmp_path, how, message, memory):
    if "weight 0" in message and not memory:
        return  # not all samples were read yet
    with pytest.raises(BadData, match=message):
        notebook.train(Own(how), epochs=1, runs_dir=tmp_path, quiet=True, loader__memory=memory)


class Fast:
    """A fast path that returns weights, or ones that differ from those of the raws."""

    def __init__(self, raws, more):
        self.raws, self.more = raws, more

    def __len__(self):
        return len(self.raws)

    def raw(self, i):
        return self.raws[i]

    def batch(self, indices):
        chosen = [self.raws[i] for i in indices]
        x, y = np.stack([r.fields["input"] for r in chosen]), np.array([r.target for r in chosen])
        return ((x,), y, *self.more([r.weight for r in chosen]))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (lambda w: [np.array(w, "float32")], ""),
        (lambda w: [], "other weights than its raw"),
        (lambda w: [np.array(w, "float32") + 1], "other weights than its raw"),
        (lambda w: [np.ones((len(w), 2))], r"have weights of shape \(8, 2\)"),
    ],
)
def test_fast_path_must_return_the_weights_of_its_raws(tmp_path, more, message):
    def fast(splits):
        return {name: Fast(split, more) for name, split in splits.items()}

    def trained(source, name):
        return notebook.train(source, epochs=1, runs_dir=tmp_path, name=name, quiet=True).folder

    if message:
        with pytest.raises(BadData, match=message):
            trained(Own(fast), "refused")
    else:
        assert same(trained(Own(fast), "fast"), trained(Own(), "listed"))


class Sharded:
    """Shards of 7 samples."""

    def __init__(self, raws):
        self.raws = raws

    def shards(self):
        return [Shard(name=str(i), samples=7) for i in range(len(self.raws) // 7)]

    def read(self, shard, start):
        return iter(self.raws[7 * int(shard.name) + start : 7 * int(shard.name) + 7])


def test_sample_weights_in_streams(tmp_path):
    def streamed(splits):
        return {**splits, "train": Sharded(splits["train"])}

    notebook.train(Own(streamed), epochs=1, runs_dir=tmp_path, quiet=True, name="streamed")

    def mixed(splits):
        splits["train"][14:] = [replace(raw, weight=None) for raw in splits["train"][14:]]
        return streamed(splits)

    with pytest.raises(BadData, match="90-14 has no weight, others have one"):
        notebook.train(Own(mixed), epochs=1, runs_dir=tmp_path, quiet=True)


@pytest.mark.parametrize("kind", ["resident", "read", "stream"])
@pytest.mark.parametrize("weighted", ["none", "whole"])
def test_ranks_partition_held_out_samples(tmp_path, kind, weighted, monkeypatch):
    for count in (1, 7, 20):
        (tmp_path / f"{count}").mkdir()
        parts = resolve_case(
            SPLITTABLE["mlp"], 4, weighted, valid=count, **{"loader.memory": 0 if kind == "read" else 2048}
        )
        if kind == "stream":
            monkeypatch.setattr(
                RandomSource, "open", lambda self, whole=RandomSource.open: streamed_valid(whole(self))
            )
            parts = resolve_case(SPLITTABLE["mlp"], 4, weighted, valid=count)
            monkeypatch.undo()
        with staged(Run(tmp_path / f"{count}", {"name": "shared"}), parts) as given:
            feed = given["feed"]
            whole = [str(i) for batch in feed.held_out("valid") for i in batch.ids]
            wanted = [
                raw.id
                for raw in RandomSource(SPLITTABLE["mlp"], 4, weighted, 0, count).open()["valid"]
                if raw.weight != 0
            ]
            assert whole == wanted
            for world in (2, 3, 9):
                shares = [
                    [str(i) for b in feed.held_out("valid", rank, world) for i in b.ids] for rank in range(world)
                ]
                found = [i for share in shares for i in share]
                assert sorted(found) == sorted(whole)
                if kind != "stream":
                    assert found == whole  # ranks in order yield the split's order


def streamed_valid(splits):
    """Return the splits with the valid split as one shard."""

    class One:
        def shards(self):
            return [Shard(name="one")]

        def read(self, shard, start):
            return iter(splits["valid"][start:])

    return {**splits, "valid": One()}


@pytest.mark.parametrize("name", ["gpt with ignored tokens", "unet"])
def test_training_with_sample_weights_and_ignore_index(tmp_path, name):
    case = SPLITTABLE[name]
    settings = {key.replace(".", "__"): value for key, value in case.settings.items()}
    source = RandomSource(case, 30, "any", 0, 12)
    trained = notebook.train(source, model=case.model, epochs=2, quiet=True, runs_dir=tmp_path, **settings)
    result = json.loads((trained.folder / "evaluation-valid.json").read_text())
    assert result["weighted"][0] == "loss"
    lines = json.loads((trained.folder / "baseline.json").read_text())["lines"]
    assert all(math.isfinite(line["metrics"]["loss"]) for line in lines)
    assert result["intervals"]
