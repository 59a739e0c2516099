"""Initial weights of a fine-tuned model, from a package, a run or a file: the recipe's table [start]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import Column, ModelInfo, Preprocess, Pretrained, PretrainedDefaults, Spec, with_defaults, words
from benchdog.errors import BadData, BadUsage, no_artifact, shortlist
from benchdog.model.weights import SUFFIXES, Report
from benchdog.plugins import Plugins
from benchdog.plugins.types import RegisteredComponent
from benchdog.recipe.draft import Draft
from benchdog.recipe.recipe import ComponentConfig, StartConfig, absolute
from benchdog.runs import run
from benchdog.system import files, paths

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGE = "package"
ARTIFACT_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where weights lie, and what they were trained with."""

    file: Path
    rename: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    transform: Mapping[str, Any] | Sequence[Any] | None = None
    state: str = ""
    named: str = field(default="")
    columns: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    tokens: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    classes: Sequence[str] = ()
    part: str = ""

    def tensors(self) -> dict[str, Tensor]:
        """Read the model's tensors, by the file's names."""
        from benchdog.model.weights import read

        found = read(self.file, self.part)
        return {n.removeprefix(self.prefix): t for n, t in found.items() if n.startswith(self.prefix)}

    def fitted(self) -> dict[str, Tensor]:
        """Read what the transform had learned; empty where it learns nothing."""
        from benchdog.model.weights import read

        if not self.state:
            return {}
        return {n.removeprefix(self.state): t for n, t in read(self.file).items() if n.startswith(self.state)}


def pretrained_of(found: RegisteredComponent, values: Mapping[str, Any], plugins: Plugins) -> Pretrained | None:
    """Make what knows a model as its publisher trained it; None when nobody did."""
    info = found.info
    if not isinstance(info, ModelInfo) or not info.pretrained:
        return None
    options = plugins.options(found, values)
    target = found.resolve(info.pretrained)
    made: Pretrained = target() if options is None else target(options)
    return made


def resolved(
    draft: Draft, model: ComponentConfig, spec: Spec, preprocess: Preprocess, runs: Path | None = None
) -> StartConfig:
    """Decide which file is meant, absolutely; note its SHA-256 and how its inputs are scaled.

    Args:
        draft: what is asked for.
        model: the model, settled.
        spec: what the data is.
        preprocess: the data's.
        runs: the folder of runs.

    Raises:
        BadUsage: there are no such weights, or they were trained on other fields.
        BadData: a SHA-256 was given, and the file's is another.
    """
    start: StartConfig = draft.table("start")
    if "start.weights" not in draft.values:
        published = with_defaults(_published(model, draft.plugins), PretrainedDefaults)
        start = replace(start, weights=PACKAGE) if published.begins else start
    if not start.weights:
        if start != StartConfig():
            raise BadUsage("[start] has settings, but no weights.", 'Write weights = "package", a run or a file.')
        return start
    given = draft.values.get("start.weights")
    base = Path.cwd() if given is None else given.base
    start = replace(start, weights=_absolute(start.weights, base, runs))
    from_there = origin(start, model, draft.plugins)
    found = files.sha256(from_there.file)
    if start.sha256 and start.sha256 != found:
        raise BadData(
            f"The weights {start.weights!r} are not those of the recipe: their SHA-256 is {found}.",
            'Bring the old ones back, or accept these: --set start.sha256=""',
        )
    _check_names(from_there, spec, start)
    _check_tokens(from_there, _tokens(preprocess.decode), start)
    ops = from_there.transform
    if start.transform == "data" or ops is None:
        ops = {}
    elif not isinstance(ops, Mapping):
        ops = {spec.fields[0].name: ops}
    elif set(ops) != {f.name for f in spec.fields}:
        raise BadUsage(
            f"The weights were trained on {', '.join(map(repr, ops))}, the data has "
            f"{', '.join(repr(f.name) for f in spec.fields)}.",
            'Use the data\'s own transform: start.transform = "data".',
        )
    channels = {field.name: field.shape[0] if field.shape else 0 for field in spec.fields}
    fitted = {name: tuple(_for_grey(op) if channels[name] == 1 else op for op in each) for name, each in ops.items()}
    return replace(start, sha256=found, operations=fitted)


