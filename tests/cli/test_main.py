"""The command line: help, JSON output, exit codes and usage errors without tracebacks."""

import io
import json
import re
import sys
from pathlib import Path

import pytest

from benchdog import __version__, cli
from benchdog.errors import BadUsage, nearest
from benchdog.plugins.commands import COMMANDS
from support.commands import commands, of
from support.in_process import run
from support.json_schemas import assert_matches_schema
from support.plugin_files import install


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_and_json(words, tmp_path):
    result = run(*words, "--help", cwd=tmp_path)
    assert result.out.startswith(f"Usage: benchdog {' '.join(words)}")
    assert "--json" in result.out
    assert "--quiet" in result.out
    assert list(tmp_path.iterdir()) == []
    undocumented = [p.name for p in of(words).params if p.param_type_name == "option" and not p.help]
    assert undocumented == []
    help_text = of(words).help
    assert help_text
    assert help_text[0].isupper()


def test_root_help_lists_every_command_and_summary(tmp_path):
    result = run("--help", cwd=tmp_path)
    for name, summary in COMMANDS.items():
        assert re.search(rf"^\s+{name}\s+{re.escape(summary[:30])}", result.out, re.M), name
    assert run("--version", cwd=tmp_path).out == f"benchdog {__version__}\n"


def test_no_arguments_shows_help(tmp_path):
    result = run(cwd=tmp_path, code=None)
    assert "Usage: benchdog" in result.out + result.err
    assert result.code in (0, 2)


USAGE_ERRORS = [
    (["trian", "digits"], 2, "Did you mean 'train'?"),
    (["train", "digits", "--epoch", "3"], 2, "--epoch"),
    (["train", "digits", "--epochs", "three"], 2, "'--epochs'"),
    (["train", "digits", "--epochs", "0"], 2, "epochs is 0"),
    (["train", "digits", "--set", "loop.epoch=3"], 2, "Did you mean 'loop.epochs'?"),
    (["train", "digits", "extra"], 2, "extra"),
    (["train", "digitz"], 2, "Did you mean 'digits'?"),
    (["train", "gone.toml"], 2, "There is no recipe gone.toml"),
    (["train", "digits", "--model", "gone.py:Net"], 2, "gone.py"),
    (["train", "digits", "--model", "numpy:Net"], 2, "numpy has no 'Net'"),
    (["train", "digits", "--trainer", "supervized"], 2, "Did you mean 'supervised'?"),
    (["train", "digits", "--backend", "mps"], 3, "not available"),
    (["--plugin", "gone.py", "train", "digits"], 2, "There is no plugin file"),
    (["--plugins", "gone.py", "plan", "digits"], 2, "--plugins"),
    (["evaluate", "gone"], 2, "There is no run 'gone'"),
    (["evaluate"], 2, "There are no runs"),
    (["predict", "gone", "x.png"], 2, "gone"),
    (["export", "gone", "--to", "torch-export"], 2, "gone"),
    (["export", "gone"], 2, "--to"),
    (["plan", "csv"], 2, "path"),
    (["plan", "digits", "--set", "model=cnn", "--set", "model.widht=3"], 2, "Did you mean 'width'?"),
    (["plan"], 2, "Missing argument"),
    (["runs", "show", "gone"], 2, "gone"),
    (["runs", "lst"], 2, "lst"),
    (["data", "info", "digitz"], 2, "Did you mean 'digits'?"),
    (["plugins", "info", "digitz"], 2, "Did you mean 'digits'?"),
    (["new", "digitz"], 2, "Did you mean 'digits'?"),
    (["new", "digits", "--model", "cnnn"], 2, "Did you mean 'cnn'?"),
    (["new", "digits", "--out", "there.toml"], 2, "there.toml exists"),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    ("args", "code", "message"), USAGE_ERRORS, ids=[" ".join(args) for args, _, _ in USAGE_ERRORS]
)
def test_usage_error_exit_code_and_message(tmp_path, args, code, message, as_json):
    """Any other exception than BenchdogError or a usage error would be raised here."""
    (tmp_path / "there.toml").write_text("source = 'digits'\n", encoding="utf-8")
    if "mps" in args:
        import torch

        if torch.backends.mps.is_available():
            pytest.skip("this is a Mac with Metal")
    result = run(*args, *(["--json"] if as_json else []), cwd=tmp_path, code=code)
    assert message in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["there.toml"]
    if as_json:
        error = result.json["error"]
        assert error["code"] == code
        assert message in f"{error['message']} {error['hint']}"
        assert_matches_schema("error", result.json)
    else:
        assert result.out == ""


def test_new_writes_a_recipe_that_plan_accepts(tmp_path):
    text = run("new", "digits", "--model", "mlp", cwd=tmp_path).out
    run("new", "digits", "--model", "mlp", "--out", "mine.toml", cwd=tmp_path)
    assert (tmp_path / "mine.toml").read_text(encoding="utf-8") == text
    document = run("plan", "mine.toml", "--json", cwd=tmp_path).json
    assert document["recipe"]["model"]["name"] == "mlp"
    assert document["recipe"]["loop"]["epochs"] == 15
    assert document["problems"] == []
    rows = {line["what"]: line["found"] for line in document["lines"]}
    assert "train 12" in rows["samples"]
    assert "mlp" in rows["model"]
    assert not (tmp_path / "runs").exists()
    table = run("plan", "mine.toml", cwd=tmp_path).out
    assert all(what in table for what in rows)
    assert run("new", "digits", "--json", cwd=tmp_path).json["path"] is None


