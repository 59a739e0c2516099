"""The contract number: supported versions, shims and their deprecation, plugins disabled without being imported."""

import sys

import pytest
from torch import nn

from benchdog import api
from benchdog.builtin.tasks.classification import Classification
from benchdog.errors import BadUsage
from benchdog.plugins import Plugins, compat
from benchdog.plugins.discovery import declared, entries, located
from support.in_process import run
from support.plugin_files import install, offer

pytestmark = pytest.mark.usefixtures("weights_alone")

TRAINER = """
from benchdog.api import BadUsage, TrainerInfo, hookimpl

{contract}

@hookimpl
def benchdog_trainers():
    return [TrainerInfo(name="mine", summary="A test.", target=":Mine")]


class Mine:
    weighs = True

    def check(self, {arguments}):
        raise BadUsage(f"{{{steps}}} steps were seen")

    def train(self, session):
        return session.model
"""
OLD = {"arguments": "model, stages, steps, task", "steps": "steps"}
NEW = {"arguments": "trial", "steps": "trial.steps"}
QUICK = ("digits", "--model", "linear", "--epochs", 2, "--trainer", "mine")


@pytest.mark.parametrize(
    ("number", "this", "fault", "remedy"),
    [
        (1, 1, "", ""),
        (0, 1, "", ""),  # deprecated: a shim
        (1, 2, "", ""),
        (
            0,
            2,
            "is written for contract 0; this Benchdog has contract 2 and supports plugins written for 1",
            "Update x.",
        ),
        (2, 1, "is written for contract 2; this Benchdog has contract 1", "Update Benchdog"),
        ("1", 1, "declares CONTRACT = '1'", "CONTRACT = 1 in x"),
        (True, 1, "declares CONTRACT = True", "CONTRACT = 1 in x"),
        (-1, 1, "declares CONTRACT = -1", "CONTRACT = 1 in x"),
    ],
)
def test_supported_contract_numbers(number, this, fault, remedy):
    wrong = compat.objection(number, this, "x")
    assert (wrong is None) == (not fault)
    if wrong:
        assert fault in wrong[0]
        assert remedy in wrong[1]


def test_shim_deprecation_note():
    assert compat.note(1, 1) == ""
    assert compat.note(0, 1) == "written for contract 0: works through a shim until contract 2"
    assert "docs/reference/contract.md" in compat.advice(0, "x", 1)
    assert compat.objection(0, 2, "x") is not None


def test_old_contract_warns_the_plugin_author(tmp_path):
    file = tmp_path / "old.py"
    file.write_text(TRAINER.format(contract="CONTRACT = 0", **OLD), encoding="utf-8")
    with pytest.warns(DeprecationWarning, match="written for contract 0: works through a shim until contract 2"):
        Plugins.discover([file])


@pytest.mark.parametrize(("contract", "form"), [("CONTRACT = 0", OLD), ("CONTRACT = 1", NEW), ("", NEW)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_trainer_check_is_called_as_its_contract_requires(tmp_path, contract, form):
    (tmp_path / "mine.py").write_text(TRAINER.format(contract=contract, **form), encoding="utf-8")
    result = run("--plugin", "mine.py", "train", *QUICK, cwd=tmp_path, code=2)
    assert "40 steps were seen" in result.err
    result = run("train", *QUICK[:-1], "mine.py:Mine", cwd=tmp_path, code=2)
    assert "40 steps were seen" in result.err


def test_old_check_signature_under_the_new_contract_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text(TRAINER.format(contract="CONTRACT = 1", **OLD), encoding="utf-8")
    result = run("--plugin", "mine.py", "train", *QUICK, cwd=tmp_path, code=2)
    assert "check can't be called as check(trial)" in result.err
    assert "check(self, trial)" in result.err


def test_local_class_for_another_contract_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text(TRAINER.format(contract="CONTRACT = 5", **NEW), encoding="utf-8")
    with pytest.raises(BadUsage, match=r"mine\.py is written for contract 5"):
        Plugins.discover().find("trainer", f"{tmp_path / 'mine.py'}:Mine")


def test_adapted_trainer_keeps_its_attributes(tmp_path):
    class Old:
        weighs = True

        def check(self, model, stages, steps, task):
            self.seen = (model, stages, steps, task)

    old = Old()
    adapted = compat.adapt("trainer", old, 0)
    trial = api.Trial(model=nn.Linear(2, 2), stages=("s",), steps=3, task=Classification())
    adapted.check(trial)
    assert old.seen == adapted.seen == (trial.model, ("s",), 3, trial.task)
    assert adapted.weighs
    assert compat.adapt("trainer", old, 1) is old
    assert compat.adapt("model", old, 0) is old
    assert not hasattr(compat.adapt("trainer", object(), 0), "check")


# --- the number is parsed, the module is not imported


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a folder on sys.path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_plugin_of_an_unknown_contract_is_not_imported(site, capsys):
    install(site, "new-net", "from benchdog.api import Missing\n" + offer("x", contract="CONTRACT: int = 3  # soon"))
    plugins = Plugins.discover()
    (fault,) = plugins.faults
    assert fault.fault == "is written for contract 3; this Benchdog has contract 1."
    assert "benchdog" in fault.remedy.lower()
    assert "new_net" not in sys.modules
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("CONTRACT = 3", 3),
        ("CONTRACT: Final[int] = 3  # text", 3),
        ("CONTRACT = 1", None),  # a usual one
        ('"""\nCONTRACT = 3\n"""', None),
        ('"""\nCONTRACT = 3\n"""\nCONTRACT = 4', 4),
        ("if True:\n    CONTRACT = 3", None),
        ("CONTRACT = 3 if x else 4", None),
        ("CONTRACT = 3\ndef (", None),
        ("", None),
    ],
)
def test_contract_number_is_read_from_the_source_text(site, text, number):
    inner = site / "outer" / "inner"
    inner.mkdir(parents=True)
    (site / "outer" / "__init__.py").write_text("raise SystemExit('imported')")
    (inner / "__init__.py").write_text(text)
    assert declared(located("outer.inner"), (0, 1)) == number
    assert "outer" not in sys.modules


def test_shipped_plugins_declare_a_literal_contract():
    shipped = [entry for entry in entries() if entry.dist.startswith("benchdog")]
    assert "benchdog.builtin" in [entry.module for entry in shipped]
    assert {entry.module: declared(located(entry.module), ()) for entry in shipped} == {e.module: 1 for e in shipped}


def test_missing_modules_declare_no_contract(site):
    (site / "space").mkdir()
    assert [
        declared(located(name), (0, 1)) for name in ("no_such", "no_such.part", "json.no_such", "space", "sys")
    ] == [None] * 5


def test_plugin_without_a_contract_works_with_advice_to_its_author(site):
    install(site, "mute-net", offer("mute", contract=""))
    plugins = Plugins.discover()
    assert plugins.faults == []
    (plugin,) = (each for each in plugins.healthy if each.name == "mute_net")
    assert compat.note(plugin.contract) == "declares no contract"
    assert "author of mute-net must write CONTRACT = 1" in compat.advice(plugin.contract, plugin.dist)
