"""Where in a recipe a key stands that somebody wrote without its table, or calls by another name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from difflib import get_close_matches

from benchdog.api import SourceInfo
from benchdog.errors import BenchdogError
from benchdog.plugins import Plugins
from benchdog.recipe.aliases import renamed_keys
from benchdog.recipe.layers import Layer, UnknownKey, recipe_keys
from benchdog.recipe.recipe import AUTO, PARTS, TABLES

OTHERWISE = {
    "optim": "optimizer",
    "gradient_checkpointing": "activation_checkpointing",
    "learning_rate": "lr",
    "batch": "batch_size",
    "bs": "batch_size",
    "device": "backend",
    "gpu": "backend",
    "split": "test",
    "early_stopping": "patience",
    "num_workers": "workers",
    "random_state": "seed",
    "wd": "weight_decay",
    **{old.rpartition(".")[2]: new.rpartition(".")[2] for old, new in renamed_keys().items()},
}
"""What other tools call a key -> the last part of its name here."""
CLOSE = 0.75
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Place:
    """A key of the recipe; `of` names the component that has it, "" for the host's and for a chosen one's."""

    key: str
    of: str = ""

    @property
    def last(self) -> str:
        """The key without its table."""
        return self.key.rpartition(".")[2]


def tree(chosen: Mapping[str, str], plugins: Plugins) -> list[Place]:
    """List a recipe's keys, the options of its components included; of a kind that is open, those of all."""
    of_parts = (place for kind in PARTS for place in _options(kind, chosen.get(kind, AUTO), plugins))
    return [*map(Place, recipe_keys()), *of_parts]


def _options(kind: str, name: str, plugins: Plugins) -> Iterator[Place]:
    """Yield the keys of a component's options; one of a local file, which nothing here may run, has none."""
    whole = plugins.all(kind)
    found = whole if name == AUTO else {"": whole[name]} if name in whole else {}
    for of, each in found.items():
        with suppress(BenchdogError):  # one that can't be loaded
            if each.info.options:
                yield from (Place(f"{kind}.{f.name}", of) for f in fields(each.resolve(each.info.options)))


def places(word: str, chosen: Mapping[str, str], plugins: Plugins) -> dict[str, list[str]]:
    """Find the keys whose last part a word is: {key: the components that have it, none where that is sure}."""
    plain = word.replace("-", "_")
    wanted = (plain, OTHERWISE.get(plain, plain))
    found = [place for place in tree(chosen, plugins) if place.last in wanted]
    sure = [place for place in found if not place.of]
    told: dict[str, list[str]] = {}
    for place in sure or found:
        told.setdefault(place.key, []).extend([place.of] if place.of else [])
    return told


def listed(found: Mapping[str, list[str]], form: str) -> str:
    """Write keys into a hint: "Did you mean 'model.width' (of cnn)?"; `form` is how one is shown."""
    shown = []
    for key, owners in found.items():
        more = ", ..." if len(owners) > SHOWN else ""
        shown.append(form.format(key) + (f" (of {', '.join(owners[:SHOWN])}{more})" if owners else ""))
    return f"Did you mean {' or '.join(shown)}?"


def meant(error: UnknownKey, layers: list[Layer], plugins: Plugins) -> str:
    """Say which key was meant by one that isn't there: for the hint of its error."""
    table, dot, _ = error.key.partition(".")
    last = error.key.rpartition(".")[2]
    if dot and table in TABLES and get_close_matches(last, [f.name for f in fields(TABLES[table])]):
        return error.hint
    chosen = _chosen([*layers, error.layer], plugins)
    if found := places(last, chosen, plugins):
        return listed(found, "{!r}")
    if error.close or dot:
        return error.hint
    near = get_close_matches(last, [place.last for place in tree(chosen, plugins)], n=1, cutoff=CLOSE)
    return listed(places(near[0], chosen, plugins), "{!r}") if near else error.hint


def _chosen(layers: list[Layer], plugins: Plugins) -> dict[str, str]:
    """Give the components that are named, also by the source's own defaults."""
    given = {key: str(item.value) for layer in layers for key, item in layer.items()}
    names = {kind: given[f"{kind}.name"] for kind in PARTS if f"{kind}.name" in given}
    source = plugins.all("source").get(names.get("source", ""))
    defaults = source.info.defaults if source and isinstance(source.info, SourceInfo) else {}
    names = {**{kind: str(defaults[f"{kind}.name"]) for kind in PARTS if f"{kind}.name" in defaults}, **names}
    return {"trainer": "supervised", **names}
