"""The chapter on the model: its classes, folded to this run, and the expression that builds it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.data.randomness import derive_seed
from benchdog.deployment.eject.bundle import Bundle, Unbundled, source_of
from benchdog.deployment.eject.chapters.parameters import trimmed
from benchdog.deployment.eject.chapters.recording import Recorded, always, attributes_of, is_plain, maker, record
from benchdog.deployment.eject.chapters.writing import WIDTH, call, imports_for, joined
from benchdog.deployment.eject.literals import is_literal, literal
from benchdog.deployment.eject.prune import sweep
from benchdog.training.setup import Components


class Written:
    """A model as text: definitions, an expression, and the imports that the definitions need."""

    def __init__(self, definitions: str, expression: str, imports: set[str]) -> None:
        self.definitions, self.expression, self.imports = definitions, expression, imports

    def build(self) -> Any:
        """Run the text."""
        body = f"{self.definitions}\n\n\nmodel = {self.expression}\n"
        space: dict[str, Any] = {"__name__": "ejected"}
        exec(compile(f"{imports_for(body, self.imports)}\n\n{body}", "ejected", "exec"), space)
        return space["model"]


def write_model(parts: Components, own: tuple[str, ...], inputs: tuple[Tensor, ...]) -> Written:
    """Write the model down, and see that what was written is the same, bit for bit.

    Args:
        own: packages and local modules whose source is copied.
        inputs: a few transformed samples.

    Raises:
        Unbundled: no way of writing it is.
    """
    model, recorded = record(parts.build)
    why = ""
    for way in (_by_classes, _by_builder):
        try:
            written = way(parts, own, model, recorded)
        except Unbundled as error:
            why = why or str(error)
            continue
        try:
            torch.manual_seed(derive_seed(parts.recipe.seed, 0, salt=4))
            if same(written.build(), model, inputs):
                return written
            why = why or "built from its source alone it is another"
        except Exception as error:  # a stranger's code may raise anything
            why = why or f"its source can't be run by itself ({type(error).__name__}: {error})"
    raise Unbundled(why)


def same(a: nn.Module, b: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    """Say whether two models have the same weights and do the same, in training and else, bit for bit."""
    weights, others = a.state_dict(), b.state_dict()
    if list(weights) != list(others) or [n for n, _ in a.named_parameters()] != [n for n, _ in b.named_parameters()]:
        return False
    if not all(torch.equal(weights[name], others[name]) for name in weights):
        return False
    for training in (False, True):
        given = []
        for model in (a, b):
            kept = {name: value.clone() for name, value in model.state_dict().items()}
            torch.manual_seed(0)
            with torch.no_grad():
                given.append(model.train(training)(*inputs))
            model.load_state_dict(kept)  # a batch's statistics are forgotten
        if not _equal(*given):
            return False
    return True


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


# --- a model as an expression of its modules -------------------------------------------------------


def _by_classes(parts: Components, own: tuple[str, ...], model: nn.Module, recorded: Recorded) -> Written:
    bundle = Bundle(own)
    bundle.known = known_of(model, recorded, bundle)
    imports: set[str] = set()
    expression = expressed(model, recorded, bundle, imports)
    return finished(bundle, expression, imports, model)


def known_of(model: nn.Module, recorded: Recorded, bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Give what is known of the parameters and attributes of each class of ours in a model."""
    known: dict[str, dict[str, Any]] = {}
    classes = {c for m in model.modules() for c in type(m).__mro__ if bundle.mine(c.__module__)}
    for cls in classes:
        stores = stores_of([c for c in classes if issubclass(c, cls) or issubclass(cls, c)])
        objects = [m for m in model.modules() if isinstance(m, cls)]
        attributes = attributes_of(objects, lambda name, stores=stores: stores.get(name, 0) <= 1)  # type: ignore[misc]
        for name, value in vars(cls).items():
            if inspect.isfunction(value):
                known[f"{cls.__name__}.{name}"] = {"self": attributes}
        if "__init__" in vars(cls):
            known[f"{cls.__name__}.__init__"] |= always(recorded.bound(cls))
    return known