def _check_names(there: Origin, spec: Spec, start: StartConfig) -> None:
    """Refuse weights whose rows belong to other columns, categories or classes than those of the data.

    They are found by position, so names in another order would go unnoticed.
    """
    scratch = 'To train from scratch: --set start.weights=""'
    for field_ in spec.fields:
        was, now = (tuple(map(_described, each)) for each in (there.columns.get(field_.name, ()), field_.columns))
        if was and was != now:
            odd = next(pair for pair in zip_longest(was, now, fillvalue="no column") if pair[0] != pair[1])
            raise BadUsage(
                f"The weights ({there.named}) were trained on other columns than the data has: "
                f"{odd[0]} became {odd[1]}.",
                f"Use data of the same columns and categories, in the same order. {scratch}",
            )
    before, after = ([name.casefold() for name in names] for names in (there.classes, spec.target.classes))
    if start.head == "keep" and before and before != after:
        raise BadUsage(
            f"The head of the weights ({there.named}) predicts the classes {shortlist(there.classes)}, the data has "
            f"{shortlist(spec.target.classes)}: in this order, each row of the head belongs to a class.",
            f"Reinitialize the head: --set start.head=new. {scratch}",
        )


def _check_tokens(there: Origin, tokens: Mapping[str, Sequence[bytes]], start: StartConfig) -> None:
    """Refuse weights whose embeddings belong to other tokens; of another number they don't fit, which is reported."""
    for name, now in tokens.items():
        was = there.tokens.get(name, now)
        if len(was) == len(now) and was != now and not start.skip:
            odd = next(i for i, pair in enumerate(zip(was, now, strict=True)) if pair[0] != pair[1])
            raise BadUsage(
                f"The weights ({there.named}) were trained on other tokens than those of the data: "
                f"of {name!r}, token {odd} was {was[odd]!r}, and is {now[odd]!r}.",
                "Use the same tokens, or reinitialize what reads them: --set 'start.skip=[\"LAYER\"]'; benchdog plan "
                "lists the layers.",
            )


def _tokens(decode: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Sequence[bytes]]:
    """Return the tokens of each field that is decoded to some."""
    return {name: words(op) for name, ops in decode.items() for op in ops if op.get("op") == "tokens"}


def _described(column: Column) -> str:
    return (
        f"{column.name!r} ({shortlist(column.categories)})"
        if column.categories
        else f"{column.name!r} ({column.kind})"
    )


def _for_grey(op: Any) -> Any:
    """Return the scaling of colors as one for gray: the mean over them."""
    if not isinstance(op, Mapping) or op.get("op") != "normalise":
        return op
    return {**op, **{key: [sum(op[key]) / len(op[key])] for key in ("mean", "deviation")}}


def _absolute(weights: str, base: Path, runs: Path | None) -> str:
    """Return the absolute path of a file, an artifact's folder or a run."""
    if weights == PACKAGE:
        return weights
    if Path(weights).suffix in SUFFIXES or (base / Path(weights).expanduser() / "artifact.json").is_file():
        return absolute(weights, base)
    if Path(weights).is_absolute() and (Path(weights) / "run.json").is_file():
        return weights
    try:
        return str(run.find(weights, paths.runs_dir(runs)).absolute())
    except BadUsage as error:
        file = base / Path(weights).expanduser()
        if file.is_file():
            return absolute(weights, base)
        what = f"and {weights} is a folder of another kind" if file.is_dir() else f"nor a file of weights {weights}"
        raise BadUsage(f"{error.message.rstrip('.')}, {what}.", error.hint) from None


def origin(start: StartConfig, model: ComponentConfig, plugins: Plugins) -> Origin:
    """Find the weights that a resolved [start] names."""
    mine = tuple(start.rename.items())
    known = _published(model, plugins)
    if start.weights == PACKAGE:
        if known is None:
            models = plugins.all("model").items()
            others = [n for n, f in models if isinstance(f.info, ModelInfo) and f.info.pretrained]
            raise BadUsage(
                f"No package has weights for the model {model.name!r}.",
                f"There are some for: {', '.join(others) or 'none'}. Or name a run, or a file of weights.",
            )
        classes = with_defaults(known, PretrainedDefaults).classes
        rename = (*mine, *known.rename)
        return Origin(known.weights(), rename, transform=tuple(known.transform), named=PACKAGE, classes=classes)
    place = Path(start.weights)
    if place.suffix in SUFFIXES or place.is_file():
        if not place.is_file():
            raise BadUsage(f"There is no file {place}.", "Pass the path of a weights file, or a run's name.")
        found = Origin(place, mine, named=place.name, part=start.part)
        if known is None:
            return found
        return replace(found, rename=(*mine, *known.rename), transform=tuple(known.transform))
    if start.part:
        raise BadUsage(f"start.part = {start.part!r} names a part of a file, and {place} is a run.", "Leave it out.")
    return _of_run(place, mine)


