"""prefix.py CHANNEL PREFIX CACHE SPEC...: make PREFIX match the specs; link new packages, unlink removed ones.

Print one JSON line: packages with sizes, linked and unlinked packages, seconds of solving and of linking.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rattler import Channel, VirtualPackage, install, solve


def there(prefix: Path) -> set[str]:
    """Return the names of the packages in a prefix: the files in conda-meta."""
    return {file.stem for file in (prefix / "conda-meta").glob("*.json")}


async def changed(channel: Path, prefix: Path, cache: Path, specs: list[str]) -> dict[str, Any]:
    before, began = there(prefix), time.monotonic()
    records = await solve(
        sources=[Channel(channel.as_uri())],
        specs=specs,
        platforms=["linux-64", "noarch"],
        virtual_packages=VirtualPackage.detect(),
    )
    solved = time.monotonic()
    await install(records, target_prefix=str(prefix), cache_dir=str(cache), show_progress=False)
    linked, after = time.monotonic(), there(prefix)
    return {
        "specs": specs,
        "solve_s": solved - began,
        "link_s": linked - solved,
        "packages": sorted((r.name.normalized, str(r.version), str(r.build), str(r.subdir), r.size) for r in records),
        "linked": sorted(after - before),
        "unlinked": sorted(before - after),
    }


if __name__ == "__main__":
    channel, prefix, cache = (Path(argument).resolve() for argument in sys.argv[1:4])
    print(json.dumps(asyncio.run(changed(channel, prefix, cache, sys.argv[4:]))))
    sys.stdout.flush()
    os._exit(0)  # py-rattler can abort while the interpreter shuts down after asyncio.run
