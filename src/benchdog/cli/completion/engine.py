"""Completion for shells: what a command line could go on with. Runs nothing but the hooks of plugins."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperOption

if TYPE_CHECKING:
    from benchdog.plugins import Plugins

CORE = TyperCommand.__mro__[1].__module__
"""Of click: typer's own copy, or the package that an older typer stands on."""
click_completion: Any = import_module(CORE.replace("core", "shell_completion"))
Item = click_completion.CompletionItem
Offer = tuple[str, str]
"""A word, and what it means."""


def answer(root: Any, shell: str) -> None:
    """Print what the words of the environment could go on with: a line each, "word TAB meaning".

    A shell gives the words before the cursor in BENCHDOG_WORDS, one a line, and the unfinished one in BENCHDOG_WORD;
    bash, which cuts words at "=" and ":", its line in BENCHDOG_LINE, and gets words alone.
    """
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    for kind in (TyperArgument, TyperOption):
        kind.get_runtime_param = _as_they_are  # type: ignore[method-assign,assignment]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # a plugin that prints would add a word, or spoil the line that is typed
    os.dup2(nowhere, 2)
    before, last, cut = os.environ.get("BENCHDOG_WORDS", "").split("\n"), os.environ.get("BENCHDOG_WORD", ""), ""
    if shell == "bash":
        *before, last, cut = _cut(os.environ.get("BENCHDOG_LINE", ""), last)
    with suppress(Exception), out:  # whatever fails, a shell's user is typing
        for word, meaning in _found(root, before[1:], last):
            if word.startswith(cut):
                more = "" if shell == "bash" else f"\t{' '.join(meaning.split())}"
                out.write(f"{word.removeprefix(cut)}{more}\n")


class _AsTheyAre:
    """Takes values for what they are; typer would import pydantic to convert them."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        return value


def _as_they_are(_: Any) -> _AsTheyAre:
    return _AsTheyAre()


def _cut(line: str, mine: str) -> list[str]:
    """Cut a line into words, the last of them "" after a blank; add what bash keeps of that one as it is."""
    words = click_completion.split_arg_string(line)
    if not words or line[-1:].isspace():
        words.append("")
    while mine and not line.endswith(mine):  # what stands behind the cursor
        mine = mine[:-1]
    return [*words, words[-1] if mine in ("=", ":") else words[-1].removesuffix(mine)]


def _found(root: Any, before: list[str], last: str) -> Iterator[Offer]:
    flag, equals, _ = last.partition("=")
    head = f"{flag}=" if equals and flag.startswith("-") else ""
    for item in _Words(root, {}, "benchdog", "").get_completions(before, last):
        if item.type == "plain":  # files are the shell's own matter
            yield head + item.value, item.help or ""


class _Words(click_completion.ShellComplete):  # type: ignore[misc]
    """Finds what words mean; reading and writing them is done here."""

    name = source_template = ""

    def source_vars(self) -> dict[str, Any]:
        return {}

    def get_completion_args(self) -> tuple[list[str], str]:
        return [], ""

    def format_completion(self, item: Any) -> str:
        return str(item.value)


# --- what parameters offer


def words(*known: str) -> Callable[[Any, str], list[Offer]]:
    """Offer words that are known beforehand."""

    def offer(ctx: Any, incomplete: str) -> list[Offer]:
        return [(word, "") for word in known]

    return offer


def components(kind: str, *more: Offer) -> Callable[[Any, str], list[Offer]]:
    """Offer the components of a kind."""

    def offer(ctx: Any, incomplete: str) -> list[Offer]:
        found = ((name, found.info.summary) for name, found in _plugins().all(kind).items())
        return [pair for pair in (*more, *found) if ":" not in pair[0]]

    return offer


def what(ctx: Any, incomplete: str) -> list[Offer]:
    """Offer sources, and recipes that lie here."""
    return [*components("source")(ctx, incomplete), *_recipes()]


def runs(ctx: Any, incomplete: str) -> list[Offer]:
    """Offer the runs, the newest first."""
    from benchdog.system import paths

    given = ctx.params.get("runs_dir")
    with suppress(OSError):
        found = [path for path in paths.runs_dir(Path(given) if given else None).iterdir() if _is_run(path)]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [("last", "The newest run."), *((path.name, "") for path in found)] if found else []
    return []


def models(ctx: Any, incomplete: str) -> list[Offer]:
    """Offer the runs, and the models that answer without one."""
    from benchdog.api import ModelInfo

    ready = [
        (name, found.info.summary)
        for name, found in _plugins().all("model").items()
        if isinstance(found.info, ModelInfo) and found.info.pretrained
    ]
    return [*runs(ctx, incomplete), *ready]


def anything(ctx: Any, incomplete: str) -> list[Offer]:
    """Offer plugins and components of all kinds."""
    from benchdog.plugins import KINDS

    plugins = _plugins()
    offered = [(name, found.info.summary) for kind in KINDS for name, found in plugins.all(kind).items()]
    return [*((each.name, f"A plugin of {each.dist}.") for each in plugins.healthy), *offered]


def settings(ctx: Any, incomplete: str) -> list[Offer]:
    """Offer the keys of the recipe with the options of the components that are chosen; after "=" their values."""
    from benchdog.recipe.recipe import PARTS
    from benchdog.recipe.suggestions import tree

    plugins = _plugins()
    key, equals, _ = incomplete.partition("=")
    kind = key.removesuffix(".name")
    if equals:
        offered = plugins.all(kind) if kind in PARTS else {}
        return [(f"{key}={name}", found.info.summary) for name, found in offered.items() if ":" not in name]
    chosen = {"trainer": "supervised", **_chosen(ctx.params, plugins)}
    return list(
        {
            place.key: (f"{place.key}=", f"of {place.of}" if place.of else "") for place in tree(chosen, plugins)
        }.values()
    )


def _chosen(given: dict[str, Any], plugins: Plugins) -> dict[str, str]:
    """Give the components that a command line names."""
    pairs = dict(text.split("=", 1) for text in given.get("set_") or () if "=" in text)
    from benchdog.recipe.recipe import PARTS

    named = {kind: given.get(kind) or pairs.get(kind) or pairs.get(f"{kind}.name") for kind in PARTS}
    named["source"] = named["source"] or given.get("what")
    return {kind: str(name) for kind, name in named.items() if name in plugins.all(kind)}


def _is_run(path: Path) -> bool:
    return (path / "run.json").is_file()


def _recipes() -> Iterable[Offer]:
    return ((path.name, "A recipe.") for path in sorted(Path().glob("*.toml")))


def _plugins() -> Plugins:
    from benchdog.plugins import Plugins, import_timeout

    return Plugins.discover((), import_timeout.patience(import_timeout.LISTING))
