"""Source text with what is known of a run put in: options become numbers, branches that are never taken fall away.

Only text is changed, so comments and layout stay as their author wrote them.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from benchdog.deployment.eject.edits import Text
from benchdog.deployment.eject.literals import Opaque, Unknown, is_literal, literal

ATOMS = (ast.Constant, ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.List)
JUMPS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Folder:
    """Folds a function's or class's text.

    Args:
        source: the text of one definition, not indented.
        space: the module's names, to evaluate with.
        known: values by parameter, for each function by its name ("Class.method" for a method).
        called: told of each call of a function of the module's with what is known of its arguments.
    """

    def __init__(
        self,
        source: str,
        space: Mapping[str, Any],
        known: Mapping[str, Mapping[str, Any]],
        called: Callable[[str, ast.Call], None],
    ) -> None:
        self.text, self.space, self.known, self.called = Text(source), space, known, called
        self.tree = ast.parse(source)
        self.values: dict[str, Any] = {}
        self.unsure: set[str] = set()

    def fold(self) -> str:
        """Give the folded text."""
        (definition,) = self.tree.body
        self.define(definition, "")
        return self.text.now()

    def define(self, node: ast.stmt, owner: str) -> None:
        """Fold a definition with what is known of its parameters."""
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                self.define(part, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            before = dict(self.values), set(self.unsure)
            given = self.known.get(owner + node.name, {})
            names = {a.arg for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]}
            self.unsure |= names | {a.arg for a in (node.args.vararg, node.args.kwarg) if a} | stored(node)
            self.unsure -= set(given)
            self.values = {k: v for k, v in self.values.items() if k not in self.unsure} | dict(given)
            self.block(node.body)
            self.values, self.unsure = before

    # --- expressions

    def value(self, node: ast.expr) -> Any:
        """Evaluate; Unknown when that can't be done, or nothing in it is known."""
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        bound = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        if (names - bound) & self.unsure or not names & self.values.keys():
            raise Unknown
        try:
            code = compile(ast.Expression(node), "<known>", "eval")
            with torch.random.fork_rng(devices=[]):
                return eval(code, {**self.space, **self.values, "__builtins__": builtins})
        except Exception:
            raise Unknown from None

    def truth(self, node: ast.expr) -> bool | None:
        """Say whether a condition holds, as far as that is sure."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.truth(node.operand)
            return None if inner is None else not inner
        if isinstance(node, ast.BoolOp):
            decisive = isinstance(node.op, ast.Or)
            found = [self.truth(part) for part in node.values]
            plain = not any(isinstance(n, ast.Call) for n in ast.walk(node))
            if decisive in found[:1] or (plain and decisive in found):
                return decisive
            return None if None in found else not decisive
        try:
            return bool(self.value(node))
        except Unknown:
            return None

    def vanishing(self, node: ast.AST) -> bool:
        """Say whether an expression names something that has no place in a plain program: options, a spec."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in self.values and part.id != "self":
                if not is_literal(self.values[part.id]):
                    return True
            elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
                held = getattr(self.values.get("self"), part.attr, None)
                if not is_literal(held) and not isinstance(held, Opaque):
                    return True
        return False

    def expression(self, node: ast.AST) -> None:
        """Put in what is known."""
        if isinstance(node, ast.expr) and self.vanishing(node):
            try:
                found = self.value(node)
                if isinstance(found, float) and isinstance(node, ast.Call):
                    raise Unknown  # math.radians(10.0) says more than its result
                told = literal(found)
                self.text.edit(*(self.text.span(node) if told.startswith(("(", "-")) else self.text.bare(node)), told)
                return
            except Unknown:
                pass
        if isinstance(node, ast.IfExp) and (holds := self.truth(node.test)) is not None:
            chosen = node.body if holds else node.orelse
            self.expression(chosen)
            whole = self.text.bare(node) if isinstance(chosen, ATOMS) else self.text.span(node)
            self.text.edit(*whole, self.text.now(*self.text.span(chosen)))
            return
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            self.called(node.func.id, node)
        for child in ast.iter_child_nodes(node):
            self.expression(child)

    # --- statements

    def block(self, statements: Sequence[ast.stmt]) -> bool:
        """Fold statements one by one; say whether the last of them leaves for good."""
        for i, statement in enumerate(statements):
            if self.statement(statement):
                for rest in statements[i + 1 :]:
                    self.text.delete(rest)
                return True
        return False

    def statement(self, node: ast.stmt) -> bool:
        """Fold a statement; say whether what follows is never reached."""
        if isinstance(node, ast.If):
            return self.branch(node)
        if isinstance(node, ast.FunctionDef):
            self.define(node, "")
            return False
        if isinstance(node, ast.Assert) and self.truth(node.test):
            self.text.delete(node)
            return False
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            self.several(node)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.expression(child)
        for name in ("body", "orelse", "finalbody"):
            self.block(getattr(node, name, []))
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self.remember(node.targets[0].id, node.value)
        return isinstance(node, JUMPS)

    def several(self, node: ast.Assign) -> None:
        """Fold what gives values to several names at once."""
        names = node.targets[0].elts  # type: ignore[attr-defined]
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) == len(names):
            for name, value in zip(names, node.value.elts, strict=True):
                self.expression(value)
                if isinstance(name, ast.Name):
                    self.remember(name.id, value)
            return
        try:
            values = list(self.value(node.value))
            told = ", ".join(map(literal, values))
        except (Unknown, TypeError):
            self.expression(node.value)
            return
        if self.vanishing(node.value):
            self.text.edit(*self.text.bare(node.value), told)
        for name, value in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and self.given_once(name.id):
                self.values[name.id] = value
                self.unsure.discard(name.id)

    def given_once(self, name: str) -> bool:
        """Say whether a local name never changes."""
        stores = (n for n in ast.walk(self.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        return sum(n.id == name for n in stores) == 1

    def remember(self, name: str, value: ast.expr) -> None:
        """Keep what a local name stands for, if that is sure and it is given once."""
        if not self.given_once(name):
            return
        try:
            found = self.value(value)
        except Unknown:
            return
        if is_literal(found) or (dataclasses.is_dataclass(found) and isinstance(value, ast.Attribute)):
            self.values[name] = found
            self.unsure.discard(name)

    def branch(self, node: ast.If) -> bool:
        """Fold an `if`: only what is run stays."""
        holds = self.truth(node.test)
        if holds is None:
            self.condition(node.test)
            both = self.block(node.body), self.block(node.orelse)
            return bool(node.orelse) and all(both)
        chosen = node.body if holds else node.orelse
        ends = self.block(chosen)
        start = self.text.span(node)[0]
        line = self.text.lines[node.lineno - 1]
        inner_if = self.text.bytes[start:].startswith(b"elif")
        if not chosen:
            if inner_if:
                self.text.edit(line, self.text.lines[node.end_lineno or 0], "")
            else:
                self.text.delete(node)
            return False
        inside = self.text.now(self.lead(node, chosen, holds), self.text.lines[chosen[-1].end_lineno or 0])
        margin, whole = " " * node.col_offset, (line, self.text.lines[node.end_lineno or 0])
        is_elif = self.text.bytes[self.text.span(chosen[0])[0] :].startswith(b"elif")
        if is_elif and inside.lstrip().startswith("elif"):
            self.text.edit(*whole, inside if inner_if else inside.replace("elif", "if", 1))
            return ends
        if is_elif:  # folded itself: nothing, or "else:" and what is run
            inside = inside.partition("\n")[2]
        inside = textwrap.indent(textwrap.dedent(inside), margin + "    " * inner_if)
        self.text.edit(*whole, f"{margin}else:\n{inside}" if inner_if and inside else inside)
        return ends

    def condition(self, test: ast.expr) -> None:
        """Fold a condition that isn't sure as a whole: parts of it that are decide nothing."""
        if isinstance(test, ast.BoolOp):
            open_ = [part for part in test.values if self.truth(part) is None]
            word = " or " if isinstance(test.op, ast.Or) else " and "
            for part in open_:
                self.expression(part)
            if len(open_) < len(test.values):
                self.text.edit(*self.text.span(test), word.join(self.text.now(*self.text.span(p)) for p in open_))
            return
        self.expression(test)

    def lead(self, node: ast.If, chosen: list[ast.stmt], holds: bool) -> int:
        """Give where the chosen branch begins, its leading comments included."""
        first = chosen[0].lineno
        after = node.test.end_lineno or 0
        if not holds:
            after = node.body[-1].end_lineno or 0
            while after + 1 < first and not self.text.bytes[self.text.lines[after] :].lstrip().startswith(b"else"):
                after += 1
            after += 1
        return self.text.lines[min(after, first - 1)]


def stored(node: ast.AST) -> set[str]:
    """List the names that a function gives a value to."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
