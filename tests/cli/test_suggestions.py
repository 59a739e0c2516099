"""Suggestions for keys without their table and flags of other tools; repeated flags."""

import pytest

from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lr=0.1", "Did you mean 'trainer.lr'?"),
        ("loop.lr=0.1", "Did you mean 'trainer.lr'?"),
        ("learning_rate=0.1", "Did you mean 'trainer.lr'?"),
        ("optimizer=sgd", "Did you mean 'trainer.optimizer'?"),
        ("patience=3", "Did you mean 'loop.patience'?"),
        ("memory=3", "Did you mean 'loop.memory' or 'loader.memory'?"),
        ("wieght_decay=0.1", "Did you mean 'trainer.weight_decay'?"),
        ("width=3", "Did you mean 'model.width' (of cnn"),
        ("test=0.3", "Did you mean 'source.test'?"),
        ("qqqq=3", "Available: artifact"),
    ],
)
def test_key_without_its_table_suggests_the_full_key(tmp_path, setting, message):
    assert message in run("plan", "digits", "--set", setting, cwd=tmp_path, code=2).err


def test_suggestions_come_only_from_the_chosen_components(tmp_path):
    words = ("plan", "digits", "--set", "width=3", "--set")
    assert "Did you mean 'model.width'?\n" in run(*words, "model=cnn", cwd=tmp_path, code=2).err
    assert "model.width" not in run(*words, "model=mlp", cwd=tmp_path, code=2).err
    (tmp_path / "my.toml").write_text("source = 'digits'\nmodel = 'cnn'\nwidth = 3\n", encoding="utf-8")
    assert "Did you mean 'model.width'?\n" in run("plan", "my.toml", cwd=tmp_path, code=2).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "digits", "--patience", 5), "Did you mean --set loop.patience=...?"),
        (("train", "digits", "--patience=5"), "Did you mean --set loop.patience=...?"),
        (("train", "digits", "--optimizer", "sgd"), "Did you mean --set trainer.optimizer=...?"),
        (("train", "digits", "--learning-rate", 1), "Did you mean --lr?"),
        (("train", "digits", "--device", "cpu"), "Did you mean --backend?"),
        (("train", "digits", "--gpu"), "Did you mean --backend?"),
        (("plan", "digits", "--gpu"), "Did you mean --set backend=...?"),
        (("train", "digits", "--split", 0.2), "Did you mean --set source.test=...?"),
        (("train", "digits", "--model", "mlp", "--dropout", 0.1), "Did you mean --set model.dropout=...?"),
        (("train", "digits", "--dropout", 0.1), "Did you mean --set model.dropout=... (of mlp, cnn"),
        (("train", "digits", "--epoch", 3), "(Possible options: --epochs)"),
        (("eject", "full", "-o", "x.py"), "Did you mean --out?"),
        (("evaluate", "full", "--patience", 3), "No such option: --patience"),
    ],
)
def test_unknown_flag_suggests_the_intended_one(tmp_path, words, message):
    assert message in run(*words, cwd=tmp_path, code=2).err
    error = run(*words, "--json", cwd=tmp_path, code=2).json["error"]
    assert message in f"{error['message']} {error['hint']}"


def test_no_suggestion_for_unknown_names(tmp_path):
    assert "Did you mean" not in run("train", "digits", "--qqqq", cwd=tmp_path, code=2).err
    assert "loop.patience" not in run("evaluate", "full", "--patience", 3, cwd=tmp_path, code=2).err


def test_export_without_a_format_lists_available_ones(tmp_path):
    stderr = run("export", "NAME", cwd=tmp_path, code=2).err
    assert "--to EXPORTER" in stderr
    assert "torch-export, torchscript" in stderr


@pytest.mark.parametrize("words", [("--lr", 0.01, "--lr", 0.1), ("--lr=0.01", "--lr=0.1")])
def test_single_value_flag_with_two_values_is_refused(tmp_path, words):
    assert "--lr is given twice: 0.01 and 0.1." in run("train", "digits", *words, cwd=tmp_path, code=2).err


def test_repeated_identical_flags_and_several_settings_are_accepted(tmp_path):
    words = ("--model", "mlp", "--model", "mlp", "--set", "seed=1", "--set", "loop.epochs=1", "--json")
    assert run("plan", "digits", *words, cwd=tmp_path).json["problems"] == []
