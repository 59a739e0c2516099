"""The pictures of a study's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchdog.evaluation.report.figures import FAINT, INK, SERIES, drawn
from benchdog.evaluation.report.formatting import Html
from benchdog_optuna.html import h
from benchdog_optuna.scales import Scale, most, seen
from benchdog_optuna.space import Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Json = Mapping[str, Any]
GOOD, POOR, BAD = SERIES[0], SERIES[4], SERIES[1]
"""Colours of complete, pruned and failed trials."""
MARK: dict[str, Any] = {"linestyle": "", "markersize": 5.5}


def reached(trial: Json) -> float | None:
    """Give a trial's value, or a pruned one's last."""
    if trial["value"] is not None:
        return float(trial["value"])
    return float(trial["last"]["value"]) if trial["last"] else None


def history(trials: Sequence[Json], metric: str, better: str) -> Html:
    """Draw each trial's value and the best so far."""
    shown = [(trial, value) for trial in trials if (value := reached(trial)) is not None]
    if not shown:
        return Html("")
    low, high = _ends_of(shown, better)
    edge, _ = _within(low - 1 if better == "max" else high + 1, low, high, better)

    def paint(axes: Axes) -> None:
        numbers: list[int] = []
        best: list[float] = []
        for trial, value in shown:
            at, shape = _within(value, low, high, better)
            done = trial["state"] == "complete"
            style: dict[str, Any] = {"color": GOOD if done else POOR, "fillstyle": "full" if done else "none"}
            axes.plot([trial["number"]], [at], shape, zorder=3, **MARK, **style)
            if done:
                top = value if not best else (max if better == "max" else min)(best[-1], value)
                numbers.append(trial["number"])
                best.append(top)
        for trial in trials:
            if trial["state"] == "failed":
                axes.plot([trial["number"]], [edge], "x", color=BAD, zorder=3, **MARK)
        if best:
            x, y = [*numbers, trials[-1]["number"]], [*best, best[-1]]
            axes.step(x, y, where="post", color=INK, linewidth=1.4, zorder=2)
        axes.set_ylim(low, high)
        axes.set_xlabel("trial")
        axes.set_ylabel(metric)
        _whole(axes)

    return drawn(paint, "history", 9.4, 3.5)


def curves(
    trials: Sequence[Json], epochs: Mapping[int, Mapping[int, float]], best: int, metric: str, better: str
) -> Html:
    """Draw the metric of every trial over its epochs, the best trial on top."""
    lines = [(trial, sorted(epochs[trial["number"]].items())) for trial in trials if epochs.get(trial["number"])]
    if not any(len(points) > 1 for _, points in lines):
        return Html("")
    low, high = most([value for _, points in lines for _, value in points], better)

    def paint(axes: Axes) -> None:
        for trial, points in lines:
            x, y = [x for x, _ in points], [y for _, y in points]
            mine = trial["number"] == best
            colour = INK if mine else POOR if trial["state"] == "pruned" else GOOD
            axes.plot(
                x,
                y,
                color=colour,
                alpha=1.0 if mine else 0.45,
                linewidth=2.2 if mine else 1.1,
                zorder=3 if mine else 2,
            )
            if trial["state"] == "pruned":
                axes.plot(x[-1:], y[-1:], "o", color=POOR, fillstyle="none", zorder=3, **MARK)
        axes.set_ylim(low, high)
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric)
        _whole(axes)

    return drawn(paint, "curves", 9.4, 3.5)


def slices(trials: Sequence[Json], space: Space, best: int, metric: str, better: str) -> Html:
    """Draw the values of all trials over each searched key, one picture a key."""
    shown = [(trial, value) for trial in trials if (value := reached(trial)) is not None]
    if not shown:
        return Html("")
    low, high = _ends_of(shown, better)

    def picture(key: str) -> Html:
        scale = Scale(space[key])

        def paint(axes: Axes) -> None:
            for trial, value in shown:
                if key not in trial["values"]:
                    continue
                done, mine = trial["state"] == "complete", trial["number"] == best
                at, shape = _within(value, low, high, better)
                place = scale.place(trial["values"][key])
                style: dict[str, Any] = {"color": GOOD if done else POOR, "fillstyle": "full" if done else "none"}
                axes.plot([place], [at], shape, alpha=0.75, zorder=2, **MARK, **style)
                if mine:
                    axes.plot([place], [at], "o", color=INK, fillstyle="none", markersize=10, linestyle="", zorder=4)
            _ticks(axes, scale)
            axes.set_xlim(-0.04, 1.04)
            axes.set_ylim(low, high)
            axes.set_xlabel(key)
            axes.set_ylabel(metric)

        return drawn(paint, f"slice {key}", 4.9, 3.1)

    return h("div", *(picture(key) for key in space), cls="panels")


def parallel(trials: Sequence[Json], space: Space, best: int, metric: str, better: str) -> Html:
    """Draw each complete trial as a line through its values and its result; the best one on top."""
    done = [trial for trial in trials if trial["state"] == "complete"]
    keys = [key for key in space if all(key in trial["values"] for trial in done)]
    if len(keys) < 2 or len(done) < 2:
        return Html("")
    low, high = seen([trial["value"] for trial in done], better)
    ranks = {t["number"]: i / (len(done) - 1) for i, t in enumerate(sorted(done, key=lambda t: t["value"]))}

    def paint(axes: Axes) -> None:
        scales = [Scale(space[key]) for key in keys]
        for trial in done:
            mine = trial["number"] == best
            good = ranks[trial["number"]] if better == "max" else 1 - ranks[trial["number"]]
            heights = [scale.place(trial["values"][key]) for key, scale in zip(keys, scales, strict=True)]
            heights.append((min(max(trial["value"], low), high) - low) / (high - low))
            style: dict[str, Any] = {"color": BAD, "linewidth": 2.2, "zorder": 4} if mine else {
                "color": GOOD, "linewidth": 1.1, "alpha": 0.12 + 0.6 * good**2, "zorder": 2}  # fmt: skip
            axes.plot(range(len(heights)), heights, **style)
        for i, ticks in enumerate([*(scale.ticks for scale in scales), _ends(low, high)]):
            axes.axvline(i, color=FAINT, linewidth=1, zorder=1)
            for place, text in ticks:
                axes.text(i + 0.02, place, text, fontsize=8.5, va="center", zorder=5)
        axes.set_xlim(-0.05, len(keys) + 0.25)
        axes.set_ylim(-0.06, 1.06)
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xticks(range(len(keys) + 1), [*keys, metric])

    return drawn(paint, "parallel", 9.4, 3.8)


def _ends_of(shown: Sequence[tuple[Json, float]], better: str) -> tuple[float, float]:
    """Give the ends of the axis of results: as complete trials need it, where there are any."""
    done = [value for trial, value in shown if trial["state"] == "complete"]
    return seen(done or [value for _, value in shown], better)


def _within(value: float, low: float, high: float, better: str) -> tuple[float, str]:
    """Give the place and the mark of a result: at the edge, a triangle, where it lies beyond."""
    pad = 0.02 * (high - low)
    if low <= value <= high:
        return value, "o"
    return (low + pad, "v") if value < low else (high - pad, "^")


def _ends(low: float, high: float) -> list[tuple[float, str]]:
    return [(place, f"{low + place * (high - low):.4g}") for place in (0.0, 0.5, 1.0)]


def _ticks(axes: Axes, scale: Scale) -> None:
    places = scale.ticks
    axes.set_xticks([place for place, _ in places], [text for _, text in places])
    if sum(len(text) for _, text in places) > 45:
        axes.tick_params(axis="x", labelrotation=25)


def _whole(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
