"""A `benchdog` whose processes are forked from one that has imported torch, for tests that run many commands.

Each command has its own process, arguments, working folder, environment, streams, signals and exit code. Two things
differ from an installed one: modules are imported already, and an export writes and verifies in the same process.
Startup and the export's own processes are tested elsewhere. POSIX only.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from support.bare import bare
from support.export_jobs import exports_in_process

TESTS = Path(__file__).parents[1]
START = """\
import sys
sys.path.insert(0, {tests!r})
from support import fork_server
fork_server.serve({address!r}, {weights_alone!r})
"""
LARGEST = 1 << 20
"""Bytes of a request: arguments and environment."""
# Nothing that starts threads when it is imported, as onnxruntime does: a fork could find their locks taken.
SLOW_TO_IMPORT = (
    "benchdog.cli",
    "benchdog.pipeline",
    "benchdog.training.train",
    "torch._dynamo",
    "torch.export.pt2_archive",
    "torch.fx.experimental.proxy_tensor",
    "torch.utils.tensorboard",
    "sympy",
    "networkx",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow",
)
CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = {{"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)}}
socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda number, _: server.send(bytes([number])))
ended = int(server.recv(16) or b"1")
if ended < 0:
    signal.signal(-ended, signal.SIG_DFL)
    os.kill(os.getpid(), -ended)
sys.exit(ended)
"""


@contextmanager
def serving(python: Path | str = sys.executable, *, weights_alone: bool = False) -> Iterator[Path]:
    """Start a server with an environment's Python; yield the folder with its `benchdog`, to be put first on PATH.

    Args:
        python: the interpreter of the commands.
        weights_alone: trainings write neither graph nor report.
    """
    with tempfile.TemporaryDirectory(prefix="fork") as folder:
        address = str(Path(folder, "socket"))
        command = Path(folder, "bin", "benchdog")
        command.parent.mkdir()
        command.write_text(CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
        command.chmod(0o755)
        argv = [python, "-c", START.format(tests=str(TESTS), address=address, weights_alone=weights_alone)]
        env = {key: value for key, value in os.environ.items() if not key.startswith("BENCHDOG_")}
        server = subprocess.Popen(argv, env={**env, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE)
        try:
            assert server.stdout
            assert server.stdout.readline() == b"ready\n", "the server did not start"
            yield command.parent
        finally:
            server.kill()
            server.communicate()


def serve(address: str, weights_alone: bool) -> NoReturn:
    """Import what most commands import, then serve; exports start no interpreters of their own either."""
    import_all()
    with exports_in_process(), bare() if weights_alone else nullcontext():
        accept(address)


def accept(address: str) -> NoReturn:
    """Fork a process per request."""
    sys.path.remove(str(TESTS))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects the keepers
    gc.freeze()  # else a collection in a child would copy all pages
    os.write(1, b"ready\n")
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            keep(client)
        client.close()


def import_all() -> None:
    """Import the modules with the longest import times; packages of plugins where they are installed."""
    for name in SLOW_TO_IMPORT:
        if name.partition(".")[0] in ("benchdog", "torch") or find_spec(name.partition(".")[0]):
            importlib.import_module(name)


def keep(client: socket.socket) -> NoReturn:
    """Fork the command; pass it signals, kill it when the client is gone, send its exit code."""
    data, fds, _, _ = socket.recv_fds(client, LARGEST, 3)
    worker = os.fork()
    if worker == 0:
        client.close()
        work(json.loads(data), fds)
    for fd in fds:
        os.close(fd)
    ended = status = 0
    while ended == 0:
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended == 0 and select.select([client], [], [], 0.01)[0]:
            numbers = client.recv(16)
            for number in numbers or [signal.SIGKILL]:
                os.kill(worker, number)
            if not numbers:
                os._exit(0)
    client.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def work(request: dict[str, Any], fds: list[int]) -> NoReturn:
    """Be the command; exit as the interpreter does, except that it doesn't take a second to free modules."""
    for fd, own in zip(fds, range(3), strict=True):
        os.dup2(fd, own)
        os.close(fd)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["argv"]
    sys.path[0] = str(Path(sys.executable).parent)
    sys.path[1:1] = filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(fd, mode, encoding="utf-8") for fd, mode in enumerate("rww"))
    importlib.invalidate_caches()

    from benchdog.cli import main
    from benchdog.system import exits

    code: object = None
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    exits.end(code if isinstance(code, int) else 0)
