"""Examples of docs/guides/automation.md, run unchanged."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from support import fork_server

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "automation"
WORKFLOW = yaml.safe_load((EXAMPLES / ".github" / "workflows" / "model.yml").read_text(encoding="utf-8"))
STEPS = [step for step in WORKFLOW["jobs"]["model"]["steps"] if "run" in step]
BINARIES = str(Path(sys.executable).parent)
SNAKEMAKE = shutil.which("snakemake") or shutil.which("snakemake", path=str(ROOT / ".venv" / "snakemake" / "bin"))
needs_bash = pytest.mark.skipif(os.name != "posix" or shutil.which("bash") is None, reason="there is no bash here")
needs_make = pytest.mark.skipif(os.name != "posix" or shutil.which("make") is None, reason="there is no make here")


@pytest.fixture
def place(tmp_path):
    """Return a copy of the examples."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "project"))


@pytest.fixture(scope="module")
def forked(home):
    """Put a `benchdog` first on PATH that starts sooner."""
    if os.name != "posix":
        yield
        return
    with fork_server.serving() as programs, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}{os.pathsep}{BINARIES}{os.pathsep}{os.environ['PATH']}")
        yield


def done(command, place, code=0, **env):
    """Run a program with this environment's `python` and a `benchdog`; return stdout and stderr."""
    full = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    ended = subprocess.run(command, cwd=place, env=full, capture_output=True, text=True, timeout=300)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def status(place, name):
    return json.loads((place / "runs" / name / "run.json").read_text(encoding="utf-8"))["status"]


@needs_make
@pytest.mark.slow
def test_makefile_builds_missing_targets_only(place, forked):
    done(["make"], place)
    assert json.loads((place / "digits.metrics.json").read_text(encoding="utf-8"))["metrics"]["accuracy"] > 0.8
    assert (place / "runs" / "digits" / "exports" / "torch-export" / "export.json").is_file()
    assert "Nothing to be done" in done(["make"], place)
    shutil.rmtree(place / "runs" / "digits" / "artifact")  # a run that was stopped looks like this
    facts = place / "runs" / "digits" / "run.json"
    facts.write_text(facts.read_text(encoding="utf-8").replace('"finished"', '"stopped"'), encoding="utf-8")
    output = done(["make"], place)
    assert "--resume digits" in output
    assert status(place, "digits") == "finished"
    done(["make", "clean"], place)
    assert not (place / "runs" / "digits").exists()


@needs_make
def test_makefile_dry_run_names_every_command(place):
    output = done(["make", "--dry-run", "NAME=mine"], place)
    assert all(word in output for word in ("--name mine", "evaluate mine", "export mine"))


@needs_bash
@pytest.mark.slow
def test_workflow_steps_run_in_order(place, tmp_path, forked):
    plugins = "-tensorboard,-mlflow,-timm"  # torchvision is often of another build than torch, as doctor says
    env = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "PIP_NO_INDEX": "1", "BENCHDOG_PLUGINS": plugins}
    for step in STEPS:
        done(["bash", "-eo", "pipefail", "-c", step["run"]], place, **env)
    events = [json.loads(line) for line in (place / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert events[0]["event"] == "run_started"
    assert events[-1]["status"] == "finished"
    assert "mlp" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    kept = WORKFLOW["jobs"]["model"]["steps"][-1]["with"]["path"].split()
    assert all((place / path).exists() for path in kept)
    weak = {"metrics": {"accuracy": 0.5}}
    (place / "metrics.json").write_text(json.dumps(weak), encoding="utf-8")
    (gate,) = (step["run"] for step in STEPS if "too weak" in step["name"])
    done(["bash", "-eo", "pipefail", "-c", gate], place, code=1)


def test_workflow_installs_first():
    assert STEPS[0]["run"] == "python -m pip install benchdog"
    assert all("benchdog" in step["run"] or "metrics.json" in step["run"] for step in STEPS)


@pytest.mark.slow
@pytest.mark.skipif(SNAKEMAKE is None or os.name != "posix", reason="Snakemake is not installed: `make snakemake`")
def test_snakemake_trains_and_compares_seeds(place, forked):
    command = [SNAKEMAKE, "--cores", "2"]
    assert "5 of 5 steps (100%) done" in done(command, place, HOME=str(place))
    for seed in range(3):
        metrics = json.loads((place / "evaluated" / f"seed-{seed}.json").read_text(encoding="utf-8"))
        assert metrics["run"] == f"seed-{seed}"
        assert metrics["metrics"]["accuracy"] > 0.8
    assert "seed-2" in (place / "compared.html").read_text(encoding="utf-8")
    assert "Nothing to be done" in done(command, place, HOME=str(place))


@needs_bash
def test_array_script_parses(place):
    done(["bash", "-n", "array.sh"], place)


@needs_bash
@pytest.mark.slow
def test_array_task_requeues_and_resumes(place, forked):
    """Slurm is simulated: its variables, its signal, and a scontrol that logs its arguments."""
    recipe = place / "recipe.toml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("epochs = 5", "epochs = 400"), encoding="utf-8")
    (place / "bin").mkdir()
    scontrol = place / "bin" / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "$@" >> scontrol.log\n', encoding="utf-8")
    scontrol.chmod(0o755)
    env = {
        **os.environ, "PATH": os.pathsep.join([str(place / "bin"), os.environ["PATH"]]),
        "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_ID": "77", "SLURM_CPUS_PER_TASK": "1",
    }  # fmt: skip
    task = subprocess.Popen(["bash", "array.sh"], cwd=place, env=env)
    log, end = place / "runs" / "seed-2" / "metrics.jsonl", time.monotonic() + 60
    while not (log.is_file() and log.read_text(encoding="utf-8").count("\n") > 3):
        assert task.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    task.send_signal(signal.SIGTERM)
    assert task.wait(timeout=60) == 143
    assert (place / "scontrol.log").read_text(encoding="utf-8") == "requeue 77\n"
    assert status(place, "seed-2") == "stopped"
    assert subprocess.run(["bash", "array.sh"], cwd=place, env=env, timeout=200).returncode == 0
    assert status(place, "seed-2") == "finished"
    lines = [json.loads(line) for line in (place / "seed-2.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in lines if line.get("event", "").startswith("run")] == [
        "run_started", "run_stopped", "run_started", "run_ended",
    ]  # fmt: skip
    steps = [line["step"] for line in lines if line.get("event") == "step_ended"]
    assert steps == list(range(10, steps[-1] + 1, 10))
