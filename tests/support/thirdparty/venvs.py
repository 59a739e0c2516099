"""Virtual environments with third-party packages installed by pip."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

QUIET = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]


def environment(folder: Path) -> Path:
    """Create an environment that sees this one's packages; return its Python."""
    venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
    site = site_packages(folder)
    outer = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    lines = [f"import site; site.addsitedir({path!r})" for path in outer]
    (site / "outer.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    scripts = Path(sysconfig.get_path("scripts", "venv", vars=_bases(folder)))
    return scripts / ("python.exe" if sys.platform == "win32" else "python")


def site_packages(folder: Path) -> Path:
    """Return the folder that an environment's packages are installed into."""
    return Path(sysconfig.get_path("purelib", "venv", vars=_bases(folder)))


def _bases(folder: Path) -> dict[str, str]:
    return {"base": str(folder), "platbase": str(folder)}


def install(python: Path, *projects: Path) -> None:
    """Install projects or wheels into an environment, without network."""
    _pip("--python", str(python), "install", *QUIET, *map(str, projects))


def wheels(folder: Path, *projects: Path) -> list[Path]:
    """Build a wheel of each project into a folder."""
    _pip("wheel", *QUIET, "--wheel-dir", str(folder), *map(str, projects))
    return sorted(folder.glob("*.whl"))


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
