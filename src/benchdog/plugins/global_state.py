"""The state of the whole process that a plugin's code must leave as it was: noted before, compared and undone after.

A default dtype, a working folder or a function of torch that a plugin replaces would change what all other code does,
and the error, if there is one, would name somebody else.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal's own functions make an enum of every handler
import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

ENVIRONMENT = (
    "BENCHDOG_", "CUDA_VISIBLE_DEVICES", "HOME", "LANG", "LC_", "LD_", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "PATH",
    "PYTHON", "TMPDIR", "TZ",
)  # fmt: skip
"""Beginnings of the environment variables that matter to everybody; libraries set others for themselves."""
OWN_VARIABLE = "BENCHDOG_LEFT_OUT"
PATCHED = (
    "builtins", "os", "posixpath", "io", "json", "pathlib", "time", "random", "math", "threading", "subprocess",
    "socket", "importlib", "logging", "tempfile", "shutil", "hashlib", "numpy", "numpy.random", "torch",
    "torch.nn.functional", "torch.nn.init", "torch.autograd", "torch.nn.utils", "benchdog.api", "benchdog.errors",
    "benchdog.hookspecs", "benchdog.plugins.lookup", "benchdog.plugins.trust", "benchdog.system.files",
    "benchdog.system.signing", "benchdog.runs.run", "benchdog.pipeline",
)  # fmt: skip
"""Modules whose functions and classes nobody may replace, if they are loaded."""
CLASSES = (
    ("pathlib", "Path"), ("threading", "Thread"), ("subprocess", "Popen"), ("torch", "Tensor"),
    ("torch.nn", "Module"), ("torch.nn", "Linear"), ("torch.nn", "Conv2d"), ("torch.nn", "BatchNorm2d"),
    ("torch.nn", "Dropout"), ("torch.optim", "Optimizer"), ("torch.optim", "SGD"), ("torch.optim", "Adam"),
    ("torch.optim", "AdamW"),
)  # fmt: skip
_forks = [0]
os.register_at_fork(after_in_parent=lambda: _forks.__setitem__(0, _forks[0] + 1)) if hasattr(os, "fork") else None


PYTHONS_DRAWS = "Python's random numbers"
WORDS, MOST_DRAWS = 624, 100_000
"""Words of the state of a Mersenne Twister, and the most draws by which a changed state is explained."""
UNKNOWN = object()
"""The value of a setting that can't be read now."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it is called, how it is read and restored, the module that must be loaded for it.

    `usual` is what it has when that module is loaded meanwhile. `steady`: Benchdog itself doesn't change it during a
    run, so that it can also be compared around what other threads do.
    """

    what: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    module: str = ""
    usual: Any = UNKNOWN
    steady: bool = False


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current


_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGPIPE", "SIGUSR1", "SIGABRT", "SIGSEGV")
_NUMBERS = [int(getattr(signal, name)) for name in _NAMES if hasattr(signal, name)]


def _handlers() -> dict[int, Any]:
    return {number: _signal.getsignal(number) for number in _NUMBERS}


def _restore_handlers(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        if _signal.getsignal(number) is not handler and handler is not None:
            signal.signal(number, handler)


_BEGINNINGS: tuple[Any, ...] = tuple(map(os.environ.encodekey, ENVIRONMENT))
_OWN = os.environ.encodekey(OWN_VARIABLE)


def _variables() -> dict[Any, Any]:
    stored: dict[Any, Any] = os.environ._data  # type: ignore[attr-defined]  # as encoded: decoding takes ten times as long
    return {name: value for name, value in stored.items() if name.startswith(_BEGINNINGS) and name != _OWN}


def _restore_variables(before: Mapping[Any, Any]) -> None:
    for name in _variables().keys() - before.keys():
        del os.environ[os.fsdecode(name)]
    for name, value in before.items():
        os.environ[os.fsdecode(name)] = os.fsdecode(value)


def _blanket_filters() -> list[Any]:
    """Return the warning filters that match everything; libraries add others for warnings of their own."""
    return [each for each in warnings.filters if each[1] is None and each[2] is Warning and each[3] is None]


def _restore_filters(before: list[Any]) -> None:
    own = [each for each in warnings.filters if each not in _blanket_filters()]
    warnings.filters[:] = [*own, *before]  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _logging() -> tuple[int, int, list[Any]]:
    root = sys.modules["logging"].root
    return root.level, root.manager.disable, list(root.handlers)


def _restore_logging(before: tuple[int, int, list[Any]]) -> None:
    root = sys.modules["logging"].root
    root.setLevel(before[0])
    root.manager.disable = before[1]
    root.handlers[:] = before[2]


def _locale() -> str:
    import _locale

    return str(_locale.setlocale(_locale.LC_ALL))


def _restore_locale(before: str) -> None:
    import _locale

    _locale.setlocale(_locale.LC_ALL, before)


def _restore_gc(before: tuple[bool, tuple[int, int, int]]) -> None:
    gc.set_threshold(*before[1])
    if before[0]:
        gc.enable()
    else:
        gc.disable()


def _timer() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0 if hasattr(signal, "getitimer") else False


def _of_module(module: str, get: str, put: str) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    return lambda: getattr(sys.modules[module], get)(), lambda value: getattr(sys.modules[module], put)(value)


def _stream(name: str) -> Setting:
    return Setting(f"sys.{name}", lambda: _Same(getattr(sys, name, None)), lambda same: setattr(sys, name, same.it))


def _torch() -> Any:
    return sys.modules["torch"]


class _Same:
    """An object that equals itself alone, whatever its class says."""

    def __init__(self, it: Any) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.it is other.it

    __hash__ = None  # type: ignore[assignment]


def _start_method() -> Any:
    processes = sys.modules["multiprocessing"]  # the platform's default may not be resolved yet, which is no change
    return processes.get_start_method(allow_none=True) or processes.get_all_start_methods()[0]


SETTINGS = (
    Setting("the working folder", os.getcwd, os.chdir, steady=True),
    Setting("the umask", _umask, os.umask),
    Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("the switch interval", sys.getswitchinterval, sys.setswitchinterval),
    *map(_stream, ("stdin", "stdout", "stderr", "excepthook", "displayhook", "unraisablehook")),
    Setting("sys.path", lambda: list(sys.path), lambda before: None),
    Setting("threading.excepthook", lambda: _Same(threading.excepthook),
            lambda same: setattr(threading, "excepthook", same.it)),  # a library chains one for threads of its own
    Setting("a trace function", lambda: _Same(sys.gettrace()), lambda same: sys.settrace(same.it)),
    Setting("signal handlers", _handlers, _restore_handlers),
    Setting("the alarm", _timer, lambda before: before or signal.setitimer(signal.ITIMER_REAL, 0)),
    Setting("environment variables", _variables, _restore_variables, steady=True),
    Setting("filters for all warnings", _blanket_filters, _restore_filters),
    Setting("the root logger", _logging, _restore_logging, "logging", (30, 0, [])),
    Setting("the locale", _locale, _restore_locale, steady=True),
    Setting("garbage collection", lambda: (gc.isenabled(), gc.get_threshold()), _restore_gc, steady=True),
    Setting("the sockets' default timeout", *_of_module("socket", "getdefaulttimeout", "setdefaulttimeout"), "socket",
            None, steady=True),
    Setting("the start method of processes", _start_method,
            lambda before: sys.modules["multiprocessing"].set_start_method(before, force=True), "multiprocessing"),
    Setting(PYTHONS_DRAWS, random.getstate, random.setstate),
    Setting("numpy's random numbers", lambda: [_Plain(part) for part in sys.modules["numpy"].random.get_state()],
            lambda before: sys.modules["numpy"].random.set_state(tuple(part.it for part in before)), "numpy.random"),
    Setting("torch's random numbers", lambda: _Plain(_torch().random.get_rng_state().numpy()),
            lambda before: _torch().random.set_rng_state(_torch().from_numpy(before.it)), "torch"),
    Setting("torch's default dtype", lambda: str(_torch().get_default_dtype()),
            lambda before: _torch().set_default_dtype(getattr(_torch(), before.removeprefix("torch."))), "torch",
            "torch.float32", steady=True),
    Setting("torch's default device", lambda: str(_torch().get_default_device()),
            lambda before: _torch().set_default_device(None if before == "cpu" else before), "torch", "cpu"),
    Setting("torch's grad mode", lambda: _torch().is_grad_enabled(), lambda before: _torch().set_grad_enabled(before),
            "torch", True),
    Setting("torch's number of threads", lambda: _torch().get_num_threads(),
            lambda before: _torch().set_num_threads(before), "torch"),
    Setting("torch's deterministic mode", lambda: _torch().are_deterministic_algorithms_enabled(),
            lambda before: _torch().use_deterministic_algorithms(before), "torch", False),
    Setting("torch's precision of float32 products", lambda: _torch().get_float32_matmul_precision(),
            lambda before: _torch().set_float32_matmul_precision(before), "torch", "highest"),
    Setting("torch's anomaly mode", lambda: _torch().is_anomaly_enabled(),
            lambda before: _torch().autograd.set_detect_anomaly(before), "torch", False),
)  # fmt: skip


_SET = {setting.what for setting in SETTINGS}


class _Plain:
    """An array, or a plain value, compared by its bytes."""

    def __init__(self, it: Any) -> None:
        self.it = it.copy() if hasattr(it, "tobytes") else it

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Plain):
            return False
        if hasattr(self.it, "tobytes") and hasattr(other.it, "tobytes"):
            return bool(self.it.tobytes() == other.it.tobytes())
        return bool(self.it == other.it)

    __hash__ = None  # type: ignore[assignment]


def changed(what: list[str]) -> str:
    """Return a fault's text: "changes the working folder, torch.relu (undone)"."""
    return f"changes {', '.join(what)} (undone)"


