"""Scaffolding of plugins from templates (`plugins new`)."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchdog.errors import BadUsage, nearest
from benchdog.system import files

TEMPLATES = Path(__file__).parent / "templates"
COMMON = "common"
SINGLE = "my_thing.py"
"""The single-file template of a kind."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 30
DEVICES = re.compile(r"con|prn|aux|nul|(com|lpt)\d")
"""Reserved file names of Windows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of plugin: its name in a sentence, where its code is, and commands that use it.

    In the commands, NAME is replaced by the component's name and `{}` by the --plugin option for a local file.
    """

    called: str
    where: str
    use: tuple[str, ...]


KINDS = {
    "source": Kind(called="a source", where="source.py", use=("benchdog{} train NAME",)),
    "model": Kind(called="a model", where="model.py", use=("benchdog{} train digits --model NAME",)),
    "task": Kind(called="a task", where="task.py", use=("benchdog{} train digits --task NAME",)),
    "trainer": Kind(called="a trainer", where="trainer.py", use=("benchdog{} train digits --trainer NAME",)),
    "exporter": Kind(
        called="an exporter", where="exporter.py", use=("benchdog train digits", "benchdog{} export last --to NAME")
    ),
    "backend": Kind(called="a backend", where="backend.py", use=("benchdog{} train digits --backend NAME",)),
    "augmentation": Kind(
        called="an augmentation",
        where="augmentation.py",
        use=("benchdog{} train digits --set \"loader.augment=['NAME']\"",),
    ),
    "writer": Kind(
        called="a writer",
        where="writer.py",
        use=(
            "benchdog train shapes --epochs 1 --name shapes",
            "benchdog{} predict shapes runs/shapes/artifact/samples --out masks --writer NAME",
        ),
    ),
    "decoder": Kind(called="a decode operation", where="decoder.py", use=("benchdog{} plugins info NAME",)),
    "observer": Kind(called="an observer", where="diary.py", use=("benchdog{} train digits",)),
    "command": Kind(called="a command", where="command.py", use=("benchdog train digits", "benchdog{} NAME last")),
}


def check(kind: str, name: str) -> None:
    """Check the kind and the name of a new plugin.

    Raises:
        BadUsage: there is no such kind, or no package can have the name; suggests another.
    """
    if kind not in KINDS:
        raise BadUsage(f"There is no kind of plugin {kind!r}.", nearest(kind, KINDS))
    fits = NAME.fullmatch(name) and not name.startswith("benchdog") and len(name) <= LONGEST
    if DEVICES.fullmatch(name):
        raise BadUsage(f"{name!r} is the name of a device on Windows.", f"For example: {name}-{kind}")
    if fits:
        return
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower())
    better = re.sub(r"^[0-9-]+", "", "-".join(word for word in words if word != "benchdog"))[:LONGEST].strip("-")
    rule = f"A name is made of lower-case letters, digits and single dashes, {LONGEST} at most, without 'benchdog'."
    raise BadUsage(
        f"{name!r} is not a valid name for {KINDS[kind].called}.", f"{rule} For example: {better or 'my-' + kind}"
    )


def module(name: str) -> str:
    """Return the name of a plugin's module: tiny_net for tiny-net."""
    return name.replace("-", "_")


def package(kind: str, name: str) -> dict[str, str]:
    """Return the files of a complete package: text by path, with "/" between folders."""
    return {
        _filled(path, kind, name): _filled((place / path).read_text(encoding="utf-8"), kind, name)
        for place, path in sorted(_files(kind), key=lambda found: found[1])
    }


def single(kind: str, name: str) -> str:
    """Return the text of a single-file plugin."""
    return _filled((TEMPLATES / kind / SINGLE).read_text(encoding="utf-8"), kind, name)


def use(kind: str, name: str, file: str = "") -> list[str]:
    """Return commands that use the new component; `file` is its path, unless it is installed."""
    local = f" --plugin {file}" if file else ""
    return [line.replace("NAME", name).format(local) for line in KINDS[kind].use]


def _files(kind: str) -> Iterator[tuple[Path, str]]:
    """Yield (folder, path in it) of a kind's templates and the common ones."""
    for place in (TEMPLATES / COMMON, TEMPLATES / kind):
        for path in place.rglob("*"):
            relative = path.relative_to(place).as_posix()
            if path.is_file() and relative != SINGLE and "__pycache__" not in relative:
                yield place, relative


def _filled(text: str, kind: str, name: str) -> str:
    """Return a template's text or path with the placeholders replaced."""
    about, own = KINDS[kind], f"benchdog_{module(name)}"
    commands = kind == "command"
    words = {
        "ENTRY_GROUP": '"benchdog.commands"' if commands else "benchdog",
        "ENTRY_TARGET": f"{own}.command:command" if commands else own,
        "USE_IT": "\n    ".join(use(kind, name)),
        "WHERE_IT_IS": f"src/{own}/{about.where}",
        "A_KIND": about.called,
        "MyThing": "".join(word.capitalize() for word in name.split("-")),
        "my_thing": module(name),
        "my-thing": name,
        "gitignore": ".gitignore",
    }
    return re.sub("|".join(words), lambda found: words[found[0]], text)


def write_folder(path: Path, written: dict[str, str]) -> None:
    """Write a folder with these files, atomically; BadUsage if the path exists."""
    _refuse_existing(path)
    with files.saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            temporary.chmod(path.parent.stat().st_mode & 0o777)  # mkdtemp makes it private to the user
            for name, text in written.items():
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).write_text(text, encoding="utf-8", newline="\n")
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def write_file(path: Path, text: str) -> None:
    """Write a file, atomically; BadUsage if the path exists."""
    _refuse_existing(path)
    files.write_text(path, text)


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise BadUsage(f"{path} exists.", "Choose another name or --output; nothing is overwritten.")
