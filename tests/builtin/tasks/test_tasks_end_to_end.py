"""Every task on the command line: train, evaluate, export, predict; and refusals."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from benchdog.training.gradients import Gradients
from support.export_jobs import exports_in_process
from support.in_process import run, run_export, same, train

pytestmark = pytest.mark.usefixtures("weights_alone")
MASKS = '''
import numpy as np
from benchdog.api import Field, Raw, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1

class Blots:
    """Images of a bright square; the pixels of the frame around it are unlabeled."""

    def spec(self):
        field = Field(kind="image", shape=(1, 8, 8), dtype="uint8", range=(0, 255))
        target = Target(kind="mask", classes=("ground", "square"), shape=(8, 8), dtype="uint8")
        return Spec(fields=(field,), target=target)

    def open(self):
        rng = np.random.default_rng(0)
        raws = []
        for i in range(60):
            mask = np.zeros((8, 8), np.uint8)
            y, x = rng.integers(1, 4, 2)
            mask[y : y + 3, x : x + 3] = 1
            image = (60 + 100 * mask + rng.integers(0, 40, (8, 8))).astype(np.uint8)[None]
            mask[[0, -1]] = mask[:, [0, -1]] = 255
            if i % 10 == 0:
                mask[:] = 255
            raws.append(Raw(id=f"blot {i}", fields={"input": image}, target=mask))
        return {"train": raws[:40], "valid": raws[40:50], "test": raws[50:]}

@hookimpl
def benchdog_sources():
    return [SourceInfo(name="blots", summary="Squares.", target=":Blots")]
'''


@pytest.fixture(scope="module")
def table(tmp_path_factory, home):
    """Return a folder with a table of two numbers, three labels and grades that follow from four columns."""
    place = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    far = 3 * x[:, 0] - x[:, 1] + 50
    near = x[:, 2] + 0.1 * rng.normal(size=300)
    labels = np.stack([x[:, 0] > 0, x[:, 1] > 0.7, x[:, 0] + x[:, 3] > 0], 1).astype(int)
    grade = np.digitize(x[:, 0] + 0.3 * rng.normal(size=300), [-1, 0, 1])
    lines = ["a,b,c,d,far,near,warm,wet,windy,grade"]
    for i in range(300):
        numbers = ",".join(f"{v:.5f}" for v in (*x[i], far[i], near[i]))
        lines.append(
            f"{numbers},{labels[i, 0]},{labels[i, 1]},{labels[i, 2]},{('poor', 'fair', 'good', 'top')[grade[i]]}"
        )
    (place / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return place


def trained(table, tmp_path, *more, drop, epochs=12):
    """Train on the table without the columns in `drop`; return the evaluation on the test split."""
    names = ", ".join(f'"{name}"' for name in drop)
    run(
        "train", table / "t.csv", "--name", "r", "--quiet", "--epochs", epochs, "--batch-size", 16,
        "--set", "trainer.lr=0.01", "--set", f"source.drop=[{names}]", *more, cwd=tmp_path,
    )  # fmt: skip
    result = run("evaluate", "r", "--json", cwd=tmp_path).json
    page = (tmp_path / "runs" / "r" / "report.html").read_text(encoding="utf-8")
    assert "Traceback" not in page
    assert "could not be read" not in page
    return result


@pytest.mark.usefixtures("graph_and_report")
def test_multi_label_task_end_to_end(table, tmp_path):
    result = trained(
        table, tmp_path, "--set", 'source.target=["warm", "wet", "windy"]', drop=("far", "near", "grade")
    )
    metrics = result["metrics"]
    assert metrics["macro_f1"] > 0.85
    assert set(metrics["per_class"]) == {"warm", "wet", "windy"}
    lines = {line["name"]: line["metrics"] for line in result["baselines"]}
    assert set(lines) == {"base rates", "linear model"}
    assert lines["base rates"]["roc_auc"] == 0.5
    assert lines["linear model"]["mean_average_precision"] > 0.9
    assert all(isinstance(entry["target"], list) for entry in result["worst"])
    rows = run("predict", "r", table / "t.csv", "--format", "jsonl", cwd=tmp_path).out.splitlines()
    answer = json.loads(rows[0])
    assert set(answer["probabilities"]) == {"warm", "wet", "windy"}
    assert answer["labels"] == [name for name, p in answer["probabilities"].items() if p >= 0.5]
    shown = run("predict", "r", table / "t.csv", cwd=tmp_path).out.splitlines()
    assert shown[0].split() == ["id", "labels"]
    assert (tmp_path / "runs" / "r" / "artifact" / "graph.pt2").is_file()  # written, run and compared
    info = run("data", "info", "csv", "--set", f"source.path={table / 't.csv'}", "--set",
               'source.target=["warm", "wet", "windy"]', "--json", cwd=tmp_path, code=None)  # fmt: skip
    assert "warm" in info.out


@pytest.mark.usefixtures("graph_and_report")
def test_multi_target_regression_end_to_end(table, tmp_path):
    result = trained(
        table, tmp_path, "--set", 'source.target=["far", "near"]', "--set", "task.loss=SmoothL1Loss",
        "--set", "task.loss_options={ beta = 0.5 }", drop=("warm", "wet", "windy", "grade"), epochs=20,
    )  # fmt: skip
    metrics = result["metrics"]
    assert set(metrics["per_target"]) == {"far", "near"}
    assert metrics["r2"] > 0.9
    assert metrics["mae"] == pytest.approx(np.mean([each["mae"] for each in metrics["per_target"].values()]))
    answers = run("predict", "r", table / "t.csv", "--json", cwd=tmp_path).json["answers"]
    assert set(answers[0]) - {"outside"} == {"id", "far", "near"}
    assert np.mean([each["far"] for each in answers]) == pytest.approx(50, abs=1)


@pytest.mark.usefixtures("graph_and_report")
def test_ordinal_task_end_to_end(table, tmp_path):
    order = ["poor", "fair", "good", "top"]
    result = trained(
        table, tmp_path, "--task", "ordinal", "--set", f"task.order={json.dumps(order)}",
        "--set", "task.class_weights=balanced", drop=("far", "near", "warm", "wet", "windy"), epochs=15,
    )  # fmt: skip
    metrics = result["metrics"]
    assert metrics["mae"] < 0.5
    assert metrics["quadratic_kappa"] > 0.6
    lines = {line["name"]: line["metrics"] for line in result["baselines"]}
    assert lines["majority class"]["quadratic_kappa"] == 0
    assert lines["linear model"]["mae"] < 0.5
    answer = run("predict", "r", table / "t.csv", "--json", cwd=tmp_path).json["answers"][0]
    assert list(answer["probabilities"]) == order
    assert answer["label"] in order
    assert (tmp_path / "runs" / "r" / "artifact" / "graph.pt2").is_file()  # written, run and compared


def test_inferred_ordinal_class_order_is_noted(table, tmp_path):
    drop = json.dumps(["far", "near", "warm", "wet", "windy"])
    common = ["train", table / "t.csv", "--task", "ordinal", "--epochs", 1, "--set", f"source.drop={drop}"]
    stderr = run(*common, "--name", "noted", cwd=tmp_path).err
    assert "fair < good < poor < top" in stderr
    result = run(*common, "--set", 'task.order=["poor", "fair"]', cwd=tmp_path, code=2)
    assert "It lacks: good, top." in result.err


@pytest.mark.usefixtures("graph_and_report")
def test_embedding_task_end_to_end(tmp_path):
    common = ["--task", "embedding", "--model", "mlp", "--epochs", 4, "--set", "task.dim=8", "--quiet"]
    run("train", "digits", *common, "--name", "r", cwd=tmp_path)
    train("digits", *common, "--name", "again", cwd=tmp_path)
    assert same(tmp_path / "runs" / "r", tmp_path / "runs" / "again")
    result = run("evaluate", "r", "--json", cwd=tmp_path).json
    (line,) = result["baselines"]
    assert line["name"] == "inputs as they are"
    assert result["metrics"]["recall_at_1"] > 0.9
    assert result["metrics"]["map_at_r"] > line["metrics"]["map_at_r"]
    assert result["worst"][0]["loss"] > result["worst"][-1]["loss"] > 0
    for i in range(3):
        pixels = np.full((8, 8), 80 * i, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    answers = run("predict", "r", *(f"{i}.png" for i in range(3)), "--batch-size", 1, "--json", cwd=tmp_path)
    rows = answers.json["answers"]
    assert [len(row["vector"]) for row in rows] == [8, 8, 8]
    assert np.linalg.norm(rows[0]["vector"]) == pytest.approx(1, rel=1e-5)
    assert rows[0]["nearest"] in ("1.png", "2.png")
    assert {each["id"] for each in rows[0]["neighbours"]} == {"1.png", "2.png"}
    (alone,) = run("predict", "r", "0.png", "--json", cwd=tmp_path).json["answers"]
    assert set(alone) == {"id", "vector", "outside"}
    assert alone["vector"] == pytest.approx(rows[0]["vector"], abs=1e-5)
    assert run("predict", "r", "0.png", cwd=tmp_path).out.splitlines()[0].split() == ["id", "vector"]
    assert (tmp_path / "runs" / "r" / "artifact" / "graph.pt2").is_file()  # written, run and compared
    cut = run("train", "digits", *common, "--set", "loop.accumulate=2", cwd=tmp_path, code=2)
    assert "the loss of task 'embedding'" in cut.err


@pytest.fixture
def blots(tmp_path):
    """Write the source of masks with unlabeled pixels."""
    path = tmp_path / "blots.py"
    path.write_text(MASKS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "more",
    [
        ["task.loss=dice+cross-entropy", "task.class_weights=balanced"],
        ["task.loss=batch-dice"],
        ["task.loss=focal", "loop.accumulate=3", "loop.allow_batch_dependence=true"],
    ],
)
def test_segmentation_with_ignore_index(blots, tmp_path, more):
    settings = [part for each in more for part in ("--set", each)]
    common = ["--plugin", blots, "train", "blots", "--epochs", 8, "--batch-size", 8, "--set", "trainer.lr=0.01"]
    run(*common, *settings, "--set", "task.ignore=255", "--name", "r", "--quiet", cwd=tmp_path)
    result = run("evaluate", "r", "--json", cwd=tmp_path).json
    assert result["metrics"]["iou"] > 0.7
    # 10 images without their frames, one of them fully unlabeled.
    assert sum(map(sum, result["metrics"]["confusion"])) == 9 * 36
    assert {line["name"] for line in result["baselines"]} == {"majority class", "threshold"}
    losses = {entry["id"]: entry["loss"] for entry in result["worst"]}
    assert losses["blot 50"] == 0


def test_mask_values_outside_classes_are_refused_without_ignore_index(blots, tmp_path):
    result = run("--plugin", blots, "train", "blots", "--epochs", 1, cwd=tmp_path, code=5)
    assert "outside the 2 classes" in result.err
    assert "the task ignores" in result.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    [
        ["--set", 'source.target=["warm", "wet", "windy"]'],
        ["--set", 'source.target=["far", "near"]'],
        ["--set", "source.target=grade", "--task", "ordinal"],
        ["--set", "source.target=grade", "--task", "embedding"],
        ["--set", "source.target=grade", "--set", "task.criterion=focal", "--set", "task.class_weights=balanced"],
    ],
)
def test_exported_tasks_pass_verification(table, tmp_path, what):
    run("train", table / "t.csv", "--name", "r", "--quiet", "--epochs", 1, *what, cwd=tmp_path)
    report = run_export("r", "--to", "torch-export", "--json", cwd=tmp_path).json
    assert len(report["verification"]) == 4
    assert all(line["ok"] for line in report["verification"])
    with exports_in_process():
        run("train", table / "t.csv", "--smoke", *what, cwd=tmp_path)


@pytest.mark.slow
def test_loader_workers_respect_ignore_index(blots, tmp_path):
    common = ["--plugin", blots, "train", "blots", "--epochs", 1, "--set", "task.ignore=255", "--quiet"]
    run(*common, "--name", "here", cwd=tmp_path)
    run(*common, "--name", "there", "--set", "loader.memory=0", "--set", "loader.workers=1", cwd=tmp_path)
    assert same(tmp_path / "runs" / "here", tmp_path / "runs" / "there")


def test_batch_with_zero_weight_adds_no_gradient():
    from benchdog.builtin.backends.cpu import Cpu
    from benchdog.builtin.backends.options import Cpu as Options

    model = torch.nn.Linear(3, 2)
    gradients = Gradients(model, Cpu(Options()).open(0, 1), lambda: False)
    for weight in (0.0, torch.tensor(0)):
        gradients.backward(model(torch.ones(2, 3)).sum() * 0, weight, True)
        gradients.backward(model(torch.ones(2, 3)).sum() * 0, weight, False)
        gradients.backward(model(torch.ones(2, 3)).sum() * 0, weight, True)
        gradients.total(torch.zeros(()), weight)
        assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_classification_with_class_weights_smoothing_and_mix_up(tmp_path):
    common = ["train", "digits", "--model", "mlp", "--epochs", 2, "--quiet"]
    for name, settings in {
        "plain": [],
        "all": [
            "task.criterion=focal", "task.class_weights={ 3 = 4.0, 8 = 0.5 }", "task.label_smoothing=0.1",
            "trainer.lr=0.01", 'loader.augment=["mix-up"]',
        ],
        "named": ["task.criterion=MultiMarginLoss", "task.criterion_options={ margin = 2 }",
                  "task.class_weights=balanced", "trainer.lr=0.01", 'loader.augment=["mix-up"]'],
    }.items():  # fmt: skip
        sets = [part for each in settings for part in ("--set", each)]
        run(*common, *sets, "--name", name, cwd=tmp_path)
        result = run("evaluate", name, "--json", cwd=tmp_path).json
        assert result["metrics"]["accuracy"] > 0.8
    assert not same(tmp_path / "runs" / "plain", tmp_path / "runs" / "all")
    error = run(*common, "--set", "task.class_weights={ 33 = 2.0 }", cwd=tmp_path, code=2)
    assert "'33', which is not a class" in error.err
    error = run(*common, "--set", "task.class_weights=balance", cwd=tmp_path, code=2)
    assert "balanced" in error.err
    error = run(*common, "--set", "task.criterion=Focal", cwd=tmp_path, code=2)
    assert "focal" in error.err


def test_custom_criterion_of_an_untrusted_run_is_not_imported(tmp_path, monkeypatch):
    source = "import torch\nclass Mine(torch.nn.CrossEntropyLoss):\n    pass\n"
    (tmp_path / "own_criterion.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    common = ["train", "digits", "--model", "linear", "--epochs", 1, "--quiet"]
    run(*common, "--set", "task.criterion=own_criterion:Mine", "--name", "r", cwd=tmp_path)
    run("evaluate", "r", cwd=tmp_path)
    shutil.copytree(tmp_path / "runs" / "r", tmp_path / "runs" / "other")
    facts = json.loads((tmp_path / "runs" / "other" / "run.json").read_text(encoding="utf-8"))
    facts["machine"] = "0" * 64
    (tmp_path / "runs" / "other" / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    result = run("evaluate", "other", cwd=tmp_path, code=4)
    assert "task.criterion = 'own_criterion:Mine' is code" in result.err
    run("evaluate", "other", "--trust", cwd=tmp_path)
