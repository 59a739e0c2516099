"""Training speed: Benchdog and its peers, interleaved.

    python benchmarks/training.py image|tabular|lm|unet --peers FOLDER --python PEERS_PYTHON [--rounds 15]
                                  [--only NAME ...] [--epochs N] [--backend cuda]

FOLDER contains the peers' programs for each job: image/*.py, tabular/peers.py, lm/tuned_loop.py, unet/tuned_loop.py;
PEERS_PYTHON is the interpreter of an environment with the peers installed. Benchdog runs in this program's
environment. Each round runs every program once, in the reverse order of the previous round; the rates that they print
are compared by the ratio of medians. With --backend cuda the peers' loops (except those that choose their device
themselves) run on the GPU through on_cuda.py.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from versus import Entry, interleave, output_of, table

HERE = Path(__file__).resolve().parent
IMAGE = (
    "tuned_loop",
    "floor",
    "raw_loop",
    "lightning_fit",
    "skorch_fit",
    "ignite_fit",
    "accelerate_loop",
    "keras_fit",
)
TABULAR = ("tuned", "floor", "raw", "lightning", "skorch", "ignite", "accelerate", "keras")
PEERS = {"image": IMAGE, "tabular": TABULAR, "lm": ("tuned_loop",), "unet": ("tuned_loop",)}
UNITS = {"image": "samples/s", "tabular": "steps/s", "lm": "tokens/s", "unet": "images/s"}


def rate(text: str) -> float:
    """Return the rate that a program printed."""
    found = re.search(r"([\d.]+) (?:samples|steps|tokens|images)/s", text)
    if not found:
        sys.exit(f"no rate in: {text}")
    return float(found[1])


def program(command: list[str], env: dict[str, str]) -> Callable[[], float]:
    """Return a function that runs a command and returns its rate."""
    return lambda: rate(output_of(command, env))


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("job", choices=tuple(UNITS))
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    env = {"EPOCHS": str(options.epochs)} if options.epochs else {}
    env["BACKEND"] = options.backend
    python = [options.python, *([str(HERE / "on_cuda.py")] if options.backend == "cuda" else [])]
    ours = [sys.executable, str(HERE / "ours.py"), options.job, str(options.peers)]
    entries = [Entry("benchdog", program(ours, env))]
    for name in PEERS[options.job]:
        if options.only and name not in options.only:
            continue
        script = ["peers.py", name] if options.job == "tabular" else [f"{name}.py"]
        command = [*python, str(options.peers / options.job / script[0]), *script[1:]]
        entries.append(Entry(name, program(command, env)))
    interleave(entries, options.rounds)
    print(table(entries, UNITS[options.job]))


main()
