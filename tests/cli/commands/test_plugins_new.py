"""`benchdog plugins new`: generated plugins work unchanged; name conflicts and existing files are refused."""

import ast
import os
import re
import shlex
import site
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from benchdog.plugins import scaffold
from benchdog.plugins.scaffold import KINDS
from support import fork_server
from support.in_process import run

PLACEHOLDER = re.compile(r"my.?thing|ENTRY_|USE_IT|WHERE_IT|A_KIND", re.IGNORECASE)
OWN = {
    "source": "digits",
    "model": "cnn",
    "task": "classification",
    "trainer": "supervised",
    "exporter": "torchscript",
    "backend": "cpu",
    "augmentation": "flip",
    "writer": "png",
    "decoder": "image",
    "command": "train",
}
LONG = "a-name-of-as-many-letters-as-t"


# --- generated files


@pytest.mark.parametrize("kind", KINDS)
def test_new_package_has_all_files(bench, kind, tmp_path):
    document = bench("plugins", "new", kind, "north-star", "--json").json
    folder = tmp_path / "benchdog-north-star"
    there = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert document["files"] == there
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
def test_new_single_file_has_fewer_than_20_lines(bench, kind, tmp_path):
    document = bench("plugins", "new", kind, "north-star", "--file", "--json").json
    text = (tmp_path / "north_star.py").read_text(encoding="utf-8")
    assert document["files"] == ["north_star.py"]
    assert not PLACEHOLDER.search(text)
    assert len([line for line in text.splitlines() if line.strip()]) < 20


@pytest.mark.parametrize("name", ["x", LONG])
def test_generated_code_passes_ruff(name, tmp_path):
    for kind in KINDS:
        scaffold.write_folder(tmp_path / kind / "package", scaffold.package(kind, name))
        scaffold.write_file(tmp_path / kind / "single.py", scaffold.single(kind, name))
    argv = [sys.executable, "-m", "ruff", "check", "--no-cache", "."]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_new_prints_the_next_commands(bench, tmp_path):
    result = bench("plugins", "new", "exporter", "zip", "--output", "my plugins")
    assert result.out.strip() == str(Path("my plugins", "benchdog-zip"))
    lines = [line.strip() for line in result.err.splitlines()]
    assert 'pip install -e ".[dev]"' in lines
    assert "benchdog plugins check benchdog-zip" in lines
    assert lines[-1] == "benchdog export last --to zip"
    assert any(line.startswith("cd ") and "my plugins" in line for line in lines)


def test_next_command_has_the_path_of_the_file(bench):
    document = bench("plugins", "new", "model", "two-layers", "--file", "--output", "deep", "--json").json
    path = str(Path("deep", "two_layers.py"))
    assert document["next"][-1] == f"benchdog --plugin {path} train digits --model two-layers"


# --- refused names and folders


