"""What `benchdog doctor` says of what was found: pure functions from facts to checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchdog.system.machine import Cards, Folder, Interpreter, readable

if TYPE_CHECKING:
    from benchdog.cli.commands.doctor.jupyter import Kernel
    from benchdog.plugins.types import Fault, Plugin

State = Literal["ok", "warning", "wrong"]
MIB, GIB = 2**20, 2**30
"""What no plugin may load to be listed: each costs every command its start-up time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing looked at. `remedy` says what to do; empty when all is well."""

    name: str
    state: State
    found: str
    remedy: str = ""


def python(executable: str, version: str, needed: str) -> Check:
    """Judge this Python against the `Requires-Python` of the package (">=3.11")."""
    found = f"{version} at {executable}"
    if not fits(version, needed):
        remedy = f"Install Python {needed} and make an environment with it; then install Benchdog there."
        return Check(name="Python", state="wrong", found=found, remedy=remedy)
    return Check(name="Python", state="ok", found=found)


def torch(this: Interpreter, needed: str) -> Check:
    """Judge the torch of this Python: there, whole, new enough."""
    if this.torch is None:
        found = this.error or f"not installed for {this.executable}"
        remedy = f'Install it here: "{this.executable}" -m pip install "torch{needed}".'
        return Check(name="torch", state="wrong", found=found, remedy=remedy)
    found = f"{this.torch.version or 'unknown version'} from {this.torch.path or 'an unknown place'}"
    if this.error:
        remedy = f'Install it anew: "{this.executable}" -m pip install --force-reinstall "torch{needed}".'
        return Check(name="torch", state="wrong", found=f"{found}, but broken: {this.error}", remedy=remedy)
    if this.torch.version and not fits(this.torch.version, needed):
        remedy = f'Update it: "{this.executable}" -m pip install --upgrade "torch{needed}".'
        return Check(name="torch", state="wrong", found=f"{found}; torch{needed} is needed", remedy=remedy)
    return Check(name="torch", state="ok", found=f"{found}, {build(this)} build")


def build(this: Interpreter) -> str:
    """Name what a torch was built for: CPU, CUDA 13.0, ROCm 7.0, MPS."""
    torch = this.torch
    if torch is None:
        return "no"
    if torch.rocm:
        return f"ROCm {torch.rocm}"
    return f"CUDA {torch.cuda}" if torch.cuda else "MPS" if torch.mps_built else "CPU"


def accelerator(this: Interpreter, cards: Cards, env: Mapping[str, str]) -> Check:
    """Judge whether torch can use the graphics cards that are there."""
    name = "accelerator"
    torch = this.torch
    there = ", ".join(cards.nvidia or cards.bare)
    if torch is None or this.error:
        found = f"{there or 'no NVIDIA card'}; torch can't be asked"
        return Check(name=name, state="warning", found=found, remedy="Mend torch first, then look again.")
    if torch.cuda_available:
        kind = "ROCm" if torch.rocm else "CUDA"
        return Check(name=name, state="ok", found=f"{kind}: {', '.join(torch.devices)}")
    if torch.mps_available:
        return Check(name=name, state="ok", found="MPS: Apple graphics")
    hidden = env.get("CUDA_VISIBLE_DEVICES")
    if cards.nvidia and hidden is not None and hidden.strip() in ("", "-1"):
        remedy = "Unset CUDA_VISIBLE_DEVICES to train on it."
        return Check(name=name, state="warning", found=f"{there}, hidden by CUDA_VISIBLE_DEVICES", remedy=remedy)
    if cards.nvidia and not torch.cuda:
        remedy = (
            f"Training would use the CPU alone. Replace this torch ({build(this)} build) by a CUDA build: "
            "PyTorch's page 'Get started' gives the pip command for your system; "
            "with conda: conda install pytorch-gpu."
        )
        return Check(name=name, state="wrong", found=f"{there}, but torch is a {build(this)} build", remedy=remedy)
    if cards.nvidia:
        remedy = f"Update NVIDIA's driver to one for CUDA {torch.cuda}, or install a torch for an older CUDA."
        return Check(name=name, state="wrong", found=f"{there}, but torch can't use it", remedy=remedy)
    if cards.bare:
        remedy = "Install NVIDIA's driver to use it, then look again; without it training uses the CPU."
        return Check(name=name, state="warning", found=f"NVIDIA card at {there} without a driver", remedy=remedy)
    if cards.amd_compute:
        remedy = "Install torch's ROCm build if ROCm supports this card; else training uses the CPU."
        return Check(name=name, state="warning", found="AMD compute device, not used by torch", remedy=remedy)
    if cards.apple and not torch.mps_built:
        remedy = "Install an arm64 Python and torch: this build can't use Apple's graphics."
        return Check(name=name, state="warning", found=f"Apple graphics, {build(this)} build", remedy=remedy)
    return Check(name=name, state="ok", found="none here: training uses the CPU")


def memory(total: int | None, available: int | None) -> Check:
    """Judge the memory, in bytes."""
    if available is None:
        return Check(name="memory", state="ok", found=f"{readable(total)} in all; how much is free isn't known")
    found = f"{readable(available)} free of {readable(total)}"
    if available < GIB:
        remedy = "Close other programs, or train with a smaller --batch-size."
        return Check(name="memory", state="warning", found=found, remedy=remedy)
    return Check(name="memory", state="ok", found=found)


def folder(name: str, place: Folder, variable: str) -> Check:
    """Judge a folder that Benchdog writes to; `variable` chooses another one."""
    elsewhere = f"Free some space, or set {variable} to a folder on another disk."
    size = readable(place.size) if place.exists else "not made yet"
    found = f"{place.path}, {size}, {readable(place.free)} free"
    if place.problem:
        remedy = f"Make it writable for you, or set {variable} to a folder that is."
        return Check(name=name, state="wrong", found=f"{place.path} can't be written: {place.problem}", remedy=remedy)
    if place.free is not None and place.free < 100 * MIB:
        return Check(name=name, state="wrong", found=found, remedy=elsewhere)
    if place.free is not None and place.free < 2 * GIB:
        return Check(name=name, state="warning", found=found, remedy=elsewhere)
    return Check(name=name, state="ok", found=found)


def packages(requirements: Iterable[str], installed: Mapping[str, str], executable: str) -> list[Check]:
    """Judge the packages that Benchdog requires; `installed` gives versions by name."""
    checks = []
    for name, needed in requirements_of(requirements):
        version = installed.get(name, "")
        title = f"package {name}"
        if version and fits(version, needed):
            checks.append(Check(name=title, state="ok", found=version))
            continue
        found = f"{version}; {name}{needed} is needed" if version else "not installed"
        remedy = f'"{executable}" -m pip install "{name}{needed}"'
        checks.append(Check(name=title, state="wrong", found=found, remedy=remedy))
    return checks


def contract(number: int) -> Check:
    """Name the plugin contract's number, and the one before it, which still works."""
    return Check(name="plugin contract", state="ok", found=f"{number}; {number - 1} works through a shim")


