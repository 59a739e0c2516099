"""Errors for mistyped arguments, damaged files and runs that can't be compared."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

ROWS = [f"{i % 17},{(i * 7) % 23},{'yes' if (i % 17) > 8 else 'no'}" for i in range(200)]
TEXTS = [
    f"{word} words no {i} of it,{label}" for i in range(30) for word, label in (("good", "glad"), ("bad", "sad"))
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a table, labeled texts and a text, and their runs `first`, `mood` and `story`."""
    folder = tmp_path_factory.mktemp("doors")
    (folder / "t.csv").write_text("\n".join(["a,b,kind", *ROWS]), encoding="utf-8")
    (folder / "talk.csv").write_text("\n".join(["review,mood", *TEXTS]), encoding="utf-8")
    (folder / "story.txt").write_text("the fox jumps over the dog again\n" * 60, encoding="utf-8")
    (folder / "notes").mkdir()
    (folder / "one.txt").write_text("good words", encoding="utf-8")
    (folder / "read.me").write_text("good words", encoding="utf-8")
    train(folder, "first")
    words = ("--set", "source.column=review", "--set", "source.label=mood")
    small = (
        "--set",
        "source.length=16",
        "--set",
        "model.width=8",
        "--set",
        "model.layers=1",
        "--set",
        "model.heads=1",
    )
    quick = (*small, "--epochs", 1, "--quiet", "--name")
    run("train", "text", "--data", "talk.csv", *words, "--model", "transformer", *quick, "mood", cwd=folder)
    run("train", "text", "--data", "story.txt", "--model", "gpt", *quick, "story", cwd=folder)
    return folder


def train(place, name, *more, code=0, path="t.csv", model="linear"):
    start = ("train", "csv", "--set", f"source.path={path}", "--backend", "cpu", "--epochs", 1, "--quiet")
    return run(*start, "--model", model, "--name", name, *more, cwd=place, code=code)


@pytest.fixture
def copy(place):
    """Return a copy of the run `first`, to be damaged."""
    folder = place / "runs" / "copy"
    shutil.copytree(place / "runs" / "first", folder)
    yield folder
    shutil.rmtree(folder)


# --- texts


@pytest.mark.parametrize(
    ("argument", "message"),
    [("gone.txt", "no such file"), ("gone.CSV", "no such file"), ("gone.json", "no such file"),
     ("some/where", "no such file"), ("notes", "that is a folder"), (".", "that is a folder"),
     ("read.me", "read from .txt, .csv, .tsv files alone")],
)  # fmt: skip
@pytest.mark.parametrize("model", ["mood", "story"])
def test_predict_refuses_a_mistyped_path_as_text(place, model, argument, message):
    result = run("predict", model, argument, cwd=place, code=5)
    assert f"{argument}: " in result.err
    assert message in result.err
    assert not result.out.strip().removeprefix("id").strip()


def test_predict_accepts_sentences_with_a_slash_and_text_files(place):
    result = run("predict", "mood", "it is 3/4 of a.txt", "good", "g", "one.txt", "--json", cwd=place)
    assert [answer["id"] for answer in result.json["answers"]] == ["it is 3/4 of a.txt", "good", "g", "one.txt"]


def test_predict_unknown_character_error_shows_the_vocabulary(place):
    stderr = run("predict", "story", "Q", cwd=place, code=5).err
    assert "'Q' at 0 is not in the vocabulary" in stderr
    assert "'\\n adefghijmnoprstuvx'" in stderr


# --- two runs


def test_runs_why_reports_missing_or_damaged_losses(place, copy):
    file = copy / "losses.f32"
    whole = file.read_bytes()
    assert "bit-identical" in run("runs", "why", "first", "copy", cwd=place).out
    infinite = b"\0\0\x80\x7f" + whole[4:]
    for damaged, message in (
        (None, "is missing"),
        (b"", "0 bytes"),
        (whole[:-3], "bytes"),
        (infinite, "is infinite"),
    ):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        result = run("runs", "why", "first", "copy", cwd=place, code=5)
        assert "bit-identical" not in result.out + result.err
        assert "losses.f32 of copy is" in result.err
        assert message in result.err
    assert "is infinite" in run("runs", "why", "first", "copy", "--json", cwd=place, code=5).json["fault"]


def test_runs_why_without_common_steps_is_not_bit_identical(place, copy):
    facts = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**facts, "steps_done": 0, "status": "stopped"}))
    (copy / "losses.f32").unlink()
    result = run("runs", "why", "first", "copy", cwd=place, code=5)
    assert "no step of training in common" in result.err
    assert "bit-identical" not in result.out + result.err


def test_runs_why_with_repeated_runs_lists_their_names(place):
    train(place, "often", "--repeat", 2)
    stderr = run("runs", "why", "often", "first", cwd=place, code=2).err
    assert "repeated runs" in stderr
    assert "often-seed-0, often-seed-1" in stderr


def test_runs_why_reports_changed_label_by_class_names(place):
    other = {"yes": "no", "no": "yes"}
    rows = [row.rpartition(",") for row in ROWS]
    (place / "u.csv").write_text("\n".join(["a,b,kind", *(f"{a},{other[c]}" for a, _, c in rows)]), encoding="utf-8")
    shared = ("--set", "source.group=b", "--set", "source.target=kind")
    train(place, "labels-1", *shared)
    train(place, "labels-2", *shared, path="u.csv")
    found = run("runs", "why", "labels-1", "labels-2", "--json", cwd=place).json["partings"]
    target = next(each for each in found if each["what"].startswith("target of train"))
    assert sorted(target["values"]) == ["no", "yes"]


