"""The source text of some functions and classes with all that they use of Benchdog, as one plain Python text."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

OWN = "benchdog"


@dataclass(slots=True)
class Bundle:
    """Definitions in an order in which they can be run, and the imports that they need.

    Args:
        own: packages (or names of local modules) whose definitions are copied; all others are imported.
    """

    own: tuple[str, ...] = (OWN,)
    imports: dict[str, str] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    _begun: set[tuple[str, str]] = field(default_factory=set)

    def add(self, value: Any) -> str:
        """Add a function or class with what it uses; give its name."""
        self._add(sys.modules[value.__module__], value.__qualname__.partition(".")[0])
        return str(value.__qualname__)

    def text(self) -> str:
        """Give imports and definitions."""
        lines = sorted(set(self.imports.values()), key=lambda line: (line.startswith("from"), line))
        return "\n".join(lines) + "\n\n\n" + "\n\n\n".join(self.texts.values()) + "\n"

    def _add(self, module: ModuleType, name: str) -> None:
        """Add a module's top-level name: a definition of ours is copied, anything else imported."""
        value = getattr(module, name)
        home = self._home(module, name, value)
        if home is None:
            self._import(module, name, value)
            return
        key = (home.__name__, name)
        if key in self._begun:
            return
        self._begun.add(key)
        rival = next((k for k in self._begun if k[1] == name and k != key), None)
        if rival:
            raise ValueError(f"two things are named {name!r}, in {rival[0]} and {home.__name__}")
        source = inspect.getsource(home)
        node = definition(ast.parse(source), name)
        for used in names(node):
            if used != name and hasattr(home, used):
                self._add(home, used)
        self.texts[key] = segment(source, node)

    def _home(self, module: ModuleType, name: str, value: Any) -> ModuleType | None:
        """Find the module of ours that defines a name; None when it is not ours."""
        made = getattr(value, "__module__", None)
        if isinstance(value, ModuleType):
            return None
        if inspect.isclass(value) or inspect.isroutine(value):
            return sys.modules[made] if made and self._mine(made) else None
        # A constant: where it is assigned, which may be a module that this one has it from.
        for candidate in (module, *(m for n, m in list(sys.modules.items()) if self._mine(n) and m is not module)):
            if vars(candidate).get(name) is value and definition_or_none(candidate, name) is not None:
                return candidate
        return None

    def _mine(self, module: str) -> bool:
        return any(module == own or module.startswith(f"{own}.") for own in self.own)

    def _import(self, module: ModuleType, name: str, value: Any) -> None:
        for statement in ast.parse(inspect.getsource(module)).body:
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                continue
            for alias in statement.names:
                if (alias.asname or alias.name.partition(".")[0]) == name:
                    self.imports[name] = _statement(statement, alias)
                    return


def _statement(statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    renamed = f" as {alias.asname}" if alias.asname else ""
    if isinstance(statement, ast.Import):
        return f"import {alias.name}{renamed}"
    return f"from {statement.module} import {alias.name}{renamed}"


def definition(tree: ast.Module, name: str) -> ast.stmt:
    """Find a top-level definition or assignment.

    Raises:
        ValueError: there is none.
    """
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == name for t in targets if t is not None):
            return node
    raise ValueError(f"{name!r} is not defined at the top of its module")


def definition_or_none(module: ModuleType, name: str) -> ast.stmt | None:
    """Find a top-level definition in a module's source, if it has one."""
    try:
        return definition(ast.parse(inspect.getsource(module)), name)
    except (ValueError, OSError, TypeError):
        return None


def names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a definition reads when it runs, annotations left out; in their order."""
    seen = set(dir(builtins))
    for part in _running(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and part.id not in seen:
            seen.add(part.id)
            yield part.id


def _running(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for key, value in ast.iter_fields(node):
        if key in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _running(child)


def segment(source: str, node: ast.stmt) -> str:
    """Cut a definition out of its source, decorators and comments inside it included."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])
