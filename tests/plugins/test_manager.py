"""The plugin manager: loading, disabling faulty plugins, name conflicts, events."""

import os
import sys
import threading

import pytest

from benchdog.errors import BadUsage, NotAvailable
from benchdog.plugins import Plugins
from benchdog.plugins.loading import load_file
from support.plugin_files import install, offer

WITH_EVENTS = """
import pathlib
from benchdog.api import hookimpl

CONTRACT = 1
received = []

@hookimpl
def benchdog_step_ended(step, loss):
    received.append((step, loss))

@hookimpl
def benchdog_epoch_ended(metrics):
    metrics["altered"] = 1.0
    received.append(dict(metrics))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder on sys.path for installing distributions."""
    monkeypatch.delenv("BENCHDOG_STRICT", raising=False)
    monkeypatch.setenv("BENCHDOG_PLUGINS", "-tensorboard,-mlflow")
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def single_fault(plugins):
    (fault,) = plugins.faults
    return fault


# --- loading


def test_installed_plugin_is_found_with_its_distribution(place):
    install(place, "stars-net", offer("stars"), entry="stars")
    plugins = Plugins.discover()
    found = plugins.find("model", "stars")
    assert (found.plugin, found.dist, found.version) == ("stars", "stars-net", "1.2")
    assert found.info.target == "stars_net:build"
    assert found.resolve(found.info.target).__name__ == "build"
    assert plugins.faults == []


