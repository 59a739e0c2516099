"""Example projects train as their READMEs say, and resume bit-identically; the check itself finds a bad resume."""

from pathlib import Path

import pytest
from PIL import Image

from support.projects import Project, same_artifacts, steps_done

FOLDER = Path(__file__).parents[2] / "examples" / "projects"
PROJECTS = sorted(path.parent.name for path in FOLDER.glob("*/train.toml"))
RECIPE = """
# test: --set loop.batch_size=256 --epochs 3
# predict: benchdog predict last six.png
plugins = ["./trainer.py"]
source = "digits"
model = "linear"
trainer = "drifting"
"""
TRAINER = '''
"""A trainer that forgets: its noise isn't in any checkpoint."""
from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_trainers():
    return [TrainerInfo(name="drifting", summary="For a test.", target=":Drifting")]


class Drifting:
    def train(self, session):
        import torch

        # of the run
        sgd = torch.optim.SGD(session.model.parameters(), lr=0.1)
        session.track(optimizer=sgd)
        scale = 1.0
        for _ in session.epochs():
            for batch in session.batches():
                scale *= SCALE
                loss, weight = session.task.loss(session.model(*batch.inputs), batch)
                session.backward(loss * scale, weight, batch)
                session.device.step(sgd)
                sgd.zero_grad()
                session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        return session.model
'''


def try_out(project: Project, folder: Path) -> bool:
    """Train a copy of a project whole, interrupted and resumed; return whether both end with the same bits."""
    copy = project.copied(folder / "project")
    copy.prepare()
    whole = copy.train("whole")
    copy.predict()
    steps = steps_done(whole)
    assert steps >= 3, "too short to be interrupted: make the reduction in '# test:' milder"
    stops = sorted({max(1, steps // 3), max(1, 2 * steps // 3)})
    return same_artifacts(whole, copy.train_interrupted("interrupted", stops))


def test_every_project_has_its_three_files():
    folders = [path for path in sorted(FOLDER.iterdir()) if path.is_dir()] if FOLDER.is_dir() else []
    assert [path.name for path in folders if any(path.iterdir())] == PROJECTS
    for name in PROJECTS:
        readme = (FOLDER / name / "README.md").read_text(encoding="utf-8")
        assert len(readme.splitlines()) <= 15, name
        assert "benchdog train train.toml" in readme, name
        assert sorted((FOLDER / name).glob("*.py")), name


@pytest.mark.slow
@pytest.mark.parametrize("name", PROJECTS)
def test_project_trains_predicts_and_resumes_bit_identically(name, tmp_path, record_property):
    project = Project(FOLDER / name)
    record_property("lines_of_code", project.lines_of_code())
    print(f"{name}: {project.lines_of_code()} lines of code")
    assert try_out(project, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "same"), [("1.0", True), ("0.99", False)])
def test_trainer_that_forgets_what_it_learned_is_found(scale, same, tmp_path):
    folder = tmp_path / "sound-or-not"
    folder.mkdir()
    (folder / "train.toml").write_text(RECIPE, encoding="utf-8")
    (folder / "trainer.py").write_text(TRAINER.replace("SCALE", scale), encoding="utf-8")
    Image.new("L", (8, 8)).save(folder / "six.png")
    project = Project(folder)
    assert project.lines_of_code() == 21
    assert project.reduction == ["--set", "loop.batch_size=256", "--epochs", "3"]
    assert try_out(project, tmp_path) is same
