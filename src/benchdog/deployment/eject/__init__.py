"""A run as one plain PyTorch program: the same weights, bit for bit, without Benchdog."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchdog.data.dataset import DecodedSplit, InMemorySplit, load_into_memory
from benchdog.data.loader import evaluation_batch_size
from benchdog.deployment.eject.bundle import Unbundled, defined
from benchdog.deployment.eject.chapters.augmenting import write_augmentation
from benchdog.deployment.eject.chapters.data import describe, write_data
from benchdog.deployment.eject.chapters.model import write_model
from benchdog.deployment.eject.chapters.task import write_task
from benchdog.deployment.eject.chapters.training import MIX, Facts, Training
from benchdog.deployment.eject.chapters.writing import imports_for, indented, paragraph
from benchdog.errors import BadData, BadUsage, Failed, no_artifact
from benchdog.plugins import Plugins
from benchdog.plugins.loading import load_file
from benchdog.recipe.recipe import Recipe
from benchdog.recipe.resolved import local_files, named_components, read_resolved
from benchdog.runs import fingerprints, provenance
from benchdog.runs.run import Run
from benchdog.system import files
from benchdog.training.setup import Components, reopen

FEW = 4
"""Samples on which the model's text is tried."""
SAVE = '''def save(model: nn.Module) -> None:
    """Write the weights beside this file, and say whether they are those of the run."""
    here = Path(__file__).parent
    try:
        from safetensors.torch import save_model
    except ImportError:
        torch.save(model.state_dict(), here / "model.pt")
    else:
        save_model(model, str(here / "model.safetensors"))
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    same = digest.hexdigest() == WEIGHTS
    print("the run's weights, bit for bit" if same else "other weights than the run's: another torch or CPU?")'''


@dataclass(slots=True)
class Ejected:
    """A program's text, and the arrays that it reads."""

    text: str
    arrays: dict[str, np.ndarray]


def eject(
    folder: Path, plugins_of: Callable[[tuple[str, ...]], Plugins], data: str = "data.npz", trust: bool = False
) -> Ejected:
    """Write a finished run down.

    Args:
        folder: the run's.
        data: where the program finds its arrays, seen from its own folder.
        trust: run the code that a run from elsewhere brings.

    Raises:
        BadUsage: the run isn't finished, or has something that has no plain form; says what.
        BadData: the data isn't what the run was trained on.
        Refused: the run brings code that wasn't put there on this machine, and `trust` is false.
    """
    run, recipe, plugins = check(folder, plugins_of, trust)
    parts = reopen(recipe, plugins)
    if None in parts.data.sizes().values():
        raise _no(run, "its data is a stream")
    parts.fit(folder)
    if run.facts.get("data") != provenance.fingerprint(parts.data):
        raise BadData("The data has changed since the training.", "Bring the old data back, or train anew.")
    try:
        return _written(run, parts, data)
    except Unbundled as error:
        raise _no(run, str(error)) from None


def check(
    folder: Path, plugins_of: Callable[[tuple[str, ...]], Plugins], trust: bool = False
) -> tuple[Run, Recipe, Plugins]:
    """See whether a run can be written down, as far as run and recipe tell; raises what `eject` does."""
    run = Run.open(folder)
    if run.facts.get("status") != "finished" or not (folder / "artifact").is_dir():
        raise no_artifact(run.name)
    recipe = read_resolved(folder)
    plugins = provenance.plugins_of_run(run, recipe, plugins_of, trust)
    _refuse(recipe, run, plugins)
    return run, recipe, plugins


def _no(run: Run, why: str) -> BadUsage:
    return BadUsage(
        f"Run {run.name!r} can't be ejected: {why}.",
        "docs/guides/eject.md says what can be. For the weights alone: benchdog export RUN --to safetensors",
    )


