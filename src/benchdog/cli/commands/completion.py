"""`benchdog completion`: shell completion."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli.completion.candidates import choices

SCRIPTS = {"bash": "benchdog.bash", "zsh": "benchdog.zsh", "fish": "benchdog.fish", "powershell": "benchdog.ps1"}


def command(
    shell: Annotated[
        str, typer.Argument(help="Shell: bash, zsh, fish or powershell.", autocompletion=choices(*SCRIPTS))
    ],
    install: Annotated[
        bool, typer.Option("--install", help="Save the script, and load it from the shell's startup file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print or install the script that completes commands, flags, components, runs and recipe keys."""
    from benchdog.cli.output import emit_json, say
    from benchdog.errors import BadUsage, nearest

    if shell not in SCRIPTS:
        raise BadUsage(f"Unknown shell {shell!r}.", nearest(shell, SCRIPTS))
    script = (Path(__file__).parents[1] / "completion" / "shells" / SCRIPTS[shell]).read_text(encoding="utf-8")
    written = _install(shell, script) if install else []
    if as_json:
        emit_json({"shell": shell, "script": script, "written": [str(path) for path in written]})
    elif not install:
        typer.echo(script, nl=False)
    for path in written:
        say(f"Wrote {path}")
    if install:
        say(f"Completion is active in every new {shell}.")


def _install(shell: str, script: str) -> list[Path]:
    """Write the script, and source it in the startup file unless the shell finds it by itself; return the files."""
    from benchdog.system import files

    if shell == "fish":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        script_file, startup = config / "fish" / "completions" / SCRIPTS[shell], None
    else:
        import platformdirs

        script_file, startup = (
            Path(platformdirs.user_data_dir("benchdog", appauthor=False)) / SCRIPTS[shell],
            _startup_file(shell),
        )
    files.write_text(script_file, script)
    if startup is None:
        return [script_file]
    name = str(script_file).replace("'", "''" if shell == "powershell" else "'\\''")
    line = f". '{name}'"
    text = startup.read_text(encoding="utf-8") if startup.is_file() else ""
    if line in text.splitlines():
        return [script_file]
    with files.saving(startup):
        startup.parent.mkdir(parents=True, exist_ok=True)
        with startup.open("a", encoding="utf-8") as file:  # appended: it may be a symbolic link
            file.write(f"{'' if text.endswith(chr(10)) or not text else chr(10)}{line}\n")
    return [script_file, startup]


def _startup_file(shell: str) -> Path:
    """Return the file that a shell reads at startup."""
    if shell == "bash":
        return Path.home() / ".bashrc"
    if shell == "zsh":
        return Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc"
    import shutil
    import subprocess

    from benchdog.errors import NotAvailable

    program = shutil.which("pwsh") or shutil.which("powershell")
    query = [program or "", "-NoProfile", "-Command", "$PROFILE.CurrentUserAllHosts"]
    try:
        return Path(subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.strip())
    except (OSError, subprocess.SubprocessError):
        remedy = "Append the output of this command to its $PROFILE yourself."
        raise NotAvailable("PowerShell was not found, or doesn't answer.", remedy) from None
