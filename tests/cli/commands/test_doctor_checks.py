"""What doctor says of what was found."""

import json
import sys
from pathlib import Path

import pytest

from benchdog.cli.commands.doctor import checks, jupyter
from benchdog.cli.commands.doctor.jupyter import Kernel
from benchdog.system import machine
from benchdog.system.machine import Cards, Folder, Interpreter, Torch

CPU = Interpreter(
    executable="/e/python", version="3.11.7", prefix="/e", torch=Torch(version="2.13.0+cpu", path="/e/t")
)
CUDA = Interpreter(executable="/e/python", prefix="/e", torch=Torch(version="2.13.0", path="/e/t", cuda="13.0"))
SEEN = Interpreter(
    executable="/e/python",
    prefix="/e",
    torch=Torch(version="2.13.0", cuda="13.0", cuda_available=True, devices=("H100",)),
)
ROCM = Interpreter(executable="/e/python", prefix="/e", torch=Torch(version="2.13.0", rocm="7.0"))
NONE = Interpreter(executable="/e/python", prefix="/e")
BROKEN = Interpreter(
    executable="/e/python", prefix="/e", torch=Torch(version="2.13.0", path="/e/t"), error="no libc10"
)
CARD = Cards(nvidia=("GPU 0: H100",))


def test_an_old_python_is_wrong():
    check = checks.python("/e/python", "3.9.2", ">=3.11")
    assert check.state == "wrong"
    assert "3.11" in check.remedy
    assert checks.python("/e/python", "3.12.0", ">=3.11").state == "ok"


@pytest.mark.parametrize(
    ("this", "state", "said"),
    [
        (CPU, "ok", "CPU build"),
        (CUDA, "ok", "CUDA 13.0 build"),
        (ROCM, "ok", "ROCm 7.0 build"),
        (NONE, "wrong", "not installed"),
        (BROKEN, "wrong", "no libc10"),
        (Interpreter(executable="p", torch=Torch(version="2.4.1")), "wrong", "2.4.1"),
    ],
)
def test_torch(this, state, said):
    check = checks.torch(this, ">=2.10")
    assert check.state == state
    assert said in check.found
    assert bool(check.remedy) == (state == "wrong")
    assert state == "ok" or "pip install" in check.remedy


@pytest.mark.parametrize(
    ("this", "cards", "env", "state", "remedy"),
    [
        (CPU, Cards(), {}, "ok", ""),
        (CUDA, Cards(), {}, "ok", ""),
        (SEEN, CARD, {}, "ok", ""),
        (CPU, CARD, {}, "wrong", "CUDA build"),
        (CUDA, CARD, {}, "wrong", "driver"),
        (CUDA, CARD, {"CUDA_VISIBLE_DEVICES": ""}, "warning", "Unset CUDA_VISIBLE_DEVICES"),
        (CPU, Cards(bare=("0000:01:00.0",)), {}, "warning", "driver"),
        (CPU, Cards(amd_compute=True), {}, "warning", "ROCm"),
        (CPU, Cards(apple=True), {}, "warning", "arm64"),
        (NONE, CARD, {}, "warning", "torch first"),
        (BROKEN, CARD, {}, "warning", "torch first"),
    ],
)
def test_does_torch_fit_the_hardware(this, cards, env, state, remedy):
    check = checks.accelerator(this, cards, env)
    assert check.state == state
    assert remedy in check.remedy
    assert bool(check.remedy) == (state != "ok")


