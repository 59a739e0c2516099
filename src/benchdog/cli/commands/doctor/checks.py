"""Checks of `benchdog doctor`: pure functions from facts to findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from benchdog.system.files import readable
from benchdog.system.machine import Folder, Gpus, Interpreter

if TYPE_CHECKING:
    from benchdog.cli.commands.doctor.jupyter import Kernel
    from benchdog.plugins.types import Fault, Plugin

State = Literal["ok", "warning", "wrong"]
MIB, GIB = 2**20, 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A finding. `remedy` says how to fix it; empty if all is well."""

    name: str
    state: State
    found: str
    remedy: str = ""


def python(executable: str, version: str, needed: SpecifierSet) -> Check:
    """Check this Python against the package's `Requires-Python`."""
    found = f"{version} at {executable}"
    if not fits(version, needed):
        remedy = f"Install Python {needed}, create an environment with it, and install Benchdog there."
        return Check(name="Python", state="wrong", found=found, remedy=remedy)
    return Check(name="Python", state="ok", found=found)


def torch(this: Interpreter, needed: SpecifierSet) -> Check:
    """Check the torch of this Python: installed, importable, recent enough."""
    if this.torch is None:
        found = this.error or f"not installed for {this.executable}"
        remedy = f'Install it: "{this.executable}" -m pip install "torch{needed}".'
        return Check(name="torch", state="wrong", found=found, remedy=remedy)
    found = f"{this.torch.version or 'unknown version'} from {this.torch.path or 'an unknown location'}"
    if this.error:
        remedy = f'Reinstall it: "{this.executable}" -m pip install --force-reinstall "torch{needed}".'
        return Check(name="torch", state="wrong", found=f"{found}, but broken: {this.error}", remedy=remedy)
    if this.torch.version and not fits(this.torch.version, needed):
        remedy = f'Update it: "{this.executable}" -m pip install --upgrade "torch{needed}".'
        return Check(name="torch", state="wrong", found=f"{found}; torch{needed} is required", remedy=remedy)
    return Check(name="torch", state="ok", found=f"{found}, {build(this)} build")


def build(this: Interpreter) -> str:
    """Return what torch was built for: CPU, CUDA 13.0, ROCm 7.0, MPS."""
    torch = this.torch
    if torch is None:
        return "no"
    if torch.rocm:
        return f"ROCm {torch.rocm}"
    return f"CUDA {torch.cuda}" if torch.cuda else "MPS" if torch.mps_built else "CPU"


def accelerator(this: Interpreter, gpus: Gpus, env: Mapping[str, str]) -> Check:
    """Check whether torch can use the GPUs of this machine."""
    name = "accelerator"
    torch = this.torch
    names = ", ".join(gpus.nvidia or gpus.without_driver)
    if torch is None or this.error:
        found = f"{names or 'no NVIDIA GPU'}; unknown while torch doesn't work"
        return Check(name=name, state="warning", found=found, remedy="Fix torch first, then run this again.")
    if torch.cuda_available:
        kind = "ROCm" if torch.rocm else "CUDA"
        return Check(name=name, state="ok", found=f"{kind}: {', '.join(torch.devices)}")
    if torch.mps_available:
        return Check(name=name, state="ok", found="MPS: Apple GPU")
    hidden = env.get("CUDA_VISIBLE_DEVICES")
    if gpus.nvidia and hidden is not None and hidden.strip() in ("", "-1"):
        remedy = "Unset CUDA_VISIBLE_DEVICES to train on the GPU."
        return Check(name=name, state="warning", found=f"{names}, hidden by CUDA_VISIBLE_DEVICES", remedy=remedy)
    if gpus.nvidia and not torch.cuda:
        remedy = (
            f"Training would run on the CPU. Replace this torch ({build(this)} build) with a CUDA build: "
            "PyTorch's page 'Get started' shows the pip command for your system; "
            "with conda: conda install pytorch-gpu."
        )
        return Check(name=name, state="wrong", found=f"{names}, but torch is a {build(this)} build", remedy=remedy)
    if gpus.nvidia:
        remedy = (
            f"Update the NVIDIA driver to one that supports CUDA {torch.cuda}, or install a torch for an older CUDA."
        )
        return Check(name=name, state="wrong", found=f"{names}, but torch can't use it", remedy=remedy)
    if gpus.without_driver:
        remedy = "Install the NVIDIA driver, then run this again; until then training runs on the CPU."
        return Check(name=name, state="warning", found=f"NVIDIA GPU at {names} without a driver", remedy=remedy)
    if gpus.amd_compute:
        remedy = "Install a ROCm build of torch if ROCm supports this GPU; until then training runs on the CPU."
        return Check(name=name, state="warning", found="AMD compute device, not used by torch", remedy=remedy)
    if gpus.apple and not torch.mps_built:
        remedy = "Install an arm64 Python and torch: this build can't use the Apple GPU."
        return Check(
            name=name, state="warning", found=f"Apple GPU, but torch is a {build(this)} build", remedy=remedy
        )
    return Check(name=name, state="ok", found="none: training runs on the CPU")


