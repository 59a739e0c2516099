"""`benchdog data`: data sources, their contents, and the cache of downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli import flags
from benchdog.cli.completion import candidates
from benchdog.cli.output import columns, echo, echo_path, emit_json, is_terminal, say
from benchdog.system.escapes import one_line
from benchdog.system.files import readable, size_of

if TYPE_CHECKING:
    from benchdog.api import Source, Spec, Split
    from benchdog.data.dataset import DecodedSplit

COUNTED = 20_000
"""Largest split whose targets are read sample by sample, for a source without `targets`."""
LOOKED_AT = 8
"""Samples of each split whose targets are checked where they aren't counted: masks, tokens."""
SAMPLED = 64
"""Samples of each split on which batch() and raw() are compared."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set an option of the source (repeatable).")
]
One = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A source, a .csv file, a folder of images or a recipe.",
        autocompletion=candidates.sources_and_recipes,
    ),
]

app = typer.Typer(
    help="List, fetch, inspect, verify and prune data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List the sources and the size of their cached downloads."""
    from benchdog.data import download
    from benchdog.system.paths import cache_dir

    sizes = download.cached_sizes()
    rows = [
        {
            "name": name, "summary": component.info.summary, "plugin": component.plugin,
            "cached": sizes.get(download.folder_name(name), 0),
        }
        for name, component in sorted(ctx.obj.plugins().all("source").items())
    ]  # fmt: skip
    if as_json:
        emit_json({"folder": str(cache_dir()), "bytes": sum(sizes.values()), "sources": rows})
        return
    table = [(row["name"], readable(row["cached"]), row["summary"]) for row in rows]
    echo(columns(table, ("source", "cached", "summary")))
    say(f"cache: {cache_dir()}, {readable(sum(sizes.values()))}")


@app.command("fetch")
def fetch(
    ctx: typer.Context, source: One, set_: Set = None, run_code: flags.RunCode = False, as_json: Json = False
) -> None:
    """Download a source's data, so that training needs no network."""
    from benchdog.data import download
    from benchdog.system.paths import cache_dir

    name, _ = _open(ctx, source, set_, run_code)
    folder = cache_dir() / download.folder_name(name)
    size = size_of(folder)
    if as_json:
        emit_json({"source": name, "folder": str(folder), "bytes": size})
    elif size:
        echo_path(folder)
        say(f"{name}: {readable(size)} in the cache")
    else:
        say(f"{name}: nothing to download")


@app.command("info")
def info(
    ctx: typer.Context, source: One, set_: Set = None, run_code: flags.RunCode = False, as_json: Json = False
) -> None:
    """Show a source's fields, target and splits, and warnings about its data."""
    from benchdog.api import Split
    from benchdog.data.combined import split_spec
    from benchdog.data.dataset import open_splits
    from benchdog.data.source_notes import notes_of, sample_counts

    name, opened = _open(ctx, source, set_, run_code)
    spec, splits = opened.spec(), open_splits(opened)
    sizes = {split: len(it) if isinstance(it, Split) else None for split, it in splits.items()}
    counts = {split: _counts(it, split_spec(opened, spec, split)) for split, it in splits.items()}
    notes = notes_of(opened, sizes)
    if as_json:
        emit_json({
            "source": name, "spec": spec.to_json(), "samples": sizes, "targets": counts,
            "read": sample_counts(opened), "notes": notes,
        })  # fmt: skip
        return
    echo(_describe(name, spec))
    echo(_table(sizes, counts))
    for note in notes:
        say(f"note: {note}")


@app.command("verify")
def verify(
    ctx: typer.Context, source: One, set_: Set = None, run_code: flags.RunCode = False, as_json: Json = False
) -> None:
    """Verify hashes of downloads, and compare the fast path with decoded samples."""
    from benchdog.api import BadData
    from benchdog.data import download
    from benchdog.data.dataset import DecodedSplit, decoded_splits
    from benchdog.data.fast_path import check_fast_path
    from benchdog.system.paths import cache_dir

    name, opened = _open(ctx, source, set_, run_code)
    folder = cache_dir() / download.folder_name(name)
    files = download.verify(folder)
    damaged = [file for file, ok in files.items() if not ok]
    if damaged:
        raise BadData(
            f"Changed or missing since their download: {', '.join(str(folder / file) for file in damaged)}.",
            f"Download them again: benchdog data prune {name} --yes, then benchdog data fetch {name}",
        )
    compared: dict[str, int] = {}
    for split, samples in decoded_splits(opened, ctx.obj.plugins()).items():
        if isinstance(samples, DecodedSplit) and len(samples):
            compared[split] = _decode_some(samples)
            check_fast_path(samples, SAMPLED)
    if as_json:
        emit_json({"source": name, "files": files, "samples": compared})
        return
    decoded = ", ".join(f"{n} of {split}" for split, n in compared.items())
    say(f"{name}: ok. Files verified: {len(files)}; samples decoded: {decoded or 'none, it is a stream'}.")


