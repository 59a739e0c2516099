"""Packaging metadata: pyproject.toml, meta.yaml, requirements and constraints agree."""

import ast
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from benchdog.plugins import scaffold

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
PACKAGES = [ROOT, *PLUGINS]
# imported packages that come with a requirement; older versions of typer depend on click
TRANSITIVE = {
    "fastapi": ("starlette",), "jinja2": ("markupsafe",), "pydantic": ("typing-extensions",),
    "requests": ("urllib3",), "typer": ("click",), "uvicorn": ("h11",),
}  # fmt: skip
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
RECIPE = yaml.safe_load((ROOT / "meta.yaml").read_text(encoding="utf-8"))
OUTPUTS = {output["name"]: output for output in RECIPE["outputs"]}


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(folder: Path) -> str:
    name: str = project(folder)["project"]["name"]
    return name


def split(requirement: str) -> tuple[str, str]:
    match = re.fullmatch(r"([\w.-]+)(?:\[[^]]*])?\s*(.*)", requirement)
    assert match, requirement
    return match[1], match[2].replace(" ", "")


def version_of(folder: Path) -> str:
    data = project(folder)
    if "version" in data["project"]:
        return str(data["project"]["version"])
    module, _, attribute = data["tool"]["setuptools"]["dynamic"]["version"]["attr"].rpartition(".")
    text = (folder / "src" / module.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")
    (value,) = (
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == attribute
    )
    return str(value)


def test_conda_recipe_has_an_output_for_every_package():
    assert sorted(OUTPUTS) == sorted([*map(name_of, PACKAGES), "benchdog-full"])


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_conda_and_pip_requirements_match(folder):
    data = project(folder)["project"]
    expected = {("python", data["requires-python"])}
    for requirement in data["dependencies"]:
        name, bound = split(requirement)
        expected.add((CONDA_NAMES.get(name, name), bound))
    own = "{{ pin_subpackage('benchdog', exact=True) }}"
    given = set()
    for line in OUTPUTS[data["name"]]["requirements"]["run"]:
        name, _, bound = line.partition(" ")
        given.add(("benchdog", "pinned") if line == own else (name, bound.replace(" ", "")))
    assert {item for item in given if item[0] != "benchdog"} == {item for item in expected if item[0] != "benchdog"}
    assert (("benchdog", "pinned") in given) == (folder != ROOT)


def imported(folder: Path) -> set[str]:
    """Name the modules that the sources import, at the top or inside a function."""
    found = set()
    for file in (folder / "src").rglob("*.py"):
        if "templates" in file.parts:
            continue  # they import the plugin that is generated from them
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_imported_packages_are_required_or_optional(folder):
    data, core = project(folder)["project"], project(ROOT)["project"]
    required = {split(line)[0] for line in data["dependencies"]}
    optional = {split(line)[0] for line in OUTPUTS[data["name"]]["requirements"].get("run_constrained", [])}
    transitive = {each for name in required for each in TRANSITIVE.get(name, ())}
    if folder != ROOT:
        transitive |= {split(line)[0] for line in core["dependencies"]}
    allowed = {data["name"], *required, *optional, *transitive}
    owners = metadata.packages_distributions()
    for name in imported(folder):
        assert allowed & {owner.lower().replace("_", "-") for owner in owners.get(name, [name])}, name
    assert not optional & required


def test_optional_version_bounds_match_dev_requirements():
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    tools = dict(split(line) for line in lines if line and line[0] not in "#-")
    for output in OUTPUTS.values():
        for name, bound in map(split, output["requirements"].get("run_constrained", [])):
            assert tools[name] == bound


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_conda_test_commands_train_or_tune(folder):
    commands = OUTPUTS[name_of(folder)]["test"]["commands"]
    assert any(re.match(r"(benchdog|python tests/\S+) (train|tune) ", command) for command in commands)
    assert all(command.startswith(("benchdog ", "python ", "pip check")) for command in commands), "on any system"


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_conda_entry_points_match_pyproject(folder):
    data = project(folder)["project"]
    build = OUTPUTS[data["name"]]["build"]
    scripts = [f"{name} = {target}" for name, target in data.get("scripts", {}).items()]
    assert build.get("entry_points", []) == scripts
    place = "." if folder == ROOT else f"./plugins/{folder.name}"
    assert f"pip install {place} " in build["script"]
    assert build["noarch"] == "python"


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_conda_host_requirements_include_the_build_system(folder):
    data = project(folder)
    expected = {split(requirement) for requirement in data["build-system"]["requires"]}
    given = {split(line) for line in OUTPUTS[data["project"]["name"]]["requirements"]["host"]}
    assert expected <= given


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_versions_agree(folder):
    assert RECIPE["package"]["version"] == version_of(folder) == version_of(ROOT)


@pytest.mark.parametrize("folder", PLUGINS, ids=name_of)
def test_plugins_require_benchdog(folder):
    assert "benchdog" in dict(map(split, project(folder)["project"]["dependencies"]))


def test_meta_package_requires_every_output():
    run = OUTPUTS["benchdog-full"]["requirements"]["run"]
    assert run == ["{{ pin_subpackage('" + name + "', exact=True) }}" for name in OUTPUTS if name != "benchdog-full"]


def test_requirements_install_every_package_of_the_repository():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    given = [line for line in lines if line and not line.startswith("#")]
    assert given == ["-e .", *(f"-e plugins/{folder.name}" for folder in PLUGINS)]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_direct_requirements_are_pinned():
    expected = {split(line)[0] for folder in PACKAGES for line in project(folder)["project"]["dependencies"]}
    tools = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    expected |= {split(line)[0] for line in tools if line and line[0] not in "#-"}
    missing = expected - set(pins()) - {"benchdog"}
    assert not missing


def test_pins_satisfy_requirements():
    for folder in PACKAGES:
        for name, bound in map(split, project(folder)["project"]["dependencies"]):
            if name != "benchdog":
                assert pins()[name] in SpecifierSet(bound), f"{folder.name}: {name}"
    assert pins()["torch"] == "2.13.0"


def built(folder: Path, out: Path) -> Path:
    """Build the source distribution, and the wheel from it, so that no stray files get in."""
    # isolation would fetch setuptools again; it is among the tools already
    argv = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.mark.slow
@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_wheel_contains_all_files_and_entry_points(folder, tmp_path):
    with zipfile.ZipFile(built(folder, tmp_path)) as archive:
        names = archive.namelist()
        entries = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    files = {path.relative_to(folder / "src") for path in (folder / "src").rglob("*") if path.is_file()}
    made = re.compile(r"(^|/)(\.|__pycache__/)|\.egg-info/")
    own = {name for path in files if not made.search(name := path.as_posix())}
    assert own <= set(names)
    for group, points in project(folder)["project"].get("entry-points", {}).items():
        assert f"[{group}]" in entries
        for name, target in points.items():
            assert f"{name} = {target}" in entries
    assert "License-Expression: MIT" in metadata


@pytest.mark.slow
def test_installed_wheel_runs_outside_the_repository(tmp_path):
    wheel = built(ROOT, tmp_path)
    home = tmp_path / "env"
    # the wheel's requirements come from this environment: the wheel is tested, not the network
    venv.create(home, with_pip=False, symlinks=sys.platform != "win32")
    scripts = home / ("Scripts" if sys.platform == "win32" else "bin")
    site = next(home.rglob("site-packages"))
    others = [path for path in sys.path if path.endswith("site-packages")]
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            assert not member.startswith(("/", "..")), member
            archive.extract(member, site)
    (site / "others.pth").write_text("\n".join(others) + "\n", encoding="utf-8")
    assert "builtin" in typed(scripts / "python", "plugins", "list", cwd=tmp_path)
    typed(scripts / "python", "plugins", "new", "source", "stars", cwd=tmp_path)
    folder = tmp_path / "benchdog-stars"
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert made == set(scaffold.package("source", "stars"))


def typed(python: Path, *words: str, cwd: Path) -> str:
    """Run a Benchdog command in the given environment; return its stdout."""
    code = "import sys; from benchdog.cli import main; sys.argv[0] = 'benchdog'; main()"
    done = subprocess.run([python, "-P", "-c", code, *words], capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
