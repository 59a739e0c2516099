"""uvicorn's server with a graceful shutdown: every accepted request is answered, or refused with 503."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from benchdog.cli.output import complain
from benchdog_serve.connections import is_idle
from benchdog_serve.errors import described
from benchdog_serve.middleware import Guard

GRACE = 6.0
"""Seconds for requests in progress to finish after a signal: Docker waits 10 for the end of the process."""
LAST = 1.0
"""Seconds to send the last responses."""
QUIET = 0.2
"""Seconds for which what is on its way may arrive."""
POLL = 0.02
MOST_REPORTS = 100


class Server(uvicorn.Server):
    """Serves an application until a signal; a second one ends it at once.

    Args:
        started: called once when requests are accepted.
    """

    def __init__(self, config: uvicorn.Config, guard: Guard, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._guard = guard
        self._on_started = started
        self._reported: set[str] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        asyncio.get_running_loop().set_exception_handler(self._report)
        await super().startup(sockets=sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests in progress and refuse new ones (503); close the listening socket last.

        A client whose connection waits in the socket's queue would see it reset if that was closed first.
        """
        if not self.force_exit:
            await asyncio.sleep(QUIET)
        self._guard.stopping = True
        begun = list(self.server_state.tasks)
        await self._wait(lambda: all(task.done() for task in begun), GRACE)
        for task in list(self.server_state.tasks):
            task.cancel()  # the guard tells the client
        await self._wait(lambda: not self.server_state.tasks, LAST)
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        if not self.force_exit:
            await asyncio.sleep(QUIET)
        await self._wait(lambda: all(map(is_idle, self.server_state.connections)), LAST)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._wait(lambda: not self.server_state.connections, LAST)

    async def _wait(self, done: Callable[[], bool], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not (done() or self.force_exit or loop.time() > end):
            await asyncio.sleep(POLL)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; at once, when it is stopping already."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals, and don't raise them again afterwards, as uvicorn does."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            numbers.append(signal.SIGBREAK)
        before: dict[signal.Signals, Any] = {n: signal.signal(n, self.handle_exit) for n in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Print what fails outside of a request, such as a connection for which no file can be opened, once."""
        error = context.get("exception")
        line = f"benchdog: {context['message']}{f': {described(error)}' if error else ''}"
        if line not in self._reported and len(self._reported) < MOST_REPORTS:
            self._reported.add(line)
            complain(line)
