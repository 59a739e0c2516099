"""What a run needs of the templates: which of them, and the values of their constants."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from benchdog.api import Spec
from benchdog_eject.assembly import Code

if TYPE_CHECKING:
    from benchdog import FinishedRun


class Unsupported(Exception):
    """Why a run has no plain program."""


@dataclass(slots=True)
class Choices:
    """Names of templates, and values of their constants."""

    templates: list[str] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def take(self, template: str, /, **constants: Any) -> None:
        """Add a template with its constants."""
        self.templates.append(template)
        self.constants |= constants


def choose(run: FinishedRun, data: str, samples: int, weights: str) -> Choices:
    """Choose templates and constants.

    Args:
        run: what is ejected.
        data: the path of the samples, relative to the program.
        samples: number of training samples.
        weights: SHA-256 of the final weights.

    Raises:
        Unsupported: something of the run is in no template.
    """
    choices, loop = Choices(), run.recipe["loop"]
    batch = int(loop["batch_size"])
    choices.take(
        "settings",
        SEED=run.recipe["seed"],
        ORDER_SEED=run.recipe["loader"]["seed"],
        EPOCHS=loop["epochs"],
        BATCH_SIZE=batch,
        EVALUATION_BATCH_SIZE=run.evaluation_batch_size,
    )
    choices.take("seeds")
    choices.take("loading", DATA=data)
    _transform(run, choices)
    _model(run, choices)
    _task(run, choices)
    choices.take("evaluation")
    _schedule(run, choices, -(-samples // batch))
    choices.take("saving", WEIGHTS=weights)
    _training(run, choices, samples)
    return choices


# --- data


def _transform(run: FinishedRun, choices: Choices) -> None:
    if len(run.spec.fields) != 1:
        raise Unsupported("its samples have several inputs")
    (field_,) = run.spec.fields
    ops = run.preprocess.transform.get(field_.name) or [{"op": "identity"}]
    if len(ops) != 1:
        raise Unsupported("its transform has several operations")
    name = ops[0]["op"]
    buffers = {key.rpartition(".")[2]: value for key, value in run.fitted["transform"].items()}
    if name == "identity":
        choices.take("transforms.tokens" if field_.kind == "tokens" else "transforms.floats")
    elif name in ("scale", "standardise", "normalise"):
        choices.take("transforms.scaled", SCALE=buffers["scale"], SHIFT=buffers["shift"])
    elif name == "table":
        columns = field_.columns
        choices.take(
            "transforms.table",
            NUMBERS={columns[i].name: i for i in buffers["numbers"].tolist()},
            MEAN=buffers["mean"],
            SCALE=buffers["scale"],
            MAY_BE_MISSING={columns[i].name: i for i in buffers["flags"].tolist()},
            CATEGORIES={c.name: (i, len(c.categories)) for i, c in enumerate(columns) if c.kind != "number"},
            ONE_HOT=ops[0].get("categories") != "codes",
        )
    else:
        raise Unsupported(f"the transform's operation {name!r} is in no template")


# --- the model: names of its modules are those of the artifact's weights


def _model(run: FinishedRun, choices: Choices) -> None:
    options = dict(run.recipe["model"])
    name = options.pop("name")
    if name not in MODELS:
        raise Unsupported(f"the model {name!r} is in no template; there is one for: {', '.join(MODELS)}")
    if None in run.spec.fields[0].shape:
        raise Unsupported("its inputs have no fixed size")
    template, constants = MODELS[name](run.new_model(), run.spec, options)
    choices.take(template, **constants)


Described = tuple[str, dict[str, Any]]


def _linear(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    return "models.linear", {"FEATURES": model.layers.in_features, "OUTPUTS": spec.outputs}


def _mlp(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    given = {"FEATURES": model.layers[0].in_features, "HIDDEN": list(options["hidden"])}
    return "models.mlp", {**given, "DROPOUT": options["dropout"], "OUTPUTS": spec.outputs}


def _image(spec: Spec) -> dict[str, Any]:
    return {"DIMENSIONS": len(spec.fields[0].shape) - 1}


def _cnn(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    widths: list[int] = []
    pooling: list[tuple[int, ...]] = []
    for layer in model:
        if hasattr(layer, "out_channels"):
            widths.append(layer.out_channels)
            pooling.append((1,) * (len(spec.fields[0].shape) - 1))
        elif isinstance(layer, torch.nn.MaxPool2d | torch.nn.MaxPool3d):
            pooling[-1] = tuple(layer.kernel_size)  # type: ignore[arg-type]
    features = next(layer.in_features for layer in model if hasattr(layer, "in_features"))
    given = {"CHANNELS": spec.channels, "WIDTHS": widths, "POOLING": pooling, "FEATURES": features}
    given |= {"HIDDEN": options["hidden"], "DROPOUT": options["dropout"], "OUTPUTS": spec.outputs}
    return "models.cnn", {**_image(spec), "NORM": options["norm"], **given}


def _resnet(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    blocks = {10: [1, 1, 1, 1], 18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}[options["depth"]]
    given = {"CHANNELS": spec.channels, "WIDTH": options["width"], "BLOCKS": blocks, "OUTPUTS": spec.outputs}
    given |= {"BOTTLENECK": 4 if options["depth"] == 50 else 1, "SMALL_INPUT": model.stem[0].kernel_size[0] == 3}
    return "models.resnet", {**_image(spec), "NORM": "batch", **given}


def _unet(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    if options["deep_supervision"]:
        raise Unsupported("it has deep supervision (model.deep_supervision)")
    given = {"CHANNELS": spec.channels, "WIDTH": options["width"], "LEVELS": len(model.up), "OUTPUTS": spec.outputs}
    return "models.unet", {**_image(spec), "NORM": options["norm"], **given}


def _blocks(model: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    first = model.layers[0]
    given = {"WIDTH": first.attend.in_features, "LAYERS": len(model.layers), "HEADS": first.heads}
    return {**given, "DROPOUT": options["dropout"]}


def _gpt(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    given = {"VOCABULARY": model.embed.num_embeddings, "TIED": options["tied"]}
    given["LENGTH"] = 0 if model.positions is None else len(model.positions)
    return "models.gpt", {**_blocks(model, options), **given}


def _transformer(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    given = {"VOCABULARY": model.embed.num_embeddings, "LENGTH": len(model.positions), "OUTPUTS": spec.outputs}
    return "models.transformer", {**_blocks(model, options), **given}


def _vit(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    given = {"IMAGE_SHAPE": tuple(spec.fields[0].shape), "PATCH": model.cut.kernel_size[0], "OUTPUTS": spec.outputs}
    return "models.vit", {**_blocks(model, options), **given}


def _tabular(model: Any, spec: Spec, options: Mapping[str, Any]) -> Described:
    tables = zip(model.places, model.embed, strict=True)
    given = {
        "NUMBER_POSITIONS": model.numbers.tolist(),
        "EMBEDDINGS": {place: (table.num_embeddings, table.embedding_dim) for place, table in tables},
        "WIDTH": options["width"],
        "INNER_WIDTH": int(options["width"] * options["widening"]),
        "BLOCKS": options["blocks"],
    }
    return "models.tabular", {**given, "DROPOUT": options["dropout"], "OUTPUTS": spec.outputs}


MODELS: dict[str, Callable[[Any, Spec, Mapping[str, Any]], Described]] = {
    "linear": _linear,
    "mlp": _mlp,
    "cnn": _cnn,
    "resnet": _resnet,
    "vit": _vit,
    "unet": _unet,
    "gpt": _gpt,
    "transformer": _transformer,
    "tabular": _tabular,
}


# --- the task


def _task(run: FinishedRun, choices: Choices) -> None:
    options, spec = run.recipe["task"], run.spec
    name, fitted = options["name"], run.fitted["task"]
    if name == "classification":
        _class_loss(options["criterion"], options, fitted, spec, choices)
        choices.take("metrics.accuracy")
    elif name == "segmentation":
        if options.get("ignore") is not None:
            raise Unsupported("pixels are ignored (task.ignore)")
        _class_loss(options["loss"], options, fitted, spec, choices)
        choices.take("metrics.iou", CLASSES=spec.classes)
    elif name == "multi-label":
        weight = fitted.get("pos_weight")
        if options["pos_weight"] not in ("none", "balanced"):
            raise Unsupported("the labels have weights of their own (task.pos_weight)")
        choices.take("losses.binary_cross_entropy", POS_WEIGHT=torch.tensor(weight) if weight else None)
        choices.take("metrics.macro_f1", LABELS=spec.classes)
    elif name == "regression":
        criteria = {"mse": "F.mse_loss", "mae": "F.l1_loss", "huber": "F.huber_loss"}
        if options["loss"] not in criteria:
            raise Unsupported(f"the loss {options['loss']!r} is in no template; available: {', '.join(criteria)}")
        mean, std = (torch.tensor(fitted[key], dtype=torch.float64) for key in ("mean", "std"))
        criterion = Code(criteria[options["loss"]])
        choices.take("losses.standardized", TARGET_MEAN=mean, TARGET_STD=std, CRITERION=criterion)
        choices.take("metrics.errors")
    elif name == "next-token":
        if options.get("ignore") is not None:
            raise Unsupported("tokens are ignored (task.ignore)")
        choices.take("losses.next_token")
        choices.take("metrics.perplexity")
    else:
        known = "classification, multi-label, regression, segmentation, next-token"
        raise Unsupported(f"the task {name!r} is in no template; there is one for: {known}")


def _class_loss(
    name: str, options: Mapping[str, Any], fitted: Mapping[str, Any], spec: Spec, choices: Choices
) -> None:
    weights, smoothing = _class_weights(options["class_weights"], fitted, spec), options.get("label_smoothing", 0.0)
    if name == "cross-entropy":
        choices.take("losses.cross_entropy", CLASS_WEIGHTS=weights, LABEL_SMOOTHING=smoothing)
    elif name == "focal":
        choices.take("losses.focal", CLASS_WEIGHTS=weights, LABEL_SMOOTHING=smoothing, GAMMA=options["gamma"])
    elif name in ("dice", "batch-dice", "dice+cross-entropy"):
        if weights is not None:
            raise Unsupported("Dice with class weights is in no template")
        both = name == "dice+cross-entropy"
        choices.take("losses.dice", WHOLE_BATCH=name == "batch-dice", WITH_CROSS_ENTROPY=both)
    else:
        raise Unsupported(f"the criterion {name!r} is in no template; available: cross-entropy, focal, Dice's")


def _class_weights(given: Any, fitted: Mapping[str, Any], spec: Spec) -> torch.Tensor | None:
    if isinstance(given, Mapping):
        return torch.tensor([float(given.get(name, 1.0)) for name in spec.target.classes])
    return torch.tensor(fitted["class_weights"]) if "class_weights" in fitted else None


# --- training


def _schedule(run: FinishedRun, choices: Choices, steps: int) -> None:
    options = run.recipe["trainer"]
    name, total = options["schedule"], steps * run.recipe["loop"]["epochs"]
    if name in ("constant", "linear", "cosine"):
        warmup = options["warmup"]
        rise = round(warmup * total) if warmup < 1 else round(warmup)
        choices.take("schedules.curve", WARMUP_STEPS=rise, TOTAL_STEPS=total, CURVE=name, SCHEDULE_EVERY="step")
        return
    if ":" in name:
        raise Unsupported(f"the schedule {name!r} is not one of torch's")
    more = _tuples(options["schedule_options"])
    name = {"one-cycle": "OneCycleLR", "plateau": "ReduceLROnPlateau"}.get(name, name)
    taken = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
    if "total_steps" in taken and not {"total_steps", "epochs"} & set(more):
        more["total_steps"] = total
    if name == "OneCycleLR":
        more.setdefault("max_lr", options["lr"])
    if name == "ReduceLROnPlateau":
        more.setdefault("mode", run.facts["better"])
    every = {"ReduceLROnPlateau": "metric", "OneCycleLR": "step", "CyclicLR": "step"}.get(name, "epoch")
    scheduler = Code(f"lr_scheduler.{name}")
    choices.take("schedules.named", SCHEDULE=scheduler, SCHEDULE_OPTIONS=more, SCHEDULE_EVERY=every)


def _training(run: FinishedRun, choices: Choices, samples: int) -> None:
    options, loop = run.recipe["trainer"], run.recipe["loop"]
    if loop["accumulate"] > 1:
        weights = choices.constants.get("CLASS_WEIGHTS")
        if weights is not None and not bool((weights > 0).all()):
            raise Unsupported("a class counts nothing, and gradients are accumulated")
        if samples % int(loop["batch_size"]) == 1:
            raise Unsupported("gradients are accumulated, and the last batch is a single sample")
    average = options["average"]
    start = max(0, min(round(options["swa_start"] * loop["epochs"]), loop["epochs"] - 2))
    limits = {key: value if math.isfinite(value := options[key]) else 0.0 for key in ("clip_value", "clip_norm")}
    optimizer, more = _optimizer(options)
    choices.take(
        "training",
        THREADS=int(run.recipe["backend"].get("threads", 0)) or run.environment["threads"],
        OPTIMIZER=optimizer,
        OPTIMIZER_OPTIONS=more,
        MICRO_BATCHES=loop["accumulate"],
        CLIP_VALUE=limits["clip_value"],
        CLIP_NORM=limits["clip_norm"],
        AVERAGE="" if average == "none" else average,
        EMA_DECAY=options["ema_decay"],
        SWA_START=start,
        MONITOR=run.facts["monitor"],
        HIGHER_IS_BETTER=run.facts["better"] == "max",
        PATIENCE=loop["patience"],
        CHANNELS_LAST=run.recipe["backend"].get("channels_last", True)
        and any(isinstance(module, torch.nn.Conv2d) for module in run.new_model().modules()),
    )


def _optimizer(options: Mapping[str, Any]) -> tuple[Code, dict[str, Any]]:
    name = options.get("optimizer") or options["optimiser"]
    if ":" in name:
        raise Unsupported(f"the optimizer {name!r} is not one of torch's")
    more = _tuples(options.get("optimizer_options") or options.get("optimiser_options") or {})
    taken = inspect.signature(getattr(torch.optim, name)).parameters
    own = taken["weight_decay"].default if "weight_decay" in taken else 0.0
    if options["weight_decay"] or own:
        more["weight_decay"] = options["weight_decay"]
    if "fused" in taken and not {"foreach", "fused", "differentiable", "capturable"} & set(more):
        more["fused"] = True
    return Code(f"torch.optim.{name}"), {"lr": options["lr"], **more}


def _tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
