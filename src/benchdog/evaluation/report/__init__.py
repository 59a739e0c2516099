"""A run's report: one page that needs nothing beside itself, made of whatever its folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchdog.evaluation.report import comparison, facts, gallery, judged, sections
from benchdog.evaluation.report.facts import Facts
from benchdog.evaluation.report.headline import Headline, headline
from benchdog.evaluation.report.html import Html, h, join
from benchdog.evaluation.report.style import CSS, SUMMARY_CSS
from benchdog.system import files

__all__ = ["compare", "html_summary", "page", "write"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The page itself forbids any request and any script, whatever a class may be called."""


def write(run_folder: Path, status: str = "") -> Path:
    """Write report.html into a run's folder and give its path.

    Works with any file of the folder absent: a run that failed early has a report too.

    Args:
        status: how the run stands, where run.json is yet to say so.
    """
    read = facts.read(run_folder)
    if status:
        read.run["status"] = status
    path = run_folder / "report.html"
    files.write_text(path, page(read.name, _run(read)))
    return path


def compare(given: Sequence[Path | Facts], out: Path) -> Path:
    """Lay several runs' curves over each other: one page, or only the picture when `out` ends in .png.

    Args:
        given: their folders, or what was read of them.
    """
    runs = [each if isinstance(each, Facts) else facts.read(each) for each in given]
    if out.suffix.lower() == ".png":
        files.write_bytes(out, comparison.picture(runs))
    else:
        names = ", ".join(run.name for run in runs)
        files.write_text(out, page(f"Compared: {names}", comparison.body(runs)))
    return out


def html_summary(folder: Path) -> str:
    """Give a small fragment for a notebook's cell: the answer, the verdict, the curves."""
    read = facts.read(folder)
    top = headline(read)
    state = str(read.run.get("status") or "unknown")
    line = " · ".join(filter(None, (str(read.run.get("source") or ""), read.learner)))
    return h(
        "div",
        h("style", Html(SUMMARY_CSS)),
        h("h4", top.answer or f"{read.name}: {state}"),
        h("p", " ".join(filter(None, (top.others, top.verdict)))) if top.others else None,
        h("p", read.run.get("error"), cls="quiet") if read.run.get("error") else None,
        sections.curves(read),
        h("p", " · ".join(filter(None, (f"run {read.name}", line, state))), cls="quiet"),
        cls="benchdog",
    )


def _run(read: Facts) -> Html:
    """Put a run's page together, the answer first."""
    top = headline(read)
    evaluation, split = read.evaluation, "test" if "test" in read.evaluations else "valid"
    where = {"test": "on the test split", "valid": "on the validation split"}[split]
    kicker = " · ".join(filter(None, (f"Run {read.name}", str(read.run.get("created") or "")[:10])))
    return join(
        h(
            "header",
            h("p", kicker, cls="kicker"),
            h("h1", top.answer or _nothing_yet(read)),
            h("p", *_lead(top), cls="lead") if top.sure or top.others or top.verdict else None,
            sections.bars(top),
            sections.status(read),
            sections.shared(read),
            sections.numbers(read),
        ),
        sections.section("How it learnt", sections.curves(read)),
        sections.section("Metrics", sections.metrics(read)),
        sections.section("Answers against the truth", sections.scatter(read)),
        sections.section(f"What is taken for what, {where}", sections.confused(evaluation)),
        sections.section("Class by class", sections.per_class(evaluation)),
        sections.section("How sure it is, and how right", judged.calibration(read)),
        sections.section("What a threshold trades", judged.thresholds(read)),
        sections.section(f"Part by part: {_by(read)}", judged.slices(read)),
        sections.section("The costliest answers", gallery.worst(read)),
        sections.section("Surest and wrong", gallery.confident(read)),
        sections.section("Exports", sections.exports(read)),
        sections.section("Recipe", sections.recipe(read)),
        sections.section("Environment", sections.environment(read)),
        sections.section("Files that could not be read", sections.faults(read)),
    )


def _lead(top: Headline) -> list[object]:
    """Give what follows the answer: how sure it is, what simpler ways reach, the verdict."""
    said: list[object] = [part for part in (top.sure, top.others) if part]
    said += [h("span", top.verdict, cls="verdict")] if top.verdict else []
    return [piece for part in said for piece in (part, " ")]


def _by(read: Facts) -> str:
    return str(facts.mapping(read.evaluation.get("slices")).get("by"))


def _nothing_yet(read: Facts) -> str:
    """Say what there is to say of a run without any measured answer."""
    done = "before its first epoch ended" if not read.epochs else f"after {len(read.epochs)} epochs"
    verbs = {"failed": "failed", "stopped": "was stopped", "running": "is not finished"}
    state = str(read.run.get("status"))
    return f"Run {read.name} {verbs[state]} {done}." if state in verbs else f"Run {read.name} has no results."


def page(title: str, body: Html) -> str:
    """Put a whole page around its body."""
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", http_equiv="Content-Security-Policy", content=POLICY),
        h("title", f"{title} · Benchdog"),
        h("style", Html(CSS)),
    )
    foot = h("footer", "Made by Benchdog. This page is complete in itself and loads nothing.")
    return f"<!doctype html>\n{h('html', head, h('body', h('main', body, foot)), lang='en')}\n"
