"""The scikit-learn trainer, its saved estimators, refused files; in memory, except for the last test."""

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
IMAGE = Field(kind="image", shape=(1, 8, 8), dtype="uint8", range=(0, 16))


def make_trainer(options: Options) -> "trainer.ClassicalTrainer":
    """Return a trainer; scikit-learn, which takes seconds to import, isn't imported by collecting the tests."""
    from benchdog_sklearn import trainer

    return trainer.ClassicalTrainer(options)


def open_runner(folder: Path) -> "runner.Runner":
    """Load a saved estimator."""
    from benchdog_sklearn import runner

    return runner.Runner(folder)


def refit(folder: Path, *steps: Any) -> None:
    """Replace a saved estimator with a pipeline of other steps."""
    import skops.io
    from sklearn.pipeline import make_pipeline

    skops.io.dump(make_pipeline(*steps).fit([[0.0], [1.0]], [0, 1]), folder / "estimator.skops")


class Session:
    """Test double of a session, with the members that the trainer uses."""

    def __init__(self, spec, task, train, valid, seed=0):
        self.spec, self.task, self.seed = spec, task, seed
        self.split = {"train": train, "valid": valid}
        self.sample_weights = {}
        self.logged = []

    def arrays(self, name):
        return self.split[name]

    def weights(self, name):
        return self.sample_weights.get(name)

    def epochs(self):
        yield from range(10)

    def epoch_done(self, metrics):
        self.logged.append(metrics)


def random_table(samples, seed):
    rng = np.random.default_rng(seed)
    x = np.stack([rng.normal(size=samples), rng.normal(size=samples) * 9, rng.integers(0, 3, samples)], 1)
    x[rng.random(samples) < 0.1, 1] = np.nan
    return x.astype(np.float32)


def classification_session(options, seed=0):
    spec = Spec(fields=(TABLE,), target=Target(kind="class", classes=("no", "yes", "never")))

    def split(samples, seed):
        x = random_table(samples, seed)
        return (x,), ((x[:, 0] > 0) ^ (x[:, 2] == 2)).astype(np.int64)

    return Session(spec, Classification(), split(400, 1), split(120, 2), seed)


def regression_session(width):
    shape = (width,) if width else ()
    spec = Spec(fields=(TABLE,), target=Target(kind="number", shape=shape, dtype="float32"))
    task = Regression(RegressionOptions())

    def split(samples, seed):
        x = random_table(samples, seed)
        y = (1000 + 50 * x[:, 0] + 20 * (x[:, 2] == 1)).astype(np.float32)
        return (x,), np.stack([y, -y], 1) if width else y

    train, valid = split(400, 1), split(120, 2)
    task.fit([torch.from_numpy(train[1])])
    return Session(spec, task, train, valid)


def digits_session():
    with np.load(ROOT / "src/benchdog/builtin/sources/images/digits.npz") as stored:
        x, y = stored["images"].reshape(-1, 1, 8, 8).astype(np.uint8), stored["labels"].astype(np.int64)
    spec = Spec(fields=(IMAGE,), target=Target(kind="class", classes=tuple("0123456789")))
    return Session(spec, Classification(), ((x[:1000],), y[:1000]), ((x[1000:],), y[1000:]))


