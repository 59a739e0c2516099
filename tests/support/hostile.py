"""Plugins that do what none may, each with what the user must be told."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

HEAD = "from benchdog.api import ModelInfo, hookimpl\n\nCONTRACT = 1\n\n"
MODEL = (
    "@hookimpl\ndef benchdog_models():\n"
    '    return [ModelInfo(name="own-net", summary="A test.", target=":build")]\n\n\n'
    "def build(spec):\n    import torch\n    return torch.nn.Linear(2, 2)\n"
)
OBSERVER = "@hookimpl\ndef benchdog_run_started(run):\n"


@dataclass(frozen=True)
class Hostile:
    """A hostile plugin.

    Attributes:
        does: what it does, for the table in docs/explanation/isolation.md.
        code: its module.
        told: what `plugins list` says about it; "" if it is healthy there.
        health: its state in that list.
        training: what `train` says about it, if that is something else.
    """

    does: str
    code: str
    told: str
    health: str = "wrong"
    training: str = ""
    source: bytes | None = None


def at_import(does: str, line: str, told: str, health: str = "wrong", before: str = "") -> Hostile:
    """Return a plugin that does something when it is imported, and offers a model."""
    return Hostile(does, f"{before}{HEAD}{dedent(line)}\n\n\n{MODEL}", told, health)


def in_hook(does: str, body: str, told: str, health: str = "wrong") -> Hostile:
    """Return a plugin with this body of its hook benchdog_models."""
    lines = "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
    return Hostile(does, f"{HEAD}@hookimpl\ndef benchdog_models():\n{lines}", told, health)


def observer(does: str, body: str, training: str) -> Hostile:
    """Return a plugin that does something when a run starts."""
    lines = "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
    return Hostile(does, HEAD + OBSERVER + lines, "", "ok", training)


def changing(what: str, line: str, told: str = "") -> Hostile:
    """Return a plugin that changes global state when it is imported."""
    return at_import(f"changes {what}", line, f"changes {told or what}", "warning")


CRASH = "import ctypes\nctypes.string_at(0)"
KILL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
PLUGINS: dict[str, Hostile] = {
    # --- at import
    "raises": at_import("raises an exception", "raise RuntimeError('no luck')", "raises RuntimeError: no luck"),
    "exits": at_import("calls `sys.exit(0)`", "import sys\nsys.exit(0)", "raises SystemExit: 0 at import"),
    "interrupts": at_import("raises KeyboardInterrupt", "raise KeyboardInterrupt", "nobody pressed Ctrl-C"),
    "ends_zero": at_import("calls `os._exit(0)`", "import os\nos._exit(0)", "os._exit(0) would have ended"),
    "ends_one": at_import("calls `os._exit(1)`", "from os import _exit\n_exit(1)", "os._exit(1) would have ended"),
    "aborts": at_import("calls `os.abort()`", "import os\nos.abort()", "os.abort() would have ended"),
    "execs": at_import("replaces the process by another program",
                       "import os\nos.execlp('true', 'true')", "os.execv(...) would have ended"),
    "c_exits": at_import("calls C's `_exit(0)`", "import ctypes\nctypes.CDLL(None)._exit(0)",
                         "ended with exit code 0"),
    "segfaults": at_import("crashes in native code", CRASH, "SIGSEGV"),
    "kills": at_import("kills its process", KILL, "SIGKILL"),
    "exits_late": at_import("ends the process when the interpreter exits",
                            "import atexit, os\natexit.register(os._exit, 0)", "", "ok"),
    "loops": at_import("loops for ever", "while True:\n    pass", "takes longer than", "warning"),
    "sleeps": at_import("sleeps", "import time\ntime.sleep(600)", "takes longer than", "warning"),
    "recurses": at_import("recurses without end", "def f():\n    f()\n\nf()", "raises RecursionError"),
    "no_python": at_import("isn't Python", "def (:", "raises SyntaxError"),
    "no_utf8": Hostile("isn't UTF-8", "", "raises SyntaxError", source="NAME = 'Größe'\n".encode("latin-1")),
    "lacks": at_import("imports a package that is missing", "import no_such_package", "raises ModuleNotFoundError"),
    "circles": at_import("imports itself in a circle", "from circles import Later\n", "raises ImportError"),
    "prints": at_import("prints", "print('hello')", "prints at import: 'hello'", "warning"),
    "asks": at_import("reads the standard input", "answer = input('Name? ')", "raises EOFError"),
    "thread": at_import("starts a thread that never ends",
                        "import threading, time\n"
                        "threading.Thread(target=time.sleep, args=(600,), daemon=False).start()",
                        "leaves behind a thread that isn't a daemon"),
    "exits_thread": at_import("calls `os._exit(0)` in a thread",
                              "import os, threading\nthreading.excepthook = lambda args: None\n"
                              "threading.Thread(target=os._exit, args=(0,)).start()", "threading.excepthook",
                                                "warning"),
    "forks": at_import("forks", "import os\nos.fork()", "leaves behind a fork of the process"),
    # --- descriptors
    "wrong_kind": in_hook("offers something else", "return ['own-net']", "offers a str instead of a ModelInfo"),
    "wrong_type": in_hook("offers a name that is a number",
                          "return [ModelInfo(name=3, summary='A test.', target=':build')]",
                                             "name is an int, not a str"),
    "loose_requires": in_hook("lists its requirements as one text",
                              "return [ModelInfo(name='x', summary='', target=':b', requires='timm')]",
                              "requires is a str, not a tuple"),
    "half_way": in_hook("raises after its first component",
                        "yield ModelInfo(name='x', summary='A test.', target=':build')\nraise OSError('hm')",
                        "benchdog_models: OSError: hm"),
    "nothing": in_hook("returns None", "return None", "returns None, not a list"),
    "endless": in_hook("offers components without end",
                       "n = 0\nwhile True:\n    n += 1\n"
                       "    yield ModelInfo(name=f'x{n}', summary='A test.', target=':build')",
                       "offers more than 1000 components"),
    "twice": in_hook("offers a name twice", "return [ModelInfo(name='x', summary='', target=':build')] * 2",
                     "offers model 'x' twice"),
    "clashes": in_hook("offers a built-in's name",
                       "return [ModelInfo(name='linear', summary='', target=':build')]", "the built-in stays",
                                          "warning"),
    "property": in_hook("offers an object whose properties raise",
                        "class Odd(ModelInfo):\n    def __getattribute__(self, name):\n        raise OSError(name)\n"
                        "return [Odd(name='x', summary='', target=':build')]", "instead of a ModelInfo"),
    "unequal": in_hook("offers a name that can't be compared",
                       "class Odd(str):\n    __hash__ = str.__hash__\n    def __eq__(self, other):\n        1 / 0\n"
                       "return [ModelInfo(name=Odd('x'), summary='', target=':build')]", "name is an Odd, not a str"),
    "hook_exits": in_hook("calls `os._exit(0)` in a hook", "import os\nos._exit(0)", "os._exit(0) would have ended"),
    "hook_crashes": in_hook("crashes in native code in a hook", CRASH, "SIGSEGV"),
    "hook_hangs": in_hook("never returns from a hook", "import time\ntime.sleep(600)",
                          "to return its components", "warning"),
    # --- hooks
    "wraps": Hostile("wraps another's hook",
                     HEAD + "@hookimpl(wrapper=True)\ndef benchdog_models():\n    yield\n    return []\n",
                     "wraps benchdog_models"),
    "unknown": Hostile("implements a hook that doesn't exist",
                       HEAD + "@hookimpl\ndef benchdog_modls():\n    return []\n", "is not a hook"),
    "arguments": Hostile("asks for an argument that a hook doesn't have",
                         HEAD + "@hookimpl\ndef benchdog_step_ended(step, lost):\n    pass\n", "lost"),
    "older": Hostile("is written for another contract", HEAD.replace("= 1",
                     "= 41") + MODEL, "written for contract 41"),
    # --- global state
    "changes_folder": changing("the working folder", "import os\nos.chdir('/')"),
    "changes_umask": changing("the umask", "import os\nos.umask(0o777)"),
    "changes_limit": changing("the recursion limit", "import sys\nsys.setrecursionlimit(80)"),
    "changes_stdout": changing("sys.stdout", "import io, sys\nsys.stdout = io.StringIO()"),
    "closes_path": changing("sys.path", "import sys\nsys.path[:] = []"),
    "changes_modules": changing("a module of the library",
                                "import sys, types\nsys.modules['json'] = types.ModuleType('json')",
                                "sys.modules['json']"),
    "patches_json": changing("a function of the library", "import json\njson.dumps = lambda *a, **k: '{}'",
                             "json.dumps"),
    "patches_path": changing("a method of the library", "import pathlib\npathlib.Path.read_text = None",
                             "pathlib.Path.read_text"),
    "patches_open": changing("a built-in function", "import builtins\nbuiltins.open = None", "builtins.open"),
    "patches_host": changing("a function of Benchdog's", "import benchdog.system.files as f\nf.write_json = print",
                             "benchdog.system.files.write_json"),
    "ignores_signals": changing("signal handlers", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)",
                                "signal handlers (SIGTERM)"),
    "alarms": changing("the alarm", "import signal\nsignal.alarm(3)"),
    "changes_variables": changing("environment variables", "import os\nos.environ['OMP_NUM_THREADS'] = '64'",
                                  "environment variables (OMP_NUM_THREADS)"),
    "silences": changing("filters for all warnings", "import warnings\nwarnings.simplefilter('ignore')"),
    "logs": changing("the root logger", "import logging\nlogging.basicConfig(level=0)"),
    "seeds": changing("Python's random numbers", "import random\nrandom.seed(0)"),
    "stops_gc": changing("garbage collection", "import gc\ngc.disable()"),
    "sockets": changing("the sockets' default timeout", "import socket\nsocket.setdefaulttimeout(0.01)"),
    # --- observers
    "watcher_raises": observer("raises", "raise OSError('hm')", "benchdog_run_started raised OSError: hm"),
    "watcher_exits": observer("calls `os._exit(0)`", "import os\nos._exit(0)", "os._exit(0) would have ended"),
    "watcher_blocks": observer("blocks", "import time\ntime.sleep(600)", "still busy with benchdog_run_started"),
    "watcher_changes": observer("changes torch's default dtype",
                                "import torch\ntorch.set_default_dtype(torch.float64)",
                                                                       "changes torch's default dtype"),
    "watcher_patches": observer("replaces a function of torch",
                                "import torch\ntorch.nn.functional.cross_entropy = print",
                                "torch.nn.functional.cross_entropy"),
    "watcher_edits": observer("changes what it is given", "run.name = 'other'", "benchdog_run_started raised"),
}  # fmt: skip


def rows() -> list[str]:
    """Return the rows of the table in docs/explanation/isolation.md."""
    lines = []
    for name, plugin in PLUGINS.items():
        said = (
            f"`{plugin.told or plugin.training}`" if plugin.told or plugin.training else "nothing: it has no effect"
        )
        when = " at a run's start" if plugin.training else ""
        where = ", in `train`" if plugin.training else ""
        lines.append(f"| {plugin.does}{when} (`{name}`) | {said}{where} |")
    return lines
