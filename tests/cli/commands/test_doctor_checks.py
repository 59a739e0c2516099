"""Checks of doctor: findings and remedies."""

import json
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from benchdog.cli.commands.doctor import checks, jupyter
from benchdog.cli.commands.doctor.jupyter import Kernel
from benchdog.system import machine
from benchdog.system.files import readable, size_of
from benchdog.system.machine import Folder, Gpus, Interpreter, Torch

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
TORCH = SpecifierSet(">=2.10")
GPU = Gpus(nvidia=("GPU 0: H100",))


def test_python_too_old():
    check = checks.python("/e/python", "3.9.2", SpecifierSet(">=3.11"))
    assert check.state == "wrong"
    assert "3.11" in check.remedy
    assert checks.python("/e/python", "3.12.0", SpecifierSet(">=3.11")).state == "ok"


@pytest.mark.parametrize(
    ("this", "state", "text"),
    [
        (CPU, "ok", "CPU build"),
        (CUDA, "ok", "CUDA 13.0 build"),
        (ROCM, "ok", "ROCm 7.0 build"),
        (NONE, "wrong", "not installed"),
        (BROKEN, "wrong", "no libc10"),
        (Interpreter(executable="p", torch=Torch(version="2.4.1")), "wrong", "2.4.1"),
    ],
)
def test_torch(this, state, text):
    check = checks.torch(this, TORCH)
    assert check.state == state
    assert text in check.found
    assert bool(check.remedy) == (state == "wrong")
    assert state == "ok" or "pip install" in check.remedy


@pytest.mark.parametrize(
    ("this", "gpus", "env", "state", "remedy"),
    [
        (CPU, Gpus(), {}, "ok", ""),
        (CUDA, Gpus(), {}, "ok", ""),
        (SEEN, GPU, {}, "ok", ""),
        (CPU, GPU, {}, "wrong", "CUDA build"),
        (CUDA, GPU, {}, "wrong", "driver"),
        (CUDA, GPU, {"CUDA_VISIBLE_DEVICES": ""}, "warning", "Unset CUDA_VISIBLE_DEVICES"),
        (CPU, Gpus(without_driver=("0000:01:00.0",)), {}, "warning", "driver"),
        (CPU, Gpus(amd_compute=True), {}, "warning", "ROCm"),
        (CPU, Gpus(apple=True), {}, "warning", "arm64"),
        (NONE, GPU, {}, "warning", "torch first"),
        (BROKEN, GPU, {}, "warning", "torch first"),
    ],
)
def test_accelerator(this, gpus, env, state, remedy):
    check = checks.accelerator(this, gpus, env)
    assert check.state == state
    assert remedy in check.remedy
    assert bool(check.remedy) == (state != "ok")


def test_memory():
    assert checks.memory(8 * checks.GIB, 4 * checks.GIB).state == "ok"
    assert checks.memory(8 * checks.GIB, checks.GIB // 2).state == "warning"


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
def test_folder(place, state):
    check = checks.folder("cache", place, "BENCHDOG_CACHE")
    assert check.state == state
    assert ("BENCHDOG_CACHE" in check.remedy) == (state != "ok")


def test_packages():
    required = {"numpy": SpecifierSet(">=1.26"), "typer": SpecifierSet(">=0.15"), "pillow": SpecifierSet(">=10")}
    found = checks.packages(required, {"numpy": "2.4.6", "typer": "0.9.0"}, "/e/python")
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
        ("2.10.0a0+git", ">=2.10", True),
        ("private build", ">=2.10", True),
    ],
)
def test_fits_compares_versions(version, needed, good):
    assert checks.fits(version, SpecifierSet(needed)) is good


def test_kernels_of_other_pythons_are_warnings():
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


def test_jupyter_without_own_kernel_suggests_ipykernel():
    found = checks.jupyter("/usr/bin/jupyter", [], CPU)
    assert found[-1].state == "warning"
    assert "ipykernel install" in found[-1].remedy
    assert checks.jupyter("", [], CPU)[0].state == "ok"


def test_interpreter_reports_torch():
    this = machine.interpreter()
    assert this.error == ""
    assert this.prefix == sys.prefix
    assert this.torch
    assert this.torch.version.startswith("2.")
    assert Path(this.torch.path).name == "__init__.py"


def test_interpreter_survives_torch_that_kills_the_process(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("import os\nos._exit(132)\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    this = machine.interpreter()
    assert "132" in this.error
    assert this.torch
    assert this.torch.path == str(tmp_path / "torch.py")
    assert checks.torch(this, TORCH).state == "wrong"


def test_interpreter_reports_torch_that_raises(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise OSError('libgomp is missing')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "libgomp is missing" in machine.interpreter().error


def test_interpreter_missing():
    assert machine.interpreter("/nowhere/python", load=False).error


def test_folder_missing_is_not_created(tmp_path):
    place = machine.folder(tmp_path / "a" / "b")
    assert not place.exists
    assert place.problem == ""
    assert place.free
    assert list(tmp_path.iterdir()) == []


def test_folder_below_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert "is a file" in machine.folder(tmp_path / "a" / "b").problem
    assert size_of(tmp_path) == 5


def test_pci_displays(tmp_path):
    for name, vendor, kind in (
        ("a", "0x10de", "0x030200"),
        ("b", "0x10de", "0x040300"),
        ("c", "0x1002", "0x030000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n", encoding="ascii")
        (tmp_path / name / "class").write_text(f"{kind}\n", encoding="ascii")
    assert machine._pci_displays(machine.NVIDIA, tmp_path) == ["a"]


def test_kernels_lists_python_kernels_of_jupyter(tmp_path, monkeypatch):
    for name, argv, language in (
        ("mine", [sys.executable, "-m", "ipykernel_launcher"], "python"),
        ("gone", [str(tmp_path / "no" / "python")], "python"),
        ("ir", ["R"], "R"),
    ):
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        spec = {"argv": argv, "language": language, "display_name": name}
        (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = {kernel.name: kernel.python for kernel in jupyter.kernels(jupyter.jupyter())}
    assert found["mine"].prefix == sys.prefix
    assert found["gone"].error
    assert "ir" not in found


def test_executable_of_bare_python_is_in_the_kernels_environment(tmp_path):
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text("", encoding="utf-8")
    folder = tmp_path / "share" / "jupyter" / "kernels" / "python3"
    assert jupyter.executable("python", folder) == str(program)
    assert jupyter.executable(sys.executable, folder) == sys.executable


def test_memory_of_machine_and_readable_sizes():
    total, available = machine.memory()
    assert total
    assert 0 <= available <= total
    assert readable(512_000_000) == "512 MB"
    assert readable(None) == "unknown"
    assert readable(12) == "12 bytes"


def test_loads_attributes_heavy_modules_to_importers(tmp_path, monkeypatch):
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
