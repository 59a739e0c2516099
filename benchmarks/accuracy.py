"""Time to accuracy on Fashion-MNIST, all 60,000 images: the shipped recipes against a plain loop, interleaved.

    python benchmarks/accuracy.py --peers FOLDER --python PEERS_PYTHON [--rounds 5]

A round runs FOLDER/time_to_accuracy.py and each recipe once, with the round's number as the seed. The plain loop's
time includes its steps and data loading, not its evaluations. Benchdog's time is measured from before the first step
until the last checkpoint is on disk, including evaluations on the validation split, checkpoints, log, progress and
trial steps; neither includes imports or reading the files. The test split is evaluated once, after the measurement.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ours import clock, terminal
from versus import output_of

QUICK, BETTER = "fashion-mnist-quick.toml", "fashion-mnist.toml"
WANTED = {QUICK: 0.91, BETTER: 0.93}
SHARES = {QUICK: "a third of the time in which the plain loop gets there", BETTER: "the time of its ten epochs"}


def child(recipe: str, seed: int) -> None:
    """Train once; print seconds and test accuracy."""
    terminal()
    import benchdog.pipeline
    from benchdog.plugins.context import PluginContext
    from benchdog.recipe.compose import compose_draft

    with tempfile.TemporaryDirectory() as place:
        draft = compose_draft(recipe, {"seed": seed, "backend.name": "cpu"}, [], PluginContext())
        times = clock()
        run = benchdog.pipeline.train(draft, Path(place))
        command = [sys.executable, "-m", "benchdog", "evaluate", str(run.folder), "--json"]
        result = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    print(f"{times[-1] - times[0]:.1f} s\t{result['metrics']['accuracy']:.4f}")


def plain(python: str, script: Path) -> list[tuple[float, float]]:
    """Run the plain loop; return seconds and test accuracy after each epoch."""
    matches = re.findall(r"epoch \d+\t(\d+) s\t([\d.]+)", output_of([python, str(script)]))
    return [(float(seconds), float(accuracy)) for seconds, accuracy in matches]


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=2, metavar=("RECIPE", "SEED"))
    options = parser.parse_args()
    if options.child:
        child(options.child[0], int(options.child[1]))
        return
    theirs: list[list[tuple[float, float]]] = []
    mine: dict[str, list[tuple[float, float]]] = {recipe: [] for recipe in WANTED}
    for number in range(options.rounds):
        names = ["plain", *WANTED]
        for name in names if number % 2 == 0 else reversed(names):
            if name == "plain":
                theirs.append(plain(options.python, options.peers / "time_to_accuracy.py"))
                print(f"round {number + 1}: plain {theirs[-1]}", file=sys.stderr, flush=True)
                continue
            fields = output_of([sys.executable, __file__, "--child", name, str(number)]).split("\t")
            mine[name].append((float(fields[0].split()[0]), float(fields[1])))
            print(f"round {number + 1}: {name} {mine[name][-1]}", file=sys.stderr, flush=True)
    reached = statistics.median(next((s for s, a in run if a >= WANTED[QUICK]), run[-1][0]) for run in theirs)
    whole = statistics.median(run[-1][0] for run in theirs)
    for recipe, bound in ((QUICK, reached), (BETTER, whole)):
        seconds, accuracies = zip(*mine[recipe], strict=True)
        time = statistics.median(seconds)
        print(
            f"{recipe}: test accuracy {min(accuracies):.4f} to {max(accuracies):.4f}, mean "
            f"{statistics.mean(accuracies):.4f} (wanted {WANTED[recipe]}); median {time:.1f} s, "
            f"{time / bound:.2f} of {bound:.0f} s, the plain loop's ({SHARES[recipe]})"
        )


if __name__ == "__main__":
    main()