@app.command("prune")
def prune(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="[SOURCE]",
            help="Source (default: the whole cache).",
            autocompletion=candidates.components("source"),
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Remove downloads from the cache; they are fetched again when needed."""
    from benchdog.data import download
    from benchdog.errors import BadUsage, nearest
    from benchdog.system.paths import cache_dir

    held = download.cached_sizes()
    named = download.folder_name(source) if source else ""
    if named and named not in held and source not in ctx.obj.plugins().all("source"):
        raise BadUsage(f"Nothing of {source!r} is cached.", nearest(source, held))
    chosen = [folder for folder in held if named in ("", folder)]
    total = sum(held[folder] for folder in chosen)
    if chosen and not yes:
        if as_json or not is_terminal():
            raise BadUsage(f"This removes {readable(total)} from {cache_dir()}.", "Confirm with --yes.")
        if not typer.confirm(f"Remove {readable(total)} ({', '.join(chosen)})?", err=True):
            say("Nothing was removed.")
            return
    freed = {folder: download.remove(cache_dir() / folder) for folder in chosen}
    if as_json:
        emit_json({"folder": str(cache_dir()), "removed": freed})
    else:
        say(f"{readable(sum(freed.values()))} freed in {cache_dir()}")


def _open(ctx: typer.Context, source: str, settings: list[str] | None, run_code: bool) -> tuple[str, Source]:
    """Build the source and download its data; return its name and the source."""
    from benchdog.data.dataset import open_data
    from benchdog.recipe.compose import compose_draft

    # every --set here is an option of the source, with or without the table's name
    qualified = [text if text.startswith(("source.", "sources.")) else f"source.{text}" for text in settings or ()]
    draft = compose_draft(source, {}, qualified, ctx.obj, without_code=() if run_code else ("source", "sources"))
    part = draft.part("source")
    return part.name, open_data(draft.plugins, part, draft.sources())


def _decode_some(samples: DecodedSplit) -> int:
    """Decode samples spread over a split, even without a fast path to compare with."""
    positions = sorted({round(i * (len(samples) - 1) / (SAMPLED - 1)) for i in range(SAMPLED)})
    samples.read_raw(positions)
    return len(positions)


def _counts(split: Any, spec: Spec) -> dict[str, Any] | None:
    """Return class counts, or the range of numeric targets; None if that would mean reading all samples."""
    import numpy as np

    from benchdog.api import Split
    from benchdog.data.targets import convert_targets, target_arrays

    if not isinstance(split, Split) or not len(split) or spec.target.kind == "none":
        return None
    if spec.target.kind == "boxes":
        return _box_counts(split, spec)
    if spec.target.kind not in ("class", "labels", "number"):
        positions = {round(i * (len(split) - 1) / (LOOKED_AT - 1)) for i in range(LOOKED_AT)}
        for raw in (split.raw(i) for i in sorted(positions)):
            (target,) = target_arrays([raw], spec)
            convert_targets(target[None], spec, lambda _, raw=raw: raw.id)  # type: ignore[misc]
        return None
    targets = _targets(split, spec)
    if targets is None:
        return None
    if spec.target.kind == "class":
        counts = np.bincount(targets, minlength=len(spec.target.classes)).tolist()
        return dict(zip(spec.target.classes, counts, strict=True))
    if spec.target.kind == "labels":
        return dict(zip(spec.target.classes, targets.astype(int).sum(0).tolist(), strict=True))
    if targets.ndim > 1:
        names = spec.target.classes or [str(i) for i in range(1, targets.shape[1] + 1)]
        return {f"{name}, mean": float(mean) for name, mean in zip(names, targets.mean(0), strict=True)}
    return {"lowest": float(targets.min()), "mean": float(targets.mean()), "highest": float(targets.max())}


def _targets(split: Split, spec: Spec) -> Any:
    from benchdog.api import SplitDefaults, with_defaults
    from benchdog.data.collate import Collate

    targets, collate = with_defaults(split, SplitDefaults).targets, Collate(spec)
    if targets is not None:
        return collate(targets, lambda row: split.raw(row).id)
    if len(split) > COUNTED:
        return None
    return collate.raws([split.raw(i) for i in range(len(split))])


def _box_counts(split: Split, spec: Spec) -> dict[str, Any] | None:
    """Count the boxes of each class, and the samples without any; None if that would mean reading all samples."""
    import numpy as np

    targets = _targets(split, spec)
    if targets is None:
        return None
    real = spec.target.real_rows(targets)
    codes = targets[..., 4][real].astype(int)
    counts = np.bincount(codes, minlength=len(spec.target.classes)).tolist()
    return {**dict(zip(spec.target.classes, counts, strict=True)), "no boxes": int((~real.any(1)).sum())}


def _describe(name: str, spec: Spec) -> str:
    lines = [f"source  {name}"]
    for field in spec.fields:
        shape = " x ".join("any" if axis is None else str(axis) for axis in field.shape)
        lines.append(f"field   {one_line(field.name)}: {field.kind}, {shape}, {field.dtype}")
        lines += [
            f"        {one_line(column.name)}: {column.kind}"
            + (f" of {len(column.categories)}" if column.categories else "")
            for column in field.columns
        ]
    classes = f", {len(spec.target.classes)} classes" if spec.target.classes else ""
    lines.append(f"target  {one_line(spec.target.name)}: {spec.target.kind}{classes}")
    return "\n".join(lines)


def _table(sizes: dict[str, int | None], counts: dict[str, dict[str, Any] | None]) -> str:
    names = list(sizes)
    rows: list[list[Any]] = [["samples", *sizes.values()]]
    keys = next((list(count) for count in counts.values() if count), [])
    rows += [[key, *((counts[n] or {}).get(key) for n in names)] for key in keys]
    return columns(rows, ["", *names])
