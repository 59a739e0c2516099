"""Exports without processes of their own for writing and verifying."""

import contextlib
import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from benchdog.deployment import export, export_worker


def exports_in_process() -> AbstractContextManager[object]:
    """Make exports write and verify in this process."""
    return mock.patch.object(export, "_child", _job)


def _job(request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """Do one job of an export, through JSON as the processes do."""
    with contextlib.redirect_stdout(sys.stderr):
        answer: dict[str, Any] = json.loads(json.dumps(export_worker.answer(json.loads(json.dumps(request)))))
    if error := answer.get("error"):
        raise export.ERRORS[error["kind"]](error["message"], error["hint"])
    return answer
