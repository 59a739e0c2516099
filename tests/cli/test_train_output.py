"""Output of `train`: epoch lines, the patience hint, the resume command after Ctrl-C."""

import io
import json
import re
import signal

import numpy as np
import pytest

from benchdog.evaluation.report import facts
from benchdog.training.early_stopping import EarlyStopping, advised
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.fixture(scope="module")
def dots(tmp_path_factory):
    place = tmp_path_factory.mktemp("dots")
    draw = np.random.default_rng(0)
    lines = [f"{x:.3f},{y:.3f},{'yes' if x + y > draw.normal() else 'no'}" for x, y in draw.normal(size=(80, 2))]
    (place / "dots.csv").write_text("\n".join(["x,y,above", *lines]), encoding="utf-8")
    return place


LINEAR = ("train", "dots.csv", "--model", "linear", "--lr", 0.1)


def test_many_epochs_print_about_100_lines_and_all_are_logged(dots):
    stderr = run(*LINEAR, "--epochs", 450, "--name", "many", cwd=dots).err
    shown = [int(number) for number in re.findall(r"^epoch +(\d+)/450", stderr, re.M)]
    document = json.loads((dots / "runs/many/run.json").read_text(encoding="utf-8"))
    assert 80 <= len(shown) <= 110
    assert shown[0] == 1
    assert shown[-1] == 450
    assert document["best"]["epoch"] in shown
    assert re.search(rf"^epoch +{document['best']['epoch']}/450 .* \*$", stderr, re.M)
    lines = (dots / "runs/many/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum(json.loads(line)["kind"] == "epoch" for line in lines) == 450
    assert stderr.count("evaluating on the validation set; saving model and report") == 1


def test_suggested_patience_keeps_the_best_epoch(dots):
    stderr = run(*LINEAR, "--epochs", 60, "--name", "long", cwd=dots).err
    pattern = (
        r"best: epoch (\d+),.*\n"
        r"early stopping \(--set loop.patience=(\d+)\) would have stopped at epoch (\d+) of 60\n"
    )
    match = re.search(pattern, stderr)
    assert match, stderr
    best, patience, end = map(int, match.groups())
    again = run(*LINEAR, "--epochs", 60, "--name", "short", "--set", f"loop.patience={patience}", cwd=dots).err
    assert f"best: epoch {best}," in again
    assert "would have stopped" not in again
    document = json.loads((dots / "runs/short/run.json").read_text(encoding="utf-8"))
    assert document["epochs_done"] == end
    few = run(*LINEAR, "--epochs", 20, "--name", "few", cwd=dots).err
    assert len(re.findall(r"^epoch +\d+/20", few, re.M)) == 20
    assert "would have stopped" not in few


@pytest.mark.parametrize(
    ("values", "losses", "advice"),
    [
        ([0.5] * 21, [1.0] * 21, (5, 6)),
        ([0.5] * 20, [1.0] * 20, None),
        ([0.1, 0.2, *[0.1] * 7, 0.3, *[0.1] * 20], [1.0] * 30, (8, 18)),
        ([*[0.1] * 15, 0.3, *[0.1] * 14], [1.0] * 30, None),
        ([0.5] * 30, [*range(9, 0, -1), *[5.0] * 21], (8, 9)),  # the ninth epoch has the lowest loss
        ([0.5] * 30, range(30, 0, -1), None),  # the last one has it
        ([], [], None),
    ],
)
def test_advised_patience_keeps_the_best_epoch(values, losses, advice):
    assert advised(EarlyStopping("accuracy", "max", 0), zip(values, losses, strict=True)) == advice


@pytest.mark.parametrize("better", ["max", "min"])
def test_best_of_equal_epochs_has_the_lowest_loss(better):
    """Patience counts epochs without a better metric; an epoch without a loss never wins a tie."""
    epochs, nan = EarlyStopping("metric", better, 3), float("nan")
    losses = [0.5, 0.7, 0.4, 0.4, nan, 0.1]
    assert [epochs.update(i, 0.9, loss) for i, loss in enumerate(losses, 1)] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]
    assert epochs.facts == {"epoch": 6, "metric": "metric", "value": 0.9}
    assert epochs.enough
    stored = EarlyStopping("metric", better, 3)
    stored.load_state_dict({key: value for key, value in epochs.state_dict().items() if key != "loss"})
    assert not stored.update(7, 0.9, 0.01)  # of an older version, which kept the first


def test_training_reports_a_tie_of_the_best_epoch(dots):
    run(*LINEAR[:-1], 1e-9, "--epochs", 4, "--name", "tie", cwd=dots)
    lines = [json.loads(line) for line in (dots / "runs/tie/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert len({line["valid.accuracy"] for line in epochs}) == 1
    lowest = min(epochs, key=lambda line: line["valid.loss"])["epoch"]
    again = run("train", "--resume", "tie", cwd=dots).err
    assert f"best: epoch {lowest}, " in again
    assert "(the lowest valid.loss of 4 tied epochs)" in again
    assert facts.read(dots / "runs/tie").tie == "the lowest valid.loss of 4 tied epochs"


def test_quiet_training_prints_nothing(dots):
    assert run(*LINEAR, "--epochs", 1, "--quiet", "--name", "quiet", cwd=dots).err == ""


class Interrupting(io.StringIO):
    """Interrupt this process when the evaluation is logged."""

    def write(self, text):
        if "evaluating on the validation set" in text:
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def test_ctrl_c_after_the_last_epoch_prints_resume_command(dots):
    shown = Interrupting()
    run(*LINEAR, "--epochs", 2, "--name", "cut", cwd=dots, code=130, stderr=shown)
    assert "Resume: benchdog train --resume runs/cut" in shown.getvalue()
    assert json.loads((dots / "runs/cut/run.json").read_text(encoding="utf-8"))["status"] == "stopped"
    run("train", "--resume", "runs/cut", "--quiet", cwd=dots)
    assert (dots / "runs/cut/artifact").is_dir()


def test_trainer_without_epochs_prints_no_epoch_lines(dots):
    pytest.importorskip("benchdog_sklearn")
    stderr = run("train", "dots.csv", "--trainer", "scikit-learn", "--name", "forest", cwd=dots).err
    assert "epoch" not in stderr
    assert re.search(r"valid\.accuracy \d", stderr)
    refused = run("eject", "forest", cwd=dots, code=2).err  # and not that data.npz is there
    assert "its trainer is 'scikit-learn'" in refused


def test_eject_checks_the_run_before_existing_files(dots):
    (dots / "data.npz").write_bytes(b"")
    run(*LINEAR, "--epochs", 1, "--name", "bf16", "--quiet", "--set", "backend.precision=bf16", cwd=dots)
    assert "another precision than fp32" in run("eject", "bf16", cwd=dots, code=2).err
    run(*LINEAR, "--epochs", 1, "--name", "plain", "--quiet", cwd=dots)
    assert "data.npz exists already" in run("eject", "plain", cwd=dots, code=2).err
    (dots / "data.npz").unlink()


def test_predict_refuses_a_table_for_an_image_model(dots):
    run("train", "digits", "--model", "linear", "--epochs", 1, "--name", "images", "--quiet", cwd=dots)
    assert "dots.csv: the model takes images" in run("predict", "images", "dots.csv", cwd=dots, code=5).err
