"""The trainer, its stored form, and what is refused; all in memory but the last test."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import benchdog_sklearn
from benchdog.api import BadData, BadUsage, Column, Field, NotAvailable, Refused, Spec, Target, Trained
from benchdog.builtin.tasks.classification import Classification
from benchdog.builtin.tasks.options import RegressionOptions
from benchdog.builtin.tasks.regression import Regression
from benchdog_sklearn import features
from benchdog_sklearn.options import Options
from support.in_process import run, train

if TYPE_CHECKING:
    from benchdog_sklearn import runner, trainer

SOURCE = Path(benchdog_sklearn.__file__).parent
ROOT = Path(__file__).parents[3]
COLUMNS = (
    Column(name="size"),
    Column(name="age"),
    Column(name="colour", kind="category", categories=("red", "blue")),
)
TABLE = Field(kind="table", shape=(3,), dtype="float32", columns=COLUMNS)
PICTURE = Field(kind="image", shape=(1, 8, 8), dtype="uint8", range=(0, 16))


def Classical(options: Options) -> "trainer.Classical":
    """Make the trainer; importing scikit-learn takes seconds, which collecting the tests shouldn't."""
    from benchdog_sklearn import trainer

    return trainer.Classical(options)


def Runner(folder: Path) -> "runner.Runner":
    """Open a stored estimator."""
    from benchdog_sklearn import runner

    return runner.Runner(folder)


def refit(folder: Path, *steps: Any) -> None:
    """Replace a stored estimator by one of other steps."""
    import skops.io
    from sklearn.pipeline import make_pipeline

    skops.io.dump(make_pipeline(*steps).fit([[0.0], [1.0]], [0, 1]), folder / "estimator.skops")


class Session:
    """As much of a session as the trainer touches."""

    def __init__(self, spec, task, train, valid, seed=0):
        self.spec, self.task, self.seed = spec, task, seed
        self.split = {"train": train, "valid": valid}
        self.given = {}
        self.done = []

    def arrays(self, name):
        return self.split[name]

    def weights(self, name):
        return self.given.get(name)

    def epochs(self):
        yield from range(10)

    def epoch_done(self, metrics):
        self.done.append(metrics)


def table(samples, seed):
    rng = np.random.default_rng(seed)
    x = np.stack([rng.normal(size=samples), rng.normal(size=samples) * 9, rng.integers(0, 3, samples)], 1)
    x[rng.random(samples) < 0.1, 1] = np.nan
    return x.astype(np.float32)


def of_classes(options, seed=0):
    spec = Spec(fields=(TABLE,), target=Target(kind="class", classes=("no", "yes", "never")))

    def split(samples, seed):
        x = table(samples, seed)
        return (x,), ((x[:, 0] > 0) ^ (x[:, 2] == 2)).astype(np.int64)

    return Session(spec, Classification(), split(400, 1), split(120, 2), seed)


def of_numbers(width):
    shape = (width,) if width else ()
    spec = Spec(fields=(TABLE,), target=Target(kind="number", shape=shape, dtype="float32"))
    task = Regression(RegressionOptions())

    def split(samples, seed):
        x = table(samples, seed)
        y = (1000 + 50 * x[:, 0] + 20 * (x[:, 2] == 1)).astype(np.float32)
        return (x,), np.stack([y, -y], 1) if width else y

    train, valid = split(400, 1), split(120, 2)
    task.fit([torch.from_numpy(train[1])])
    return Session(spec, task, train, valid)


def digits():
    with np.load(ROOT / "src/benchdog/builtin/sources/images/digits.npz") as stored:
        x, y = stored["images"].reshape(-1, 1, 8, 8).astype(np.uint8), stored["labels"].astype(np.int64)
    spec = Spec(fields=(PICTURE,), target=Target(kind="class", classes=tuple("0123456789")))
    return Session(spec, Classification(), ((x[:1000],), y[:1000]), ((x[1000:],), y[1000:]))