def test_memory():
    assert checks.memory(8 * checks.GIB, 4 * checks.GIB).state == "ok"
    assert checks.memory(8 * checks.GIB, checks.GIB // 2).state == "warning"
    assert "known" in checks.memory(None, None).found


@pytest.mark.parametrize(
    ("place", "state"),
    [
        (Folder(path=Path("c"), exists=True, size=5, free=50 * checks.GIB), "ok"),
        (Folder(path=Path("c"), exists=False, free=None), "ok"),
        (Folder(path=Path("c"), exists=True, free=checks.GIB), "warning"),
        (Folder(path=Path("c"), exists=True, free=checks.MIB), "wrong"),
        (Folder(path=Path("c"), exists=True, free=50 * checks.GIB, problem="Read-only file system"), "wrong"),
    ],
)
def test_a_folder(place, state):
    check = checks.folder("cache", place, "BENCHDOG_CACHE")
    assert check.state == state
    assert ("BENCHDOG_CACHE" in check.remedy) == (state != "ok")


def test_packages():
    lines = ["numpy>=1.26", "typer>=0.15", "pillow (>=10)", "sphinx>=7; extra == 'docs'"]
    found = checks.packages(lines, {"numpy": "2.4.6", "typer": "0.9.0"}, "/e/python")
    assert [(check.name, check.state) for check in found] == [
        ("package numpy", "ok"),
        ("package typer", "wrong"),
        ("package pillow", "wrong"),
    ]
    assert '-m pip install "pillow>=10"' in found[2].remedy


@pytest.mark.parametrize(
    ("version", "needed", "good"),
    [
        ("2.13.0+cpu", ">=2.10", True),
        ("2.9.1", ">=2.10", False),
        ("3", ">=3.0.0", True),
        ("1.0rc1", "", True),
    ],
)
def test_versions_compare_by_number(version, needed, good):
    assert checks.fits(version, needed) is good


def test_kernels_are_told_apart():
    other = Interpreter(
        executable="/o/python", version="3.12.1", prefix="/o", torch=Torch(version="2.9", path="/o/t")
    )
    gone = Interpreter(executable="/gone/python", error="No such file or directory")
    found = checks.jupyter(
        "/e/jupyter",
        [
            Kernel(name="mine", folder="", python=CPU),
            Kernel(name="other", folder="", python=other),
            Kernel(name="old", folder="", python=gone),
        ],
        CPU,
    )
    assert [check.state for check in found] == ["ok", "ok", "warning", "warning"]
    assert "torch 2.9 from /o/t" in found[2].found
    assert "'mine'" in found[2].remedy
    assert "kernelspec remove old" in found[3].remedy


def test_without_a_kernel_for_this_python_doctor_says_how_to_make_one():
    found = checks.jupyter("/usr/bin/jupyter", [], CPU)
    assert found[-1].state == "warning"
    assert "ipykernel install" in found[-1].remedy
    assert checks.jupyter("", [], CPU)[0].state == "ok"


def test_this_interpreter_is_seen_whole():
    this = machine.interpreter()
    assert this.error == ""
    assert this.prefix == sys.prefix
    assert this.torch
    assert this.torch.version.startswith("2.")
    assert Path(this.torch.path).name == "__init__.py"


def test_a_torch_that_kills_the_process_is_a_finding(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("import os\nos._exit(132)\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    this = machine.interpreter()
    assert "132" in this.error
    assert this.torch
    assert this.torch.path == str(tmp_path / "torch.py")
    assert checks.torch(this, ">=2.10").state == "wrong"


def test_a_torch_that_raises_is_a_finding(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise OSError('libgomp is missing')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "libgomp is missing" in machine.interpreter().error


def test_no_python_there():
    assert machine.interpreter("/nowhere/python", load=False).error


def test_a_folder_that_is_not_there_is_left_alone(tmp_path):
    place = machine.folder(tmp_path / "a" / "b")
    assert not place.exists
    assert place.problem == ""
    assert place.free
    assert list(tmp_path.iterdir()) == []


def test_a_folder_behind_a_file_is_a_problem(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert "is a file" in machine.folder(tmp_path / "a" / "b").problem
    assert machine.size_of(tmp_path) == 5


def test_cards_on_the_bus(tmp_path):
    for name, vendor, kind in (
        ("a", "0x10de", "0x030200"),
        ("b", "0x10de", "0x040300"),
        ("c", "0x1002", "0x030000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n", encoding="ascii")
        (tmp_path / name / "class").write_text(f"{kind}\n", encoding="ascii")
    assert machine._on_the_bus(machine.NVIDIA, tmp_path) == ["a"]


def test_kernels_are_found_where_jupyter_keeps_them(tmp_path, monkeypatch):
    for name, argv, language in (
        ("mine", [sys.executable, "-m", "ipykernel_launcher"], "python"),
        ("gone", [str(tmp_path / "no" / "python")], "python"),
        ("ir", ["R"], "R"),
    ):
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        spec = {"argv": argv, "language": language, "display_name": name}
        (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    (tmp_path / "kernels" / "broken").mkdir()
    (tmp_path / "kernels" / "broken" / "kernel.json").write_text("{", encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = {kernel.name: kernel.python for kernel in jupyter.kernels()}
    assert found["mine"].prefix == sys.prefix
    assert found["gone"].error
    assert "ir" not in found
    assert "broken" not in found


def test_a_bare_python_means_the_environment_of_the_kernel(tmp_path):
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text("", encoding="utf-8")
    folder = tmp_path / "share" / "jupyter" / "kernels" / "python3"
    assert jupyter.started("python", folder) == str(program)
    assert jupyter.started(sys.executable, folder) == sys.executable


def test_memory_and_sizes_are_readable():
    total, available = machine.memory()
    assert total
    assert available is None or 0 <= available <= total
    assert machine.readable(512_000_000) == "512 MB"
    assert machine.readable(None) == "unknown"
    assert machine.readable(12) == "12 bytes"


def test_each_module_is_named_with_all_that_it_loads_by_itself(tmp_path, monkeypatch):
    texts = {
        "clean": "",
        "one": "import colorsys",
        "broken": "1 / 0",
        "both": "import colorsys, wave",
        "last": "",
    }
    for name, text in texts.items():
        (tmp_path / f"mod_{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = machine.loads([f"mod_{name}" for name in texts], ("colorsys", "wave"))
    assert found == {"mod_one": ("colorsys",), "mod_both": ("colorsys", "wave")}
