"""A study's page: what is best, how it was found, what mattered, and every trial with a link to its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchdog.evaluation import report
from benchdog.evaluation.report.figures import SERIES
from benchdog.evaluation.report.formatting import Html, percent, seconds, short, wording
from benchdog_optuna import pictures
from benchdog_optuna.folder import BEST, Folder
from benchdog_optuna.html import NOTHING, h, join, section, table
from benchdog_optuna.importance import importances
from benchdog_optuna.options import Choices
from benchdog_optuna.space import Dimension

Json = Mapping[str, Any]
ENOUGH = 8
"""Trials from which it is told what mattered: fewer would tell chance."""


def page(folder: Folder, told: Json, epochs: Mapping[int, Mapping[int, float]]) -> str:
    """Give the page as HTML."""
    trials, best, better = told["trials"], told["best"], str(told["better"])
    metric = f"valid {wording(folder.monitor)}"
    at = best["number"] if best else -1
    counts = {state: sum(trial["state"] == state for trial in trials) for state in ("complete", "pruned", "failed")}
    kicker = " · ".join((f"Study {folder.name}", str(folder.about["created"])[:10]))
    body = join(
        h(
            "header",
            h("p", kicker, cls="kicker"),
            h("h1", _answer(best, metric) if best else "No trial has a result yet."),
            h("p", *_lead(trials, counts, told, metric, folder), cls="lead"),
            _values(best),
        ),
        section("How the best was found", *_found(trials, metric, better, counts)),
        section("What mattered", _mattered(trials, folder)),
        section("Key by key", pictures.slices(trials, folder.space, at, metric, better)),
        section(
            "All keys at once", pictures.parallel(trials, folder.space, at, metric, better), _parallel_note(best)
        ),
        section("How the trials learnt", pictures.curves(trials, epochs, at, metric, better)),
        section("What was searched", _space(folder, best)),
        section("Trials", _trials(folder, trials, at, metric)),
        section("Go on", _go_on(folder, best, len(trials))),
    )
    return report.page(f"Study {folder.name}", body)


def _answer(best: Json, metric: str) -> str:
    return f"Trial {best['number']} is best: its {metric} is {short(best['value'])}."


def _lead(trials: Sequence[Json], counts: Mapping[str, int], told: Json, metric: str, folder: Folder) -> list[object]:
    """Say how many trials there were, and what the recipe as it stands reaches."""
    kinds = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lead: list[object] = [f"{len(trials)} trials in {seconds(told['seconds'])}: {kinds or 'none done'}. "]
    first, best = trials[0] if trials else None, told["best"]
    if first and best and first["value"] is not None and best["number"] != first["number"]:
        stands = folder.space.of(folder.space.near(folder.recipe.to_json())) == first["values"]
        if stands:
            lead.append(f"The recipe as it stands, trial 0, has {short(first['value'])}. ")
    return [*lead, f"All of them are judged by {metric}; nothing here has seen the test split."]


def _values(best: Json | None) -> Html:
    if best is None:
        return NOTHING
    pairs = [h("div", h("dt", key), h("dd", _said(value))) for key, value in best["values"].items()]
    return h("dl", *pairs, cls="facts")


def _said(value: Any) -> str:
    return short(value) if isinstance(value, int | float) and not isinstance(value, bool) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else str(value)


def _found(trials: Sequence[Json], metric: str, better: str, counts: Mapping[str, int]) -> tuple[Html, ...]:
    drawn = pictures.history(trials, metric, better)
    return (drawn, _legend(counts)) if drawn else ()


def _legend(counts: Mapping[str, int]) -> Html:
    """Explain the marks that there are."""
    marks = [
        ("●", "complete", pictures.GOOD),
        ("○", "pruned, at its last epoch", pictures.POOR),
        ("×", "failed", pictures.BAD),
    ]
    said = [
        h("span", h("span", mark, style=f"color:var(--s{SERIES.index(colour)})"), f" {text}")
        for mark, text, colour in marks
        if counts[text.split(",")[0]]
    ]
    return h("div", *said, h("span", "— the best so far; a triangle lies beyond the edge"), cls="legend")


def _parallel_note(best: Json | None) -> Html:
    if best is None:
        return NOTHING
    return h("p", f"A line is a trial, the stronger the better; trial {best['number']} stands out.", cls="quiet")


def _mattered(trials: Sequence[Json], folder: Folder) -> Html:
    """Draw how much each key had to do with how good a trial was."""
    known = [(trial["values"], value) for trial in trials if (value := pictures.reached(trial)) is not None]
    if len(known) < ENOUGH:
        return h("p", f"{ENOUGH} trials with a result are needed to tell.", cls="quiet") if known else NOTHING
    found = importances(folder.space, known)
    if not any(found.values()):
        return h("p", "No key explains by itself more of the trials' order than chance would.", cls="quiet")
    rows = [
        join(h("span", key), h("div", h("i", style=f"width:{78 * share:.1f}%"), percent(share)))
        for key, share in found.items()
    ]
    note = "The share of the trials' order that each key explains alone, less what chance would (Kruskal-Wallis)."
    return join(h("div", *rows, cls="bars"), h("p", note, cls="quiet"))


def _space(folder: Folder, best: Json | None) -> Html:
    values = best["values"] if best else {}
    rows = [
        (key, _within(dimension), _said(values[key]) if key in values else "–")
        for key, dimension in folder.space.items()
    ]
    return table(("key", "searched", "best"), rows, numbers=3)


def _within(dimension: Dimension) -> str:
    within = dimension.within
    if isinstance(within, Choices):
        text = "one of " + ", ".join(map(_said, within.choices))
    else:
        text = f"{short(within.low)} to {short(within.high)}"
        text += ", logarithmic" if within.log else ""
        text += f", in steps of {short(within.step)}" if within.step is not None else ""
    when = [f"{key} is {' or '.join(map(_said, values))}" for key, values in dimension.when.items()]
    return text + (f"; where {' and '.join(when)}" if when else "")


def _trials(folder: Folder, trials: Sequence[Json], best: int, metric: str) -> Html:
    """List the trials, each with a link to its run's report."""

    def link(trial: Json) -> Html:
        if trial["run"] is None or not Path(folder.path, trial["run"], "report.html").is_file():
            return h("td", str(trial["number"]))
        return h("td", h("a", str(trial["number"]), href=f"{quote(trial['run'])}/report.html"))

    def state(trial: Json) -> object:
        if trial["state"] == "failed":
            return h("td", h("strong", "failed"), h("small", trial["error"]), style="min-width:14rem")
        text: object = f"pruned at epoch {trial['last']['epoch']}" if trial["state"] == "pruned" else trial["state"]
        return h("td", h("strong", "best") if trial["number"] == best else text, style="white-space:nowrap")

    rows = [
        (
            link(trial),
            state(trial),
            short(pictures.reached(trial)),
            short(trial["epochs"]),
            seconds(trial["seconds"]),
            *(_said(trial["values"][key]) if key in trial["values"] else "–" for key in folder.space),
        )
        for trial in trials
    ]
    keys = [join(table_, dot, h("br"), name) for table_, dot, name in (key.partition(".") for key in folder.space)]
    return table(("trial", "", metric, "epochs", "time", *keys), rows, numbers=2)


def _go_on(folder: Folder, best: Json | None, count: int) -> Html:
    if best is None:
        return NOTHING
    lines = [
        ("the same training again", f"benchdog train {folder.name}/{BEST}"),
        ("its metrics on test", f"benchdog evaluate {folder.name}/{best['run']}"),
        ("more trials", f"benchdog tune --resume {folder.name} --trials {2 * count}"),
    ]
    return join(
        table((), [(text, h("td", h("code", command))) for text, command in lines]),
        h("p", "From the folder of runs.", cls="quiet"),
    )