ESTIMATORS = ("HistGradientBoosting", "RandomForest", "ExtraTrees", "Linear", "KNeighbors")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_classes_are_learnt_stored_and_answered_alike(estimator, tmp_path):
    session = of_classes(None)
    trained = Classical(Options(estimator=estimator, size=10)).train(session)
    assert isinstance(trained, Trained)
    (metrics,) = session.done  # one epoch, however many the recipe allows
    # A linear model can't see the exclusive or; all others can.
    assert metrics["accuracy"] > (0.6 if estimator == "Linear" else 0.8)
    trained.save(tmp_path)
    inputs, _ = session.arrays("valid")
    answer, score = Runner(tmp_path)(*inputs)
    assert np.array_equal(answer, trained(*inputs)[0])
    assert answer.shape == score.shape == (120, 3)
    assert answer.dtype == score.dtype == np.float32
    assert np.allclose(answer.sum(1), 1, atol=1e-5)
    assert np.allclose(np.exp(score), answer, atol=1e-6)
    assert (answer[:, 2] < 1e-5).all()  # a class that training has never seen


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("width", [0, 2])
def test_numbers_are_answered_in_the_target_s_units(estimator, width, tmp_path):
    session = of_numbers(width)
    trained = Classical(Options(estimator=estimator, size=10)).train(session)
    assert session.done[0]["r2"] > 0.5
    trained.save(tmp_path)
    inputs, target = session.arrays("valid")
    answer, score = Runner(tmp_path)(*inputs)
    assert answer.shape == (120, width or 1)
    assert np.abs(answer.reshape(target.shape) - target).mean() < 40
    head = session.task.head(session.spec)
    assert np.allclose(head(torch.from_numpy(score)).numpy(), answer, rtol=1e-5)


def test_features_of_pictures_beat_their_pixels():
    engineered, raw = digits(), digits()
    Classical(Options()).train(engineered)
    Classical(Options(features="raw")).train(raw)
    assert engineered.done[0]["accuracy"] > max(0.94, raw.done[0]["accuracy"])


def test_the_same_seed_gives_the_same_answers():
    first, again, other = (of_classes(None, seed) for seed in (3, 3, 4))
    answers = [
        Classical(Options(estimator="RandomForest", size=10)).train(session)(*session.arrays("valid")[0])[0]
        for session in (first, again, other)
    ]
    assert np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_weights_are_samples_that_many_times():
    one, other = of_classes(None), of_classes(None)
    (x,), y = one.split["train"]
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(np.float32)
    one.given["train"], one.given["valid"] = weight, np.ones(120, np.float32)
    other.split["train"] = ((np.repeat(x, weight.astype(int), 0),), np.repeat(y, weight.astype(int)))
    # Standardising sees each sample once: what is compared is told of nearly the same features.
    answers = [Classical(Options(estimator="Linear")).train(s)(*s.arrays("valid")[0])[0] for s in (one, other)]
    assert np.allclose(answers[0], answers[1], atol=0.02)
    plain = Classical(Options(estimator="Linear")).train(of_classes(None))(*one.arrays("valid")[0])[0]
    assert np.abs(plain - answers[0]).max() > np.abs(answers[1] - answers[0]).max()
    one.given["valid"] = np.linspace(0, 2, 120, dtype=np.float32)
    Classical(Options(estimator="Linear")).train(one)
    assert one.done[1]["loss"] != one.done[0]["loss"]
    for name in ("HistGradientBoosting", "RandomForest", "ExtraTrees"):
        assert Classical(Options(estimator=name)).weighs
        Classical(Options(estimator=name, size=3)).train(one)
    several = of_numbers(2)
    several.given["train"] = np.ones(400, np.float32)
    Classical(Options(estimator="HistGradientBoosting", size=3)).train(several)
    assert not Classical(Options(estimator="KNeighbors")).weighs  # and so it is refused


def test_a_task_with_another_score_is_refused():
    session = of_classes(Options())
    session.spec = session.spec.with_output(2)
    with pytest.raises(BadUsage, match="a score per class"):
        Classical(Options()).train(session)


def test_a_mask_is_no_target_for_it():
    spec = Spec(fields=(PICTURE,), target=Target(kind="mask", classes=("a", "b"), shape=(8, 8)))
    with pytest.raises(BadUsage, match="classes and numbers; the target is a mask"):
        Classical(Options()).train(Session(spec, None, None, None))  # type: ignore[arg-type]  # part of a session


# --- features


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 8, 8), (1, 28, 28), (3, 33, 17)])
def test_features_of_pictures_of_any_size_are_finite_and_the_same_in_any_batch(shape):
    x = np.random.default_rng(0).integers(0, 255, (5, *shape)).astype(np.uint8)
    whole = features.picture(x)
    assert whole.dtype == np.float32
    assert whole.shape[0] == 5
    assert np.isfinite(whole).all()
    assert np.allclose(np.concatenate([features.picture(x[i : i + 1]) for i in range(5)]), whole, atol=1e-5)


def test_directions_tell_upright_from_lying_edges():
    upright = np.zeros((1, 1, 16, 16))
    upright[..., 8:] = 1
    found = features.directions(upright), features.directions(upright.swapaxes(2, 3))
    assert np.abs(found[0] - found[1]).max() > 0.5
    assert np.allclose(features.directions(upright * 100), found[0], atol=1e-3)  # contrast falls out