def plugins(healthy: Sequence[Plugin], faults: Sequence[Fault], slow: Mapping[str, Sequence[str]]) -> list[Check]:
    """Judge the plugins. `slow` names by plugin what it imports only to be listed."""
    from benchdog.plugins.compat import advice, note

    checks = []
    names = {plugin.name for plugin in healthy}
    for plugin in healthy:
        title = f"plugin {plugin.name}"
        offered = [
            f"{len(of)} {kind if len(of) == 1 else f'{kind}s'}" for kind, of in plugin.components.items() if of
        ]
        found = f"{plugin.version or plugin.path}: {', '.join(offered) or 'hears events'}"
        remedies = []
        if told := note(plugin.contract):
            found += f"; {told}"
            remedies.append(advice(plugin.contract, plugin.dist))
        if heavy := slow.get(plugin.name):
            found += f"; it slows every command: importing it loads {', '.join(heavy)}"
            remedies.append(f"Tell the author of {plugin.dist} to import that where it is used.")
        state: State = "warning" if remedies else "ok"
        checks.append(Check(name=title, state=state, found=found, remedy=" ".join(remedies)))
    for fault in faults:
        state = "warning" if fault.late or fault.name in names else "wrong"
        checks.append(Check(name=f"plugin {fault.name}", state=state, found=fault.fault, remedy=fault.remedy))
    return checks


def missing(needs: Iterable[tuple[str, str, str, str]]) -> list[Check]:
    """Warn of components that can't work here: (kind, name, package that is absent, how to install)."""
    return [
        Check(
            name=f"{kind} {name}",
            state="warning",
            found=f"needs {package}, which is not installed",
            remedy=install or f"Install {package}.",
        )
        for kind, name, package, install in needs
    ]


def jupyter(command: str, kernels: Sequence[Kernel], this: Interpreter) -> list[Check]:
    """Judge whether Jupyter's kernels start this Python, and so this torch."""
    if not command and not kernels:
        return [Check(name="Jupyter", state="ok", found="not installed; only notebooks need it")]
    checks = [Check(name="Jupyter", state="ok", found=command or "no command, but kernels")]
    mine = [kernel.name for kernel in kernels if same(kernel.python, this)]
    run = f'"{this.executable}" -m'
    add = f"{run} pip install ipykernel, then {run} ipykernel install --user --name benchdog"
    choose = f"In Jupyter choose the kernel {mine[0]!r}." if mine else f"For a kernel with this Python: {add}."
    for kernel in kernels:
        title = f"kernel {kernel.name}"
        other = kernel.python
        if same(other, this):
            checks.append(Check(name=title, state="ok", found=f"this Python, {other.executable}"))
        elif other.error:
            remedy = f"Remove it (jupyter kernelspec remove {kernel.name}), or make it anew. {choose}"
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
    """Say whether two interpreters are one environment: the prefix decides, links don't."""
    return bool(one.prefix) and not one.error and one.prefix == other.prefix


def requirements_of(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Read (name, version specifier) out of Requires-Dist lines; extras are left out."""
    found = []
    for line in lines:
        text, _, marker = line.partition(";")
        match = re.match(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*])?\s*\(?([^)]*)\)?\s*$", text)
        if match and "extra" not in marker:
            found.append((match[1], match[2].replace(" ", "")))
    return found


def fits(version: str, needed: str) -> bool:
    """Compare a version's leading numbers with a specifier's lower bounds (">=2.10"); the rest pip keeps."""
    return all(numbers(version) >= numbers(bound) for bound in re.findall(r">=\s*([\d.]+)", needed))


def numbers(version: str) -> tuple[int, ...]:
    """Give a version's leading numbers, without trailing zeros: "2.13.0+cpu" is (2, 13)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in match[0].split(".")] if match else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
