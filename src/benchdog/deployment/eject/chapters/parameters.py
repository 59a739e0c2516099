"""Parameters that nobody reads any more, taken out of definitions and calls."""

from __future__ import annotations

import ast
from typing import Any

from benchdog.deployment.eject.edits import Text


def trimmed(texts: dict[str, str], main: str) -> str:
    """Take parameters that are never read out of functions and classes, and out of their calls; give `main` anew."""
    while True:
        found = [(name, found) for name, text in texts.items() if (found := unread(text))]
        if not found:
            return main
        for name, gone in found:
            order = parameters(texts[name])
            texts[name] = _without(texts[name], gone)
            for other in texts:
                texts[other] = _calls_without(texts[other], name, order, gone)
            main = _calls_without(main, name, order, gone)


def function_of(text: str) -> ast.FunctionDef | None:
    """Give what is called when a definition's name is: the function, or the class's `__init__`."""
    node = ast.parse(text).body[0]
    if isinstance(node, ast.ClassDef):
        node = next((p for p in node.body if isinstance(p, ast.FunctionDef) and p.name == "__init__"), node)
    return node if isinstance(node, ast.FunctionDef) else None


def parameters(text: str) -> list[str]:
    """List the parameters in the order in which a call gives them."""
    function = function_of(text)
    if function is None:
        return []
    listed = [a.arg for a in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]]
    return listed[1:] if function.name == "__init__" else listed


def unread(text: str) -> set[str]:
    """List the parameters that a definition doesn't read."""
    function = function_of(text)
    if function is None or function.args.vararg or function.args.kwarg:
        return set()
    used = {n.id for part in function.body for n in ast.walk(part) if isinstance(n, ast.Name)}
    return {name for name in parameters(text) if name not in used}


def _without(source: str, gone: set[str]) -> str:
    """Write a definition's parameters anew."""
    function, text = function_of(source), Text(source)
    assert function is not None
    given: Any = function.args
    places = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(places) - len(given.defaults)) + given.defaults
    kept = [(a, d) for a, d in zip(places, defaults, strict=True) if a.arg not in gone]
    named = [(a, d) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if a.arg not in gone]
    parts = [_parameter(*each) for each in kept] + (["*"] if named else []) + [_parameter(*each) for each in named]
    start = text.lines[function.lineno - 1] + function.col_offset
    opening = text.bytes.index(b"(", start)
    before = function.returns or function.body[0]
    closing = text.bytes.rindex(b")", opening, text.span(before)[0])
    text.edit(opening, closing + 1, f"({', '.join(parts)})")
    return text.now()


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    if default is None:
        return ast.unparse(argument)
    equals = " = " if argument.annotation else "="
    return f"{ast.unparse(argument)}{equals}{ast.unparse(default)}"


def _calls_without(source: str, name: str, order: list[str], gone: set[str]) -> str:
    """Leave arguments out of all calls of a definition; inner calls come before those that they are given to."""
    text = Text(source)
    for node in reversed(list(ast.walk(ast.parse(source)))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name):
            continue
        kept: list[ast.AST] = [a for a, p in zip(node.args, order, strict=False) if p not in gone]
        kept += node.args[len(order) :]
        kept += [k for k in node.keywords if k.arg not in gone]
        if len(kept) < len(node.args) + len(node.keywords):
            given = ", ".join(text.now(*text.span(part)) for part in kept)
            text.edit(text.span(node.func)[1], text.span(node)[1], f"({given})")
    return text.now()