def memory(total: int | None, available: int | None) -> Check:
    """Check the memory, in bytes."""
    if available is None:
        return Check(name="memory", state="ok", found=f"{readable(total)} in total; available memory is unknown")
    found = f"{readable(available)} available of {readable(total)}"
    if available < GIB:
        remedy = "Close other programs, or train with a smaller --batch-size."
        return Check(name="memory", state="warning", found=found, remedy=remedy)
    return Check(name="memory", state="ok", found=found)


def folder(name: str, folder: Folder, variable: str) -> Check:
    """Check a folder that Benchdog writes to; the environment variable moves it elsewhere."""
    elsewhere = f"Free some space, or set {variable} to a folder on another disk."
    size = readable(folder.size) if folder.exists else "not created yet"
    found = f"{folder.path}, {size}, {readable(folder.free)} free"
    if folder.problem:
        remedy = f"Make it writable, or set {variable} to a folder that is."
        return Check(
            name=name, state="wrong", found=f"{folder.path} is not writable: {folder.problem}", remedy=remedy
        )
    if folder.free is not None and folder.free < 100 * MIB:
        return Check(name=name, state="wrong", found=found, remedy=elsewhere)
    if folder.free is not None and folder.free < 2 * GIB:
        return Check(name=name, state="warning", found=found, remedy=elsewhere)
    return Check(name=name, state="ok", found=found)


def packages(required: Mapping[str, SpecifierSet], installed: Mapping[str, str], executable: str) -> list[Check]:
    """Check the packages that Benchdog requires against the installed versions, both by name."""
    checks = []
    for name, needed in required.items():
        version = installed.get(name, "")
        title = f"package {name}"
        if version and fits(version, needed):
            checks.append(Check(name=title, state="ok", found=version))
            continue
        found = f"{version}; {name}{needed} is required" if version else "not installed"
        remedy = f'"{executable}" -m pip install "{name}{needed}"'
        checks.append(Check(name=title, state="wrong", found=found, remedy=remedy))
    return checks


def contract(number: int) -> Check:
    """Report the version of the plugin contract, and the previous one, which still works."""
    return Check(name="plugin contract", state="ok", found=f"{number}; {number - 1} works through a shim")