def test_local_file_needs_no_packaging(place, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(offer("mine-net"), encoding="utf-8")
    plugins = Plugins.discover([file])
    found = plugins.find("model", "mine-net")
    assert found.dist == "mine"
    assert found.resolve(found.info.target) is found.resolve(":build")
    assert plugins.healthy[-1].components == {"model": ["mine-net"]}
    assert plugins.healthy[-1].path == str(file)


def test_local_file_module_name_is_the_same_in_every_process(tmp_path):
    file = tmp_path / "same.py"
    file.write_text("value = 1\n", encoding="utf-8")
    name = load_file(file).__name__
    assert load_file(file) is sys.modules[name]
    assert name == load_file(tmp_path / "x" / ".." / "same.py").__name__


def test_edited_local_file_is_reloaded(tmp_path):
    file = tmp_path / "edited.py"
    file.write_text("value = 1\n", encoding="utf-8")
    assert load_file(file).value == 1
    file.write_text("value = 22\n", encoding="utf-8")
    assert load_file(file).value == 22


def test_missing_plugin_file_is_bad_usage(tmp_path):
    with pytest.raises(BadUsage, match=r"no plugin file .*gone\.py"):
        Plugins.discover([tmp_path / "gone.py"])


# --- disabled plugins


FAULTS = {
    "raises at import": ("raise RuntimeError('no luck')", ["RuntimeError: no luck", "import"]),
    "leaves at import": ("import sys\nsys.exit(3)", ["SystemExit: 3", "import"]),
    "is not Python": ("def (:", ["SyntaxError", "import"]),
    "raises in its hook": (
        "from benchdog.api import hookimpl\n@hookimpl\ndef benchdog_models():\n    raise OSError('hm')\n",
        ["benchdog_models", "OSError: hm"],
    ),
    "returns nothing": (
        "from benchdog.api import hookimpl\n@hookimpl\ndef benchdog_models():\n    pass\n",
        ["benchdog_models", "returns None, not a list of descriptors"],
    ),
    "requests an unknown hook argument": (
        "from benchdog.api import hookimpl\n@hookimpl\ndef benchdog_step_ended(step, lost):\n    pass\n",
        ["lost"],
    ),
    "implements an unknown hook": (
        "from benchdog.api import hookimpl\n@hookimpl\ndef benchdog_model():\n    return []\n",
        ["benchdog_model", "Did you mean 'benchdog_models'?"],
    ),
    "forgets the decorator": ("def benchdog_models():\n    return []\n", ["benchdog_models", "@hookimpl"]),
    "wraps a hook": (
        "from benchdog.api import hookimpl\n@hookimpl(wrapper=True)\n"
        "def benchdog_models():\n    yield\n    return []\n",
        ["wraps benchdog_models"],
    ),
    "wraps a hook in the old way": (
        "from benchdog.api import hookimpl\n@hookimpl(hookwrapper=True)\ndef benchdog_models():\n    yield\n",
        ["wraps benchdog_models"],
    ),
    "has another contract": (offer("x", contract="CONTRACT = 41"), ["contract 41", "contract 1"]),
    "offers the wrong kind": (
        "from benchdog.api import SourceInfo, hookimpl\n@hookimpl\ndef benchdog_models():\n"
        "    return [SourceInfo(name='s', summary='', target='a:b')]\n",
        ["SourceInfo", "ModelInfo"],
    ),
    "offers an invalid name": (offer("My Net"), ["'My Net'", "lower-case"]),
    "offers a target without attribute": (offer("x", more=", options='stars.options'"), ["stars.options"]),
    "offers a name twice": (
        offer("x") + "@hookimpl\ndef benchdog_sources():\n    return []\n"
        "def twice(hook):\n    return hookimpl(lambda: hook() * 2)\n"
        "benchdog_models = twice(benchdog_models)\n",
        ["'x'", "twice"],
    ),
}


@pytest.mark.parametrize("local", [False, True], ids=["installed", "local"])
@pytest.mark.parametrize("case", FAULTS)
def test_faulty_plugin_is_disabled_and_others_work(place, tmp_path, capsys, case, local):
    code, expected = FAULTS[case]
    install(place, "a-good", offer("good"))
    if local:
        file = tmp_path / "z_bad.py"
        file.write_text(code, encoding="utf-8")
        plugins = Plugins.discover([file])
    else:
        install(place, "z-bad", code)
        plugins = Plugins.discover()
    fault = single_fault(plugins)
    assert fault.name == "z_bad"
    for text in expected:
        assert text in fault.fault
    assert ("z_bad.py" if local else "z-bad") in fault.remedy
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert "'z_bad'" in lines[0]
    assert fault.remedy in lines[0]
    assert {"builtin", "a_good"} <= {p.name for p in plugins.healthy}
    assert "z_bad" not in {p.name for p in plugins.healthy}
    assert plugins.find("model", "good").dist == "a-good"
    assert plugins.find("source", "digits").dist == "benchdog"
    assert "x" not in plugins.all("model")


def test_ctrl_c_while_loading_is_not_a_plugin_fault(place):
    install(place, "slow", "import signal\nsignal.raise_signal(signal.SIGINT)")
    with pytest.raises(KeyboardInterrupt):
        Plugins.discover()


def test_interrupt_that_a_plugin_raises_itself_is_its_fault(place):
    install(place, "odd", "raise KeyboardInterrupt")
    assert "nobody pressed Ctrl-C" in single_fault(Plugins.discover()).fault


def test_strict_mode_raises_plugin_errors(place, monkeypatch):
    install(place, "z-bad", "raise RuntimeError('no luck')")
    monkeypatch.setenv("BENCHDOG_STRICT", "1")
    with pytest.raises(RuntimeError, match="no luck"):
        Plugins.discover()


def test_allow_and_deny_lists_skip_plugins_without_importing_them(place, monkeypatch):
    install(place, "net-one", offer("one"), entry="first")
    install(place, "net-two", offer("two"))
    install(place, "net-three", "raise RuntimeError('imported')")
    monkeypatch.setenv("BENCHDOG_PLUGINS", "first, net_two")
    plugins = Plugins.discover()
    assert [p.name for p in plugins.healthy] == ["builtin", "first", "net_two"]
    assert plugins.faults == []
    assert "net_three" not in sys.modules
    monkeypatch.setenv("BENCHDOG_PLUGINS", "")
    assert [p.name for p in Plugins.discover().healthy] == ["builtin"]
    monkeypatch.setenv("BENCHDOG_PLUGINS", "-net_three, -first")
    names = {p.name for p in Plugins.discover().healthy}
    assert {"builtin", "net_two"} <= names
    assert not {"first", "net_three"} & names


def test_broken_metadata_of_other_distributions_is_ignored(place):
    stray = place / "stray-1.dist-info"
    stray.mkdir()
    (stray / "entry_points.txt").write_text("[benchdog]\nstray = stray\n")
    other = place / "other-1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Name: other\nVersion: 1\n")
    (other / "entry_points.txt").write_text("[benchdog]\nnonsense\n[benchdog.commands]\nnonsense\n")
    install(place, "a-good", offer("good"))
    plugins = Plugins.discover()
    assert plugins.find("model", "good").dist == "a-good"
    from benchdog.plugins.commands import installed_commands

    assert "nonsense" not in installed_commands()


# --- names


def test_builtin_name_takes_precedence_over_a_plugin(place, capsys):
    install(place, "cnn-net", offer("cnn"))
    plugins = Plugins.discover()
    assert plugins.find("model", "cnn").dist == "benchdog"
    assert plugins.find("model", "benchdog:cnn").dist == "benchdog"
    assert plugins.find("model", "cnn-net:cnn").dist == "cnn-net"
    fault = single_fault(plugins)
    assert fault.name == "cnn_net"
    assert "which is built in" in fault.fault
    assert "'cnn-net:cnn'" in fault.remedy
    assert set(plugins.all("model")) > {"cnn", "cnn-net:cnn"}
    assert "cnn_net" in capsys.readouterr().err
    assert "cnn_net" in [p.name for p in plugins.healthy]


