"""Plots as inline SVG that takes its colors and its font from the page around it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchdog.evaluation.report.formatting import Html

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchdog.training.lr_finder import Curve

INK, FAINT = "#0a0b01", "#0a0b02"
"""Placeholder colors that no plot uses by chance: they become CSS variables of the page."""

SERIES = tuple(f"#0a0b{i:02x}" for i in range(0x10, 0x18))
REAL = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6fd0", "#8a8a00")
"""The same lines' colors in a PNG file, which has no page around it."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: the page's own type, crisp and selectable
    "text.parse_math": False,  # a metric called "$" is a name, not a formula
    "axes.unicode_minus": False,
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "axes.linewidth": 0.8,
    "axes.titley": 1.0,  # without measuring what is below
}

ON_WHITE: dict[Any, Any] = {
    "axes.edgecolor": "#999999",
    "grid.color": "#dddddd",
    "axes.labelcolor": "#222222",
    "text.color": "#222222",
    "xtick.color": "#222222",
    "ytick.color": "#222222",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One curve: a name, its points, and the number of its color; `faint` for the background."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int
    faint: bool = False
    dashed: bool = False


def curves(
    panels: Sequence[tuple[str, Sequence[Line]]], *, x_label: str, best: tuple[int, int, float] | None = None
) -> Html:
    """Draw panels of curves, one SVG each, so that a narrow page can put them one below the other.

    Args:
        panels: title and lines of each.
        x_label: the x axis.
        best: (panel, epoch, value) of the point to mark.
    """
    with _drawing():
        drawn = [
            _svg(_curves([panel], x_label, (0, *best[1:]) if best and best[0] == i else None, SERIES), f"{i}")
            for i, panel in enumerate(panels)
        ]
        return _panels(drawn)


def curves_png(panels: Sequence[tuple[str, Sequence[Line]]], *, x_label: str) -> bytes:
    """Draw panels of curves on white, with a legend, as a PNG file's bytes."""
    with _drawing(ON_WHITE):
        return _file(_curves(panels, x_label, None, REAL), "png")


def rates(found: Curve) -> Html:
    """Draw the learning-rate range test: each batch's loss faint behind the smoothed curve."""
    with _drawing():
        return _svg(_rates(found, SERIES, INK), "rates")


def rates_file(found: Curve, kind: str, title: str) -> bytes:
    """Draw the same on white, with a title and a legend, as the bytes of an "svg" or a "png" file."""
    with _drawing(ON_WHITE):
        figure = _rates(found, REAL, "#222222")
        figure.axes[0].set_title(title, loc="left", fontsize=11)
        return _file(figure, kind)


def _file(figure: Figure, kind: str) -> bytes:
    import matplotlib as mpl

    for axes in figure.axes:
        axes.legend(frameon=False, fontsize=9)
    figure.set_layout_engine("constrained")
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with mpl.rc_context({"svg.hashsalt": "benchdog"}):
        figure.savefig(buffer, format=kind, dpi=150, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def _rates(found: Curve, colors: Sequence[str], ink: str) -> Figure:
    figure = _figure(7.0, 3.6)
    axes = _bare(figure.add_subplot())
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")  # a power of ten would be a formula
    axes.plot(found.rates, found.losses, color=colors[0], alpha=0.3, linewidth=1.0)
    axes.plot(found.rates, found.smoothed, color=colors[0], linewidth=1.8, label="loss, smoothed")
    low = min(*found.losses, *found.smoothed)
    axes.set_ylim(low - 0.08 * (found.ceiling - low), found.ceiling)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color=colors[1], linewidth=1.4, label=f"suggestion, {found.suggestion:g}")
        heights = [found.smoothed[list(found.rates).index(rate)] for rate in found.low]
        ring: dict[str, Any] = {"markersize": 8, "fillstyle": "none", "color": ink, "linestyle": ""}
        axes.plot(found.low, heights, "o", label=f"low from {found.low[0]:.2g} to {found.low[1]:.2g}", **ring)
    return figure


def scatter(true: Sequence[float], predicted: Sequence[float], name: str) -> Html:
    """Draw predicted over actual values, with the diagonal."""
    with _drawing():
        figure = _figure(4.6, 4.2)
        axes = _bare(figure.add_subplot())
        low, high = min(*true, *predicted), max(*true, *predicted)
        axes.plot([low, high], [low, high], color=FAINT, linewidth=1, zorder=1)
        axes.scatter(true, predicted, s=9, color=SERIES[0], alpha=0.45, linewidths=0, zorder=2)
        axes.set_xlabel(f"actual {name}")
        axes.set_ylabel(f"predicted {name}")
        return _svg(figure, f"scatter {name}")


def reliability(predicted: Sequence[float], true: Sequence[float], shares: Sequence[float]) -> Html:
    """Draw the reliability diagram, dots as large as their shares of all predictions."""
    with _drawing():
        figure = _figure(4.6, 4.2)
        axes = _square(figure, "predicted probability", "observed frequency")
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=1)
        sizes = [16 + 300 * share for share in shares]
        axes.scatter(predicted, true, s=sizes, color=SERIES[0], alpha=0.75, linewidths=0, zorder=3, clip_on=False)
        return _svg(figure, "reliability")


