"""`benchdog data`: which sources there are, what they hold, what the cache holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli.completion import engine
from benchdog.cli.output import columns, emit_json, is_terminal, say
from benchdog.system.machine import readable, size_of

if TYPE_CHECKING:
    from benchdog.api import Source, Spec, Split
    from benchdog.data.dataset import DecodedSplit

COUNTED = 20_000
"""Samples up to which targets are counted one by one, for a source that doesn't give them at once."""
SAMPLED = 64
"""Samples of each split on which batch() and raw() are compared."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set an option of the source.")]
One = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A source, a .csv file, a folder of images or a recipe.",
        autocompletion=engine.what,
    ),
]

app = typer.Typer(
    help="List, fetch, look at, verify and prune data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List the sources, and what the cache holds of each."""
    from benchdog.data import download
    from benchdog.system.paths import cache_dir

    held = download.cached_sizes()
    rows = [
        {
            "name": name, "summary": found.info.summary, "plugin": found.plugin,
            "cached": held.get(download.folder_name(name), 0),
        }
        for name, found in sorted(ctx.obj.plugins().all("source").items())
    ]  # fmt: skip
    if as_json:
        emit_json({"folder": str(cache_dir()), "bytes": sum(held.values()), "sources": rows})
        return
    table = [(row["name"], readable(row["cached"]), row["summary"]) for row in rows]
    typer.echo(columns(table, ("source", "cached", "summary")))
    say(f"cache: {cache_dir()}, {readable(sum(held.values()))}")


@app.command("fetch")
def fetch(ctx: typer.Context, source: One, set_: Set = None, as_json: Json = False) -> None:
    """Download what a source needs, so that training needs no network."""
    from benchdog.data import download
    from benchdog.system.paths import cache_dir

    name, _ = _open(ctx, source, set_)
    folder = cache_dir() / download.folder_name(name)
    held = size_of(folder)
    if as_json:
        emit_json({"source": name, "folder": str(folder), "bytes": held})
    elif held:
        typer.echo(folder)
        say(f"{name}: {readable(held)} in the cache")
    else:
        say(f"{name}: nothing to fetch")


@app.command("info")
def info(ctx: typer.Context, source: One, set_: Set = None, as_json: Json = False) -> None:
    """Show what a source holds: its fields, its target, its splits, and what was noticed."""
    from benchdog.api import SourceDefaults, Split, with_defaults
    from benchdog.data import leakage
    from benchdog.data.dataset import open_splits

    name, made = _open(ctx, source, set_)
    spec, splits = made.spec(), open_splits(made)
    sizes = {split: len(it) if isinstance(it, Split) else None for split, it in splits.items()}
    counts = {split: _counts(it, spec) for split, it in splits.items()}
    notes = [
        *leakage.overlap_warnings(leakage.overlap_counts(made), sizes),
        *with_defaults(made, SourceDefaults).notes,
    ]
    if as_json:
        emit_json({
            "source": name, "spec": spec.to_json(), "samples": sizes, "targets": counts,
            "notes": notes,
        })  # fmt: skip
        return
    typer.echo(_described(name, spec))
    typer.echo(_tabled(sizes, counts))
    for note in notes:
        say(f"note: {note}")


@app.command("verify")
def verify(ctx: typer.Context, source: One, set_: Set = None, as_json: Json = False) -> None:
    """Hash downloads again, and compare the fast path with decoded samples."""
    from benchdog.api import BadData, Split
    from benchdog.data import download
    from benchdog.data.dataset import DecodedSplit, open_splits, preprocess_of
    from benchdog.data.fast_path import check_fast_path
    from benchdog.system.paths import cache_dir

    name, made = _open(ctx, source, set_)
    folder = cache_dir() / download.folder_name(name)
    files = download.verify(folder)
    wrong = [file for file, ok in files.items() if not ok]
    if wrong:
        raise BadData(
            f"Changed or gone since their download: {', '.join(str(folder / file) for file in wrong)}.",
            f"Fetch them anew: benchdog data prune {name} --yes, then benchdog data fetch {name}",
        )
    spec = made.spec()
    preprocess = preprocess_of(made, spec)
    compared: dict[str, int] = {}
    for split, it in open_splits(made).items():
        if isinstance(it, Split) and len(it):
            samples = DecodedSplit(it, spec, preprocess)
            compared[split] = _decode_some(samples)
            check_fast_path(samples, SAMPLED)
    if as_json:
        emit_json({"source": name, "files": files, "samples": compared})
        return
    decoded = ", ".join(f"{n} of {split}" for split, n in compared.items())
    say(f"{name}: good. Files checked: {len(files)}; samples decoded: {decoded or 'none, it is a stream'}.")