def test_block_means_keep_the_mean():
    x = np.random.default_rng(0).random((2, 3, 16, 24)).astype(np.float32)
    means = features.block_means(x)
    assert means.shape == (2, 3 * 8 * 8)
    assert np.allclose(means.reshape(2, 3, -1).mean(2), x.mean((2, 3)), atol=1e-6)


# --- what is never loaded


@pytest.fixture
def stored(tmp_path):
    session = of_classes(None)
    Classical(Options(estimator="RandomForest", size=3)).train(session).save(tmp_path)
    return tmp_path


def test_no_pickle_is_written(stored):
    assert sorted(path.name for path in stored.iterdir()) == ["estimator.json", "estimator.skops"]
    with zipfile.ZipFile(stored / "estimator.skops") as archive:
        assert all(name.endswith((".json", ".npy", ".npz")) for name in archive.namelist())


def test_a_foreign_type_is_refused(stored):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    class Strange(StandardScaler):  # type: ignore[misc]  # scikit-learn has no annotations
        pass

    refit(stored, Strange(), LogisticRegression())
    with pytest.raises(Refused, match="Strange"):
        Runner(stored)


def test_an_estimator_that_is_not_ours_is_refused(stored):
    from sklearn.linear_model import SGDClassifier
    from sklearn.preprocessing import StandardScaler

    refit(stored, StandardScaler(), SGDClassifier())
    with pytest.raises(Refused):
        Runner(stored)


@pytest.mark.parametrize("estimator", ["RandomForest", "HistGradientBoosting"])
def test_trees_that_point_outside_of_themselves_are_noticed(estimator):
    from benchdog_sklearn.runner import sound

    trained = Classical(Options(estimator=estimator, size=3)).train(of_classes(None))
    last = trained.pipeline[-1]
    assert sound(last)
    if estimator == "RandomForest":
        last.estimators_[1].tree_.feature[0] = 10**6
    else:
        last._predictors[1][0].nodes["left"][0] = 10**6
    assert not sound(last)


def test_damaged_files_are_bad_data(stored):
    whole = (stored / "estimator.skops").read_bytes()
    (stored / "estimator.skops").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="damaged"):
        Runner(stored)
    (stored / "estimator.skops").unlink()
    with pytest.raises(BadData, match=r"estimator\.skops"):
        Runner(stored)
    (stored / "estimator.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadData, match=r"estimator\.json"):
        Runner(stored)


def test_another_version_of_scikit_learn_says_which_is_needed(stored):
    meta = json.loads((stored / "estimator.json").read_text(encoding="utf-8"))
    (stored / "estimator.json").write_text(json.dumps(meta | {"scikit-learn": "0.1"}), encoding="utf-8")
    with pytest.raises(NotAvailable) as caught:
        Runner(stored)
    assert 'pip install "scikit-learn==0.1.*"' in caught.value.hint


def test_the_runner_needs_no_torch(stored):
    script = (
        "import sys, numpy, pathlib\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] == 'torch': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from benchdog_sklearn.runner import Runner\n"
        "print(Runner(pathlib.Path(sys.argv[1]))(numpy.zeros((2, 3), numpy.float32))[0].shape)"
    )
    path = os.pathsep.join((str(ROOT / "src"), str(SOURCE.parent)))
    done = subprocess.run(
        [sys.executable, "-c", script, str(stored)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "(2, 3)", done.stderr


def test_the_hook_module_imports_nothing_heavy():
    heavy = "[m for m in ('numpy', 'sklearn', 'torch') if m in sys.modules]"
    script = f"import sys, benchdog_sklearn, benchdog_sklearn.options; print({heavy})"
    path = os.pathsep.join((str(ROOT / "src"), str(SOURCE.parent)))
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stderr


# --- through the program's own door


def test_a_run_is_evaluated_as_training_measured_it(tmp_path):
    env = {"BENCHDOG_PLUGINS": "benchdog-sklearn", "BENCHDOG_CACHE": str(tmp_path / "cache"), "BENCHDOG_STRICT": "1"}
    train("digits", "--set", "trainer.name=scikit-learn", "--name", "classical", cwd=tmp_path, env=env)
    folder = tmp_path / "runs" / "classical"
    evaluation = json.loads((folder / "evaluation-valid.json").read_text(encoding="utf-8"))
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert evaluation["metrics"]["accuracy"] > 0.94
    assert evaluation["metrics"]["accuracy"] == logged[-1]["valid.accuracy"]
    run("evaluate", "classical", cwd=tmp_path, env=env)
    test = json.loads((folder / "evaluation-test.json").read_text(encoding="utf-8"))
    assert test["metrics"]["accuracy"] > 0.94
