"""JSON holds no NaN and no infinity, whatever a run's numbers are; what a program needs of them comes back."""

import ast
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from benchdog.api import MetricsLog, json_text
from benchdog.model.artifact_files import read_meta
from benchdog.runs import state
from benchdog.runs.run import Run
from benchdog.system import files
from benchdog.system.json_output import exact, plain, restored
from support.bare import bare

ROOT = Path(__file__).parents[2]
NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self, spec, cap: float = 1e9):
        super().__init__()
        self.layer, self.cap = torch.nn.Linear(sum(f.shape[0] for f in spec.fields), 1), cap

    def forward(self, x):
        y = self.layer(x).clamp(max=self.cap)
        return y if self.training else y * float("nan")
"""
NO_DOCUMENTS = {
    "benchdog/strict_json.py": "the writer",
    "benchdog/api/tokenizer.py": "a definition that a library parses at once",
    "benchdog/data/content.py": "hashed",
    "benchdog/deployment/export.py": "a pipe to a process of ours, and a copy that is signed",
    "benchdog/deployment/export_worker.py": "a pipe to a process of ours",
    "benchdog/deployment/pretrained.py": "hashed",
    "benchdog/model/artifact.py": "a copy that is signed",
    "benchdog/model/metadata.py": "validated at once",
    "benchdog/plugins/options.py": "validated at once",
    "benchdog/plugins/crash_log.py": "texts and counts, read by us alone",
    "benchdog/plugins/trial_load.py": "a pipe to a process of ours",
    "benchdog/plugins/trial_process.py": "a pipe to a process of ours",
    "benchdog/recipe/resolved.py": "a copy",
    "benchdog/runs/provenance.py": "a copy, and hashed",
    "benchdog/system/machine.py": "a pipe to a process of ours",
    "benchdog/system/signing.py": "signed",
    "benchdog/system/torch_probe.py": "a pipe to a process of ours",
    "benchdog_huggingface/options.py": "a library's configuration, which may hold infinity",
    "benchdog_huggingface/splits.py": "hashed",
    "benchdog_huggingface/text_tables.py": "hashed, and texts in a cache",
    "benchdog_mlflow/track.py": "a parameter's text",
    "benchdog_optuna/space.py": "keys of choices",
    "benchdog/builtin/sources/images/listing.py": "a setting in a hint",
    "benchdog_optuna/workers.py": "an argument of a process of ours",
    "benchdog_serve/json_body.py": "checked, not kept",
    "benchdog_tensorboard/board.py": "a hyperparameter's text",
}
"""Modules whose JSON nobody else reads, and what it is."""


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_documents_are_written_by_json_text_alone():
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]:
        name = path.relative_to(ROOT).as_posix().partition("src/")[2]
        if name in NO_DOCUMENTS or name.startswith(("benchdog/testing/", "benchdog/plugins/templates/")):
            continue
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "json.dump" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dumps", "json.dump"):
                kept = {each.arg: ast.unparse(each.value) for each in node.keywords}
                advice = "use benchdog.api.json_text, or list the module"
                assert kept.get("allow_nan") == "False", f"{name}, line {node.lineno}: {advice}"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=values)
def test_any_value_is_written_as_json(value):
    assert strict(json_text(value)) == plain(value)
    assert repr(restored(strict(json_text(exact(value))))) == repr(value)


def test_arrays_and_keys_on_stdout():
    value = {1: np.array([1.0, np.nan]), "b": (np.float32(np.inf), np.int64(3)), "c": Path("x")}
    assert plain(value) == {"1": [1.0, None], "b": [None, 3], "c": "x"}


def test_json_files_and_training_state_are_strict_and_keep_infinity_where_it_matters(tmp_path):
    files.write_json(tmp_path / "a.json", {"loss": math.nan, "all": [math.inf, 1.0]})
    assert strict((tmp_path / "a.json").read_text()) == {"loss": None, "all": [None, 1.0]}
    state.write(tmp_path / "s.safetensors", {"best": -math.inf, "values": [math.nan, 1.5]})
    with safe_open(tmp_path / "s.safetensors", "np") as file:
        strict(file.metadata()["state"])
    back = state.read(tmp_path / "s.safetensors")
    assert (back["best"], back["values"][1]) == (-math.inf, 1.5)
    assert math.isnan(back["values"][0])


def test_files_written_with_nan_before_are_still_read(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "epoch", "a": NaN}\n{"kind": "epoch", "a": null}\n')
    assert all(math.isnan(line["a"]) for line in MetricsLog(tmp_path).new())
    (tmp_path / "a.json").write_text('{"value": NaN, "more": Infinity}')
    assert files.read_json(tmp_path / "a.json")["more"] == math.inf


@pytest.fixture(scope="module")
def diverged(tmp_path_factory, home):
    """Return the folder of a run whose validation metrics are NaN, with an option that is infinite."""
    from support.in_process import run

    place = tmp_path_factory.mktemp("diverged")
    (place / "net.py").write_text(NET)
    rows = "".join(f"{n % 7},{n % 5},{n / 10}\n" for n in range(60))
    (place / "t.csv").write_text(f"a,b,y\n{rows}")
    options = ["--set", "source.kind=number", "--set", "model.cap=inf", "--epochs", 2, "--name", "bad", "--json"]
    with bare():
        done = run("train", "t.csv", "--model", "net.py:Net", *options, cwd=place)
    for line in done.out.splitlines():
        strict(line)
    return place / "runs" / "bad"


def test_files_of_a_diverged_run_are_json(diverged):
    seen = 0
    for path in diverged.rglob("*.json*"):
        text = path.read_text(encoding="utf-8")
        for document in text.splitlines() if path.suffix == ".jsonl" else [text]:
            strict(document)
            seen += 1
    assert seen > 6
    assert '"valid.rmse": null' in (diverged / "metrics.jsonl").read_text()


def test_diverged_run_is_read_as_before(diverged):
    from support.in_process import run

    best = Run.open(diverged).facts["best"]
    assert best is not None
    assert math.isnan(best["value"])
    assert read_meta(diverged / "artifact", "artifact")["model"]["options"]["cap"] == math.inf
    for words in (["runs", "list"], ["runs", "list", "--json"], ["evaluate", "bad", "--json"]):
        done = run(*words, cwd=diverged.parents[1])
        if "--json" in words:
            strict(done.out)