def _refuse(recipe: Recipe, run: Run, plugins: Plugins) -> None:
    """Look at what can be seen from the recipe alone."""
    options = recipe.trainer.options
    live = [n for k, n in named_components(recipe) if ":" not in n and n not in plugins.all(k)]
    frozen = [k for k in ("freeze", "freeze_parts", "unfreeze", "unfreeze_every") if options.get(k)]
    reasons = {
        f"its trainer is {recipe.trainer.name!r}, and only the loop of 'supervised' is known": recipe.trainer.name
        != "supervised",
        f"{', '.join(map(repr, live))} is no plugin's, but a live object of a notebook": bool(live),
        f"it ran on {recipe.backend.name!r}, not on the processor": recipe.backend.name != "cpu",
        "it ran on several ranks": int(recipe.backend.options.get("ranks", 1)) > 1,
        "it trained in another precision than fp32": recipe.backend.options.get("precision", "fp32") != "fp32",
        "it begins from trained weights ([start])": bool(recipe.start.weights),
        "it learns corrections beside frozen layers (trainer.lora)": bool(options.get("lora")),
        f"parts of its model don't learn (trainer.{', '.join(frozen)})": bool(frozen),
        "its parts learn at rates of their own (trainer.layer_decay)": options.get("layer_decay", 1.0) != 1.0,
        "its running statistics were held (trainer.hold_statistics)": options.get("hold_statistics") == "all",
    }
    why = [reason for reason, holds in reasons.items() if holds]
    if why:
        raise _no(run, "; ".join(why))


def _written(run: Run, parts: Components, data: str) -> Ejected:
    recipe, loop = parts.recipe, parts.recipe.loop
    if parts.data.weighted:
        raise _no(run, "its samples have weights (source.weight)")
    splits = {name: _resident(parts, name) for name in ("train", "valid")}
    fingerprints.check(run.folder, splits)
    inputs = describe(parts, splits)
    own = _own(parts)
    few = tuple(parts.transform(*(x[:FEW] for x in splits["train"].inputs)))
    model = write_model(parts, own, few)
    task, judge = write_task(parts, inputs, evaluation_batch_size(loop, parts.spec))
    facts = _facts(run, parts, splits["train"], few)
    training = Training(parts, inputs, judge, facts).text()
    augmentation, more = write_augmentation(parts, own)
    made = f'''def new_model() -> nn.Module:
    """Build the model, its first weights drawn from the seed."""
    torch.manual_seed(mix(SEED, 0, salt=4))
{indented("return " + model.expression, 4)}'''
    seeds = {"SEED": recipe.seed, "ORDER_SEED": int(recipe.loader.seed)}
    used = {name: value for name, value in seeds.items() if name == "SEED" or value != recipe.seed}
    constants = [f"{', '.join(used)} = {', '.join(map(str, used.values()))}"]
    constants += [f"EPOCHS, BATCH = {loop.epochs}, {loop.batch}", f'WEIGHTS = "{_digest(run, parts)}"']
    body = "\n\n\n".join(
        part.strip("\n")
        for part in (
            "\n".join(constants),
            MIX,
            _title("Data"),
            write_data(parts, inputs, data, splits),
            augmentation,
            _title("Model"),
            model.definitions,
            made,
            _title("Loss and metrics"),
            task,
            _title("Training"),
            training,
            SAVE,
            'if __name__ == "__main__":\n    main()',
        )
        if part
    )
    imports = imports_for(body, {*model.imports, *more})
    text = f'"""{_head(run, parts, data, facts)}\n"""\n\n{imports}\n\n{body}\n'
    _alone(text)
    arrays: dict[str, np.ndarray] = {}
    for name, split in splits.items():
        arrays |= {f"{name}.{key}": x.numpy() for key, x in zip(inputs.keys, split.inputs, strict=True)}
        arrays[f"{name}.target"] = split.target.numpy()
    return Ejected(text, arrays)


def _title(name: str) -> str:
    return f"# --- {name} " + "-" * (90 - len(name))


