"""What a component or an observer changes in the whole process is undone, and its plugin is named."""

import json
import multiprocessing
import os
import random
import socket
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from benchdog.plugins import Plugins
from benchdog.plugins.global_state import GlobalState
from benchdog.system import exits
from support.in_process import run, train
from support.plugin_files import install, offer

pytestmark = pytest.mark.usefixtures("weights_alone")

CHANGES = {
    "torch's default dtype": "torch.set_default_dtype(torch.float64)",
    "torch's default device": "torch.set_default_device('meta')",
    "torch's grad mode": "torch.set_grad_enabled(False)",
    "torch's number of threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "torch's deterministic mode": "torch.use_deterministic_algorithms(True)",
    "torch's precision of float32 products": "torch.set_float32_matmul_precision('medium')",
    "torch's anomaly mode": "torch.autograd.set_detect_anomaly(True)",
    "torch's random numbers": "torch.manual_seed(5)",
    "numpy's random numbers": "numpy.random.seed(5)",
    "torch.nn.functional.relu": "torch.nn.functional.relu = None",
    "torch.nn.Module.__call__": "torch.nn.Module.__call__ = print",
    "torch.Tensor.backward": "torch.Tensor.backward = print",
    "the locale": "import locale as l; l.setlocale(l.LC_ALL, 'C' if l.setlocale(l.LC_ALL) != 'C' else 'C.UTF-8')",
    "sys.excepthook": "sys.excepthook = print",
    "threading.excepthook": "threading.excepthook = print",
}


def facts():
    """Return what of the process a test would notice."""
    return {
        "dtype": torch.get_default_dtype(), "device": str(torch.get_default_device()),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(), "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(), "anomaly": torch.is_anomaly_enabled(),
        "torch": torch.random.get_rng_state().numpy().tobytes(), "numpy": str(np.random.get_state()),
        "relu": torch.nn.functional.relu, "call": torch.nn.Module.__call__, "backward": torch.Tensor.backward,
        "hooks": (sys.excepthook, threading.excepthook), "python": random.getstate(), "folder": Path.cwd(),
    }  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_change_is_undone_and_named(what):
    before, state = facts(), GlobalState()
    exec(CHANGES[what], {"torch": torch, "numpy": np, "sys": sys, "threading": threading})
    assert state.undo() == ([what], [])
    assert facts() == before
    assert state.undo() == ([], [])


def test_what_libraries_do_for_themselves_is_left(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    with warnings.catch_warnings():
        state = GlobalState()
        sys.path.append("/somewhere/vendored")
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
        warnings.filterwarnings("ignore", message="numpy.ndarray size changed")
        monkeypatch.setattr(socket, "an_addition", 3, raising=False)
        assert state.undo() == ([], [])
    assert sys.path[-1] == "/somewhere/vendored"


def test_first_use_of_processes_is_no_change():
    chosen = multiprocessing.get_start_method(allow_none=True)
    try:
        multiprocessing.set_start_method(None, force=True)
        state = GlobalState()
        multiprocessing.get_start_method()  # resolves the platform's default
        assert state.undo() == ([], [])
        other = multiprocessing.get_all_start_methods()[-1]
        multiprocessing.set_start_method(other, force=True)
        assert state.undo() == (["the start method of processes"], [])
        assert multiprocessing.get_start_method() == multiprocessing.get_all_start_methods()[0]
    finally:
        multiprocessing.set_start_method(chosen, force=True)


@pytest.mark.parametrize("draws", [1, 700, 30_000])
def test_random_numbers_that_a_library_draws_at_import_are_given_back_without_a_word(draws):
    before, state = random.getstate(), GlobalState()
    for _ in range(draws):
        random.random()
    assert state.undo() == ([], [])
    assert random.getstate() == before
    random.seed(3)
    assert state.undo() == (["Python's random numbers"], [])
    assert random.getstate() == before


def test_folder_put_before_others_is_moved_to_the_end(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before, state = list(sys.path), GlobalState()
    sys.path.insert(0, "/hides/torch")
    assert state.undo() == (["sys.path"], [])
    assert sys.path == [*before, "/hides/torch"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHDOG_PLUGINS", "meddler")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("meddler", None)


def test_component_that_changes_torch_is_blamed_when_it_is_built(place):
    code = offer("meddling", kind="augmentation").replace(
        "import torch\n    return", "import torch\n    torch.set_default_dtype(torch.float64)\n    return"
    )
    code = code.replace("def build(spec)", "def build()").replace(
        "torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(spec.outputs))",
        "type('Still', (), {'check': lambda self, spec: None, 'apply': lambda self, *batch: batch[:2]})()",
    )
    install(place, "meddler", code)
    plugins = Plugins.discover()
    assert plugins.faults == []
    plugins.make("augmentation", "meddling")
    assert torch.get_default_dtype() == torch.float32
    (fault,) = plugins.faults
    assert fault.name == "meddler"
    assert fault.fault == "its augmentation 'meddling' changes torch's default dtype (undone)."
    assert "the author of meddler" in fault.remedy


def test_model_that_seeds_or_patches_is_blamed_and_may_draw(place):
    body = "    import torch\n    torch.nn.functional.cross_entropy = print\n    torch.rand(3)\n"
    install(
        place,
        "meddler",
        offer("meddling").replace("    import torch\n", body).replace("build(spec)", "build(spec, options)"),
    )
    result = train("digits", "--model", "meddling", "--epochs", 1, "--name", "m", "--quiet", cwd=place)
    assert "plugin 'meddler': its model 'meddling' changes torch.nn.functional.cross_entropy (undone)." in result.err
    assert "random" not in result.err
    assert torch.nn.functional.cross_entropy.__module__ == "torch.nn.functional"


EXITING = """
import os
import torch

class Net(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = torch.nn.Linear(64, spec.outputs)

    def forward(self, x):
        {call}
        return self.layer(x.flatten(1))
"""


@pytest.mark.parametrize(
    ("call", "said"), [("os._exit(0)", "os._exit(0) would have ended"), ("raise SystemExit(0)", "SystemExit")]
)
def test_component_that_exits_fails_the_run(tmp_path, call, said):
    (tmp_path / "net.py").write_text(
        EXITING.format(
            call=f"if self.training: {call}" if "raise" not in call else f"if self.training:\n            {call}"
        ),
        encoding="utf-8",
    )
    result = run(
        "train", "digits", "--model", "net.py:Net", "--epochs", 1, "--name", "x", "--quiet", cwd=tmp_path, code=1
    )
    assert said in result.err
    assert "net.py, line" in result.err
    assert json.loads((tmp_path / "runs/x/run.json").read_text())["status"] == "failed"
    with pytest.raises(SystemExit):
        raise SystemExit  # of this process: os is what it was
    assert os._exit is exits._original["_exit"]


def test_forked_process_may_end_as_it_likes():
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    with exits.guarded(), pytest.raises(exits.ProcessEnded, match=r"os\._exit\(3\) would have ended the command"):
        os._exit(3)
    with exits.guarded(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads
        child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