def test_name_of_two_distributions_requires_a_prefix(place):
    install(place, "net-a", offer("stars"))
    install(place, "net-b", offer("stars"))
    plugins = Plugins.discover()
    with pytest.raises(BadUsage) as caught:
        plugins.find("model", "stars")
    assert caught.value.code == 2
    assert "'net-a:stars'" in caught.value.hint
    assert "'net-b:stars'" in caught.value.hint
    assert plugins.find("model", "net-b:stars").dist == "net-b"
    assert {"stars", "net-b:stars"} <= set(plugins.all("model"))


def test_name_of_two_plugins_of_one_distribution_requires_a_prefix(place):
    install(place, "net-a", offer("stars"), entries="[benchdog]\none = net_a\ntwo = net_a_two\n")
    (place / "net_a_two.py").write_text(offer("stars"), encoding="utf-8")
    plugins = Plugins.discover()
    with pytest.raises(BadUsage) as caught:
        plugins.find("model", "stars")
    assert "'one:stars'" in caught.value.hint
    assert "'two:stars'" in caught.value.hint
    assert plugins.find("model", "two:stars").module == "net_a_two"


def test_unknown_name_suggests_the_nearest_and_lists_all():
    plugins = Plugins.discover()
    with pytest.raises(BadUsage) as caught:
        plugins.find("model", "resnt")
    assert "Did you mean 'resnet'?" in caught.value.hint
    assert "unet" in caught.value.hint


@pytest.mark.parametrize("package", ["no_such_package", "no_such_package.part", "json.no_such_part"])
def test_missing_requirement_is_reported_before_loading(place, package):
    more = f", requires=('os', {package!r}), install='pip install that'"
    install(place, "needy", offer("needy", more=more))
    with pytest.raises(NotAvailable) as caught:
        Plugins.discover().find("model", "needy")
    assert caught.value.code == 3
    assert package in caught.value.message
    assert caught.value.hint == "pip install that"


def test_import_error_on_use_names_the_component(place):
    code = (
        offer("late").replace("target=':build'", "target='late_code:build'").replace('":build"', '"late_code:build"')
    )
    install(place, "late", code)
    (place / "late_code.py").write_text("import no_such_package\n", encoding="utf-8")
    plugins = Plugins.discover()
    with pytest.raises(NotAvailable) as caught:
        plugins.make("model", "late")
    assert "model 'late' of plugin 'late'" in caught.value.message
    assert "no_such_package" in caught.value.message


def test_options_for_a_component_without_options_are_refused():
    with pytest.raises(BadUsage, match="'linear' takes no options, so not 'width'"):
        Plugins.discover().make("model", "linear", {"width": 3})


# --- local classes


def test_local_class_by_file_or_by_module(place, tmp_path, monkeypatch):
    file = tmp_path / "nets.py"
    file.write_text("class Tiny:\n    class Inner:\n        pass\n\ndef build(): pass\n", encoding="utf-8")
    plugins = Plugins.discover()
    found = plugins.find("model", f"{file}:Tiny")
    assert found.resolve(found.info.target).__name__ == "Tiny"
    assert plugins.find("model", f"{file}:Tiny.Inner").info.target.endswith(":Tiny.Inner")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert plugins.find("model", "nets.py:Tiny").resolve(found.info.target).__name__ == "Tiny"
    assert plugins.find("model", "nets:Tiny").info.target == "nets:Tiny"
    assert plugins.find("model", "torch.nn:Linear").plugin == ""
    del sys.modules["nets"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FILE:Tinny", "Did you mean 'Tiny'?"),
        ("FILE:biuld", "Did you mean 'build'?"),
        ("FILE:", "Tiny"),
        ("gone.py:Net", "gone.py"),
        ("BROKEN:Net", "line 2"),
        ("no_such_package:Net", "no_such_package"),
        (":Net", "package"),
        ("nothing here:Net", "nothing here"),
        ("broken_here:Net", "ZeroDivisionError"),
    ],
)
def test_invalid_class_reference_is_bad_usage(place, tmp_path, name, message):
    (tmp_path / "nets.py").write_text("class Tiny:\n    pass\n\ndef build(): pass\n", encoding="utf-8")
    (tmp_path / "broken.py").write_text("\n1 / 0\n", encoding="utf-8")
    (place / "broken_here.py").write_text("1 / 0\n", encoding="utf-8")
    name = name.replace("FILE", str(tmp_path / "nets.py")).replace("BROKEN", str(tmp_path / "broken.py"))
    with pytest.raises(BadUsage) as caught:
        Plugins.discover().find("model", name)
    assert message in str(caught.value)


# --- events


