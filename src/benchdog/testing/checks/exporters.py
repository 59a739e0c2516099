"""What is asked of an exporter: it exports a small model, and its runner must agree with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.deployment.export_worker import check, write
from benchdog.errors import BenchdogError
from benchdog.model.artifact_files import hash_files
from benchdog.model.load import open_model, runner_of
from benchdog.testing.fixtures.small_runs import FORMS, save_untrained, small
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault, Skip

MOST = 8
"""Largest batch that the small artifact takes."""
GIVEN = "given"
"""The form of an artifact that the author gave."""


class Trial(trials.Trial):
    """An exporter on trial."""

    @property
    def form(self) -> str:
        """The first form of data that it exports a net for."""
        return self.once("form", self._form)

    @property
    def forms(self) -> tuple[str, ...]:
        """What it is tried with: the kit's small artifacts, or the given one."""
        return FORMS if self.bench.given is None else (GIVEN,)

    def _form(self) -> str:
        told = []
        for form in self.forms:
            try:
                self.exported(form)
            except Skip as skip:
                told.append(str(skip))
            else:
                return form
        if self.bench.given is not None:
            raise Fault(
                f"It refuses the artifact {self.bench.given.folder}: {' '.join(told)}",
                "Export it, or check without --artifact.",
                self.where,
            )
        raise Skip(f"refuses the kit's small artifacts: {' '.join(dict.fromkeys(told))}")

    def artifact(self, form: str) -> Path:
        """Return a small artifact, untrained: exporting asks for no skill."""
        self.cls  # noqa: B018 -- a target that doesn't resolve is told first
        kept = self.bench.place / f"artifact-{form}"
        if not kept.is_dir() and self.bench.given is not None:
            shutil.copytree(self.bench.given.folder, kept)
        elif not kept.is_dir():  # else another exporter needed it before
            parts = small(self, form, artifact__max_batch=MOST)
            parts.fit(self.bench.folder("fitted"))
            save_untrained(parts, kept, self.plugins, MOST)
        return kept

    def request(self, form: str, folder: Path) -> dict[str, Any]:
        """Return what is to be exported where."""
        return {
            "source": str(self.artifact(form)),
            "exporter": self.found.where,
            "options": self.full(),
            "local": [self.bench.local] if self.bench.local else [],
            "trust": self.trust,
            "folder": str(folder),
        }

    @property
    def trust(self) -> bool:
        """Whether code that the artifact names may run: the kit's own names none."""
        return self.bench.given is None or self.bench.given.trust

    def exported(self, form: str) -> Path:
        """Return the folder of an export."""
        return self.once(f"exported {form}", lambda: self._exported(form))

    def _exported(self, form: str) -> Path:
        folder, before = self.bench.folder("export"), hash_files(self.artifact(form))
        try:
            write(self.request(form, folder))
        except BenchdogError as error:
            raise Skip(error.message) from error
        except Exception as error:
            raise Fault(
                f"export() of {_named(form)} raises {said(error)}.",
                "Fix it, or refuse what it can't export: raise BadUsage or Failed of benchdog.api.",
                raised(error) or self.where,
            ) from error
        if not hash_files(folder):
            raise Fault("It writes no file.", "Write into the folder that export(artifact, folder) gets.", self.where)
        if hash_files(self.artifact(form)) != before:
            raise Fault("It changes the artifact.", "Read it only; write into the folder.", self.where)
        return folder

    def runner(self, folder: Path) -> Any:
        """Make the runner of an export."""
        return runner_of(self.found, folder, self.plugins, True)

    def arrays(self, n: int = 3) -> tuple[np.ndarray, ...]:
        """Return some decoded samples of the first form that it exports."""
        opened = open_model(self.artifact(self.form), self.plugins, trust=self.trust)
        return tuple(x[:n].copy() for x in opened.decoder.batch(opened.samples()))


def exports(trial: Trial) -> str:
    """Check that it writes files into the folder it is given, and leaves the artifact alone."""
    written = hash_files(trial.exported(trial.form))
    if "export.json" in written:
        raise Fault("It writes export.json, which is Benchdog's.", "Choose another name.", trial.where)
    return ", ".join(written)


