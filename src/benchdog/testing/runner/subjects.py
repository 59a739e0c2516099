"""What is to be checked: a plugin by its distribution, its name, its package or its file, and what it offers."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

from benchdog.errors import BadUsage, nearest

GROUPS = {"benchdog": "plugins", "benchdog.commands": "commands"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A plugin: an entry point's name and module, or a local file; or a distribution that has commands alone."""

    name: str
    dist: str = ""
    module: str = ""
    file: str = ""
    commands: dict[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """The import package."""
        return self.module.partition(".")[0] or self.dist.replace("-", "_")


def installed() -> list[Subject]:
    """List the plugins of this environment; a distribution's commands go with its first plugin."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for dist in distributions():
        with suppress(Exception):  # metadata that can't be read is somebody else's fault
            for entry in dist.entry_points:
                if entry.group in GROUPS:
                    groups = found.setdefault(dist.name.lower(), {})
                    groups.setdefault(entry.group, {}).setdefault(entry.name, entry.value)
    subjects = []
    for owner, groups in sorted(found.items(), key=lambda item: (item[0] != "benchdog", item[0])):
        commands = groups.get("benchdog.commands", {})
        for name, module in groups.get("benchdog", {owner: ""}).items():
            subjects.append(Subject(name=name, dist=owner, module=module, commands=commands))
            commands = {}
    return subjects


def subjects_of(target: str) -> list[Subject]:
    """Find the plugins that a user named: a file, a distribution, a plugin or an import package.

    Raises:
        BadUsage: there is none; says which there are.
    """
    if target.endswith(".py") or os.sep in target or Path(target).is_file():
        if not Path(target).is_file():
            raise BadUsage(f"There is no plugin file {target}.", "Pass the path of a Python file with hooks.")
        return [of_file(Path(target))]
    known = installed()
    word = target.lower()
    for wanted in ("dist", "name", "package"):
        found = [each for each in known if {target, word} & {getattr(each, wanted)}]
        if found:
            return found
    raise BadUsage(
        f"There is no plugin {target!r}.", nearest(target, {each.dist for each in known}) + " A file: give its path."
    )


def of_file(file: Path) -> Subject:
    """Take a local plugin file; its command, if it holds one, has its name."""
    path = file.resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""  # whoever loads it says what is wrong
    holds = re.search(r"^(def command\(|app\s*[=:])", text, re.MULTILINE)
    commands = {file.stem.replace("_", "-"): str(path)} if holds else {}
    return Subject(name=file.stem, file=str(path), commands=commands)


def owner_of(kind: str, name: str) -> Subject:
    """Find the installed plugin that offers a component.

    Raises:
        BadUsage: there is none.
    """
    known = installed()
    if kind == "command":
        found = [each for each in known if name in each.commands]
    elif kind == "observer":
        found = [each for each in known if name == each.name]
    else:
        from benchdog.plugins import Plugins

        part = Plugins.discover().find(kind, name)
        found = [each for each in known if (each.name, each.dist) == (part.plugin, part.dist)]
    if not found:
        raise BadUsage(f"No installed plugin has the {kind} {name!r}.", "A file: conforms(..., file='mine.py').")
    return found[0]
