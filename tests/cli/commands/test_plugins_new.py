"""`benchdog plugins new`: what it writes works as it stands; what it would break is refused."""

import ast
import json
import os
import re
import shlex
import site
import subprocess
import sys
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchdog.plugins import scaffold
from benchdog.plugins.scaffold import KINDS

PLACEHOLDER = re.compile(r"my.?thing|ENTRY_|USE_IT|WHERE_IT|A_KIND", re.IGNORECASE)
OWN = {
    "source": "digits",
    "model": "cnn",
    "task": "classification",
    "trainer": "supervised",
    "exporter": "torchscript",
    "backend": "cpu",
    "augmentation": "flip",
    "command": "train",
}
LONG = "a-name-of-as-many-letters-as-t"


# --- what is written


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_whole(bench, kind, tmp_path):
    told = bench("plugins", "new", kind, "north-star", "--json").json
    folder = tmp_path / "benchdog-north-star"
    there = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert told["files"] == there
    for name in there:
        text = (folder / name).read_text(encoding="utf-8")
        assert not PLACEHOLDER.search(name + text), name
        assert not name.endswith(".py") or ast.parse(text)
    assert {"README.md", ".gitignore", "src/benchdog_north_star/py.typed", "tests/test_north_star.py"} < set(there)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "benchdog-north-star"
    group = "benchdog.commands" if kind == "command" else "benchdog"
    (target,) = project["entry-points"][group].values()
    assert (folder / "src" / target.partition(":")[0].replace(".", "/")).with_suffix(".py").exists() or (
        folder / "src" / target / "__init__.py"
    ).exists()
    assert 'conforms("' + kind + '", "north-star")' in (folder / "tests/test_north_star.py").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_has_less_than_twenty_lines(bench, kind, tmp_path):
    told = bench("plugins", "new", kind, "north-star", "--file", "--json").json
    text = (tmp_path / "north_star.py").read_text(encoding="utf-8")
    assert told["files"] == ["north_star.py"]
    assert not PLACEHOLDER.search(text)
    assert len([line for line in text.splitlines() if line.strip()]) < 20


@pytest.mark.parametrize("name", ["x", LONG])
def test_ruff_has_nothing_to_say(name, tmp_path):
    for kind in KINDS:
        scaffold.write_folder(tmp_path / kind / "package", scaffold.package(kind, name))
        scaffold.write_file(tmp_path / kind / "single.py", scaffold.single(kind, name))
    argv = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_to_type_next_is_told(bench, tmp_path):
    result = bench("plugins", "new", "exporter", "zip", "--output", "my plugins")
    assert result.out.strip() == str(Path("my plugins", "benchdog-zip"))
    lines = [line.strip() for line in result.err.splitlines()]
    assert 'pip install -e ".[dev]"' in lines
    assert "benchdog plugins check benchdog-zip" in lines
    assert lines[-1] == "benchdog export last --to zip"
    assert any(line.startswith("cd ") and "my plugins" in line for line in lines)


def test_a_file_is_named_where_it_is(bench):
    told = bench("plugins", "new", "model", "two-layers", "--file", "--output", "deep", "--json").json
    path = str(Path("deep", "two_layers.py"))
    assert told["next"][-1] == f"benchdog --plugin {path} train digits --model two-layers"


# --- what is refused


