"""Provenance of a run: whether its code was put there on this machine, and whether its data is unchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.errors import BadData, Refused
from benchdog.plugins.neighbors import digest
from benchdog.plugins.trust import check_reference
from benchdog.recipe.recipe import Recipe
from benchdog.recipe.resolved import local_files, named_components, options_naming_code, relative_to_folder
from benchdog.system import signing

if TYPE_CHECKING:
    from benchdog.api import Preprocess, Spec
    from benchdog.data.splits import DataSplits
    from benchdog.plugins import Plugins
    from benchdog.runs.run import Run

PRINTED = 2000
"""Samples whose ids go into a fingerprint."""
NAMED = 100
"""Samples whose ids go into the mark of a split; an id can mean reading a file."""


# --- code -------------------------------------------------------------------------------------------


def mark(run: Run, recipe: Recipe) -> str | None:
    """Return this machine's mark on a run's own code; None when it has none."""
    statement = _code(run, recipe)
    return signing.sign(statement) if statement["files"] or statement["names"] else None


def plugins_of_run(
    run: Run, recipe: Recipe, plugins_of: Callable[[tuple[str, ...]], Plugins], trust: bool = False
) -> Plugins:
    """Find the plugins of a run, its local files among them; nothing of a third party's is imported unasked.

    Raises:
        Refused: the run names code that no installed plugin offers, and it wasn't put there on this machine.
    """
    local = local_files(recipe)
    trusted = trust or signing.made_here({**_code(run, recipe), "machine": run.facts.get("machine")})
    if local and not trusted:
        raise Refused(
            f"Run {run.name!r} brings code of its own ({Path(local[0]).name}), which wasn't put there on this "
            "machine, or was changed since.",
            "Add --trust if you trust who made it.",
        )
    plugins = plugins_of(recipe.plugins)
    for kind, name in named_components(recipe):
        check_reference(kind, name, plugins, trusted)
    if (named := options_naming_code(recipe)) and not trusted:
        raise Refused(
            "{} = {!r} is code that no plugin offers, and the run wasn't made on this machine.".format(*named[0]),
            "Add --trust if you trust who made it.",
        )
    return plugins


def _code(run: Run, recipe: Recipe) -> dict[str, Any]:
    """Describe a run's own code: its files with the modules that they import from their folders, and its classes."""
    named = relative_to_folder(recipe, run.folder)
    pairs = zip(local_files(named), local_files(recipe), strict=True)
    return {
        "run": run.facts.get("name"),
        "created": run.facts.get("created"),
        "files": {name: digest(Path(file)) if Path(file).is_file() else "" for name, file in pairs},
        "names": {kind: name for kind, name in named_components(named) if ":" in name}
        | dict(options_naming_code(named)),
    }


# --- data -------------------------------------------------------------------------------------------


def described(spec: Spec, preprocess: Preprocess, sizes: Mapping[str, int | None]) -> dict[str, Any]:
    """Describe data in plain JSON, to compare it with later."""
    document = {
        "spec": spec.to_json(),
        "preprocess": {"decode": dict(preprocess.decode), "transform": dict(preprocess.transform)},
        "sizes": dict(sizes),
    }
    plain: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return plain


def same_data(was: Mapping[str, Any], now: Mapping[str, Any], sizes: bool) -> None:
    """Check that a run's data is what it was trained on.

    Args:
        sizes: the number of samples must be the same too, as for a run that continues.

    Raises:
        BadData: it isn't; says what differs.
    """
    keys = ("spec", "preprocess", "sizes") if sizes else ("spec", "preprocess")
    differing = [text for key in keys for text in _differences(was[key], now[key], "" if key == "spec" else key)]
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise BadData(
            f"The data isn't what this run was trained on: {'; '.join(differing[:3])}{more}.",
            "Bring the old data back, or train again.",
        )


def _differences(was: Any, now: Any, place: str) -> list[str]:
    """List what differs between two JSON values, each with its place and both values."""
    if was == now:
        return []
    if isinstance(was, dict) and isinstance(now, dict):
        keys = list(dict.fromkeys((*was, *now)))
        return [
            text for k in keys for text in _differences(was.get(k), now.get(k), f"{place}.{k}" if place else str(k))
        ]
    if isinstance(was, list) and isinstance(now, list):
        if all(isinstance(x, dict) for x in (*was, *now)):
            if [x.get("name") for x in was] == [x.get("name") for x in now]:
                pairs = zip(was, now, strict=True)
                return [text for x, y in pairs for text in _differences(x, y, f"{place} {x.get('name')}")]
            was, now = ([x.get("name", x.get("op")) for x in side] for side in (was, now))
        gone, new = ([x for x in a if x not in b] for a, b in ((was, now), (now, was)))
        if len(was) + len(now) > 8 and (gone or new):
            changes = [f"{word} {_short(x)}" for word, x in (("without", gone), ("with the new", new)) if x]
            return [f"{place} {' and '.join(changes)}"]
    return [f"{place} was {_short(was)}, is {_short(now)}"]


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def same_samples(run: Run, data: DataSplits) -> None:
    """Check that the samples of a run that continues are those that it began with, as far as their ids tell.

    Raises:
        BadData: they aren't.
    """
    if run.facts.get("data") not in (None, fingerprint(data)):
        raise BadData(
            "The samples have changed since the training began.", "Bring the old data back, or train again."
        )


def held_out(data: DataSplits, split: str, targets: str) -> str:
    """Return a mark of the samples that a model was evaluated on: ids spread over them, and targets.

    Args:
        targets: a hash of them, in their order.
    """
    samples, ids = data.splits[split], list[str]()
    if (count := data.sizes()[split]) is not None:
        taken = min(count, NAMED)
        ids = samples.ids([i * count // taken for i in range(taken)])  # type: ignore[union-attr]
    return hashlib.sha256(json.dumps([count, ids, targets]).encode()).hexdigest()[:16]


def fingerprint(data: DataSplits) -> str | None:
    """Return a hash of the splits' sizes and of ids spread over the training split; None for a stream or no split."""
    count, sizes = data.training_samples, data.sizes()
    if count is None:
        return None
    train = data.splits["train"]
    taken = min(count, PRINTED)
    ids = train.ids([i * count // taken for i in range(taken)])  # type: ignore[union-attr]
    return hashlib.sha256(json.dumps([sizes, ids]).encode()).hexdigest()