def agrees(trial: Trial) -> str:
    """Check that the runner gives what the model gives, at batches of one to the largest."""
    trial.form  # noqa: B018 -- what keeps it from exporting is told by `exports`
    seen, most = [], 0
    for form in trial.forms:
        try:
            folder = trial.exported(form)
        except Skip:
            continue
        seen.append(_named(form))
        lines = _compared(trial, form, folder)
        most = max(line["batch"] for line in lines)
        for line in lines:
            if not line["ok"]:
                raise Fault(
                    f"For {_named(form)} the runner disagrees with the model at batch {line['batch']}: "
                    f"{line['why']}.",
                    "Export transform, model and head: artifact.module() is all of them, in evaluation mode.",
                    trial.where,
                )
    return f"for {' and '.join(seen)}, at batches of one to {most}"


def _named(form: str) -> str:
    return "the given artifact" if form == GIVEN else f"a net on {form}"


def _compared(trial: Trial, form: str, folder: Path) -> list[dict[str, Any]]:
    try:
        lines: list[dict[str, Any]] = check(trial.request(form, folder))["verification"]
    except BenchdogError as error:
        raise Fault(f"The runner can't be used: {error.message}", error.hint or "Fix it.", raised(error)) from error
    except Exception as error:
        raise Fault(f"The runner raises {said(error)}.", "Fix it.", raised(error)) from error
    return lines


def moves(trial: Trial) -> str:
    """Check that the export's folder is all that the runner needs."""
    arrays = trial.arrays()
    first = trial.guarded("The runner", trial.runner(trial.exported(trial.form)), *trial.arrays())
    elsewhere, aside = trial.bench.folder("moved") / "export", trial.exported(trial.form).with_name("aside")
    shutil.copytree(trial.exported(trial.form), elsewhere)
    trial.exported(trial.form).rename(aside)
    source = trial.artifact(trial.form)
    hidden = source.rename(source.with_name("hidden"))
    try:
        again = trial.guarded("The runner of a copy of the folder", lambda: trial.runner(elsewhere)(*arrays))
    finally:
        hidden.rename(source)
        aside.rename(trial.exported(trial.form))
    if not all(np.allclose(a, b, 1e-3, 1e-4) for a, b in zip(first, again, strict=True)):
        raise Fault(
            "The runner answers otherwise when the folder lies elsewhere.",
            "Read only files in the folder that the runner gets.",
            trial.where,
        )
    return "to another folder"


def pure(trial: Trial) -> str:
    """Check that the runner leaves its inputs alone and answers the same twice."""
    arrays, runner = trial.arrays(), trial.guarded("The runner", trial.runner, trial.exported(trial.form))
    kept = tuple(x.copy() for x in arrays)
    first = runner(*arrays)
    if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(arrays, kept, strict=True)):
        raise Fault("The runner changes its inputs in place.", "Work on a copy.", trial.where)
    second = runner(*arrays)
    if not all(isinstance(x, np.ndarray) for x in first):
        raise Fault(
            f"The runner gives {type(first[0]).__name__}s.", "Return numpy arrays: (answer, score).", trial.where
        )
    if not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
        raise Fault(
            "The runner gives two answers to one input.", "Leave dropout and the like out: eval().", trial.where
        )
    return "inputs stay what they are"


def mistakes(trial: Trial) -> str:
    """Check that a folder whose files are gone or damaged is reported in words."""
    for what in ("an empty folder", "damaged files"):
        folder = trial.bench.folder("damaged")
        if what == "damaged files":
            for path in trial.exported(trial.form).iterdir():
                if path.is_file():
                    (folder / path.name).write_bytes(b"\x00" * 10)
        try:
            trial.runner(folder)(*trial.arrays())
        except BenchdogError:
            continue
        except Exception as error:
            raise Fault(
                f"The runner of {what} raises {said(error)}.",
                "Raise BadData of benchdog.api, and say which file can't be read.",
                raised(error) or trial.where,
            ) from error
        raise Fault(f"The runner of {what} answers all the same.", "Read the files, and see that they are whole.")
    return "a clear error"