def test_a_mistyped_kind_gets_the_nearest(bench):
    assert "Did you mean 'exporter'?" in bench("plugins", "new", "exprter", "zip", code=2).err


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("TinyNet", "tiny-net"),
        ("tiny_net", "tiny-net"),
        ("benchdog-tiny", "tiny"),
        ("3d-net", "d-net"),
        ("tiny--net", "tiny-net"),
        ("..", "my-model"),
        ("a/b", "a-b"),
        (LONG + "o", LONG),
        ("nul", "nul-model"),
    ],
)
def test_a_name_that_no_package_can_have_is_refused(bench, name, better, tmp_path):
    error = bench("plugins", "new", "model", name, code=2).err
    assert error.rstrip().endswith(f"For example: {better}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "name"), OWN.items())
def test_the_name_of_a_part_of_benchdog_is_refused(bench, kind, name, tmp_path):
    assert "Benchdog itself provides" in bench("plugins", "new", kind, name, code=2).err
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_loaded_plugin_is_refused(bench):
    assert "names must be unique" in bench("plugins", "new", "observer", "builtin", "--file", code=2).err


def test_the_name_of_an_installed_package_is_refused(bench):
    assert "benchdog_onnx is already installed" in bench("plugins", "new", "exporter", "onnx", code=2).err


def test_a_strangers_component_is_told(bench, tmp_path):
    scaffold.write_file(tmp_path / "other.py", scaffold.single("model", "two-layers"))
    error = bench("--plugin", "other.py", "plugins", "new", "model", "two-layers", "--file").err
    assert "note: other provides a model 'two-layers' too" in error


def test_a_strangers_command_is_refused(bench):
    assert "benchdog-serve provides a command 'serve'" in bench("plugins", "new", "command", "serve", code=2).err


@pytest.mark.parametrize("form", [(), ("--file",)])
def test_nothing_is_overwritten(bench, form, tmp_path):
    bench("plugins", "new", "task", "ranks", *form)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "nothing is overwritten" in bench("plugins", "new", "task", "ranks", *form, code=2).err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("form", [(), ("--file",)])
def test_a_place_that_cant_be_written_is_named(bench, form, tmp_path):
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    error = bench("plugins", "new", "task", "ranks", "--output", "taken", *form, code=1).err
    assert "taken" in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["taken"]


# --- a command in a file


def test_a_file_is_a_command(bench, digits_run):
    bench("plugins", "new", "command", "tensor-list", "--file")
    out = bench("--plugin", "tensor_list.py", "tensor-list", digits_run).out
    assert "F32" in out
    assert "tensor-list" in bench("--plugin", "tensor_list.py", "tensor-list", "--help").out


def test_a_file_without_a_command_is_none(bench):
    bench("plugins", "new", "observer", "note", "--file")
    assert "Unknown command 'note'" in bench("--plugin", "note.py", "note", code=2).err


def test_a_commands_file_that_fails_is_named(bench, tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module\n\ndef command(): pass\n", encoding="utf-8")
    error = bench("--plugin", "broken.py", "broken", code=2).err
    assert "broken.py raises ModuleNotFoundError" in error


def test_a_commands_file_is_checked(bench, tmp_path):
    bench("plugins", "new", "command", "tensor-list", "--file")
    assert "command tensor-list" in bench("plugins", "check", "tensor_list.py").out
    (tmp_path / "train.py").write_text('CONTRACT = 1\n\ndef command():\n    """Do nothing."""\n', encoding="utf-8")
    assert "Choose another name: rename the file." in bench("plugins", "check", "train.py", code=4).out


# --- the whole way, as an author goes it


class Environment:
    """A fresh environment that sees the packages of this one."""

    def __init__(self, place: Path) -> None:
        home = place / "env"
        venv.create(home, with_pip=False, symlinks=sys.platform != "win32")
        folder = next(home.rglob("site-packages"))
        here = [path for path in sys.path if path.endswith("site-packages")] or site.getsitepackages()
        lines = [f"import site; site.addsitedir({path!r})" for path in here]
        (folder / "others.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        self.types = place / "mypy"

    def __call__(self, *argv: object, cwd: Path) -> str:
        env = {**os.environ, "MYPY_CACHE_DIR": str(self.types), "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [self.python, "-m", *map(str, argv)],
            cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def use(self, kind: str, commands: list[str], cwd: Path) -> None:
        """Type what `plugins new` told to type, with short training; see that it was used."""
        out = ""
        for line in commands:
            name, *words = shlex.split(line)
            assert name == "benchdog"
            short = ["--epochs", "1", "--quiet"] if "train" in words else []
            out = self("benchdog", *words, *short, cwd=cwd)
        (run,) = (cwd / "runs").iterdir()
        if kind == "exporter":
            assert (run / "exports" / "my-exporter" / "export.json").is_file()
        elif kind == "observer":
            assert "my-observer" not in out
            assert run.name in (run / "diary.txt").read_text(encoding="utf-8")
        elif kind == "command":
            assert "F32" in out
        else:
            assert f'"my-{kind}"' in (run / "recipe.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def environment(tmp_path_factory, home):
    return Environment(tmp_path_factory.mktemp("author"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_package_works_as_it_stands(environment, kind, tmp_path):
    name = f"my-{kind}"
    told = json.loads(environment("benchdog", "plugins", "new", kind, name, "--json", cwd=tmp_path))
    folder = tmp_path / told["path"]
    environment("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", ".", cwd=folder)
    checking = f"benchdog plugins check benchdog-{name}"
    use = told["next"][told["next"].index(checking) + 1 :]
    try:
        with ThreadPoolExecutor(2) as pool:  # they have nothing to do with each other
            used = pool.submit(environment.use, kind, use, tmp_path)
            passed = pool.submit(environment, "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
            # its tests run all checks; here it must only be found by its name
            quick = ["--only", "import", "--only", "loads"]
            checked = pool.submit(environment, *shlex.split(checking), *quick, cwd=tmp_path)
            types = pool.submit(environment, "mypy", "--strict", cwd=folder)
        environment("ruff", "check", "--no-cache", cwd=folder)
        used.result()
        told_by = [job.result().strip().splitlines()[-1] for job in (passed, types, checked)]
    finally:
        environment("pip", "uninstall", "--quiet", "--yes", f"benchdog-{name}", cwd=tmp_path)
    assert re.match(r"\d+ passed", told_by[0])
    assert told_by[1].startswith("Success: no issues found")
    assert told_by[2].startswith("No faults")
    print(f"| {kind} | installed | {' | '.join(told_by)} | `{use[-1]}` |")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_works_as_it_stands(environment, kind, tmp_path):
    told = json.loads(environment("benchdog", "plugins", "new", kind, f"my-{kind}", "--file", "--json", cwd=tmp_path))
    check, *use = told["next"]
    checked = environment(*shlex.split(check), cwd=tmp_path).splitlines()[-1]
    environment.use(kind, use, tmp_path)
    print(f"| {kind} | {checked} | `{use[-1]}` |")
