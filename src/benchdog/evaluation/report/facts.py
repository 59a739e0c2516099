"""A run folder, read: whatever files it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchdog.errors import BadUsage
from benchdog.evaluation.report.formatting import metric, number
from benchdog.recipe.aliases import current_recipe
from benchdog.runs.status import status
from benchdog.system import parsing
from benchdog.system.paths import short_name

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """A run folder, read. What is absent is empty; `faults` says which files could not be read."""

    folder: Path
    run: Json
    steps: list[Json]
    epochs: list[Json]
    recipe: Json
    recipe_text: str
    environment: Json
    baseline: Json
    evaluations: Mapping[str, Json]
    exports: list[tuple[str, Json]]
    artifact: Json
    faults: list[str] = field(default_factory=list)
    repeats: Json = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run's name: its folder's, when nothing else is written; of repeated runs their common one."""
        return str(self.repeats.get("name") or self.run.get("name") or self.folder.name)

    @property
    def monitor(self) -> str:
        """The monitored metric without its split: "accuracy"."""
        monitors = (facts.get("monitor") for facts in (self.repeats, self.run, self.evaluation))
        return str(next(filter(None, monitors), "loss")).removeprefix("valid.")

    @property
    def better(self) -> str:
        """Whether the monitored metric is better when it is larger: "max" or "min"."""
        given = self.repeats.get("better") or self.run.get("better") or self.evaluation.get("better")
        if given in ("max", "min"):
            return str(given)
        known = metric(self.monitor)
        return known.better if known else "max"

    @property
    def evaluation(self) -> Json:
        """The evaluation that the headline is read from: test where there is one, else valid."""
        return self.evaluations.get("test") or self.evaluations.get("valid") or {}

    @property
    def target(self) -> str:
        """The target's kind ("class", "number", ...), "" when it is unknown."""
        target = self.evaluation.get("target")
        spec = mapping(mapping(self.artifact.get("spec")).get("target"))
        return str(mapping(target).get("kind") or spec.get("kind") or (target if isinstance(target, str) else ""))

    @property
    def field_kind(self) -> str:
        """The first field's kind ("image", ...), "" when it is unknown."""
        fields = mapping(self.artifact.get("spec")).get("fields")
        return str(mapping(fields[0]).get("kind", "")) if isinstance(fields, list) and fields else ""

    @property
    def classical(self) -> bool:
        """Whether something other than a torch module was trained: the recipe's model was not used."""
        return bool(self.artifact.get("runner"))

    @property
    def learner(self) -> str:
        """The name of what was trained: the model, or the trainer where that brings its own."""
        return short_name(str(self.run.get("trainer" if self.classical else "model") or ""))

    @property
    def best(self) -> tuple[int, float] | None:
        """The best epoch's number and its value of the monitored metric."""
        best = mapping(self.run.get("best"))
        epoch, value = number(best.get("epoch")), number(best.get("value"))
        return (int(epoch), value) if epoch is not None and value is not None else None

    @property
    def sample_counts(self) -> Json:
        """What the source found, used and skipped; {} when that is unknown."""
        counts = mapping(self.run.get("read"))
        whole = isinstance(counts.get("skipped"), dict) and isinstance(counts.get("unit"), str)
        numbers = [counts.get("found"), counts.get("used"), *mapping(counts.get("skipped")).values()]
        return counts if whole and all(type(count) is int for count in numbers) else {}

    @property
    def tie(self) -> str:
        """How the best epoch was chosen among equal ones: "the lowest valid.loss of 9 tied epochs"; "" if alone."""
        if self.best is None:
            return ""
        equal = [line for line in self.epochs if number(line.get(f"valid.{self.monitor}")) == self.best[1]]
        losses = {line.get("epoch"): loss for line in equal if (loss := number(line.get("valid.loss"))) is not None}
        if len(equal) < 2:
            return ""
        lowest = losses and losses.get(self.best[0]) == min(losses.values())
        return f"{'the lowest valid.loss' if lowest else 'the first'} of {len(equal)} tied epochs"

    def held_out(self, split: str) -> str:
        """Return the fingerprint of the samples of a split that the run was evaluated on, "" when it is unknown."""
        return str(mapping(self.evaluations.get(split)).get("held_out") or "")

    def baselines(self, split: str) -> list[Json]:
        """Return the baselines that were measured on a split."""
        lines = objects(mapping(self.baseline.get("splits")).get(split))
        return lines or (objects(self.baseline.get("lines")) if self.baseline.get("split") == split else [])

    def series(self, key: str) -> tuple[list[float], list[float]]:
        """Return epochs and values of a metric, "valid.loss" say, where both are numbers."""
        pairs = [(number(line.get("epoch")), number(line.get(key))) for line in self.epochs]
        kept = [(x, y) for x, y in pairs if x is not None and y is not None]
        return [x for x, _ in kept], [y for _, y in kept]

    def scalars(self) -> dict[str, float]:
        """Return the final metrics by split and name: evaluations, else the best or last epoch's."""
        out: dict[str, float] = {}
        chosen = [e for e in self.epochs if self.best and e.get("epoch") == self.best[0]] or self.epochs[-1:]
        for line in chosen:
            out.update({k: v for k, raw in line.items() if "." in k and (v := number(raw)) is not None})
        for split, evaluation in self.evaluations.items():
            metrics = mapping(evaluation.get("metrics"))
            out.update({f"{split}.{k}": v for k, raw in metrics.items() if (v := number(raw)) is not None})
        if self.repeats:
            where, metrics = self.repeats.get("split"), mapping(self.repeats.get("metrics"))
            means = {f"{where}.{k}": number(mapping(line).get("mean")) for k, line in metrics.items()}
            return {key: value for key, value in means.items() if value is not None}
        return out

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the known 95 % intervals of `scalars`: bootstrap; of the mean for repeated runs."""
        found: dict[str, Any] = {}
        for split, evaluation in self.evaluations.items():
            found |= {f"{split}.{k}": pair for k, pair in mapping(evaluation.get("intervals")).items()}
        if self.repeats:
            where, metrics = self.repeats.get("split"), mapping(self.repeats.get("metrics"))
            found = {f"{where}.{k}": mapping(line).get("interval") for k, line in metrics.items()}
        return {key: pair for key, value in found.items() if (pair := span(value)) is not None}


def mapping(value: Any) -> Json:
    """Return a JSON object, empty for anything else that a file may hold."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[Json]:
    """Return the JSON objects of a list, none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def span(value: Any) -> tuple[float, float] | None:
    """Return a pair of numbers, low and high; None for anything else that a file may hold."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    low, high = map(number, value)
    return (low, high) if low is not None and high is not None else None


