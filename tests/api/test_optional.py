"""Optional members of components: detection by protocol, and defaults for missing attributes."""

import doctest
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchdog import api
from benchdog.api import optional
from benchdog.builtin.tasks.classification import Classification
from benchdog.errors import BadUsage
from support.in_process import run

METHODS = (
    api.FittedTask,
    api.SampleLossTask,
    api.InvertibleHeadTask,
    api.BaselineTask,
    api.DownloadedSource,
    api.PreprocessedSource,
    api.BatchSplit,
    api.ArraySplit,
    api.IndexedSplit,
    api.CheckedTrainer,
    api.LaunchingBackend,
)


class Plain:
    """A split with the required members alone."""

    def __len__(self):
        return 3

    def raw(self, i):
        return api.Raw(id=str(i), fields={}, target=i)


class Batched(Plain):
    def batch(self, indices):
        return (np.asarray(indices, np.float32),), np.asarray(indices)


def test_optional_module_doctests_pass():
    assert doctest.testmod(optional).failed == 0


def test_every_optional_member_is_public():
    defined = {n for n, v in vars(optional).items() if getattr(v, "__module__", "") == optional.__name__}
    assert {n for n in defined if n[0] != "_"} - {"Attributes"} <= set(api.__all__)


@pytest.mark.parametrize("protocol", METHODS)
def test_component_with_only_required_members_has_no_optional_method(protocol):
    assert not isinstance(Plain(), protocol)


def test_optional_method_is_recognized():
    assert isinstance(Batched(), api.BatchSplit)
    assert not isinstance(Batched(), api.ArraySplit)


def test_optional_method_set_to_none_is_absent():
    split = Batched()
    split.batch = None  # type: ignore[method-assign, assignment]
    assert not isinstance(split, api.BatchSplit)


def test_delegating_wrapper_has_optional_methods_of_wrapped_split():
    class Wrapper:
        def __init__(self, split):
            self.split = split

        def __getattr__(self, name):
            return getattr(self.split, name)

    assert isinstance(Wrapper(Batched()), api.BatchSplit)
    assert not isinstance(Wrapper(Plain()), api.BatchSplit)


def test_protocol_subclass_is_an_ordinary_class():
    class Mine(Plain, api.BatchSplit):
        def batch(self, indices):
            return (), np.asarray(indices)

    assert isinstance(Mine(), Mine)
    assert isinstance(Mine(), api.BatchSplit)
    assert not isinstance(Batched(), Mine)


def test_missing_optional_attributes_have_defaults():
    task = api.with_defaults(object(), api.TaskDefaults)
    assert (task.weighs, task.adds_up, task.ignore, task.notes) == (False, True, None, ())
    assert api.with_defaults(None, api.PretrainedDefaults).begins is False
    assert api.with_defaults(Plain(), api.SplitDefaults).targets is None


def test_optional_attributes_are_read_on_access():
    task = SimpleNamespace(adds_up=True)
    assert api.with_defaults(task, api.TaskDefaults).adds_up
    task.adds_up = False
    assert not api.with_defaults(task, api.TaskDefaults).adds_up
    assert api.TaskDefaults.adds_up


def test_with_defaults_returns_subclass_of_defaults_unchanged():
    class Weighted(api.TaskDefaults):
        weighs = True

    task = Weighted()
    assert api.with_defaults(task, api.TaskDefaults) is task
    assert task.weighs
    assert task.adds_up


def test_classification_task_implements_fitted_task():
    task = Classification()
    assert isinstance(task, api.FittedTask)
    assert not isinstance(task, api.SampleLossTask)
    assert api.with_defaults(task, api.TaskDefaults).weighs


def test_layer_mixes_samples_attribute_overrides_default():
    layer = torch.nn.Linear(2, 2)
    assert not api.with_defaults(layer, api.LayerDefaults).mixes_samples
    vars(layer)["mixes_samples"] = True
    assert api.with_defaults(layer, api.LayerDefaults).mixes_samples


def test_task_with_fit_but_without_state_is_refused(tmp_path):
    (tmp_path / "half.py").write_text(
        "from benchdog.builtin.tasks.classification import Classification\n"
        "class Half(Classification):\n"
        "    state = restore = None\n",
        encoding="utf-8",
    )
    result = run(
        "train",
        "digits",
        "--task",
        "half.py:Half",
        "--model",
        "linear",
        "--epochs",
        1,
        cwd=tmp_path,
        code=BadUsage.code,
    )
    assert "has fit(), but not all of fit(), state() and restore()" in result.err
    assert "FittedTask" in result.err
