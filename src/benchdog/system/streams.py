"""Standard streams of a process that was started without: a daemon, a cron job, `>&-`, pythonw."""

from __future__ import annotations

import atexit
import os
import sys


def open_missing() -> None:
    """Open standard streams that are closed, on the null device.

    Their descriptors are taken too: the next file that is opened would get the number 1 or 2, and whatever a library
    prints would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            opened_stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 -- closed at exit
            atexit.register(opened_stream.close)
            setattr(sys, name, opened_stream)