@app.command("prune")
def prune(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="[SOURCE]",
            help="A source; else all of the cache.",
            autocompletion=engine.components("source"),
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove downloads from the cache; they are fetched again when needed."""
    from benchdog.data import download
    from benchdog.errors import BadUsage, nearest
    from benchdog.system.paths import cache_dir

    held = download.cached_sizes()
    named = download.folder_name(source) if source else ""
    if named and named not in held and source not in ctx.obj.plugins().all("source"):
        raise BadUsage(f"The cache holds nothing of {source!r}.", nearest(source, held))
    chosen = [folder for folder in held if named in ("", folder)]
    total = sum(held[folder] for folder in chosen)
    if chosen and not yes:
        if as_json or not is_terminal():
            raise BadUsage(f"This removes {readable(total)} in {cache_dir()}.", "Add --yes to do it.")
        if not typer.confirm(f"Remove {readable(total)} ({', '.join(chosen)})?", err=True):
            say("Nothing was removed.")
            return
    freed = {folder: download.remove(cache_dir() / folder) for folder in chosen}
    if as_json:
        emit_json({"folder": str(cache_dir()), "removed": freed})
    else:
        say(f"{readable(sum(freed.values()))} freed in {cache_dir()}")


def _open(ctx: typer.Context, source: str, settings: list[str] | None) -> tuple[str, Source]:
    """Make the source that is meant and fetch what it needs."""
    from benchdog.data.dataset import open_source
    from benchdog.recipe.compose import compose_draft

    # The only options here are the source's, so their table needn't be named.
    named = [text if text.startswith("source.") else f"source.{text}" for text in settings or ()]
    draft = compose_draft(source, {}, named, ctx.obj)
    part = draft.part("source")
    return part.name, open_source(draft.plugins, part)


def _decode_some(samples: DecodedSplit) -> int:
    """Decode samples spread over a split, also where there is no fast path to compare with."""
    positions = sorted({round(i * (len(samples) - 1) / (SAMPLED - 1)) for i in range(SAMPLED)})
    samples.read_raw(positions)
    return len(positions)


def _counts(split: Any, spec: Spec) -> dict[str, Any] | None:
    """Count classes, or give the range of numbers; None where that would mean reading everything."""
    import numpy as np

    from benchdog.api import Split

    if spec.target.kind not in ("class", "labels", "number") or not isinstance(split, Split):
        return None
    targets = _targets(split)
    if targets is None or not len(targets):
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


def _targets(split: Split) -> Any:
    import numpy as np

    from benchdog.api import SplitDefaults, with_defaults

    at_once = with_defaults(split, SplitDefaults).targets
    if at_once is not None:
        return np.asarray(at_once)
    if len(split) > COUNTED:
        return None
    return np.array([split.raw(i).target for i in range(len(split))])


def _described(name: str, spec: Spec) -> str:
    lines = [f"source  {name}"]
    for field in spec.fields:
        shape = " x ".join("any" if axis is None else str(axis) for axis in field.shape)
        lines.append(f"field   {field.name}: {field.kind}, {shape}, {field.dtype}")
        lines += [
            f"        {column.name}: {column.kind}" + (f" of {len(column.categories)}" if column.categories else "")
            for column in field.columns
        ]
    classes = f", {len(spec.target.classes)} classes" if spec.target.classes else ""
    lines.append(f"target  {spec.target.name}: {spec.target.kind}{classes}")
    return "\n".join(lines)


def _tabled(sizes: dict[str, int | None], counts: dict[str, dict[str, Any] | None]) -> str:
    names = list(sizes)
    rows: list[list[Any]] = [["samples", *sizes.values()]]
    keys = next((list(count) for count in counts.values() if count), [])
    rows += [[key, *((counts[n] or {}).get(key) for n in names)] for key in keys]
    return columns(rows, ["", *names])