def plugins(healthy: Sequence[Plugin], faults: Sequence[Fault], slow: Mapping[str, Sequence[str]]) -> list[Check]:
    """Check the plugins. `slow` maps a plugin to the heavy modules that its import loads."""
    from benchdog.plugins.compat import advice, note

    checks = []
    names = {plugin.name for plugin in healthy}
    for plugin in healthy:
        title = f"plugin {plugin.name}"
        counts = [f"{len(of)} {kind if len(of) == 1 else f'{kind}s'}" for kind, of in plugin.components.items() if of]
        found = f"{plugin.version or plugin.path}: {', '.join(counts) or 'events only'}"
        remedies = []
        if outdated := note(plugin.contract):
            found += f"; {outdated}"
            remedies.append(advice(plugin.contract, plugin.dist))
        if heavy := slow.get(plugin.name):
            found += f"; slows down every command: importing it loads {', '.join(heavy)}"
            remedies.append(f"Ask the author of {plugin.dist} to import that lazily, inside functions.")
        state: State = "warning" if remedies else "ok"
        checks.append(Check(name=title, state=state, found=found, remedy=" ".join(remedies)))
    for fault in faults:
        state = "warning" if fault.late or fault.name in names else "wrong"
        checks.append(Check(name=f"plugin {fault.name}", state=state, found=fault.fault, remedy=fault.remedy))
    return checks


def missing(needs: Iterable[tuple[str, str, str, str]]) -> list[Check]:
    """Warn about components that lack a package: (kind, name, missing package, how to install)."""
    return [
        Check(
            name=f"{kind} {name}",
            state="warning",
            found=f"needs {package}, which is not installed",
            remedy=install or f"Install {package}.",
        )
        for kind, name, package, install in needs
    ]


def broken(needs: Iterable[tuple[str, str, str, str]], faults: Mapping[str, str], executable: str) -> list[Check]:
    """Check whether the packages that components need can be imported; `faults` says what their imports did.

    Packages of a component with the same fault are one finding: one of them imports the other.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for kind, name, package, _ in needs:
        if package in faults:
            found.setdefault((f"{kind} {name}", faults[package]), []).append(package)
    return [
        Check(
            name=name,
            state="wrong",
            found=f"needs {' and '.join(packages)}: the import {fault}",
            remedy="Install versions that fit torch and the other packages: "
            f'"{executable}" -m pip install --upgrade {" ".join(packages)}',
        )
        for (name, fault), packages in found.items()
    ]


def jupyter(command: str, kernels: Sequence[Kernel], this: Interpreter) -> list[Check]:
    """Check whether Jupyter's kernels start this Python, and so use this torch."""
    if not command:
        return [Check(name="Jupyter", state="ok", found="not installed; needed only for notebooks")]
    checks = [Check(name="Jupyter", state="ok", found=command)]
    own = [kernel.name for kernel in kernels if same(kernel.python, this)]
    run = f'"{this.executable}" -m'
    add = f"{run} pip install ipykernel, then {run} ipykernel install --user --name benchdog"
    choose = f"In Jupyter choose the kernel {own[0]!r}." if own else f"To add a kernel with this Python: {add}."
    for kernel in kernels:
        title = f"kernel {kernel.name}"
        other = kernel.python
        if same(other, this):
            checks.append(Check(name=title, state="ok", found=f"this Python, {other.executable}"))
        elif other.error:
            remedy = f"Remove it (jupyter kernelspec remove {kernel.name}), or recreate it. {choose}"
            found = f"{other.executable} can't be started: {other.error}"
            checks.append(Check(name=title, state="warning", found=found, remedy=remedy))
        else:
            has = f"torch {other.torch.version} from {other.torch.path}" if other.torch else "no torch"
            found = f"another Python, {other.executable} ({other.version}), with {has}"
            checks.append(Check(name=title, state="warning", found=found, remedy=choose))
    if not kernels:
        checks.append(Check(name="kernels", state="warning", found="none", remedy=choose))
    return checks


def same(one: Interpreter, other: Interpreter) -> bool:
    """Whether two interpreters belong to the same environment, by their prefix; executables may be symbolic links."""
    return bool(one.prefix) and not one.error and one.prefix == other.prefix


def fits(version: str, needed: SpecifierSet) -> bool:
    """Whether an installed version satisfies a specifier; builds before a release ("2.10.0a0+git") count as it."""
    try:
        return needed.contains(Version(version).base_version)
    except InvalidVersion:
        return True  # a private build with a name of its own
