"""Prediction with a class and a file of weights, without a run: `predict net.py:Net --weights net.pth photo.png`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchdog.api import Field, Preprocess, Spec, Target, Task
from benchdog.errors import BadData, BadUsage, nearest
from benchdog.model.load import LoadedModel, open_model
from benchdog.plugins import Plugins
from benchdog.plugins.options import validate
from benchdog.plugins.trust import outside_plugins
from benchdog.recipe.recipe import ComponentConfig, OutputConfig, StartConfig, absolute

if TYPE_CHECKING:
    from torch import Tensor

TARGETS = {"classification": "class", "segmentation": "mask"}
"""The tasks whose predictions need nothing but class names."""
TABLES = ("model", "start", "output")
MAX_BATCH = 64
LEAST_CLASSES = 2
WHITE = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedNetwork:
    """What the command line says about a network: nothing of it is in a file of weights.

    Attributes:
        name: "file.py:Class" or "package.module:Class".
        weights: the file.
        classes: their names, in the order of the outputs.
        size: "3x32x32", an image's channels, height and width; with four numbers a volume's, read from .npy files.
        mean: per channel, or one number, of images whose white is 1; empty: 0.
        deviation: likewise; empty: 1.
        task: classification or segmentation.
        settings: keys of the tables [model], [start] and [output].
    """

    name: str
    weights: Path
    classes: Sequence[str]
    size: str
    mean: Sequence[float] = ()
    deviation: Sequence[float] = ()
    task: str = "classification"
    settings: Mapping[str, Any]


@contextmanager
def opened(given: NamedNetwork, plugins: Plugins, note: Callable[[str], object]) -> Iterator[LoadedModel]:
    """Build the network, load all of its weights, and open it as a trained model; nothing is kept.

    Args:
        given: the network.
        plugins: where components are looked up.
        note: is told what was assumed.

    Raises:
        BadUsage: something isn't said that no file says, or doesn't fit the network.
        BadData: the weights aren't those of the network.
    """
    from benchdog.data.transform.transform import Transform
    from benchdog.model import artifact
    from benchdog.model.outputs import reading_of

    if not outside_plugins("model", given.name, plugins):
        raise BadUsage(f"--weights is for a class of your own, and {given.name!r} is none.", "Write file.py:Class.")
    spec = _spec(given)
    task: Task = plugins.make("task", given.task)
    task.check(spec)
    spec = spec.with_output(*task.output(spec))
    (field,) = spec.fields
    preprocess = _preprocess(given, field)
    tables = {table: _settings(given.settings, table) for table in TABLES}
    place, _, attribute = given.name.rpartition(":")
    name = f"{absolute(place, Path.cwd())}:{attribute}" if place.endswith(".py") else given.name
    model = ComponentConfig(name=name, options=tables["model"])
    transform = Transform(preprocess, spec)
    net = _loaded(given, model, tables, spec, transform, partial(task.head, spec), plugins)
    reading = reading_of(net)
    if reading is not None and reading.why:
        note(f"output: {reading.why}")
    if field.kind == "image" and not (given.mean or given.deviation):
        note("pixels are scaled to 0 to 1 and not normalized; --mean and --std say otherwise")
    described = {"name": name, "options": dict(model.options)}
    with TemporaryDirectory(prefix="benchdog-") as folder:
        artifact.save(
            Path(folder) / "artifact",
            trained=net,
            transform=transform,
            head=task.head(spec),
            spec=spec,
            preprocess=preprocess,
            recipe={"model": described},
            task={"name": given.task, "options": {}},
            model=described if reading is None else {**described, "output": reading.to_json()},
            metrics={},
            samples=[],
            run=given.weights.stem,
            max_batch=MAX_BATCH,
            plugins=plugins,
        )
        yield open_model(Path(folder) / "artifact", plugins, trust=True).load()


def _loaded(
    given: NamedNetwork,
    model: ComponentConfig,
    tables: Mapping[str, Mapping[str, Any]],
    spec: Spec,
    transform: Any,
    head: Any,
    plugins: Plugins,
) -> Any:
    """Build the network with its weights, all of which must be there."""
    import torch

    from benchdog.data.synthetic import generate_inputs
    from benchdog.model.weights import fill, read, renamed, without_wrapper
    from benchdog.training.build import build_from, check_output

    start = validate(StartConfig, tables["start"], "[start]")
    output = validate(OutputConfig, tables["output"], "[output]")
    inner = transform.spec(spec)

    def inputs(count: int) -> tuple[Tensor, ...]:
        arrays = (torch.from_numpy(x) for x in generate_inputs(spec, count))
        return tuple(transform(*arrays))

    net = build_from(model, inner, plugins)
    net = check_output(net, inner, model.name, inputs, output, head)
    tensors = renamed(read(given.weights, start.part), start.rename.items())
    tensors, _ = without_wrapper(tensors, net.state_dict())
    report = fill(net, tensors, head=True)
    counters = [name for name in report.fresh if name.endswith(".num_batches_tracked")]  # older files have none
    if len(report.fresh) > len(counters) or report.unused:
        raise BadData(
            f"{given.weights} doesn't fit {given.name!r}: {report.sentence()}.",
            "Set the class's options (--set model.KEY=VALUE) as they were, or rename: --set start.rename=...",
        )
    return net.eval()


def _spec(given: NamedNetwork) -> Spec:
    """Return what the network takes and predicts, as the command line says."""
    if given.task not in TARGETS:
        raise BadUsage(f"--weights can't be used with the task {given.task!r}.", nearest(given.task, TARGETS))
    if len(given.classes) < LEAST_CLASSES:
        raise BadUsage(
            "A file of weights doesn't hold the names of the classes.",
            "Name them in the order of the network's outputs: --classes airplane,bird",
        )
    sizes = (
        [int(n) for n in given.size.split("x")]
        if re.fullmatch(r"[1-9]\d{0,4}(x[1-9]\d{0,4}){2,3}", given.size)
        else []
    )
    image = len(sizes) == 3 and sizes[0] in (1, 3)
    if not image and len(sizes) != 4:
        raise BadUsage(
            f"A file of weights doesn't say what the network takes, and --input is {given.size!r}.",
            "Write --input 3x32x32 (channels, height, width) for images in color, 1x32x32 in gray, "
            "1x16x32x32 for volumes.",
        )
    if image:
        field = Field(kind="image", shape=tuple(sizes), dtype="uint8", range=(0, WHITE))
    else:
        field = Field(kind="volume", shape=tuple(sizes), dtype="float32")
    shape, dtype = ((), "int64") if given.task == "classification" else (tuple(sizes[1:]), "uint8")
    target = Target(kind=TARGETS[given.task], classes=tuple(given.classes), shape=shape, dtype=dtype)
    return Spec(fields=(field,), target=target)


def _preprocess(given: NamedNetwork, field: Field) -> Preprocess:
    """Return the default decoding, and the normalization that the command line says."""
    from benchdog.data.decode.decoder import default_preprocess

    channels = field.shape[0] or 1
    values = {"--mean": given.mean or [0.0], "--std": given.deviation or [1.0]}
    for flag, numbers in values.items():
        if len(numbers) not in (1, channels):
            raise BadUsage(
                f"{flag} has {len(numbers)} numbers for {channels} channels.", "Give one, or one for each."
            )
    white = WHITE if field.kind == "image" else 1
    mean, deviation = ([white * float(n) for n in numbers] for numbers in values.values())
    operation = {"op": "normalise", "mean": mean, "deviation": deviation}
    spec = Spec(fields=(field,), target=Target(kind="class"))
    return Preprocess(decode=default_preprocess(spec).decode, transform={field.name: [operation]})


def _settings(settings: Mapping[str, Any], table: str) -> dict[str, Any]:
    """Return the keys of a table among dotted ones.

    Raises:
        BadUsage: a key is of no table.
    """
    for key in settings:
        if key.partition(".")[0] not in TABLES or "." not in key:
            raise BadUsage(
                f"--set {key} says nothing about a network with --weights.",
                "Its keys begin with model., start. or output.; for example start.part.",
            )
    return {key.partition(".")[2]: value for key, value in settings.items() if key.startswith(f"{table}.")}