def test_mistyped_kind_suggests_the_nearest(bench):
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
def test_invalid_package_name_is_refused_with_an_example(bench, name, better, tmp_path):
    error = bench("plugins", "new", "model", name, code=2).err
    assert error.rstrip().endswith(f"For example: {better}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "name"), OWN.items())
def test_name_of_a_builtin_component_is_refused(bench, kind, name, tmp_path):
    assert "Benchdog itself provides" in bench("plugins", "new", kind, name, code=2).err
    assert list(tmp_path.iterdir()) == []


def test_name_of_a_loaded_plugin_is_refused(bench):
    assert "names must be unique" in bench("plugins", "new", "observer", "builtin", "--file", code=2).err


def test_name_of_an_installed_package_is_refused(bench):
    assert "benchdog_onnx is already installed" in bench("plugins", "new", "exporter", "onnx", code=2).err


def test_name_of_a_third_party_component_prints_a_note(bench, tmp_path):
    scaffold.write_file(tmp_path / "other.py", scaffold.single("model", "two-layers"))
    error = bench("--plugin", "other.py", "plugins", "new", "model", "two-layers", "--file").err
    assert "note: other provides a model 'two-layers' too" in error


def test_name_of_a_plugin_command_is_refused(bench):
    assert "benchdog-serve provides a command 'serve'" in bench("plugins", "new", "command", "serve", code=2).err


@pytest.mark.parametrize("form", [(), ("--file",)])
def test_new_does_not_overwrite_files(bench, form, tmp_path):
    bench("plugins", "new", "task", "ranks", *form)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "nothing is overwritten" in bench("plugins", "new", "task", "ranks", *form, code=2).err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("form", [(), ("--file",)])
def test_unwritable_output_folder_is_reported(bench, form, tmp_path):
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    error = bench("plugins", "new", "task", "ranks", "--output", "taken", *form, code=1).err
    assert "taken" in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["taken"]


# --- a command in a file


def test_single_file_provides_a_command(bench, digits_run):
    bench("plugins", "new", "command", "tensor-list", "--file")
    out = bench("--plugin", "tensor_list.py", "tensor-list", digits_run).out
    assert "F32" in out
    assert "tensor-list" in bench("--plugin", "tensor_list.py", "tensor-list", "--help").out


def test_single_file_without_a_command_is_an_unknown_command(bench):
    bench("plugins", "new", "observer", "note", "--file")
    assert "Unknown command 'note'" in bench("--plugin", "note.py", "note", code=2).err


def test_failing_command_file_is_reported_by_name(bench, tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module\n\ndef command(): pass\n", encoding="utf-8")
    error = bench("--plugin", "broken.py", "broken", code=2).err
    assert "broken.py raises ModuleNotFoundError" in error


def test_plugins_check_accepts_a_command_file(bench, tmp_path):
    bench("plugins", "new", "command", "tensor-list", "--file")
    assert "command tensor-list" in bench("plugins", "check", "tensor_list.py").out
    (tmp_path / "train.py").write_text('CONTRACT = 1\n\ndef command():\n    """Do nothing."""\n', encoding="utf-8")
    assert "Choose another name: rename the file." in bench("plugins", "check", "train.py", code=4).out


# --- end to end: generate, install, check, test, use


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
        self.benchdog: list[str | Path] = [self.python, "-m", "benchdog"]

    def __call__(self, *argv: object, cwd: Path) -> str:
        """Run a module."""
        return self.done([self.python, "-m", *map(str, argv)], cwd)

    def run(self, line: str, cwd: Path, *more: str) -> str:
        """Run a `benchdog` command as it was printed."""
        name, *words = shlex.split(line)
        assert name == "benchdog"
        return self.done([*self.benchdog, *words, *more], cwd)

    def done(self, argv: list[str | Path], cwd: Path) -> str:
        env = {**os.environ, "MYPY_CACHE_DIR": str(self.types), "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            argv, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", check=False, timeout=300
        )
        assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def use(self, kind: str, name: str, commands: list[str], cwd: Path) -> None:
        """Run the commands that `plugins new` printed, with short training; check that the component was used."""
        out = ""
        for line in commands:
            out = self.run(line, cwd, *(["--epochs", "1", "--quiet"] if " train " in line else []))
        if kind == "decoder":  # describes itself: it is used by a source of the author's
            assert "WAV" in out
            return
        (run,) = (cwd / "runs").iterdir()
        if kind == "exporter":
            assert (run / "exports" / name / "export.json").is_file()
        elif kind == "observer":
            assert name not in out
            assert run.name in (run / "diary.txt").read_text(encoding="utf-8")
        elif kind == "command":
            assert "F32" in out
        elif kind == "writer":
            assert next((cwd / "masks").glob("*.pgm")).read_bytes().startswith(b"P2\n")
        else:
            assert f'"{name}"' in (run / "recipe.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def environment(tmp_path_factory, home):
    environment = Environment(tmp_path_factory.mktemp("author"))
    if os.name != "posix":
        yield environment
        return
    with fork_server.serving(environment.python) as programs:
        environment.benchdog = [programs / "benchdog"]
        yield environment


@pytest.fixture(scope="module")
def packages(environment, tmp_path_factory):
    """Return the document of `plugins new` for a package of each kind; all are installed."""
    place = tmp_path_factory.mktemp("packages")
    made = {
        kind: run("plugins", "new", kind, f"my-{kind}", "--json", cwd=place).json | {"place": place} for kind in KINDS
    }
    folders = [f"./{document['path']}" for document in made.values()]
    environment("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", *folders, cwd=place)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_new_package_works_unchanged(environment, packages, kind, tmp_path):
    checking = f"benchdog plugins check benchdog-my-{kind}"
    commands = packages[kind]["next"]
    use = commands[commands.index(checking) + 1 :]
    # its tests run all checks; here it must only be found by its name
    checked = environment.run(checking, tmp_path, "--only", "import", "--only", "loads").strip().splitlines()[-1]
    assert " 0 failed, 0 skipped." in checked
    environment.use(kind, f"my-{kind}", use, tmp_path)
    print(f"| {kind} | installed | {checked} | `{use[-1]}` |")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "last"),
    [
        (("pytest", "-q", "-p", "no:cacheprovider"), r"\d+ passed in [\d.]+s"),
        (("mypy", "--strict"), "Success: no issues found"),
        (("ruff", "check", "--no-cache"), "All checks passed"),
    ],
    ids=["pytest", "mypy", "ruff"],
)
def test_new_packages_pass_their_tests_and_checks(environment, packages, command, last):
    place = next(document["place"] for document in packages.values())
    folders = [f"{document['path']}/{part}" for document in packages.values() for part in ("src", "tests")]
    out = environment(*command, *folders, cwd=place)
    assert re.match(last, out.strip().splitlines()[-1]), out


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_new_single_file_works_unchanged(environment, kind, tmp_path):
    name = f"my-single-{kind}"  # that of no package
    document = run("plugins", "new", kind, name, "--file", "--json", cwd=tmp_path).json
    check, *use = document["next"]
    checked = environment.run(check, tmp_path).splitlines()[-1]
    environment.use(kind, name, use, tmp_path)
    print(f"| {kind} | {checked} | `{use[-1]}` |")
