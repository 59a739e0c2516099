"""What is asked of an exporter: it exports a small model, and its runner must agree with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchdog import artifact
from benchdog.draft import Draft
from benchdog.errors import BenchdogError
from benchdog.exporting_child import check, write
from benchdog.layers import Given
from benchdog.opening import hashes, open_model, runner_of
from benchdog.settle import Parts, settle
from benchdog.testing import trials
from benchdog.testing.places import raised, said
from benchdog.testing.results import Fault, Skip

MOST = 8
"""Largest batch that the small artifact takes."""


class Trial(trials.Trial):
    """An exporter on trial."""

    @property
    def artifact(self) -> Path:
        """A small artifact of a net on tables, untrained: exporting asks for no skill."""
        return self.once("artifact", self._artifact)

    def _artifact(self) -> Path:
        self.cls  # noqa: B018 -- a target that doesn't resolve is told first
        kept = self.bench.place / "artifact"
        if kept.is_dir():  # another exporter needed it before
            return kept
        values: dict[str, Any] = {
            "seed": 5,
            "source.name": "benchdog:csv",
            "source.path": str(self.bench.tiny.table()),
            "model.name": "benchdog:mlp",
            "model.hidden": [8],
            "backend.name": "cpu",
            "artifact.max_batch": MOST,
        }
        layer = {key: Given(value, "the kit", self.bench.base) for key, value in values.items()}
        parts = settle(Draft.merge([layer], self.plugins))
        place = self.bench.folder("fitted")
        parts.fit(place)
        self._save(parts, kept)
        return kept

    def _save(self, parts: Parts, place: Path) -> None:
        recipe, data = parts.recipe, parts.data
        valid = data.splits["valid"].split  # type: ignore[union-attr]
        artifact.save(
            place,
            trained=parts.build().eval(),
            transform=parts.transform,
            head=parts.task.head(parts.spec),
            spec=parts.spec,
            preprocess=data.preprocess,
            recipe=recipe.to_json(),
            task={"name": recipe.task.name, "options": recipe.task.options},
            model={"name": recipe.model.name, "options": recipe.model.options},
            metrics={},
            samples=[valid.raw(i) for i in range(min(6, len(valid)))],
            run="kit",
            max_batch=MOST,
            plugins=self.plugins,
        )

    def request(self, folder: Path) -> dict[str, Any]:
        """Say what is to be exported where."""
        return {
            "source": str(self.artifact),
            "exporter": self.found.where,
            "options": self.full(),
            "local": [self.bench.local] if self.bench.local else [],
            "trust": True,
            "folder": str(folder),
        }

    @property
    def exported(self) -> Path:
        """The folder of an export."""
        return self.once("exported", self.export)

    def export(self) -> Path:
        """Export the artifact."""
        folder, artifact_ = self.bench.folder("export"), self.artifact
        try:
            write(self.request(folder))
        except BenchdogError as error:
            raise Skip(f"refuses the kit's small artifact: {error.message}") from error
        except Exception as error:
            raise Fault(f"export() raises {said(error)}.", "Mend it.", raised(error) or self.where) from error
        assert artifact_.is_dir()
        if not hashes(folder):
            raise Fault("It writes no file.", "Write into the folder that export(artifact, folder) gets.", self.where)
        return folder

    def runner(self, folder: Path) -> Any:
        """Make the runner of an export."""
        return runner_of(self.found, folder, self.plugins, True)

    def arrays(self, n: int = 3) -> tuple[np.ndarray, ...]:
        """Give some decoded samples."""
        opened = open_model(self.artifact, self.plugins, trust=True)
        arrays = opened.decode(opened.samples())
        return tuple(x[:n].copy() for x in arrays)


def exports(trial: Trial) -> str:
    """See that it writes files into the folder it is given, and leaves the artifact alone."""
    before = hashes(trial.artifact)
    written = hashes(trial.exported)
    if "export.json" in written:
        raise Fault("It writes export.json, which is Benchdog's.", "Give it another name.", trial.where)
    if hashes(trial.artifact) != before:
        raise Fault("It changes the artifact.", "Read it only; write into the folder.", trial.where)
    return ", ".join(written)


def agrees(trial: Trial) -> str:
    """See that the runner gives what the model gives, at batches of one to the largest."""
    trial.exported  # noqa: B018 -- what keeps it from exporting is told by `exports`
    try:
        told = check(trial.request(trial.exported))
    except BenchdogError as error:
        raise Fault(f"The runner can't be used: {error.message}", error.hint or "Mend it.", raised(error)) from error
    except Exception as error:
        raise Fault(f"The runner raises {said(error)}.", "Mend it.", raised(error)) from error
    for line in told["verification"]:
        if not line["ok"]:
            raise Fault(
                f"At batch {line['batch']} the runner disagrees with the model: {line['why']}.",
                "Export transform, model and head: artifact.module() is all of them, in evaluation mode.",
                trial.where,
            )
    return f"at batches of {', '.join(str(line['batch']) for line in told['verification'])}"


def moves(trial: Trial) -> str:
    """See that the export's folder is all that the runner needs."""
    arrays = trial.arrays()
    first = trial.guarded("The runner", trial.runner(trial.exported), *trial.arrays())
    elsewhere, aside = trial.bench.folder("moved") / "export", trial.exported.with_name("aside")
    shutil.copytree(trial.exported, elsewhere)
    trial.exported.rename(aside)
    hidden = trial.artifact.with_name("hidden")
    trial.artifact.rename(hidden)
    try:
        again = trial.guarded("The runner of a copy of the folder", lambda: trial.runner(elsewhere)(*arrays))
    finally:
        hidden.rename(trial.bench.place / "artifact")
        aside.rename(trial.exported)
    if not all(np.allclose(a, b, 1e-3, 1e-4) for a, b in zip(first, again, strict=True)):
        raise Fault(
            "The runner answers otherwise when the folder lies elsewhere.",
            "Read only files in the folder that the runner gets.",
            trial.where,
        )
    return "to another folder"


def pure(trial: Trial) -> str:
    """See that the runner leaves its inputs alone and answers the same twice."""
    arrays, runner = trial.arrays(), trial.guarded("The runner", trial.runner, trial.exported)
    kept = tuple(x.copy() for x in arrays)
    first = runner(*arrays)
    if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(arrays, kept, strict=True)):
        raise Fault("The runner changes its inputs in place.", "Work on a copy.", trial.where)
    second = runner(*arrays)
    if not all(isinstance(x, np.ndarray) for x in first):
        raise Fault(
            f"The runner gives {type(first[0]).__name__}s.", "Give numpy arrays: (answer, score).", trial.where
        )
    if not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
        raise Fault(
            "The runner gives two answers to one input.", "Leave dropout and the like out: eval().", trial.where
        )
    return "inputs stay what they are"


def mistakes(trial: Trial) -> str:
    """See that a folder whose files are gone or damaged is told in words."""
    for what in ("an empty folder", "damaged files"):
        folder = trial.bench.folder("damaged")
        if what == "damaged files":
            for path in trial.exported.iterdir():
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
    return "told in words"
