"""What is asked of a command that a plugin adds."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from typer.main import get_command

from benchdog.errors import BenchdogError
from benchdog.plugins import Plugins
from benchdog.plugins.commands import COMMANDS, as_app, installed_commands, load_command
from benchdog.plugins.loading import load_file
from benchdog.testing.checks import imports
from benchdog.testing.runner.batch import Bench
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault
from benchdog.testing.runner.subjects import Subject


class Trial:
    """A command on trial."""

    where = ""

    def __init__(self, plugins: Plugins, job: dict[str, Any], bench: Bench) -> None:
        self.name, self.target, self.bench = job["name"], str(job["target"]), bench
        self.dist = installed_commands().get(self.name, ("", "", ""))[1]
        self.file = bench.local
        self.place = "rename the file" if self.file else 'the left side in [project.entry-points."benchdog.commands"]'

    def command(self) -> Any:
        """Give it as the command line gets it."""
        try:
            loaded = load_file(Path(self.file)) if self.file else load_command(self.name, self.target, self.dist)
            return get_command(as_app(loaded, self.name))
        except BenchdogError as error:
            cause = error.__cause__ or error
            raise Fault(f"It can't be loaded: {said(cause)}.", "Fix it.", raised(cause)) from error
        except Exception as error:
            raise Fault(
                f"{self.target!r} is not a command: {said(error)}.",
                "Name a function in typer's style, or a typer.Typer.",
                raised(error),
            ) from error


def loads(trial: Trial) -> str:
    """Check that its module loads quickly: its own --help and completion wait for it."""
    module = "" if trial.file else trial.target.partition(":")[0]
    told = imports.load(Subject(name=trial.name, module=module, file=trial.file))
    return imports.imports({**told, "parts": []}, "The command's import")


def own_name(trial: Trial) -> str:
    """Check that its name is nobody else's."""
    if trial.name in COMMANDS:
        raise Fault(
            f"The command {trial.name!r} has the name of Benchdog's own, which stays what it is.",
            f"Choose another name: {trial.place}.",
        )
    target, dist, _ = installed_commands().get(trial.name, ("", "", ""))
    if target and target != trial.target:
        raise Fault(
            f"The command {trial.name!r} is {dist}'s as well, and that one is run.",
            f"Choose another name: {trial.place}.",
        )
    return "its own"


def help(trial: Trial) -> str:
    """Check that it and each of its options say what they are for."""
    command = trial.command()
    seen = 0
    for path, each in _all(command, trial.name):
        if not (each.help or "").strip():
            raise Fault(f"`benchdog {path}` has no help.", "Write a docstring, one sentence.", trial.target)
        for option in each.params:
            if (
                option.param_type_name == "option"
                and option.name not in ("help",)
                and not (option.help or "").strip()
            ):
                raise Fault(
                    f"`benchdog {path}`: {option.opts[0]} has no help.",
                    'Write typer.Option(help="What it does.").',
                    trial.target,
                )
            seen += 1
    text = io.StringIO()
    try:
        with redirect_stdout(text):
            command.main(["--help"], prog_name=f"benchdog {trial.name}", standalone_mode=False)
    except Exception as error:
        raise Fault(f"`benchdog {trial.name} --help` raises {said(error)}.", "Fix it.", raised(error)) from error
    if (
        not trial.file
        and trial.name not in COMMANDS
        and not installed_commands().get(trial.name, ("", "", "-"))[2].strip()
    ):
        raise Fault(
            f"{trial.name!r} has no description in `benchdog --help`.",
            "Set a description: description = '...' in pyproject.toml.",
        )
    return f"{seen} options and arguments"


def _all(command: Any, path: str) -> list[tuple[str, Any]]:
    """List a command and those below it."""
    found = [(path, command)]
    for name, each in getattr(command, "commands", {}).items():
        found += _all(each, f"{path} {name}")
    return found