def trades(lines: Sequence[tuple[str, Sequence[Any], Sequence[Any], Mapping[str, float]]]) -> Html:
    """Draw precision-recall and ROC curves; a ring marks each chosen threshold.

    Args:
        lines: name, (recall, precision) points, (false positive rate, true positive rate) points, the threshold's
            precision and recall.
    """
    with _drawing():
        drawn = []
        for salt, x_label, y_label in (
            ("pr", "recall", "precision"),
            ("roc", "false positive rate", "true positive rate"),
        ):
            figure = _figure(4.9, 4.5)
            axes = _square(figure, x_label, y_label)
            if salt == "roc":
                axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=1)
            for i, (_, pr, roc, chosen) in enumerate(lines):
                points = pr if salt == "pr" else roc
                color = SERIES[i % len(SERIES)]
                axes.plot([x for x, _ in points], [y for _, y in points], color=color, linewidth=1.6, zorder=2)
                if chosen and salt == "pr":
                    ring: dict[str, Any] = {"markersize": 8, "fillstyle": "none", "zorder": 3}
                    axes.plot([chosen["recall"]], [chosen["precision"]], "o", color=INK, **ring)
            drawn.append(_svg(figure, salt))
        return _panels(drawn)


def _panels(images: Sequence[Html]) -> Html:
    return Html(f'<div class="panels">{"".join(images)}</div>')


def _square(figure: Figure, x_label: str, y_label: str) -> Axes:
    axes = _bare(figure.add_subplot())
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal", anchor="W")
    axes.grid(axis="x")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return axes


@contextmanager
def _drawing(over: Mapping[Any, Any] | None = None) -> Iterator[None]:
    """Draw in this module's style, silent about letters that matplotlib's own font lacks.

    The page's fonts have them: only the measured width is a guess.
    """
    import matplotlib as mpl

    with warnings.catch_warnings(), mpl.rc_context({**STYLE, **(over or {})}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # no pyplot: no global state, no window

    return Figure(figsize=(width, height))


def _fit(figure: Figure) -> None:
    """Set the margins of a figure of one plot by its labels: far cheaper than a layout that draws it first."""
    (axes,) = figure.axes
    width, height = figure.get_size_inches()
    axis = axes.yaxis
    ticks = axis.get_major_formatter().format_ticks(axis.get_majorticklocs().tolist())
    left = 0.1 + 0.085 * max(map(len, ticks), default=0) + (0.25 if axes.get_ylabel() else 0.0)
    bottom, top = (0.5 if axes.get_xlabel() else 0.3), (0.3 if axes.get_title(loc="left") else 0.12)
    figure.subplots_adjust(left / width, bottom / height, 1 - 0.15 / width, 1 - top / height)


def _bare(axes: Axes) -> Axes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.patch.set_visible(False)
    return axes


def _curves(
    panels: Sequence[tuple[str, Sequence[Line]]],
    x_label: str,
    best: tuple[int, int, float] | None,
    colors: Sequence[str],
) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure = _figure(4.9 * max(len(panels), 1), 3.1)
    for i, (title, lines) in enumerate(panels):
        axes = _bare(figure.add_subplot(1, len(panels), i + 1))
        axes.set_title(title, loc="left", fontsize=11)
        for line in lines:
            axes.plot(
                line.x,
                line.y,
                color=colors[line.color % len(colors)],
                alpha=0.3 if line.faint else 1.0,
                linewidth=1.0 if line.faint else 1.8,
                linestyle="--" if line.dashed else "-",
                marker="o" if len(line.x) < 12 and not line.faint else "",
                markersize=3.5,
                label=line.name if not line.name.startswith("_") else f" {line.name}",
            )
        axes.set_xlabel(x_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        places = {x for line in lines for x in line.x}
        if len(places) == 1:  # one epoch: a tick for it alone, not for its thousandths
            axes.set_xlim(min(places) - 0.5, min(places) + 0.5)
        if best and best[0] == i:
            axes.axvline(best[1], color=FAINT, linewidth=1, linestyle=":")
            axes.plot([best[1]], [best[2]], "o", markersize=8, fillstyle="none", color=INK)
    return figure


def _svg(figure: Figure, salt: str) -> Html:
    """Return a figure as SVG for a page: no prolog, no metadata, unique ids, the page's colors."""
    import matplotlib as mpl

    _fit(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text, count=1)
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text)  # "axes_1" and the like: twice in a page of two figures
    text = text.replace("xlink:href", "href")
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = text.replace(INK, "var(--ink)").replace(FAINT, "var(--rule)")
    for i, color in enumerate(SERIES):
        text = text.replace(color, f"var(--s{i})")
    return Html(re.sub(r"\n\s*", "\n", text))
