"""What is mistyped, damaged or can't be compared is said, and never taken for something else."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from support.in_process import run

ROWS = [f"{i % 17},{(i * 7) % 23},{'yes' if (i % 17) > 8 else 'no'}" for i in range(200)]
TEXTS = [
    f"{word} words no {i} of it,{label}" for i in range(30) for word, label in (("good", "glad"), ("bad", "sad"))
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a folder with a table, its run `first`; labelled texts and their run `mood`; a text and its `story`."""
    folder = tmp_path_factory.mktemp("doors")
    (folder / "t.csv").write_text("\n".join(["a,b,kind", *ROWS]), encoding="utf-8")
    (folder / "talk.csv").write_text("\n".join(["said,mood", *TEXTS]), encoding="utf-8")
    (folder / "story.txt").write_text("the fox jumps over the dog again\n" * 60, encoding="utf-8")
    (folder / "notes").mkdir()
    (folder / "one.txt").write_text("good words", encoding="utf-8")
    (folder / "read.me").write_text("good words", encoding="utf-8")
    train(folder, "first")
    words = ("--set", "source.column=said", "--set", "source.label=mood")
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
    """Give a copy of the run `first`, to be damaged."""
    folder = place / "runs" / "copy"
    shutil.copytree(place / "runs" / "first", folder)
    yield folder
    shutil.rmtree(folder)


# --- texts


@pytest.mark.parametrize(
    ("argument", "said"),
    [("gone.txt", "no such file"), ("gone.CSV", "no such file"), ("gone.json", "no such file"),
     ("some/where", "no such file"), ("notes", "that is a folder"), (".", "that is a folder"),
     ("read.me", "read from .txt, .csv, .tsv files alone")],
)  # fmt: skip
@pytest.mark.parametrize("model", ["mood", "story"])
def test_a_mistyped_path_is_no_text(place, model, argument, said):
    told = run("predict", model, argument, cwd=place, code=5)
    assert f"{argument}: " in told.err
    assert said in told.err
    assert not told.out.strip().removeprefix("id").strip()


def test_sentences_with_a_slash_and_files_are_answered(place):
    told = run("predict", "mood", "it is 3/4 of a.txt", "good", "g", "one.txt", "--json", cwd=place)
    assert [answer["id"] for answer in told.json["answers"]] == ["it is 3/4 of a.txt", "good", "g", "one.txt"]


def test_a_letter_that_was_never_seen_is_told_with_those_that_were(place):
    said = run("predict", "story", "Q", cwd=place, code=5).err
    assert "'Q' at 0 is not in the vocabulary" in said
    assert "'\\n adefghijmnoprstuvx'" in said


# --- two runs


def test_losses_that_are_gone_or_damaged_are_not_the_same(place, copy):
    file = copy / "losses.f32"
    whole = file.read_bytes()
    assert "bit-identical" in run("runs", "why", "first", "copy", cwd=place).out
    infinite = b"\0\0\x80\x7f" + whole[4:]
    for damaged, said in ((None, "is missing"), (b"", "0 bytes"), (whole[:-3], "bytes"), (infinite, "is infinite")):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        told = run("runs", "why", "first", "copy", cwd=place, code=5)
        assert "bit-identical" not in told.out + told.err
        assert "losses.f32 of copy is" in told.err
        assert said in told.err
    assert "is infinite" in run("runs", "why", "first", "copy", "--json", cwd=place, code=5).json["fault"]


def test_runs_without_a_step_are_not_the_same(place, copy):
    facts = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**facts, "steps_done": 0, "status": "stopped"}))
    (copy / "losses.f32").unlink()
    told = run("runs", "why", "first", "copy", cwd=place, code=5)
    assert "no step of training in common" in told.err
    assert "bit-identical" not in told.out + told.err


def test_repeated_runs_are_named_one_by_one(place):
    train(place, "often", "--repeat", 2)
    said = run("runs", "why", "often", "first", cwd=place, code=2).err
    assert "repeated runs" in said
    assert "often-seed-0, often-seed-1" in said


def test_a_changed_label_is_told_by_its_names(place):
    other = {"yes": "no", "no": "yes"}
    rows = [row.rpartition(",") for row in ROWS]
    (place / "u.csv").write_text("\n".join(["a,b,kind", *(f"{a},{other[c]}" for a, _, c in rows)]), encoding="utf-8")
    shared = ("--set", "source.group=b", "--set", "source.target=kind")
    train(place, "labels-1", *shared)
    train(place, "labels-2", *shared, path="u.csv")
    found = run("runs", "why", "labels-1", "labels-2", "--json", cwd=place).json["partings"]
    target = next(each for each in found if each["what"].startswith("target of train"))
    assert sorted(target["values"]) == ["no", "yes"]


def test_a_damaged_recipe_is_named_by_compare(place, copy):
    (copy / "recipe.toml").write_text("a = = b")
    told = run("runs", "compare", "first", "copy", "--out", "both.html", cwd=place)
    assert "can't be compared" in told.out
    assert "recipe.toml: Invalid value" in told.out
    assert "loop.epochs" not in told.out
    assert "recipe.toml: Invalid value" in (place / "both.html").read_text(encoding="utf-8")
    as_json = run("runs", "compare", "first", "copy", "--json", cwd=place).json
    assert as_json["recipe"] is None
    assert "Invalid value" in str(as_json["faults"])


