"""The command line: runs a command, and turns every error into a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

from benchdog.cli.root import app, keep_light
from benchdog.errors import BenchdogError
from benchdog.system.signals import heeded


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; every error that a user can act on ends here, as one sentence and an exit code.

    Args:
        argv: the words after `benchdog`; None: those of this process.
    """
    from benchdog.cli import output

    words = list(sys.argv[1:] if argv is None else argv)
    keep_light()
    command = get_command(app)
    if asked := os.environ.get("BENCHDOG_COMPLETE"):
        from benchdog.cli.completion.engine import answer

        answer(command, asked)
        _end(0)
    try:
        with heeded():
            code = _carry_out(command, words, "--json" in words)
        sys.stdout.flush()
    except BrokenPipeError:
        output.abandon()
        code = 0  # `| head` has seen enough
    finally:
        output.release()
    _end(code)


def _carry_out(command: Any, words: list[str], as_json: bool) -> int:
    try:
        code = command.main(words, prog_name="benchdog", standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C, without a word
            return _fail("Stopped.", "", 130, as_json)
    except BenchdogError as error:
        return _fail(error.message, error.hint, error.code, as_json)
    except (typer.Abort, KeyboardInterrupt) as error:
        return _fail("Stopped.", "", getattr(error, "code", 130), as_json)
    except BrokenPipeError:
        raise
    except Exception as error:
        return _usage(error, as_json) if hasattr(error, "format_message") else _unforeseen(error, as_json)
    return code if isinstance(code, int) else 0


def _end(code: int) -> None:
    """Leave; Python's own end would come in the way of a plugin's import that still goes on."""
    waiting = sys.modules.get("benchdog.plugins.import_timeout")
    if waiting is not None and waiting.left_behind():
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _usage(error: Any, as_json: bool) -> int:
    """Tell a mistake in flags or arguments, which typer found."""
    from benchdog.cli.output import complain

    text, hint = error.format_message(), ""
    if getattr(error, "option_name", "") == "--plugin":
        hint = "--plugin goes before the command: benchdog --plugin FILE train ..."
    elif hasattr(error, "possibilities"):  # an option that isn't there
        from benchdog.cli.command import suggestion

        if hint := suggestion(error):
            error.possibilities = None
            text = error.format_message()
    _told(text, hint, int(error.exit_code), as_json)
    error.show()
    if hint:
        complain(f"  {hint}")
    return int(error.exit_code)


def _unforeseen(error: Exception, as_json: bool) -> int:
    """Name the plugin or file whose code failed; a fault of Benchdog's own keeps its traceback."""
    from benchdog.plugins.error_origin import machine_fault, third_party_origin

    if os.environ.get("BENCHDOG_STRICT") == "1":
        raise error
    if found := machine_fault(error):
        return _fail(*found, as_json)
    place = third_party_origin(error)
    if not place:
        raise error
    text = " ".join(str(error).split())[:500]
    hint = f"Raised in {place}. Mend it, or tell its author; BENCHDOG_STRICT=1 shows the whole trace."
    return _fail(f"{type(error).__name__}: {text}", hint, 1, as_json)


def _fail(message: str, hint: str, code: int, as_json: bool) -> int:
    from benchdog.cli.output import complain

    _told(message, hint, code, as_json)
    mark = "" if code in (130, 143) else "error: "
    complain(f"{mark}{message}" + (f"\n  {hint}" if hint else ""))
    return code


def _told(message: str, hint: str, code: int, as_json: bool) -> None:
    """Print the document of an error, in one line: it may end a stream of events."""
    from benchdog.cli.output import emit_line

    if as_json:
        emit_line({"error": {"message": message, "hint": hint, "code": code}})
