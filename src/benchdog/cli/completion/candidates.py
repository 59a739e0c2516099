"""Completion candidates: what the flags and arguments of a command offer in a shell (typer's `autocompletion`).

They import the hook modules of installed plugins alone, never a component, a local file, torch or NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchdog.plugins import Plugins

Candidate = tuple[str, str]
"""A word and its description."""
Complete = Callable[[Any, str], list[Candidate]]
"""Typer passes the context and the incomplete word, and keeps the candidates that begin with it."""


def choices(*values: str) -> Complete:
    """Offer fixed values."""

    def complete(ctx: Any, incomplete: str) -> list[Candidate]:
        return [(value, "") for value in values]

    return complete


def components(kind: str, *more: Candidate) -> Complete:
    """Offer the components of a kind, after the candidates given."""

    def complete(ctx: Any, incomplete: str) -> list[Candidate]:
        return [*more, *_summaries(_plugins(), kind)]

    return complete


def sources_and_recipes(ctx: Any, incomplete: str) -> list[Candidate]:
    """Offer the sources, and the recipes in the working directory."""
    recipes = [(path.name, "Recipe.") for path in sorted(Path().glob("*.toml"))]
    return [*_summaries(_plugins(), "source"), *recipes]


def runs(ctx: Any, incomplete: str) -> list[Candidate]:
    """Offer the runs, newest first."""
    from benchdog.system import paths

    given = ctx.params.get("runs_dir")
    with suppress(OSError):
        folders = [each for each in paths.runs_dir(Path(given) if given else None).iterdir() if _is_run(each)]
        folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        return [("last", "The newest run."), *((folder.name, "") for folder in folders)] if folders else []
    return []


def models(ctx: Any, incomplete: str) -> list[Candidate]:
    """Offer the runs, and the pretrained models that predict without one."""
    from benchdog.api import ModelInfo

    pretrained = [
        (name, component.info.summary)
        for name, component in _plugins().all("model").items()
        if isinstance(component.info, ModelInfo) and component.info.pretrained
    ]
    return [*runs(ctx, incomplete), *pretrained]


def plugins_and_components(ctx: Any, incomplete: str) -> list[Candidate]:
    """Offer plugins, and components of all kinds."""
    from benchdog.plugins import KINDS

    plugins = _plugins()
    named = [(plugin.name, f"A plugin of {plugin.dist}.") for plugin in plugins.healthy]
    return [*named, *(candidate for kind in KINDS for candidate in _summaries(plugins, kind, qualified=True))]


def recipe_keys(ctx: Any, incomplete: str) -> list[Candidate]:
    """Offer the keys of the recipe, the options of the chosen components among them; after "=" their values."""
    from benchdog.recipe.recipe import PARTS
    from benchdog.recipe.suggestions import tree

    plugins = _plugins()
    key, equals, _ = incomplete.partition("=")
    kind = key.removesuffix(".name")
    if equals:
        values = _summaries(plugins, kind) if kind in PARTS else []
        return [(f"{key}={name}", summary) for name, summary in values]
    chosen = {"trainer": "supervised", **_chosen_components(ctx.params, plugins)}
    keys = {place.key: f"of {place.of}" if place.of else "" for place in tree(chosen, plugins)}
    return [(f"{key}=", description) for key, description in keys.items()]


def _chosen_components(params: dict[str, Any], plugins: Plugins) -> dict[str, str]:
    """Return {kind: name} of the components that the words typed so far choose."""
    from benchdog.recipe.recipe import PARTS

    settings = dict(text.split("=", 1) for text in params.get("set_") or () if "=" in text)
    chosen = {kind: params.get(kind) or settings.get(kind) or settings.get(f"{kind}.name") for kind in PARTS}
    chosen["source"] = chosen["source"] or params.get("what")
    return {kind: str(name) for kind, name in chosen.items() if name in plugins.all(kind)}


def _summaries(plugins: Plugins, kind: str, qualified: bool = False) -> Iterable[Candidate]:
    """Return (name, summary) of a kind's components; qualified names (OWNER:name) only on request."""
    every = ((name, component.info.summary) for name, component in plugins.all(kind).items())
    return [pair for pair in every if qualified or ":" not in pair[0]]


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").is_file()


def _plugins() -> Plugins:
    """Discover installed plugins; a local file given with --plugin is not run while somebody types."""
    from benchdog.plugins import Plugins, import_timeout

    with redirect_stdout(sys.stderr):  # what a plugin prints at import is not a candidate
        return Plugins.discover((), import_timeout.patience(import_timeout.LISTING))