def test_runs_that_were_judged_on_other_samples_are_not_ranked(place):
    train(place, "other", "--set", "source.split_seed=4")
    train(place, "wide", model="mlp")
    for file in (None, "evaluation-valid.json"):
        if file:
            (place / "runs" / "other" / file).unlink()
        said = run("runs", "compare", "first", "other", "--json", cwd=place).json["verdict"]
        assert "not comparable" in said
        assert "different valid samples" in said
        assert "first is best" not in said
    said = run("runs", "compare", "first", "wide", "--json", cwd=place).json["verdict"]
    assert "not comparable" not in said


def test_other_labels_of_the_same_rows_are_other_samples(place, copy):
    told = json.loads((copy / "evaluation-valid.json").read_text())
    other = {**told, "held_out": "0" * 16}
    (copy / "evaluation-valid.json").write_text(json.dumps(other))
    assert "not comparable" in run("runs", "compare", "first", "copy", cwd=place).out


# --- eject


def test_eject_spares_a_runs_files_and_what_it_was_made_from(place, tmp_path):
    def refused(*words, code=2):
        return run("eject", "first", *words, "--force", cwd=place, code=code).err

    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert "both the program and its samples" in refused("--out", "x.py", "--data", "notes/../x.py")
    assert "both the program" in refused("--out", "data.npz")
    assert "part of the data" in refused("--out", "t.csv", "--data", tmp_path / "d.npz")
    assert "part of the data" in refused("--data", "t.csv")
    assert "folder of the run 'first'" in refused("--out", "runs/first/recipe.toml", "--data", tmp_path / "d.npz")
    assert "folder of the run 'mood'" in refused("--data", "runs/mood/artifact/model.safetensors")
    assert "is a folder" in refused("--out", "notes", "--data", tmp_path / "d.npz")
    assert "can't be written" in refused("--out", f"{'a' * 300}.py", code=1)
    assert "can't be written" in refused("--out", "t.csv/x.py", code=1)
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "d.npz").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody may write")
def test_eject_into_a_folder_that_takes_no_file(place):
    assert "can't be written" in run("eject", "first", "--out", "/proc/x", cwd=place, code=1).err
    told = run("eject", "first", "--out", "/proc/x", "--data", "alone.npz", cwd=place, code=1)
    assert "can't be written" in told.err
    assert not (place / "alone.npz").exists()


@pytest.mark.parametrize("command", ["eject", "evaluate"])
def test_the_name_of_a_model_is_no_run(place, command):
    said = run(command, "efficientnet-lite0", cwd=place, code=2).err
    assert "'efficientnet-lite0' is a model; this command takes a run" in said
    assert "first" in said
    assert "benchdog predict efficientnet-lite0" in said
    assert "There is no run 'nobody'" in run(command, "nobody", cwd=place, code=2).err


# --- weights


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("suffix", "change", "said"),
    [("safetensors", lambda x: x.to(torch.float8_e4m3fn), "float8_e4m3fn"), ("pth", torch.Tensor.to_sparse, "sparse"),
     ("pth", lambda x: x.to("meta"), "without values"), ("pth", lambda x: x.to(torch.float8_e5m2), "float8_e5m2"),
     ("pth", lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "quantised (qint8)"),
     ("pth", lambda x: (x * torch.nan).to(torch.complex64), "other than finite numbers")],
)  # fmt: skip
def test_tensors_that_are_not_read_are_named(place, suffix, change, said):
    weights = load_file(place / "runs" / "first" / "artifact" / "model.safetensors")
    name = next(name for name, value in weights.items() if value.is_floating_point() and value.dim() == 2)
    file, changed = place / f"odd.{suffix}", {name: change(weights[name].clone())}
    save_file(changed, file) if suffix == "safetensors" else torch.save(changed, file)
    told = train(place, "odd", "--set", f"start.weights={file.name}", code=5).err
    assert said in told
    assert repr(name) in told


# --- options


@pytest.mark.parametrize(
    ("words", "said"),
    [(("csv", "--data", "t.csv", "--set", "source.target=[]"), "source.target is []"),
     (("csv", "--data", "t.csv", "--set", 'source.target=["a", ""]'), "must be a column"),
     (("csv", "--data", "t.csv", "--time", ""), "'' is not a time"),
     (("text", "--data", "talk.csv", "--set", "source.column=mood", "--set", "source.label=mood"),
      "'mood' can't be both the text and its label"),
     (("digits", "--data", "t.csv"), "'digits' takes no path"),
     (("fashion-mnist", "--data", "t.csv"), "takes no other data")],
)  # fmt: skip
def test_what_says_nothing_is_refused(place, words, said):
    assert said in run("train", *words, "--quiet", "--epochs", 1, cwd=place, code=2).err


def test_evaluate_by_nothing_or_by_the_answer_is_refused(place):
    assert "--by is empty" in run("evaluate", "first", "--by", "", cwd=place, code=2).err
    said = run("evaluate", "first", "--by", "kind", cwd=place, code=2).err
    assert "'kind' is what the model predicts" in said
    assert "--by class" in said