class GlobalState:
    """A note of the process's state; `undo` restores it and says what was changed.

    Args:
        shared: only what Benchdog itself doesn't change during a run, for code on another thread.
        drawing: random numbers may be drawn.
    """

    def __init__(self, *, shared: bool = False, drawing: bool = False) -> None:
        self._settings = [
            each for each in SETTINGS if (each.steady or not shared) and not (drawing and "random" in each.what)
        ]
        self._values = {each.what: _value(each) for each in self._settings}
        self._namespaces = dict(_namespaces())
        self._modules = None if shared else dict(sys.modules)
        self._threads = None if shared else set(threading.enumerate())
        self._forks = _forks[0]

    def undo(self) -> tuple[list[str], list[str]]:
        """Restore what was changed; return what was restored, and what could not be."""
        restored, left = list[str](), list[str]()
        for each in self._settings:
            before, now = self._values[each.what], _value(each)
            if before == now or (each.what == "sys.path" and _harmless(before, now)):
                continue
            if before is UNKNOWN:  # its module was loaded meanwhile
                before = each.usual
                if before is UNKNOWN or now == before:
                    continue
            with suppress(Exception):
                _keep_path(before, now) if each.what == "sys.path" else each.write(before)
            undone = each.what == "sys.path" or _value(each) == before
            if undone and each.what == PYTHONS_DRAWS and _drawn(before, now):
                continue
            (restored if undone else left).append(_named(each.what, before, now))
        restored += self._replaced_modules()
        restored += [f"{name}.{key}" for name, key in self._patches()]
        left += self._threads_and_forks()
        return restored, left

    def _replaced_modules(self) -> Iterator[str]:
        if (self._modules or {}).items() <= sys.modules.items():  # they are compared by identity first
            return
        for name, module in (self._modules or {}).items():
            if sys.modules.get(name) is not module and not name.startswith("benchdog_local_"):
                sys.modules[name] = module
                yield f"sys.modules[{name!r}]"

    def _patches(self) -> Iterator[tuple[str, str]]:
        for name, (space, before) in list(self._namespaces.items()):
            now = vars(space)
            with suppress(Exception):  # of a value's own __eq__, which is asked only about another value
                if now == before:
                    continue
            for key, value in before.items():
                if f"{name}.{key}" in _SET or not callable(value):
                    continue
                if now.get(key) is not value and not _lazy(name, now.get(key)):
                    with suppress(Exception):
                        setattr(space, key, value)
                        yield name, key
            self._namespaces[name] = (space, dict(vars(space)))  # what was added: submodules, constants

    def _threads_and_forks(self) -> Iterator[str]:
        if self._threads is None:
            return
        for thread in set(threading.enumerate()) - self._threads:
            if not thread.daemon and thread.is_alive():
                strays.append(thread)
                yield f"a thread that isn't a daemon ({thread.name})"
        if _forks[0] > self._forks:
            yield "a fork of the process"


