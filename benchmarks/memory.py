"""Memory grown after the imports on the image job: Benchdog against the plain loop, in turn.

    python benchmarks/memory.py --peers FOLDER [--rounds 5]

Both numbers are the growth of the process's peak resident size from after the imports to after the last step.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from versus import Entry, interleave, output_of, table

HERE = Path(__file__).resolve().parent
PLAIN = """
import resource, runpy, sys
sys.path.insert(0, sys.argv[1] + "/image")
import common
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
common.accuracy = lambda m: 0.0  # judging the model is not the loop's
runpy.run_path(sys.argv[1] + "/image/" + sys.argv[2] + ".py")
print(f"grown {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.1f} MiB")
"""


def grown(command: list[str]) -> float:
    """Give the growth that a program printed, in MiB."""
    found = re.search(r"grown ([\d.]+) MiB", output_of(command))
    if not found:
        sys.exit("no memory in the output")
    return float(found[1])


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    peers = str(options.peers)
    entries = [
        Entry("benchdog", lambda: grown([sys.executable, str(HERE / "ours.py"), "image", peers])),
        Entry("tuned_loop", lambda: grown([sys.executable, "-c", PLAIN, peers, "tuned_loop"])),
        Entry("raw_loop", lambda: grown([sys.executable, "-c", PLAIN, peers, "raw_loop"])),
    ]
    interleave(entries, options.rounds)
    print(table(entries, "MiB"))


main()
