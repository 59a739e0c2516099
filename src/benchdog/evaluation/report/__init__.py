"""The report of a run: one self-contained page, made of whatever the run's folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchdog.evaluation.report import comparison, facts
from benchdog.evaluation.report.facts import Facts
from benchdog.evaluation.report.formatting import Html
from benchdog.evaluation.report.headline import headline
from benchdog.evaluation.report.rendering import render
from benchdog.system import files

__all__ = ["compare", "html_summary", "page", "write"]


def write(run_folder: Path, status: str = "") -> Path:
    """Write report.html into a run's folder and return its path.

    Works with any file of the folder missing: a run that failed early has a report too.

    Args:
        status: the run's status, where run.json doesn't have it yet.
    """
    from benchdog.evaluation.report.view import run_view

    read = facts.read(run_folder)
    if status:
        read.run["status"] = status
    path = run_folder / "report.html"
    files.write_text(path, render("run.html.j2", title=read.name, run=run_view(read)))
    return path


def compare(given: Sequence[Path | Facts], out: Path) -> Path:
    """Overlay the curves of several runs: a page, or only the plot when `out` ends in .png.

    Args:
        given: their folders, or what was read of them.
    """
    runs = [each if isinstance(each, Facts) else facts.read(each) for each in given]
    if out.suffix.lower() == ".png":
        files.write_bytes(out, comparison.plot(runs))
    else:
        files.write_text(out, comparison.page(runs))
    return out


def html_summary(folder: Path) -> Html:
    """Return a small fragment for a notebook's cell: result, verdict, learning curves."""
    from benchdog.evaluation.report.view import curves

    read = facts.read(folder)
    top = headline(read)
    state = str(read.run.get("status") or "unknown")
    source = " · ".join(filter(None, (str(read.run.get("source") or ""), read.learner)))
    return render(
        "summary.html.j2",
        title=top.answer or f"{read.name}: {state}",
        text=" ".join(filter(None, (top.others, top.verdict))) if top.others else "",
        error=read.run.get("error"),
        curves=curves(read),
        footer=" · ".join(filter(None, (f"run {read.name}", source, state))),
    )


def page(title: str, body: Html) -> str:
    """Return a complete page around a body."""
    return render("page.html.j2", title=title, body=body)