def stores_of(classes: list[type]) -> dict[str, int]:
    """Count how often classes' source gives each attribute a value; outside of `__init__` it counts twice."""
    counts: dict[str, int] = {}
    for cls in classes:
        try:
            tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls)))
        except (OSError, TypeError, SyntaxError):
            raise Unbundled(f"{cls.__name__} has no source") from None
        for method in ast.walk(tree):
            if isinstance(method, ast.FunctionDef):
                for node in ast.walk(method):
                    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                        counts[node.attr] = counts.get(node.attr, 0) + (1 if method.name == "__init__" else 2)
    return counts


def expressed(module: nn.Module, recorded: Recorded, bundle: Bundle, imports: set[str]) -> str:
    """Write the call that makes a module as it is at first."""
    cls = type(module)

    def written(value: Any) -> str:
        if isinstance(value, nn.Module):
            return expressed(value, recorded, bundle, imports)
        if isinstance(value, list | tuple) and any(isinstance(v, nn.Module) for v in value):
            return call("", [written(v) for v in value]).join("  ").strip()
        if is_literal(value):
            return literal(value)
        raise Unbundled(f"{cls.__name__} is made with {value!r:.60}")

    if cls in (nn.Sequential, nn.ModuleList, nn.ModuleDict):
        children = {name: written(child) for name, child in module.named_children()}
        if cls is nn.Sequential and list(children) == [str(i) for i in range(len(module))]:  # type: ignore[arg-type]
            return call("nn.Sequential", list(children.values()), WIDTH - 24)
        raise Unbundled(f"a {cls.__name__} stands alone")
    try:
        args, options = recorded.of(module)
    except KeyError:
        args, options = (), {}
    if getattr(nn, cls.__name__, None) is cls:
        return call(f"nn.{cls.__name__}", [*map(written, args), *(f"{k}={written(v)}" for k, v in options.items())])
    if not bundle.mine(cls.__module__):
        imports.add(f"from {cls.__module__} import {cls.__name__}")
        return call(cls.__name__, [*map(written, args), *(f"{k}={written(v)}" for k, v in options.items())])
    name = bundle.add(cls)
    bound = inspect.signature(maker(cls).__init__).bind(module, *args, **options).arguments  # type: ignore[misc]
    known = bundle.known.get(f"{cls.__name__}.__init__", {})
    texts: list[str] = []
    for key, value in list(bound.items())[1:]:
        if isinstance(value, nn.Module):
            texts.append(written(value) if len(texts) == 0 else f"{key}={written(value)}")
        elif is_plain(value) and not is_literal(value):
            if key not in known:
                raise Unbundled(f"{cls.__name__} is made with several {key}")
            texts.append(f"{key}=None")  # folded; it vanishes with the parameter
        else:
            texts.append(f"{key}={written(value)}")
    return call(name, texts)


def finished(bundle: Bundle, expression: str, imports: set[str], model: nn.Module) -> Written:
    """Sweep the definitions: what held options and the like vanishes with all that isn't used."""
    held = [pair for module in model.modules() for pair in module.named_children()]
    hollow = {name for name, child in held if isinstance(child, nn.ModuleList) and not len(child)}
    before = ""
    while before != expression + "".join(bundle.texts.values()):
        before = expression + "".join(bundle.texts.values())
        sweep(bundle.texts, expression, hollow=hollow)
        expression = trimmed(bundle.texts, expression)
    return Written(joined(bundle.texts.values()), expression, {*imports, *bundle.imports()})


# --- a model as its author builds it ---------------------------------------------------------------


def _by_builder(parts: Components, own: tuple[str, ...], model: nn.Module, recorded: Recorded) -> Written:
    part = parts.recipe.model
    found = parts.plugins.find("model", part.name)
    build = found.resolve(found.info.target)
    if not inspect.isfunction(build):
        raise Unbundled(f"{part.name!r} is no function")
    source_of(inspect.getmodule(build))  # type: ignore[arg-type]
    bundle = Bundle(own)
    bundle.known = known_of(model, recorded, bundle)
    given = {"spec": parts.transform.spec(parts.spec), "options": parts.plugins.options(found, part.options)}
    wanted = list(inspect.signature(build).parameters)
    if wanted[:1] != ["spec"] or len(wanted) > 2:
        raise Unbundled(f"{part.name!r} isn't called as build(spec, options)")
    bundle.known[build.__name__] = dict(zip(wanted, given.values(), strict=False))
    name = bundle.add(build)
    return finished(bundle, f"{name}({', '.join(f'{w}=None' for w in wanted)})", set(), model)