def _published(model: ComponentConfig, plugins: Plugins) -> Pretrained | None:
    """Find what a plugin knows of a model; a class of one's own, or a live one, is known to nobody."""
    for found in plugins.all("model").values():
        if model.name in (found.info.name, found.where):
            return pretrained_of(found, model.options, plugins)
    return None


def _of_run(place: Path, rename: tuple[tuple[str, str], ...]) -> Origin:
    from benchdog.model.artifact_files import locate, read_meta, verify_files

    folder, kind = locate(place)
    if kind != "artifact":
        raise BadUsage(f"{place} is an export; training begins from a run, an artifact or a file of weights.")
    meta = read_meta(folder, kind)
    if ARTIFACT_WEIGHTS not in meta["files"]:
        raise BadUsage(f"{place.name!r} holds no weights of a network.", "Begin from the run of one.")
    if not (folder / ARTIFACT_WEIGHTS).is_file():
        raise no_artifact(place.name)
    verify_files(folder, {ARTIFACT_WEIGHTS: meta["files"][ARTIFACT_WEIGHTS]} | meta["files"])
    ops = meta["preprocess"]["transform"]
    spec = Spec.from_json(meta["spec"])
    return Origin(
        folder / ARTIFACT_WEIGHTS, rename, "model.", ops, "transform.", f"run {place.name}",
        columns={each.name: each.columns for each in spec.fields},
        tokens=_tokens(meta["preprocess"]["decode"]),
        classes=spec.target.classes,
    )  # fmt: skip


def preprocess_for(start: StartConfig, preprocess: Preprocess) -> Preprocess:
    """Return the data's preprocess, its transform replaced by the one that the weights were trained with."""
    return replace(preprocess, transform={**preprocess.transform, **start.operations})


def take_transform(start: StartConfig, transform: nn.Module, model: ComponentConfig, plugins: Plugins) -> bool:
    """Let a transform know what it had learned when the weights were trained; false when nothing is known of that.

    Raises:
        BadUsage: that doesn't fit the data.
    """
    if not start.weights or start.transform == "data":
        return False
    learned = origin(start, model, plugins).fitted()
    try:
        if learned:
            transform.load_state_dict(learned)
    except RuntimeError as error:
        raise BadUsage(
            f"The transform of {start.weights!r} doesn't fit the data: {' '.join(str(error).split())[:200]}.",
            'Use the data\'s own: start.transform = "data".',
        ) from None
    return bool(learned)


def begin(start: StartConfig, net: nn.Module, model: ComponentConfig, plugins: Plugins) -> Report | None:
    """Put the weights into a model that was just built; None when there are none to begin from.

    Raises:
        BadUsage: less of it fits than the recipe wants.
        BadData: the file was changed since the recipe was resolved.
    """
    from benchdog.model.weights import fill, renamed, without_wrapper

    if not start.weights:
        return None
    found = origin(start, model, plugins)
    if start.sha256 and files.sha256(found.file) != start.sha256:
        raise BadData(f"{found.file} was changed since this run began.", "Bring the old file back, or start again.")
    given = renamed(found.tensors(), found.rename)
    tensors, prefix = without_wrapper(given, net.state_dict()) if not found.rename else (given, "")
    report = fill(net, tensors, skip=start.skip, head=start.head == "keep")
    report.prefix = prefix
    if not report.loaded or report.share < start.share:
        names = ", ".join(list(tensors)[:2])
        ours = ", ".join([n for n, why in report.fresh.items() if why not in ("the head", "as asked")][:2])
        less = f"accept less: start.share = {max(0.0, int(report.share * 100 - 1) / 100):g}"
        other = f"leave parts out by start.skip, or {less}" if report.loaded else "or choose another model."
        raise BadUsage(
            f"Too little of the weights ({found.named}) fits the model {model.name!r}: {report.sentence()}.",
            f"The file has {names} ...; the model wants {ours} .... Give start.rename, {other}",
        )
    return report