def _json(path: Path, faults: list[str]) -> Json:
    """Read a JSON object; a missing file is empty, a damaged one is empty and a fault."""
    try:
        value = parsing.read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        faults.append(f"{path.name}: {error}")
        return {}
    if not isinstance(value, dict):
        faults.append(f"{path.name}: not a JSON object")
        return {}
    return value


def _lines(path: Path, faults: list[str]) -> list[Json]:
    """Read metrics.jsonl; the last line of a killed run may be half a line."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        faults.append(f"{path.name}: {error}")
        return []
    found = []
    for at, line in enumerate(text.splitlines(), start=1):
        try:
            value = parsing.parse_json(line) if line.strip() else None
        except ValueError:
            faults.append(f"{path.name}: line {at} is not JSON")
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _recipe(path: Path, faults: list[str]) -> tuple[str, Json]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "", {}
    except (OSError, ValueError) as error:
        faults.append(f"{path.name}: {error}")
        return "", {}
    try:
        return text, current_recipe(parsing.parse_toml(text))
    except (ValueError, BadUsage) as error:
        faults.append(f"{path.name}: {error}")
        return text, {}


def read(folder: Path) -> Facts:
    """Read a run folder; files that are absent or damaged are left out."""
    faults: list[str] = []
    lines = _lines(folder / "metrics.jsonl", faults)
    text, recipe = _recipe(folder / "recipe.toml", faults)
    splits = {s: _json(folder / f"evaluation-{s}.json", faults) for s in ("valid", "test")}
    exports = sorted((folder / "exports").glob("*/export.json"))
    run = _json(folder / "run.json", faults)
    return Facts(
        folder=folder,
        run={**run, "status": status(folder, run)} if run else run,
        steps=[line for line in lines if line.get("kind") == "step"],
        epochs=[line for line in lines if line.get("kind") == "epoch"],
        recipe=recipe,
        recipe_text=text,
        environment=_json(folder / "environment.json", faults),
        baseline=_json(folder / "baseline.json", faults),
        evaluations={s: e for s, e in splits.items() if e},
        exports=[(path.parent.name, _json(path, faults)) for path in exports],
        artifact=_json(folder / "artifact" / "artifact.json", faults),
        faults=faults,
    )


def read_repeats(path: Path) -> Facts:
    """Read the summary of repeated runs: the facts are those of the first of them."""
    faults: list[str] = []
    repeats = _json(path, faults)
    first = next((str(line["run"]) for line in objects(repeats.get("runs")) if line.get("run")), "")
    one = read(path.parent / Path(first).name)
    return replace(one, repeats=repeats, faults=[*faults, *one.faults])
