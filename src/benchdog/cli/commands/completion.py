"""`benchdog completion`: let a shell complete commands, flags and names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli.completion.engine import words

SCRIPTS = {"bash": "benchdog.bash", "zsh": "benchdog.zsh", "fish": "benchdog.fish", "powershell": "benchdog.ps1"}


def command(
    shell: Annotated[str, typer.Argument(help="bash, zsh, fish or powershell.", autocompletion=words(*SCRIPTS))],
    install: Annotated[
        bool, typer.Option("--install", help="Keep the script, and let the shell read it when it starts.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the script that completes commands, flags, components, runs and a recipe's keys; or install it."""
    from benchdog.cli.output import emit_json, say
    from benchdog.errors import BadUsage, nearest

    if shell not in SCRIPTS:
        raise BadUsage(f"There is no completion for {shell!r}.", nearest(shell, SCRIPTS))
    script = (Path(__file__).parents[1] / "completion" / "shells" / SCRIPTS[shell]).read_text(encoding="utf-8")
    written = _install(shell, script) if install else []
    if as_json:
        emit_json({"shell": shell, "script": script, "written": [str(path) for path in written]})
    elif not install:
        typer.echo(script, nl=False)
    for path in written:
        say(f"Written: {path}")
    if install:
        say(f"It works in the next {shell} that you open.")


def _install(shell: str, script: str) -> list[Path]:
    """Write the script, and the line that reads it unless the shell finds it by itself; give what was written."""
    from benchdog.system import files

    if shell == "fish":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        place, start = config / "fish" / "completions" / SCRIPTS[shell], None
    else:
        import platformdirs

        place, start = Path(platformdirs.user_data_dir("benchdog", appauthor=False)) / SCRIPTS[shell], _start(shell)
    files.write_text(place, script)
    if start is None:
        return [place]
    name = str(place).replace("'", "''" if shell == "powershell" else "'\\''")
    line = f". '{name}'"
    text = start.read_text(encoding="utf-8") if start.is_file() else ""
    if line in text.splitlines():
        return [place]
    with files.saving(start):
        start.parent.mkdir(parents=True, exist_ok=True)
        with start.open("a", encoding="utf-8") as file:  # it may be a link: what it leads to is kept
            file.write(f"{'' if text.endswith(chr(10)) or not text else chr(10)}{line}\n")
    return [place, start]


def _start(shell: str) -> Path:
    """Give the file that a shell reads when it starts."""
    if shell == "bash":
        return Path.home() / ".bashrc"
    if shell == "zsh":
        return Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc"
    import shutil
    import subprocess

    from benchdog.errors import NotAvailable

    program = shutil.which("pwsh") or shutil.which("powershell")
    if program is None:
        raise NotAvailable("There is no PowerShell here.", "Add the output of this command to its $PROFILE yourself.")
    asked = [program, "-NoProfile", "-Command", "$PROFILE.CurrentUserAllHosts"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
