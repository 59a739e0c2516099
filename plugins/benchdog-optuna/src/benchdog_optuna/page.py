"""The page of a study, tune.html: the best trial, plots, the search space, every trial and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from benchdog import format_duration, report_page
from benchdog_optuna import plots
from benchdog_optuna.options import Choices
from benchdog_optuna.space import Dimension
from benchdog_optuna.study_folder import BEST, StudyFolder

if TYPE_CHECKING:
    from optuna import Study

Json = Mapping[str, Any]


def page(folder: StudyFolder, document: Json, study: Study) -> str:
    """Render the page as HTML."""
    environment = Environment(loader=PackageLoader("benchdog_optuna", "templates"), autoescape=True)
    environment.filters |= {"value": value_text, "duration": format_duration, "quote": quote}
    shown, metric = plots.readable(study, folder.space), str(document["metric"]).replace(".", " ", 1)
    trials = document["trials"]
    states = {state: sum(trial["state"] == state for trial in trials) for state in ("complete", "pruned", "failed")}
    body = environment.get_template("page.html").render(
        name=folder.name,
        created=str(folder.about["created"])[:10],
        best=document["best"],
        best_recipe=BEST,
        trials=trials,
        states=", ".join(f"{count} {state}" for state, count in states.items() if count) or "none finished",
        seconds=document["seconds"],
        baseline=_baseline(folder, trials, document["best"]),
        metric=metric,
        keys=list(folder.space),
        ranges={key: range_text(dimension) for key, dimension in folder.space.items()},
        reached=reached,
        has_report=lambda trial: trial["run"] and Path(folder.path, trial["run"], "report.html").is_file(),
        importances=plots.importances(shown),
        min_trials=plots.MIN_TRIALS,
        history=Markup(plots.history(shown, metric)),
        slices=[Markup(plot) for plot in plots.slices(shown, folder.space, metric)],
        parallel=Markup(plots.parallel_coordinates(shown, metric)),
        curves=Markup(plots.learning_curves(shown, metric)),
    )
    return report_page(f"Study {folder.name}", body)


def _baseline(folder: StudyFolder, trials: Sequence[Json], best: Json | None) -> float | None:
    """Return the value of trial 0 if it is the recipe unchanged and another trial is the best."""
    if not best or best["number"] == 0 or trials[0]["value"] is None:
        return None
    unchanged = folder.space.of(folder.space.near(folder.experiment.recipe)) == trials[0]["values"]
    return float(trials[0]["value"]) if unchanged else None


def reached(trial: Json) -> float | None:
    """Return a trial's value, or the last one that a pruned trial reported."""
    if trial["value"] is not None:
        return float(trial["value"])
    return float(trial["last"]["value"]) if trial["last"] else None


def range_text(dimension: Dimension) -> str:
    """Describe the values of a parameter: "0.0001 to 0.1, logarithmic"."""
    within = dimension.within
    if isinstance(within, Choices):
        text = "one of " + ", ".join(map(value_text, within.choices))
    else:
        text = f"{value_text(within.low)} to {value_text(within.high)}"
        text += ", logarithmic" if within.log else ""
        text += f", in steps of {value_text(within.step)}" if within.step is not None else ""
    conditions = [f"{key} is {' or '.join(map(value_text, values))}" for key, values in dimension.when.items()]
    return text + (f"; where {' and '.join(conditions)}" if conditions else "")


def value_text(value: Any) -> str:
    """Format a value with four significant digits; a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)
