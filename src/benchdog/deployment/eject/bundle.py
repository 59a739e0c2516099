"""The source text of functions and classes with all that they use of Benchdog or a plugin, as plain Python."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Collection, Iterator, Sequence
from types import ModuleType
from typing import Any

from benchdog.deployment.eject.edits import first_line
from benchdog.deployment.eject.fold import Folder

Known = dict[str, dict[str, Any]]


class Unbundled(Exception):
    """Why some code can't be written down as plain source."""


class Bundle:
    """Definitions in an order in which they can be run, and the imports that they need.

    Args:
        own: packages, or names of local modules, whose definitions are copied; all others are imported.
        provided: names that the program defines in its own way.

    Attributes:
        known: values of parameters that are always the same, by function ("Class.method" for methods).
    """

    def __init__(self, own: Sequence[str], provided: Collection[str] = ()) -> None:
        self.own, self.provided = tuple(own), provided
        self.known: Known = {}
        self.texts: dict[str, str] = {}
        self._homes: dict[str, ModuleType] = {}
        self._told: dict[str, set[str]] = {}

    def add(self, value: Any) -> str:
        """Add a function or class with what it uses; give its name.

        Raises:
            Unbundled: it has no source of its own at the top of a module, or two things have one name.
        """
        module = sys.modules.get(value.__module__)
        if module is None or "." in value.__qualname__:
            raise Unbundled(f"{value.__qualname__} isn't defined at the top of a file")
        self._add(module, value.__name__)
        return str(value.__name__)

    def uses(self, module: ModuleType, text: str) -> None:
        """Add what a text that belongs to a module uses."""
        for used in names(ast.parse(text)):
            if hasattr(module, used):
                self._add(module, used)

    def put(self, module: ModuleType, name: str, text: str) -> None:
        """Add a definition of one's own making, which reads the names of a module."""
        folder = Folder(text, vars(module), self.known, lambda *call: self._called(module, folder, *call))
        folded = folder.fold()
        self._homes[name] = module
        self.uses(module, folded)
        self.texts[name] = folded

    def _add(self, module: ModuleType, name: str) -> None:
        home = self.home(module, name) if name not in self.provided else None
        if home is None:
            return
        if name in self._homes:
            if self._homes[name] is not home and not self._alike(name, self._homes[name], home):
                raise Unbundled(f"two things are named {name!r}, in {self._homes[name].__name__} and {home.__name__}")
            return
        self._homes[name] = home
        source = source_of(home)
        node = definition(ast.parse(source), name)
        if node is None:
            raise Unbundled(f"{name!r} isn't defined at the top of {home.__name__}")
        first = defined(node)[0]
        if first != name:  # one of several names that are given values at once
            self._add(home, first)
            return
        text = segment(source, node)
        folder = Folder(text, vars(home), self.known, lambda *call: self._called(home, folder, *call))
        folded = folder.fold()
        for used in names(ast.parse(folded)):
            if used != name and hasattr(home, used):
                self._add(home, used)
        self.texts[name] = folded

    def _alike(self, name: str, *homes: ModuleType) -> bool:
        """Say whether modules define the same by a name: a type, written alike."""
        sources = [(source_of(home), definition(ast.parse(source_of(home)), name)) for home in homes]
        texts = {segment(source, node) for source, node in sources if isinstance(node, ast.Assign)}
        return len(texts) == 1 and all(isinstance(node, ast.Assign) for _, node in sources)

    def _called(self, home: ModuleType, folder: Folder, name: str, call: ast.Call) -> None:
        """Note what is known of the arguments of a function of ours, the first time and every time the same."""
        function = getattr(home, name, None)
        if not inspect.isfunction(function) or name in folder.unsure or not self.mine(function.__module__):
            return
        try:
            bound = inspect.signature(function).bind(*call.args, **{k.arg: k.value for k in call.keywords if k.arg})
        except TypeError:
            return
        given: dict[str, Any] = {}
        for parameter, node in bound.arguments.items():
            if isinstance(node, ast.expr) and folder.vanishing(node):
                given[parameter] = folder.value(node)
        if name in self._told and (
            self._told[name] != set(given) or any(self.known[name][k] != v for k, v in given.items())
        ):
            raise Unbundled(f"{name!r} is called in several ways")
        self._told[name] = set(given)
        self.known.setdefault(name, {}).update(given)

    def mine(self, module: str) -> bool:
        """Say whether a module's definitions are copied."""
        return any(module == own or module.startswith(f"{own}.") for own in self.own)

    def home(self, module: ModuleType, name: str) -> ModuleType | None:
        """Find the module of ours that defines a name; None when it is not ours."""
        value = getattr(module, name)
        made = getattr(value, "__module__", None)
        if isinstance(value, ModuleType):
            return None
        if (inspect.isclass(value) or inspect.isroutine(value)) and made in sys.modules:
            named = definition(ast.parse(source_of(sys.modules[made])), value.__name__) if self.mine(made) else None
            if named is not None and value.__name__ == name:
                return sys.modules[made]
            if not self.mine(made) and self.importing(module, name) is not None:
                return None
        # A constant, or another name for something: where it is assigned, which may be elsewhere.
        others = (m for n, m in list(sys.modules.items()) if self.mine(n) and m is not None and m is not module)
        for candidate in (module, *others):
            same = vars(candidate).get(name) is value and self.mine(candidate.__name__)
            if same and definition(ast.parse(source_of(candidate)), name) is not None:
                return candidate
        return None

    def importing(self, module: ModuleType, name: str) -> str | None:
        """Give the statement by which a module has a name from elsewhere."""
        for statement in ast.walk(ast.parse(source_of(module))):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                for alias in statement.names:
                    if (alias.asname or alias.name.partition(".")[0]) == name:
                        return _statement(statement, alias)
        return None

    def imports(self) -> set[str]:
        """Give the imports that the definitions need, as they are now.

        Raises:
            Unbundled: one is of a package of ours.
        """
        lines = set()
        for name, text in self.texts.items():
            home = self._homes[name]
            for used in names(ast.parse(text)):
                if used in self._homes or used in self.provided or not hasattr(home, used):
                    continue
                line = self.importing(home, used)
                if line is None:
                    raise Unbundled(f"{used!r} in {home.__name__} isn't defined in a way that can be copied")
                package = line.split()[1]
                if package.startswith(".") or self.mine(package):
                    raise Unbundled(f"{home.__name__} needs {package}")
                lines.add(line)
        return lines


def source_of(module: ModuleType) -> str:
    """Give a module's source.

    Raises:
        Unbundled: it has none.
    """
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        raise Unbundled(f"{module.__name__} has no source") from None


def _statement(statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    renamed = f" as {alias.asname}" if alias.asname else ""
    if isinstance(statement, ast.Import):
        return f"import {alias.name}{renamed}"
    return f"from {'.' * statement.level}{statement.module or ''} import {alias.name}{renamed}"


def defined(node: ast.stmt) -> list[str]:
    """List the names that a top-level statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    flat = [each for t in targets for each in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return [t.id for t in flat if isinstance(t, ast.Name)]


def definition(tree: ast.Module, name: str) -> ast.stmt | None:
    """Find a top-level definition or assignment."""
    return next((node for node in tree.body if name in defined(node)), None)


def names(node: ast.AST) -> Iterator[str]:
    """Yield the names that a definition reads, in their order; those that Python itself has are left out."""
    seen = set(dir(builtins))
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and part.id not in seen:
            seen.add(part.id)
            yield part.id


def segment(source: str, node: ast.stmt) -> str:
    """Cut a definition out of its source, decorators and the comment at its end included."""
    return "\n".join(source.split("\n")[first_line(node) - 1 : node.end_lineno])