def test_plan_runs_local_code_only_with_run_code(tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\nopen('ran', 'w').close()\ndef build(spec):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, spec.outputs))\n"
    )
    (tmp_path / "mine.toml").write_text("source = 'digits'\nmodel = 'net.py:build'\n", encoding="utf-8")
    refused = run("plan", "mine.toml", cwd=tmp_path, code=2)
    assert "net.py" in refused.err
    assert "--run-code" in refused.err
    assert not (tmp_path / "ran").exists()
    document = run("plan", "mine.toml", "--run-code", "--json", cwd=tmp_path).json
    assert document["needs"]["parameters"] == 650
    assert (tmp_path / "ran").exists()


def test_schema_validates_a_new_recipe(tmp_path):
    import tomllib

    import jsonschema

    schema = run("schema", cwd=tmp_path).json
    assert schema == run("schema", "--json", cwd=tmp_path).json
    recipe = tomllib.loads(run("new", "csv", "--target", "quality", cwd=tmp_path).out)
    jsonschema.validate(recipe, schema)
    assert recipe["source"]["target"] == "quality"


def test_failing_command_plugin_is_reported_by_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "dog-walk", "1 / 0", module="walking", entries="[benchdog.commands]\nwalk = walking\n")
    assert "walk" in run("--help", cwd=tmp_path).out
    refused = run("walk", cwd=tmp_path, code=1)
    assert "'walk' of plugin 'dog-walk' raises ZeroDivisionError" in refused.err
    monkeypatch.setenv("BENCHDOG_PLUGINS", "other")
    assert "walk" not in run("--help", cwd=tmp_path).out


COUNTING = """
from typing import Annotated
import typer
from benchdog.cli.output import emit_json, say

def command(
    kept: bool = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    print("noise")
    say("talk")
    if kept:
        emit_json({"dogs": 3})
"""


def test_plugin_command_under_json_prints_only_its_document(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "dog-count", COUNTING, module="counting", entries="[benchdog.commands]\ncount = counting\n")
    assert "--quiet" in run("count", "--help", cwd=tmp_path).out
    plain = run("count", cwd=tmp_path)
    assert (plain.out, plain.err) == ("noise\n", "talk\n")
    result = run("count", "--kept", "--json", "--quiet", cwd=tmp_path)
    assert (result.json, result.err) == ({"format": 1, "dogs": 3}, "noise\n")
    refused = run("count", "--json", cwd=tmp_path, code=1)
    assert "'count' printed no document under --json" in refused.json["error"]["message"]
    assert "emit_json" in refused.json["error"]["hint"]


def test_ctrl_c_before_run_starts_exits_130_without_traceback(tmp_path, monkeypatch):
    from benchdog import pipeline

    def interrupted(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "train", interrupted)
    result = run("train", "digits", "--json", cwd=tmp_path, code=130)
    assert result.json["error"] == {"message": "Stopped.", "hint": "", "code": 130}


def test_closed_stdout_exits_without_traceback(tmp_path, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return spare.fileno()

    with (tmp_path / "spare").open("wb") as spare:
        monkeypatch.setattr(sys, "argv", ["benchdog", "schema"])
        monkeypatch.setattr(sys, "stdout", Closed())
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 0


def test_plugin_flag_after_the_command_is_refused(tmp_path):
    refused = run("train", "digits", "--plugin", "mine.py", cwd=tmp_path, code=2)
    assert "--plugin goes before the command: benchdog --plugin FILE train" in refused.err


def test_resuming_a_finished_run_does_nothing(digits_run):
    stderr = run("train", "--resume", "digits", cwd=digits_run.parent.parent).err
    assert "Run 'digits' is finished already; nothing to do." in stderr


def test_train_in_a_separate_process(digits_run, process, tmp_path):
    """Check one success and one error in a real process: the result on stdout, messages on stderr."""
    result = process("train", "--resume", digits_run)
    assert result.out.strip() == str(digits_run)
    assert str(digits_run / "artifact") in result.err
    result = process("train", "digits", "--modle", "cnn", "--json", code=2)
    assert json.loads(result.out)["error"]["code"] == 2
    assert "--modle" in result.err


def test_evaluate_reads_the_test_split_and_shows_baselines(digits_run, tmp_path):
    result = run("evaluate", digits_run, "--json", cwd=tmp_path)
    document = result.json
    assert document["split"] == "test"
    assert document["metrics"]["accuracy"] > 0.8
    assert "majority class" in [line["name"] for line in document["baselines"]]
    assert Path(document["report"]).is_file()
    text = run("evaluate", digits_run, "--split", "valid", cwd=tmp_path)
    assert "this model" in text.out
    assert "majority class" in text.out
    refused = run("evaluate", digits_run, "--split", "tset", cwd=tmp_path, code=2)
    assert "tset" in refused.err


@pytest.mark.slow
def test_smoke_runs_every_stage_and_leaves_no_files(tmp_path):
    document = run("train", "digits", "--model", "mlp", "--smoke", "--json", "--quiet", cwd=tmp_path).lines[-1]
    assert [step["stage"] for step in document["steps"]] == [
        "train",
        "resume",
        "overfit",
        "artifact",
        "export",
        "predict",
    ]
    assert "the model can overfit it" in document["steps"][2]["said"]
    assert list(tmp_path.iterdir()) == []


def test_nearest_suggestions():
    assert nearest("trian", ["train", "plan"]) == "Did you mean 'train'? Available: plan, train."
    assert nearest("zzz", ["train"]) == "Available: train."
    assert nearest("x", []) == "Available: none."
    assert str(BadUsage("No.", "Yes.")) == "No.\n  Yes."
