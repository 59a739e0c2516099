"""The plot of a learning-rate range test: loss over rate, as a page, an SVG or a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchdog.evaluation.report import figures
from benchdog.evaluation.report.formatting import short
from benchdog.evaluation.report.rendering import render
from benchdog.evaluation.report.tables import Table
from benchdog.system import files

if TYPE_CHECKING:
    from benchdog.training.lr_finder import Curve

KINDS = (".html", ".svg", ".png")
TITLE = "Loss while the learning rate grows"


def draw(found: Curve, out: Path, command: str) -> None:
    """Write the picture; the name's ending says which kind."""
    kind = out.suffix.lower()
    if kind == ".html":
        files.write_text(out, _page(found, command))
    else:
        files.write_bytes(out, figures.rates_file(found, kind.removeprefix("."), TITLE))


def _page(found: Curve, command: str) -> str:
    """Return the page: the suggestion, the curve, what was read from it."""
    known = found.suggestion is not None
    rows = [
        ("falls fastest at", short(float(f"{found.steepest:.2g}"))),
        ("is low from", short(float(f"{found.low[0]:.2g}"))),
        ("to", short(float(f"{found.low[1]:.2g}"))),
        ("suggestion, a tenth of the middle", short(found.suggestion)),
    ]
    return render(
        "learning_rate.html.j2",
        title=TITLE,
        answer=f"Train with a learning rate of {short(found.suggestion)}." if known else "The loss didn't fall.",
        curve=figures.rates(found),
        ended=f"{len(found.rates)} steps; {found.ended}.",
        readings=Table(("the loss", "rate"), rows, 1),
        command=command if known else "",
    )
