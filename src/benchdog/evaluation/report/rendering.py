"""Pages from the jinja2 templates next to this file; everything is escaped unless it is `Html`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.evaluation.report import formatting
from benchdog.evaluation.report.formatting import Html

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("short", "between", "rounded", "wording", "percent", "seconds"):
        environment.filters[name] = getattr(formatting, name)
    environment.globals["stylesheet"] = stylesheet
    return environment


def stylesheet(name: str) -> Html:
    """Return one of the style sheets, to be written into the page."""
    return Html((TEMPLATES / name).read_text(encoding="utf-8"))


def render(template: str, **values: Any) -> Html:
    """Fill in a template."""
    return Html(_environment().get_template(template).render(values))
