"""meta.yaml -> a recipe in rattler-build's form. Strict: a key that is not known here is an error."""

import re
from pathlib import Path
from typing import Any

import yaml

PIN = re.compile(r"{{ pin_subpackage\('([\w-]+)', exact=True\) }}")


def taken(table: dict[str, Any] | None, where: str, *keys: str) -> list[Any]:
    """Return the values of the keys in order; refuse other keys."""
    if unknown := set(table or {}) - set(keys):
        raise SystemExit(f"meta.yaml: unknown keys in {where}: {sorted(unknown)}")
    return [(table or {}).get(key) for key in keys]


def filled(text: str) -> str:
    """Replace conda-build's templates with rattler-build's."""
    text = PIN.sub(r"${{ pin_subpackage('\1', exact=true) }}", text).replace("{{ PYTHON }}", "$PYTHON")
    if "{{" in text.replace("${{", ""):
        raise SystemExit(f"meta.yaml: unknown template in {text!r}")
    return text


def given(**values: Any) -> dict[str, Any]:
    """Return the arguments without empty ones."""
    return {key: value for key, value in values.items() if value}


def tests(table: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Translate an output's test: its commands, and the modules that it must be able to import."""
    imports, needs, files, commands = taken(table, f"{name}.test", "imports", "requires", "source_files", "commands")
    found: list[dict[str, Any]] = []
    if commands:
        more = given(requirements=given(run=needs), files=given(source=files))
        found.append({"script": commands, **more})
    if imports:
        found.append({"python": {"imports": imports, "pip_check": False}})
    return found


def output(table: dict[str, Any], version: str) -> dict[str, Any]:
    name, build, requirements, test, about = taken(
        table, "an output", "name", "build", "requirements", "test", "about"
    )
    noarch, script, entry_points = taken(build, f"{name}.build", "noarch", "script", "entry_points")
    host, run, allowed = taken(requirements, f"{name}.requirements", "host", "run", "run_constrained")
    summary, license_, license_file = taken(about, f"{name}.about", "summary", "license", "license_file")
    return {
        "package": {"name": name, "version": version},
        "build": given(
            noarch=noarch,
            script=[filled(script)],
            python=given(entry_points=entry_points),
        ),
        "requirements": given(host=host, run=[filled(line) for line in run], run_constraints=allowed),
        "about": {"summary": summary, "license": license_, "license_file": license_file},
        "tests": tests(test, name),
    }


def converted(folder: Path) -> dict[str, Any]:
    """Convert a folder's meta.yaml to a recipe; the source is the copy in `folder`."""
    meta = yaml.safe_load((folder / "meta.yaml").read_text(encoding="utf-8"))
    package, source, *_ = taken(meta, "meta.yaml", "package", "source", "build", "requirements", "outputs", "about")
    version = package["version"]
    return {
        "schema_version": 1,
        "recipe": {"name": package["name"], "version": version},
        "source": {"path": str((folder / source["path"]).resolve())},
        "outputs": [output(table, version) for table in meta["outputs"]],
    }
