"""Command-line entry point: runs a command and turns every error into a message and an exit code."""

from __future__ import annotations

import atexit
import faulthandler
import io
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import typer
from typer.main import get_command

from benchdog.cli import output
from benchdog.cli.root import app, keep_light
from benchdog.errors import BenchdogError, shortened
from benchdog.plugins.commands import COMMANDS
from benchdog.system import exits, streams
from benchdog.system.signals import sigterm_raises

COMPLETE = "_BENCHDOG_COMPLETE"
"""Set by a completion script: typer prints candidates in place of running a command."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit; an error that a user can act on becomes one sentence and an exit code.

    It leaves nothing behind: stdout, the quiet flag and signal handlers are what they were, so it can be called
    again in the same process.

    Args:
        argv: the words after `benchdog`; None: those of this process.

    Raises:
        SystemExit: always, with the exit code.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    streams.open_missing()
    keep_light()
    command = get_command(app)
    if not faulthandler.is_enabled():
        faulthandler.enable(2)  # a crash in native code names the line that called it
    if COMPLETE in os.environ:
        _complete(command)
    with output.watched(), exits.guarded():
        with sigterm_raises():
            code = _run(command, args, "--json" in args)
        if failure := output.stdout_failure():
            lost = _lost_output(failure)
            code = code or lost
    _exit(code)


def _run(command: Any, args: list[str], as_json: bool) -> int:
    try:
        code = command.main(args, prog_name="benchdog", standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C, without a message
            return _fail("Stopped.", "", 130, as_json)
    except BenchdogError as error:
        return _fail(error.message, error.hint, error.code, as_json)
    except (typer.Abort, KeyboardInterrupt) as error:
        return _fail("Stopped.", "", getattr(error, "code", 130), as_json)
    except Exception as error:
        if isinstance(error, OSError) and (failure := output.stdout_failure()):
            return _lost_output(failure)
        return _usage_error(error, as_json) if hasattr(error, "format_message") else _unexpected(error, as_json)
    except (SystemExit, exits.ProcessEnded) as error:
        if isinstance(error, SystemExit) and not COMMANDS.keys() & args:
            raise  # a plugin's command, which may exit as any program does
        return _unexpected(error, as_json)
    return code if isinstance(code, int) else 0


def _lost_output(failure: OSError) -> int:
    """Report output that could not be written; `| head` has read enough."""
    output.abandon()
    if isinstance(failure, BrokenPipeError):
        return 0
    output.complain(f"error: Standard output can't be written: {failure.strerror}.\n  The output is lost.")
    return 1


def _complete(command: Any) -> None:
    """Print completion candidates; neither a plugin that prints nor one that fails may spoil the line being typed."""
    from typer.main import get_install_completion_arguments

    sys.stdout.flush()
    candidates = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    sys.stdout = candidates
    get_install_completion_arguments()  # registers typer's shells
    with candidates, suppress(SystemExit, Exception):  # typer exits when it has printed them
        command.main([], prog_name="benchdog", complete_var=COMPLETE)
    _exit(0)


def _exit(code: int) -> None:
    """Exit; the interpreter's own shutdown would collide with a plugin import that is still running."""
    import_timeout = sys.modules.get("benchdog.plugins.import_timeout")
    state = sys.modules.get("benchdog.plugins.global_state")
    strays = state is not None and any(thread.is_alive() for thread in state.strays)
    if strays or (import_timeout is not None and import_timeout.left_behind()):
        sys.stderr.flush()
        exits.end(code)
    atexit.register(exits.guard)  # what a plugin lets run at the exit can't change the code
    sys.exit(code)


def _usage_error(error: Any, as_json: bool) -> int:
    """Report a mistake in flags or arguments, found by typer."""
    error.message = shortened(error.message)
    text, hint = error.format_message(), ""
    if getattr(error, "option_name", "") == "--plugin":
        hint = "--plugin goes before the command: benchdog --plugin FILE train ..."
    elif hasattr(error, "possibilities"):  # an unknown option
        from benchdog.cli.command import suggestion

        if hint := suggestion(error):
            error.possibilities = None
            text = error.format_message()
    _emit_error(text, hint, int(error.exit_code), as_json)
    shown = io.StringIO()
    error.show(shown)
    output.complain(shown.getvalue().rstrip("\n") + (f"\n  {hint}" if hint else ""))
    return int(error.exit_code)


def _unexpected(error: BaseException, as_json: bool) -> int:
    """Name the limit that was reached, or the plugin or file whose code failed; a bug of ours keeps its traceback."""
    from benchdog.plugins.error_origin import explained

    known = explained(error)
    if known is None:
        raise error
    return _fail(known.message, known.hint, known.code, as_json)


def _fail(message: str, hint: str, code: int, as_json: bool) -> int:
    _emit_error(message, hint, code, as_json)
    mark = "" if code in (130, 143) else "error: "
    text = f"{mark}{message}" + (f"\n{hint}" if hint else "")
    output.complain(re.sub(r"\n(?!  )", "\n  ", text))  # a line feed in a name can't begin a message of its own
    return code


def _emit_error(message: str, hint: str, code: int, as_json: bool) -> None:
    """Print the JSON document of an error on one line: it may end a stream of events."""
    if not as_json:
        return
    with suppress(OSError):  # reported at the end
        output.emit_line({"error": {"message": message, "hint": hint, "code": code}})