strays: list[threading.Thread] = []
"""Threads of plugins that would keep the process from ending."""


def _value(setting: Setting) -> Any:
    if setting.module and setting.module not in sys.modules:
        return UNKNOWN
    try:
        return setting.read()
    except Exception:  # the working folder was removed; a library is half loaded
        return UNKNOWN


def _namespaces() -> Iterator[tuple[str, tuple[Any, dict[str, Any]]]]:
    for name in PATCHED:
        if (module := sys.modules.get(name)) is not None:
            yield name, (module, dict(vars(module)))
    for name, attribute in CLASSES:
        cls = getattr(sys.modules.get(name), attribute, None)
        if isinstance(cls, type):
            yield f"{name}.{attribute}", (cls, dict(vars(cls)))


def _lazy(name: str, value: Any) -> bool:
    """Whether torch has replaced a function of its own, as it does when it loads its compiler."""
    code = getattr(value, "__code__", None)
    folder = os.path.dirname(getattr(sys.modules.get("torch"), "__file__", None) or "")  # noqa: PTH120
    return name.startswith("torch") and code is not None and bool(folder) and code.co_filename.startswith(folder)


def _drawn(before: Any, now: Any) -> bool:
    """Whether Python's random numbers were only drawn, as libraries do at import, and not seeded."""
    if before[1][:-1] == now[1][:-1]:
        return bool(before[1][-1] < now[1][-1])
    draw = random.Random()
    draw.setstate(before)
    for _ in range(MOST_DRAWS // WORDS):
        draw.getrandbits(32 * WORDS)
        if draw.getstate()[1][:-1] == now[1][:-1]:
            return True
    return False


def _harmless(before: list[str], now: list[str]) -> bool:
    """Whether only folders were added at the end of sys.path, where they hide nothing."""
    return now[: len(before)] == before


def _keep_path(before: list[str], now: list[str]) -> None:
    sys.path[:] = [*before, *(place for place in now if place not in before)]


def _named(what: str, before: Any, now: Any) -> str:
    """Name the variables or signals of a setting that has several."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return what
    changed = [key for key in before.keys() | now.keys() if before.get(key) != now.get(key)]
    names = [signal.Signals(key).name if isinstance(key, int) else os.fsdecode(key) for key in changed]
    return f"{what} ({', '.join(sorted(names))})"
