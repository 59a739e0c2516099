"""Memory growth after the imports: Benchdog against hand-written loops, interleaved.

    python benchmarks/memory.py image|lm|unet --peers FOLDER [--rounds 5]

Both numbers are the growth of the process's peak resident size from after the imports to after the last step.
"""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial
from pathlib import Path

from versus import Entry, interleave, output_of, table

HERE = Path(__file__).resolve().parent
PLAIN = """
import resource, sys
from pathlib import Path
script = Path(sys.argv[1])
sys.path.insert(0, str(script.parent))
import torch
if (script.parent / "common.py").exists():
    import common
    common.accuracy = lambda m: 0.0  # evaluation is not part of the loop
loop = script.read_text().split("    with torch.no_grad()")[0]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
exec(compile(loop, str(script), "exec"), {"__name__": "__main__", "__file__": str(script)})
print(f"grown {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.1f} MiB")
"""
LOOPS = {"image": ("tuned_loop", "raw_loop"), "lm": ("tuned_loop",), "unet": ("tuned_loop",)}


def grown(command: list[str]) -> float:
    """Return the memory growth that a program printed, in MiB."""
    found = re.search(r"grown ([\d.]+) MiB", output_of(command))
    if not found:
        sys.exit("no memory in the output")
    return float(found[1])


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=tuple(LOOPS))
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    job, peers = options.job, options.peers
    entries = [Entry("benchdog", lambda: grown([sys.executable, str(HERE / "ours.py"), job, str(peers)]))]
    for name in LOOPS[job]:
        command = [sys.executable, "-c", PLAIN, str(peers / job / f"{name}.py")]
        entries.append(Entry(name, partial(grown, command)))
    interleave(entries, options.rounds)
    print(table(entries, "MiB"))


main()