ESTIMATORS = ("HistGradientBoosting", "RandomForest", "ExtraTrees", "Linear", "KNeighbors")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_saved_classifier_predicts_as_the_trained_one(estimator, tmp_path):
    session = classification_session(None)
    trained = make_trainer(Options(estimator=estimator, size=10)).train(session)
    assert isinstance(trained, Trained)
    (metrics,) = session.logged  # one epoch, however many the recipe allows
    # A linear model can't see the exclusive or; all others can.
    assert metrics["accuracy"] > (0.6 if estimator == "Linear" else 0.8)
    trained.save(tmp_path)
    inputs, _ = session.arrays("valid")
    answer, score = open_runner(tmp_path)(*inputs)
    assert np.array_equal(answer, trained(*inputs)[0])
    assert answer.shape == score.shape == (120, 3)
    assert answer.dtype == score.dtype == np.float32
    assert np.allclose(answer.sum(1), 1, atol=1e-5)
    assert np.allclose(np.exp(score), answer, atol=1e-6)
    assert (answer[:, 2] < 1e-5).all()  # a class without training samples


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("width", [0, 2])
def test_regression_predicts_in_target_units(estimator, width, tmp_path):
    session = regression_session(width)
    trained = make_trainer(Options(estimator=estimator, size=10)).train(session)
    assert session.logged[0]["r2"] > 0.5
    trained.save(tmp_path)
    inputs, target = session.arrays("valid")
    answer, score = open_runner(tmp_path)(*inputs)
    assert answer.shape == (120, width or 1)
    assert np.abs(answer.reshape(target.shape) - target).mean() < 40
    head = session.task.head(session.spec)
    assert np.allclose(head(torch.from_numpy(score)).numpy(), answer, rtol=1e-5)


def test_image_features_beat_raw_pixels():
    engineered, raw = digits_session(), digits_session()
    make_trainer(Options()).train(engineered)
    make_trainer(Options(features="raw")).train(raw)
    assert engineered.logged[0]["accuracy"] > max(0.94, raw.logged[0]["accuracy"])


def test_same_seed_yields_same_predictions():
    first, again, other = (classification_session(None, seed) for seed in (3, 3, 4))
    answers = [
        make_trainer(Options(estimator="RandomForest", size=10)).train(session)(*session.arrays("valid")[0])[0]
        for session in (first, again, other)
    ]
    assert np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_sample_weights_equal_repeated_samples():
    weighted, repeated = classification_session(None), classification_session(None)
    (x,), y = weighted.split["train"]
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(np.float32)
    weighted.sample_weights["train"], weighted.sample_weights["valid"] = weight, np.ones(120, np.float32)
    repeated.split["train"] = ((np.repeat(x, weight.astype(int), 0),), np.repeat(y, weight.astype(int)))
    # Standardization counts each sample once, so the features of both differ slightly.
    answers = [
        make_trainer(Options(estimator="Linear")).train(s)(*s.arrays("valid")[0])[0] for s in (weighted, repeated)
    ]
    assert np.allclose(answers[0], answers[1], atol=0.02)
    plain = make_trainer(Options(estimator="Linear")).train(classification_session(None))(
        *weighted.arrays("valid")[0]
    )[0]
    assert np.abs(plain - answers[0]).max() > np.abs(answers[1] - answers[0]).max()
    weighted.sample_weights["valid"] = np.linspace(0, 2, 120, dtype=np.float32)
    make_trainer(Options(estimator="Linear")).train(weighted)
    assert weighted.logged[1]["loss"] != weighted.logged[0]["loss"]
    for name in ("HistGradientBoosting", "RandomForest", "ExtraTrees"):
        assert make_trainer(Options(estimator=name)).weighs
        make_trainer(Options(estimator=name, size=3)).train(weighted)
    two_targets = regression_session(2)
    two_targets.sample_weights["train"] = np.ones(400, np.float32)
    make_trainer(Options(estimator="HistGradientBoosting", size=3)).train(two_targets)
    assert not make_trainer(Options(estimator="KNeighbors")).weighs  # so weights are refused


def test_task_without_a_score_per_class_is_refused():
    session = classification_session(Options())
    session.spec = session.spec.with_output(2)
    with pytest.raises(BadUsage, match="a score per class"):
        make_trainer(Options()).train(session)


def test_mask_target_is_refused():
    spec = Spec(fields=(IMAGE,), target=Target(kind="mask", classes=("a", "b"), shape=(8, 8)))
    with pytest.raises(BadUsage, match="classes and numbers; the target is a mask"):
        make_trainer(Options()).train(Session(spec, None, None, None))  # type: ignore[arg-type]  # part of a session


