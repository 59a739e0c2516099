"""Plots of a study: Optuna's own, as inline SVG for the study's page."""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from benchdog_optuna.options import Choices
from benchdog_optuna.space import Space, same

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from optuna import Study
    from optuna.trial import FrozenTrial

LINE = "#8a8f96"
"""The color of axes and grid lines, legible on a light and on a dark page; text takes the page's own."""
COLORS = ["#8fb8dc", "#2f7fc1", "#d0541f"]
"""From poor to good, or from early to late; legible on both kinds of page."""
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "tune", "text.parse_math": False, "font.size": 10.0}
MIN_TRIALS = 8
"""Complete trials from which importances are shown."""
LONGEST = 16


def readable(study: Study, space: Space) -> Study:
    """Copy a study into memory with choices as short labels instead of JSON; unfinished trials keep their numbers."""
    import optuna
    from optuna.trial import TrialState, create_trial

    copy = optuna.create_study(direction=study.direction)
    for trial in study.get_trials(deepcopy=False):
        params, distributions = dict(trial.params), dict(trial.distributions)
        for key, dimension in space.items():
            if key in params and isinstance(within := dimension.within, Choices):
                names = labels(within)
                value = dimension.read(params[key])
                params[key] = names[next(i for i, choice in enumerate(within.choices) if same(value, choice))]
                distributions[key] = optuna.distributions.CategoricalDistribution(names)
        copy.add_trial(
            create_trial(
                state=trial.state if trial.state.is_finished() else TrialState.FAIL,
                value=trial.value if trial.state is TrialState.COMPLETE else None,
                params=params,
                distributions=distributions,
                intermediate_values=trial.intermediate_values,
            )
        )
    return copy


def labels(within: Choices) -> list[str]:
    """Return a short name per choice; numbered where two would be the same."""
    names = [_label(choice) for choice in within.choices]
    return [name if names.count(name) == 1 else f"{i + 1}: {name}" for i, name in enumerate(names)]


def _label(choice: Any) -> str:
    if isinstance(choice, dict):
        text = str(choice.get("name", choice))
    elif isinstance(choice, list):
        plain = all(isinstance(each, int | float) for each in choice)
        text = str(choice) if choice and plain else "+".join(map(_label, choice)) or "none"
    else:
        text = str(choice).lower() if isinstance(choice, bool) else str(choice)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def importances(study: Study) -> dict[str, float]:
    """Return each parameter's share of importance (PED-ANOVA), the largest first; {} with too few trials."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(complete) < MIN_TRIALS or len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluator is marked experimental
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def history(study: Study, metric: str) -> str:
    """Plot each complete trial's value and the best so far."""
    from optuna.visualization import matplotlib as plots

    return _svg(lambda: plots.plot_optimization_history(study, target_name=metric), (9.4, 3.5)) if _any(study) else ""


def learning_curves(study: Study, metric: str) -> str:
    """Plot the metric of every trial over its epochs; "" when no trial has two."""
    from optuna.visualization import matplotlib as plots

    if not any(len(trial.intermediate_values) > 1 for trial in study.get_trials(deepcopy=False)):
        return ""

    from matplotlib.ticker import MaxNLocator

    def plot() -> None:
        axes = plots.plot_intermediate_values(study)
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if (legend := axes.get_legend()) is not None:
            legend.remove()  # a line per trial would be longer than the plot

    return _svg(plot, (9.4, 3.5))


def slices(study: Study, space: Space, metric: str) -> list[str]:
    """Plot the values of all complete trials over each parameter: one plot per parameter that was sampled."""
    from optuna.visualization import matplotlib as plots

    def plot(key: str) -> None:
        axes: Any = plots.plot_slice(study, [key], target_name=metric)
        if isinstance(within := space[key].within, Choices):
            axes.set_xlim(-0.5, len(within.choices) - 0.5)

    sampled = {key for trial in _complete(study) for key in trial.params}
    return [_svg(partial(plot, key), (4.9, 3.3)) for key in space if key in sampled]


def parallel_coordinates(study: Study, metric: str) -> str:
    """Plot each complete trial as a line through its values; "" with fewer than two parameters or trials."""
    from optuna.visualization import matplotlib as plots

    complete = _complete(study)
    shared = set.intersection(*(set(trial.params) for trial in complete)) if complete else set()
    if len(shared) < 2 or len(complete) < 2:
        return ""
    names = [key for key in complete[0].params if key in shared]

    def plot() -> None:
        figure = plots.plot_parallel_coordinate(study, names, target_name=metric).figure
        for axes in figure.axes:
            if axes.get_label() == "<colorbar>":  # the first axis is the same scale
                axes.remove()

    return _svg(plot, (9.4, 4.2), right=True)


def _complete(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _any(study: Study) -> bool:
    return bool(_complete(study))


def _svg(plot: Callable[[], Any], size: tuple[float, float], *, right: bool = False) -> str:
    """Draw one of Optuna's plots in the style of the page, as an <svg> element; `right`: with axes on the right."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot
    from matplotlib.colors import LinearSegmentedColormap

    with warnings.catch_warnings(), mpl.rc_context(STYLE):  # Optuna changes the global style while it plots
        warnings.simplefilter("ignore")  # its plots are marked experimental
        plot()
        figure = pyplot.gcf()
        figure.suptitle("")
        figure.set_size_inches(size)
        figure.set_layout_engine("tight")
        figure.patch.set_visible(False)
        for axes in figure.axes:
            _restyle(axes, right)
            for collection in axes.collections:
                if collection.get_array() is not None:
                    reverse = collection.get_cmap().name.endswith("_r")  # where smaller is better
                    colors = COLORS[::-1] if reverse else COLORS
                    collection.set_cmap(LinearSegmentedColormap.from_list("tune", colors))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    element = buffer.getvalue()
    element = re.sub(r">'([^'<]*)'</text>", r">\1</text>", element[element.index("<svg") :])  # quotes of categories
    element = element.replace("fill: #555555", "")  # text takes the page's color
    # ids are the same in every figure, and all figures share one page
    salt = f"{zlib.crc32(element.encode()):x}"
    element = re.sub(r'(id="|"#|url\(#)', lambda match: f"{match[1]}f{salt}-", element)
    return element.replace('width="', 'data-width="', 1).replace('height="', 'data-height="', 1)


def _restyle(axes: Axes, right: bool) -> None:
    axes.set_title("")
    axes.patch.set_visible(False)
    axes.tick_params(length=0, which="both")
    axes.grid(visible=False)
    if not right:
        axes.grid(axis="y", color=LINE, linewidth=0.3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom") or (right and side == "right"))
        spine.set_color(LINE)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_formatter(lambda value, _: f"{value:g}")  # Optuna's default is a formula
            axis.set_minor_formatter(lambda value, _: "")
    if (legend := axes.get_legend()) is not None:
        legend.set_frame_on(False)
