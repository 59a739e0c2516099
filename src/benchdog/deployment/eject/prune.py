"""What nobody uses any more, taken out of definitions: methods, attributes, local names, definitions."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Sequence

from benchdog.deployment.eject.bundle import defined, names
from benchdog.deployment.eject.edits import Text

MARKS = re.compile(r"  # (type: ignore|noqa)\b.*")


def sweep(texts: dict[str, str], main: str, entries: Collection[str] = (), hollow: Collection[str] = ()) -> None:
    """Take out what nobody uses.

    Args:
        texts: definitions by name; changed.
        main: the text that uses them.
        entries: methods that are called from outside.
        hollow: attributes that hold nothing, so that making them does nothing.
    """
    while True:
        before = dict(texts)
        read = attributes([*texts.values(), main]) | set(entries)
        for name, text in texts.items():
            texts[name] = tidy(_swept(text, read, hollow))
        used = {n for name, text in texts.items() for n in names(ast.parse(text)) if n != name}
        used |= set(names(ast.parse(main)))
        for name in [n for n, text in texts.items() if not used & set(defined(ast.parse(text).body[0]))]:
            del texts[name]
        if texts == before:
            return


def attributes(texts: Iterable[str]) -> set[str]:
    """List the attributes that are read anywhere."""
    nodes = (node for text in texts for node in ast.walk(ast.parse(text)))
    return {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}


def tidy(text: str) -> str:
    """Take out marks for tools, and empty lines that follow each other."""
    lines = [MARKS.sub("", line.rstrip()) for line in text.strip("\n").split("\n")]
    kept = [line for i, line in enumerate(lines) if line or lines[i - 1]]
    return "\n".join(kept)


def _swept(source: str, read: Collection[str], hollow: Collection[str]) -> str:
    """Take what isn't read out of one definition."""
    text = Text(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if _idle(part, read):
                    text.delete(part)
        elif isinstance(node, ast.FunctionDef):
            here = set(names(node))
            for block in _blocks(node):
                for part, after in zip(block, [*block[1:], None], strict=True):
                    _assignment(text, part, after, here, read, hollow)
    return text.now()


def _idle(part: ast.stmt, read: Collection[str]) -> bool:
    """Say whether nobody calls a method, or reads what is only declared."""
    if isinstance(part, ast.FunctionDef):
        return not part.name.startswith("__") and part.name != "forward" and part.name not in read
    declared = isinstance(part, ast.AnnAssign) and part.value is None and isinstance(part.target, ast.Name)
    return declared and part.target.id not in read  # type: ignore[attr-defined]


def _blocks(function: ast.FunctionDef) -> Iterable[list[ast.stmt]]:
    for node in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                yield block


def _assignment(
    text: Text,
    part: ast.stmt,
    after: ast.stmt | None,
    here: Collection[str],
    read: Collection[str],
    hollow: Collection[str],
) -> None:
    """Take out what an assignment gives to nobody, and a name that is only there to be returned."""
    if isinstance(part, ast.AnnAssign) and part.value and isinstance(after, ast.Return):
        if isinstance(part.target, ast.Name) and getattr(after.value, "id", "") == part.target.id:
            text.edit(text.span(part)[0], text.span(after)[1], f"return {text.now(*text.span(part.value))}")
        return
    if not isinstance(part, ast.Assign) or len(part.targets) != 1:
        return
    target, value = part.targets[0], part.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        pairs = list(zip(target.elts, value.elts, strict=True))
        kept = [(t, v) for t, v in pairs if not _unread(t, v, here, read, hollow)]
        if 0 < len(kept) < len(pairs):
            left, right = (", ".join(text.now(*text.span(each[i])) for each in kept) for i in (0, 1))
            text.edit(*text.span(part), f"{left} = {right}")
        elif not kept:
            text.delete(part)
    elif _unread(target, value, here, read, hollow):
        text.delete(part)


def _unread(
    target: ast.expr, value: ast.expr, here: Collection[str], read: Collection[str], hollow: Collection[str]
) -> bool:
    """Say whether nobody reads what is given a value, and giving it does nothing else."""
    if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self":
        return target.attr not in read and (plain(value) or target.attr in hollow)
    return isinstance(target, ast.Name) and target.id not in here and plain(value)


def plain(value: ast.expr) -> bool:
    """Say whether computing a value does nothing else."""
    return not any(isinstance(n, ast.Call | ast.Await | ast.Yield | ast.NamedExpr) for n in ast.walk(value))


__all__: Sequence[str] = ["attributes", "plain", "sweep", "tidy"]