def test_runs_compare_reports_a_damaged_recipe(place, copy):
    (copy / "recipe.toml").write_text("a = = b")
    result = run("runs", "compare", "first", "copy", "--out", "both.html", cwd=place)
    assert "can't be compared" in result.out
    assert "recipe.toml: Invalid value" in result.out
    assert "loop.epochs" not in result.out
    assert "recipe.toml: Invalid value" in (place / "both.html").read_text(encoding="utf-8")
    as_json = run("runs", "compare", "first", "copy", "--json", cwd=place).json
    assert as_json["recipe"] is None
    assert "Invalid value" in str(as_json["faults"])


def test_runs_evaluated_on_different_samples_are_not_ranked(place):
    train(place, "other", "--set", "source.split_seed=4")
    train(place, "wide", model="mlp")
    for file in (None, "evaluation-valid.json"):
        if file:
            (place / "runs" / "other" / file).unlink()
        verdict = run("runs", "compare", "first", "other", "--json", cwd=place).json["verdict"]
        assert "not comparable" in verdict
        assert "different valid samples" in verdict
        assert "first is best" not in verdict
    verdict = run("runs", "compare", "first", "wide", "--json", cwd=place).json["verdict"]
    assert "not comparable" not in verdict


def test_runs_with_different_held_out_labels_are_not_comparable(place, copy):
    evaluation = json.loads((copy / "evaluation-valid.json").read_text())
    other = {**evaluation, "held_out": "0" * 16}
    (copy / "evaluation-valid.json").write_text(json.dumps(other))
    assert "not comparable" in run("runs", "compare", "first", "copy", cwd=place).out


# --- eject


def test_eject_does_not_overwrite_runs_or_their_data(place, tmp_path):
    def refused(*words, code=2):
        return run("eject", "first", *words, "--force", cwd=place, code=code).err

    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert "both the program and its samples" in refused("--out", "x.py", "--samples", "notes/../x.py")
    assert "both the program" in refused("--out", "data.npz")
    assert "part of the data" in refused("--out", "t.csv", "--samples", tmp_path / "d.npz")
    assert "part of the data" in refused("--samples", "t.csv")
    assert "folder of the run 'first'" in refused("--out", "runs/first/recipe.toml", "--samples", tmp_path / "d.npz")
    assert "folder of the run 'mood'" in refused("--samples", "runs/mood/artifact/model.safetensors")
    assert "is a folder" in refused("--out", "notes", "--samples", tmp_path / "d.npz")
    assert "can't be written" in refused("--out", f"{'a' * 300}.py", code=1)
    assert "can't be written" in refused("--out", "t.csv/x.py", code=1)
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "d.npz").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a read-only folder")
def test_eject_into_a_read_only_folder_fails(place):
    assert "can't be written" in run("eject", "first", "--out", "/proc/x", cwd=place, code=1).err
    result = run("eject", "first", "--out", "/proc/x", "--data", "alone.npz", cwd=place, code=1)
    assert "can't be written" in result.err
    assert not (place / "alone.npz").exists()


@pytest.mark.parametrize("command", ["eject", "evaluate"])
def test_model_name_in_place_of_a_run_is_refused(place, command):
    stderr = run(command, "efficientnet-lite0", cwd=place, code=2).err
    assert "'efficientnet-lite0' is a model; this command takes a run" in stderr
    assert "first" in stderr
    assert "benchdog predict efficientnet-lite0" in stderr
    assert "There is no run 'nobody'" in run(command, "nobody", cwd=place, code=2).err


# --- weights


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [("safetensors", lambda x: x.to(torch.float8_e4m3fn), "float8_e4m3fn"), ("pth", torch.Tensor.to_sparse, "sparse"),
     ("pth", lambda x: x.to("meta"), "without values"), ("pth", lambda x: x.to(torch.float8_e5m2), "float8_e5m2"),
     ("pth", lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "quantised (qint8)"),
     ("pth", lambda x: (x * torch.nan).to(torch.complex64), "other than finite numbers")],
)  # fmt: skip
def test_unsupported_weights_are_reported_by_tensor_name(place, suffix, change, message):
    weights = load_file(place / "runs" / "first" / "artifact" / "model.safetensors")
    name = next(name for name, value in weights.items() if value.is_floating_point() and value.dim() == 2)
    file, changed = place / f"odd.{suffix}", {name: change(weights[name].clone())}
    save_file(changed, file) if suffix == "safetensors" else torch.save(changed, file)
    stderr = train(place, "odd", "--set", f"start.weights={file.name}", code=5).err
    assert message in stderr
    assert repr(name) in stderr


# --- options


@pytest.mark.parametrize(
    ("words", "message"),
    [(("csv", "--data", "t.csv", "--set", "source.target=[]"), "source.target is []"),
     (("csv", "--data", "t.csv", "--set", 'source.target=["a", ""]'), "must be a column"),
     (("csv", "--data", "t.csv", "--time", ""), "'' is not a time"),
     (("text", "--data", "talk.csv", "--set", "source.column=mood", "--set", "source.label=mood"),
      "'mood' can't be both the text and its label"),
     (("digits", "--data", "t.csv"), "'digits' takes no path"),
     (("fashion-mnist", "--data", "t.csv"), "takes no other data")],
)  # fmt: skip
def test_empty_or_unusable_options_are_refused(place, words, message):
    assert message in run("train", *words, "--quiet", "--epochs", 1, cwd=place, code=2).err


def test_evaluate_by_nothing_or_by_the_target_is_refused(place):
    assert "--by is empty" in run("evaluate", "first", "--by", "", cwd=place, code=2).err
    stderr = run("evaluate", "first", "--by", "kind", cwd=place, code=2).err
    assert "'kind' is what the model predicts" in stderr
    assert "--by class" in stderr