def test_observers_receive_events_in_order_and_can_not_alter_them(place):
    install(place, "observer-a", WITH_EVENTS)
    install(place, "observer-b", WITH_EVENTS)
    plugins = Plugins.discover()
    metrics = {"valid.loss": 0.5}
    main = threading.current_thread()
    for step in range(1, 6):
        plugins.emit("benchdog_step_ended", run=None, step=step, loss=step / 2)
    plugins.emit("benchdog_epoch_ended", run=None, epoch=1, metrics=metrics)
    plugins.close()
    assert main is threading.current_thread()
    assert metrics == {"valid.loss": 0.5}
    for observer in ("observer_a", "observer_b"):
        *steps, last = sys.modules[observer].received
        assert steps == [(step, step / 2) for step in range(1, 6)]
        assert last == {"valid.loss": 0.5, "altered": 1.0}
    assert plugins.faults == []


def test_observer_that_raises_is_disabled_and_others_continue(place, capsys):
    install(place, "observer-bad", WITH_EVENTS.replace("received.append((step", "received.append((1 / 0"))
    install(place, "observer-good", WITH_EVENTS)
    plugins = Plugins.discover()
    for step in range(3):
        plugins.emit("benchdog_step_ended", run=None, step=step, loss=0.0)
    plugins.close()
    fault = single_fault(plugins)
    assert fault.name == "observer_bad"
    assert "benchdog_step_ended raised ZeroDivisionError" in fault.fault
    assert "the run continues" in fault.remedy
    assert [step for step, _ in sys.modules["observer_good"].received] == [0, 1, 2]
    assert "observer_bad" in capsys.readouterr().err


def test_strict_mode_raises_observer_errors_on_close(place, monkeypatch):
    install(place, "observer-bad", WITH_EVENTS.replace("received.append((step", "received.append((1 / 0"))
    monkeypatch.setenv("BENCHDOG_STRICT", "1")
    plugins = Plugins.discover()
    plugins.emit("benchdog_step_ended", run=None, step=1, loss=0.0)
    with pytest.raises(ZeroDivisionError):
        plugins.close()


def test_slow_observer_does_not_block_a_run(place, monkeypatch):
    from benchdog.plugins import events

    monkeypatch.setattr(events, "CAPACITY", 1000)
    monkeypatch.setattr(events, "PATIENCE", 0.2)
    code = "import threading\nwait = threading.Event()\n" + WITH_EVENTS.replace(
        "received.append((step", "wait.wait(20), received.append((step"
    )
    install(place, "sleeper", code)
    plugins = Plugins.discover()
    for step in range(3000):
        plugins.emit("benchdog_step_ended", run=None, step=step, loss=0.0)
    plugins.close()
    assert plugins._events.dropped > 0
    assert single_fault(plugins).name == "sleeper"
    sys.modules["sleeper"].wait.set()


def test_events_without_observers_start_no_thread():
    before = set(threading.enumerate())
    plugins = Plugins.discover()
    plugins.emit("benchdog_step_ended", run=None, step=1, loss=0.0)
    assert not set(threading.enumerate()) - before
    plugins.close()


# --- command line


def test_plugin_faults_are_one_line_each_and_commands_continue(place, tmp_path, process):
    install(place, "z-bad", "raise RuntimeError('no luck\\nat all')")
    install(place, "net-a", offer("stars"))
    local = tmp_path / "half.py"
    local.write_text("import no_such_package\n", encoding="utf-8")
    env = {"PYTHONPATH": os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])}
    result = process("--plugin", local, "plugins", "list", "--json", env=env)
    rows = {row["name"]: row for row in result.json["plugins"]}
    assert rows["builtin"]["components"]["model"]
    assert rows["net_a"]["distribution"] == "net-a"
    lines = result.err.splitlines()
    assert len(lines) == 2, lines
    assert any("'z_bad'" in line and "no luck at all" in line and "z-bad" in line for line in lines)
    assert any("'half'" in line and "no_such_package" in line and "line 1" in line for line in lines)


def test_plugin_file_and_its_copy_are_one_plugin(tmp_path, capsys):
    text = (
        "from benchdog.api import ModelInfo, hookimpl\n\n\n@hookimpl\ndef benchdog_models():\n"
        '    return [ModelInfo(name="own", summary="Mine.", target=":build")]\n'
    )
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(text + ("# edited\n" if folder == "c" else ""), encoding="utf-8")
    same = Plugins.discover([tmp_path / "a" / "mine.py", tmp_path / "b" / "mine.py"])
    assert not same.faults
    assert same.find("model", "own").plugin == "mine"
    other = Plugins.discover([tmp_path / "a" / "mine.py", tmp_path / "c" / "mine.py"])
    (fault,) = other.faults
    assert str(tmp_path / "a" / "mine.py") in fault.fault
    assert other.find("model", "own").plugin == "mine"