# --- features


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 8, 8), (1, 28, 28), (3, 33, 17)])
def test_image_features_are_finite_and_independent_of_the_batch(shape):
    x = np.random.default_rng(0).integers(0, 255, (5, *shape)).astype(np.uint8)
    whole = features.image_features(x)
    assert whole.dtype == np.float32
    assert whole.shape[0] == 5
    assert np.isfinite(whole).all()
    assert np.allclose(np.concatenate([features.image_features(x[i : i + 1]) for i in range(5)]), whole, atol=1e-5)


def test_directions_distinguish_vertical_from_horizontal_edges():
    vertical = np.zeros((1, 1, 16, 16))
    vertical[..., 8:] = 1
    histograms = features.directions(vertical), features.directions(vertical.swapaxes(2, 3))
    assert np.abs(histograms[0] - histograms[1]).max() > 0.5
    assert np.allclose(features.directions(vertical * 100), histograms[0], atol=1e-3)  # independent of contrast


def test_block_means_preserve_the_mean():
    x = np.random.default_rng(0).random((2, 3, 16, 24)).astype(np.float32)
    means = features.block_means(x)
    assert means.shape == (2, 3 * 8 * 8)
    assert np.allclose(means.reshape(2, 3, -1).mean(2), x.mean((2, 3)), atol=1e-6)


# --- files that are refused


@pytest.fixture
def stored(tmp_path):
    session = classification_session(None)
    make_trainer(Options(estimator="RandomForest", size=3)).train(session).save(tmp_path)
    return tmp_path


def test_no_pickle_is_written(stored):
    assert sorted(path.name for path in stored.iterdir()) == ["estimator.json", "estimator.skops"]
    with zipfile.ZipFile(stored / "estimator.skops") as archive:
        assert all(name.endswith((".json", ".npy", ".npz")) for name in archive.namelist())


def test_unknown_type_is_refused(stored):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    class ThirdPartyScaler(StandardScaler):  # type: ignore[misc]  # scikit-learn has no annotations
        pass

    refit(stored, ThirdPartyScaler(), LogisticRegression())
    with pytest.raises(Refused, match="ThirdPartyScaler"):
        open_runner(stored)


def test_estimator_that_the_plugin_does_not_save_is_refused(stored):
    from sklearn.linear_model import SGDClassifier
    from sklearn.preprocessing import StandardScaler

    refit(stored, StandardScaler(), SGDClassifier())
    with pytest.raises(Refused):
        open_runner(stored)


@pytest.mark.parametrize("estimator", ["RandomForest", "HistGradientBoosting"])
def test_trees_with_indices_out_of_range_are_detected(estimator):
    from benchdog_sklearn.runner import valid_trees

    trained = make_trainer(Options(estimator=estimator, size=3)).train(classification_session(None))
    last = trained.pipeline[-1]
    assert valid_trees(last)
    if estimator == "RandomForest":
        last.estimators_[1].tree_.feature[0] = 10**6
    else:
        last._predictors[1][0].nodes["left"][0] = 10**6
    assert not valid_trees(last)


def test_damaged_files_are_bad_data(stored):
    whole = (stored / "estimator.skops").read_bytes()
    (stored / "estimator.skops").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="damaged"):
        open_runner(stored)
    (stored / "estimator.skops").unlink()
    with pytest.raises(BadData, match=r"estimator\.skops"):
        open_runner(stored)
    (stored / "estimator.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadData, match=r"estimator\.json"):
        open_runner(stored)


def test_other_scikit_learn_version_names_the_required_one(stored):
    meta = json.loads((stored / "estimator.json").read_text(encoding="utf-8"))
    (stored / "estimator.json").write_text(json.dumps(meta | {"scikit-learn": "0.1"}), encoding="utf-8")
    with pytest.raises(NotAvailable) as caught:
        open_runner(stored)
    assert 'pip install "scikit-learn==0.1.*"' in caught.value.hint


def test_runner_works_without_torch(stored):
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


def test_hook_module_is_lightweight():
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


# --- the command line


def test_evaluation_equals_the_metrics_of_training(tmp_path):
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
