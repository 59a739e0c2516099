"""The picture of a learning rate's test: loss over rate, as a page, an SVG or a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchdog.evaluation import report
from benchdog.evaluation.report import figures, sections
from benchdog.evaluation.report.html import Html, h, join, short, table
from benchdog.system import files

if TYPE_CHECKING:
    from benchdog.training.lr_finder import Curve

KINDS = (".html", ".svg", ".png")
TITLE = "Loss while the learning rate grows"


def draw(found: Curve, out: Path, command: str) -> None:
    """Write the picture; the name's ending says which kind."""
    kind = out.suffix.lower()
    if kind == ".html":
        files.write_text(out, report.page(TITLE, body(found, command)))
    else:
        files.write_bytes(out, figures.rates_file(found, kind.removeprefix("."), TITLE))


def body(found: Curve, command: str) -> Html:
    """Give the page: the suggestion, the curve, what was read from it."""
    told = found.suggestion is not None
    answer = f"Train with a learning rate of {short(found.suggestion)}." if told else "The loss didn't fall."
    rows = [
        ("falls fastest at", short(float(f"{found.steepest:.2g}"))),
        ("is low from", short(float(f"{found.low[0]:.2g}"))),
        ("to", short(float(f"{found.low[1]:.2g}"))),
        ("suggestion, a tenth of the middle", short(found.suggestion)),
    ]
    return join(
        h("header", h("p", "Learning rate", cls="kicker"), h("h1", answer)),
        sections.section(
            TITLE,
            h("figure", figures.rates(found), sections.legend([("loss, smoothed", 0), ("suggestion", 1)])),
            h("p", f"{len(found.rates)} steps; {found.ended}.", cls="quiet"),
            h("p", "Faint: each batch's loss. The rings: between them it is low.", cls="quiet"),
        ),
        sections.section("What the curve says", table(("the loss", "rate"), rows, numbers=1)) if told else None,
        sections.section("Next", h("pre", command)) if told else None,
    )