def _head(run: Run, parts: Components, data: str, facts: Facts) -> str:
    """Write what the program is, and under what circumstances it gives the run's bits."""
    environment = files.read_json(run.folder / "environment.json")
    model, source = (getattr(parts.recipe, kind).name.rpartition(":")[2] for kind in ("model", "source"))
    threads = f"{facts.threads} thread{'s' * (facts.threads != 1)}"
    what = paragraph(
        f"A plain PyTorch program, ejected from Benchdog: it reads the run's samples from {data} and ends with its "
        f"weights, bit for bit, with torch {environment['packages']['torch']} on a processor with "
        f"{environment['cpu_capability']} and {threads}. They are written to model.safetensors."
    )
    return f'The run "{run.name}": {parts.recipe.task.name}, {model} on {source}.\n\n{what}'


def _resident(parts: Components, name: str) -> InMemorySplit:
    samples = parts.data.splits[name]
    assert isinstance(samples, DecodedSplit)
    return load_into_memory(samples)


def _alone(text: str) -> None:
    """See that no name of the program is given twice.

    Raises:
        Unbundled: one is; then a part of it would be silently replaced.
    """
    tree = ast.parse(text)
    given = [name for node in tree.body for name in defined(node)]
    taken = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    given += [alias.asname or alias.name for node in taken for alias in node.names]
    twice = [name for name, times in Counter(given).items() if times > 1]
    if twice:
        raise Unbundled(f"two things in it are named {twice[0]!r}")


def _own(parts: Components) -> tuple[str, ...]:
    """Name what the program can't import: Benchdog, local files, and the plugins of its model and augmentations."""
    names = ["benchdog", *(load_file(Path(file)).__name__ for file in local_files(parts.recipe))]
    kinds = [("model", parts.recipe.model.name), *(("augmentation", part.name) for part in parts.recipe.augment)]
    found = (parts.plugins.find(kind, name) for kind, name in kinds)
    return (*names, *{each.module.partition(".")[0] for each in found if each.plugin and each.module})


def _facts(run: Run, parts: Components, train: InMemorySplit, few: tuple[torch.Tensor, ...]) -> Facts:
    """See what a training step of the model needs."""
    model = parts.build().train()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with torch.no_grad():
        given = model(*few)
    drawn = not torch.equal(before, torch.get_rng_state())
    strange = parts.plugins.find("model", parts.recipe.model.name).plugin != "builtin"
    threads = (
        int(parts.recipe.backend.options.get("threads", 0))
        or files.read_json(run.folder / "environment.json")["threads"]
    )
    return Facts(
        samples=len(train),
        random=drawn or strange,
        auxiliary=isinstance(given, dict),
        threads=threads,
        flat=any(isinstance(module, nn.Conv2d) for module in model.modules()),
    )


def _digest(run: Run, parts: Components) -> str:
    """Give the hash of the run's weights, by the names that the model has for them."""
    from safetensors.torch import load_file as read

    stored = read(run.folder / "artifact" / "model.safetensors")
    model = nn.Module()
    model.model = parts.build()
    stored = {name: value for name, value in stored.items() if name.startswith("model.")}
    wanted = model.state_dict()
    if any(name not in wanted or wanted[name].shape != value.shape for name, value in stored.items()):
        raise Unbundled("its model isn't the one that its recipe builds")
    model.load_state_dict(stored, strict=False)  # shared ones are stored once
    digest = hashlib.sha256()
    for name, value in model.model.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def write(ejected: Ejected, arrays: Path, program: Path | None) -> None:
    """Write the arrays, and the program where it is wanted as a file; each is whole, and no new one stays alone."""
    fresh = not arrays.exists()
    files.replace(arrays, lambda aside: _save(aside, ejected.arrays))
    if program is not None:
        try:
            files.write_text(program, ejected.text)
        except Failed:
            if fresh:
                arrays.unlink(missing_ok=True)
            raise


def _save(aside: Path, arrays: dict[str, Any]) -> None:
    with aside.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
