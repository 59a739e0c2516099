"""What a user asks for on the command line or in Python, as a draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchdog.api.reading.kinds import kind_of_file
from benchdog.errors import BadData, BadUsage
from benchdog.plugins import Plugins
from benchdog.recipe.draft import Draft
from benchdog.recipe.layers import Given, Layer, UnknownKey, flags, local_plugins, read_toml
from benchdog.recipe.named_code import refuse_classes, refuse_files
from benchdog.system import paths, terminal


class Discovers(Protocol):
    """Gives plugins, with the local files of a recipe."""

    local: list[Path]

    def plugins(self, more: tuple[str, ...] = ()) -> Plugins: ...


def source_layer(what: str) -> Layer:
    """Take a source's name, a .csv or .txt file or a folder of images as the source."""
    base = Path.cwd()
    path = Path(what)
    source = {".csv": "csv", ".tsv": "csv", ".txt": "text"}.get(path.suffix.lower())
    if source and ":" not in what:
        if not path.is_file():
            raise BadData(f"There is no file {what}.", "Pass the path of a CSV or text file, or a source's name.")
        return {"source.name": Given(source, what, base), "source.path": Given(what, what, base)}
    if path.is_dir() and ("/" in what or "\\" in what or what in (".", "..")):
        return {"source.name": Given("image-folder", what, base), "source.path": Given(what, what, base)}
    if ("/" in what or "\\" in what) and ":" not in path.name and not path.exists():
        raise BadData(f"There is no folder {what}.", "Give the path of a folder that has a folder per class.")
    return {"source.name": Given(what, what, base)}


def _check_path(what: str, plugins: Plugins) -> None:
    """Refuse a file or folder given as a source's name, with a hint on how to train on it.

    Raises:
        BadUsage: there is no such source.
        BadData: it is a file of a kind that no source reads.
    """
    path = Path(what)
    if ":" in what or what in plugins.all("source") or path.suffix == ".py":
        return
    if path.is_dir():
        raise BadUsage(f"There is no source {what!r}.", f"For the folder: ./{what}")
    if path.is_file():
        try:
            kind, remedy = kind_of_file(path)
        except OSError as error:
            raise BadData(f"{what} can't be read: {error.strerror or error}.") from None
        if kind:
            raise BadData(f"{what} is {kind}.", remedy)
        raise BadUsage(
            f"There is no source {what!r}.",
            f"For the file: csv --data {what} if it is a table, text --data {what} if it is a text.",
        )


def _check_run(what: str, plugins: Plugins) -> None:
    """Refuse a run where a source belongs: its folder would be taken for one of images."""
    if ":" in what or what in plugins.all("source"):
        return
    named = [] if "/" in what or "\\" in what else [paths.runs_dir() / what]  # a path is no run's name
    for folder in (Path(what), *named):
        if (folder / "run.json").is_file():
            raise BadUsage(
                f"{what!r} is a run; here belongs what to train on: a recipe or a source.",
                f"Pass the run's recipe: {paths.short(folder / 'recipe.toml')}",
            )


def compose_draft(
    what: str,
    given: Mapping[str, Any],
    settings: list[str],
    shared: Discovers,
    *,
    quiet: bool = False,
    without_code: Sequence[str] = (),
) -> Draft:
    """Merge recipe or source, flags and settings.

    Args:
        what: a recipe ending in .toml, a source's name, a .csv or .txt file or a folder.
        given: flags by recipe key; None where a flag is absent.
        settings: "key=value" texts.
        shared: gives the plugins; local files of the command line and of the recipe are loaded together.
        quiet: print no notes on renamed keys.
        without_code: the tables of which components are made for a command that only looks: code outside plugins that
            they name is refused, and so are all plugin files of the recipe. () runs what is named.

    Raises:
        BadUsage: there is no such recipe or key, or code is named that the command doesn't run unasked.
    """
    layers: list[Layer] = []
    try:
        if what.endswith(".toml"):
            layers.append(read_toml(Path(what)))
        elif what:
            layers.append(source_layer(what))
        layers.append(flags(given, settings))
    except UnknownKey as error:
        from benchdog.recipe.suggestions import meant

        raise BadUsage(error.message, meant(error, layers, shared.plugins())) from None
    asked = [str(path.resolve()) for path in shared.local]
    files = tuple(dict.fromkeys((*(file for layer in layers for file in local_plugins(layer)), *asked)))
    if without_code:
        refuse_files(files, asked)
    if not what and not any("source.name" in layer for layer in layers):
        raise BadUsage("Say what to train on: a recipe or a source.", "For example: benchdog train digits")
    plugins = shared.plugins(files)
    if what and not what.endswith(".toml"):
        _check_run(what, plugins)
        _check_path(source_layer(what)["source.name"].value, plugins)
    draft = Draft.merge(layers, plugins, partial(refuse_classes, tables=without_code, plugins=plugins, asked=asked))
    if not quiet and not terminal.quiet():
        for note in draft.notes:
            terminal.show(f"note: {note}")
    draft.values["plugins"] = Given(list(files), "the command line", Path.cwd())
    return draft
