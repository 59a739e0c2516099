"""The schema of recipes in an editor: Taplo checks, completes and explains; every recipe of `benchdog new` keeps to it."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchdog.plugins import Plugins
from inside import run

TAPLO = shutil.which("taplo") or shutil.which("taplo", path=str(Path(sys.executable).parent))
needs_taplo = pytest.mark.skipif(TAPLO is None, reason="Taplo is not installed")
SOURCES = [name for name in Plugins.discover().all("source") if ":" not in name]
