"""Which plugins may be loaded: BENCHDOG_PLUGINS names them, or with a minus those that may not."""

from __future__ import annotations

import os


def allows(*names: str) -> bool:
    """Say whether a plugin may be loaded that goes by these names: its own and its distribution's.

    "onnx,serve" allows these two, "-tensorboard" all but this one, "" none.
    """
    told = os.environ.get("BENCHDOG_PLUGINS")
    if told is None:
        return True
    listed = {name.strip() for name in told.split(",")}
    if any(f"-{name}" in listed for name in names):
        return False
    return all(name.startswith("-") for name in listed) or any(name in listed for name in names)
