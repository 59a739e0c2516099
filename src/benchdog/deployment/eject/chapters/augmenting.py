"""The chapter on augmentation: each as a class of its own, with the random numbers that belong to a sample."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
from typing import Any

from benchdog.data import randomness
from benchdog.deployment.eject.bundle import Bundle, Unbundled
from benchdog.deployment.eject.chapters.recording import Attributes, is_plain
from benchdog.deployment.eject.chapters.writing import call, indented, joined
from benchdog.deployment.eject.literals import is_literal, literal
from benchdog.deployment.eject.prune import attributes, sweep
from benchdog.training.setup import Components

DRAWS_OF = '''def sample_draws(batch: Tensor, epoch: int, salt: int) -> Draws:
    """Give the random numbers of a batch's samples in an epoch."""
    base = _signed(mix({seed}, epoch, salt=100 + salt))
    return Draws(splitmix(splitmix(batch * _signed(STEP)) + base))'''


UNTYPED = re.compile(r": (Field|Spec|Column)\b(?=[,)])")
"""A parameter's type that a plain program doesn't know."""


def write_augmentation(parts: Components, own: tuple[str, ...]) -> tuple[str, set[str]]:
    """Write the augmentations, and give the imports that they need.

    Raises:
        Unbundled: one has no source, or holds what can't be written down.
    """
    if not parts.augment:
        return "", set()
    numbers = Bundle(own)
    numbers.add(randomness.Draws)
    bundle = Bundle(own, provided=("Draws", "Field", "Spec", "Column"))
    made: dict[str, dict[str, Any]] = {}
    for part in parts.recipe.augment:
        step = parts.plugins.make("augmentation", part.name, part.options)
        step.check(parts.spec)
        made[type(step).__name__] = _written(step, bundle)
    for name, held in made.items():
        _settled(name, held, bundle)
    for name, text in bundle.texts.items():
        bundle.texts[name] = UNTYPED.sub("", text)
    seed = "SEED" if int(parts.recipe.loader.seed) == parts.recipe.seed else "ORDER_SEED"
    draws_of = DRAWS_OF.format(seed=seed)
    changes = ", ".join(f"{name}()" for name in made)
    one = len(parts.spec.fields) == 1
    kind, given, back = ("Tensor", "(x,)", "inputs[0]") if one else ("list[Tensor]", "tuple(x)", "list(inputs)")
    augment = f'''def augment(x: {kind}, y: Tensor, batch: Tensor, epoch: int) -> tuple[{kind}, Tensor]:
    """Change training samples at random; what happens to a sample depends on seed, epoch and position alone."""
    inputs = {given}
    for number, change in enumerate([{changes}]):
        inputs, y = change.apply(inputs, y, sample_draws(batch, epoch, number))
    return {back}, y'''
    sweep(bundle.texts, augment)
    main = joined([draws_of, *bundle.texts.values(), augment])
    numbers.uses(randomness, main)
    for name in ("sample_draws", "mix"):
        numbers.texts.pop(name, None)
    sweep(numbers.texts, main)
    imports = {line for line in numbers.imports() | bundle.imports() if "SimpleNamespace" not in line}
    if "SimpleNamespace(" in main:
        imports.add("from types import SimpleNamespace")
    return joined([*numbers.texts.values(), main]), imports


def _written(step: Any, bundle: Bundle) -> dict[str, Any]:
    """Write an augmentation's class: its methods and those that it has from others; give what it holds."""
    cls = type(step)
    classes = [c for c in cls.__mro__ if bundle.mine(c.__module__)]
    methods: dict[str, str] = {}
    for base in reversed(classes):
        for name, value in vars(base).items():
            if inspect.isfunction(value) and name not in ("__init__", "check"):
                try:
                    methods[name] = textwrap.dedent(inspect.getsource(value)).strip()
                except (OSError, TypeError):
                    raise Unbundled(f"{cls.__name__} has no source") from None
            elif isinstance(value, property | staticmethod | classmethod):
                raise Unbundled(f"{cls.__name__} has a {type(value).__name__}, {name}")
    if "apply" not in methods or any("super()" in text for text in methods.values()):
        raise Unbundled(f"the augmentation {cls.__name__} builds on another in a way that can't be written down")
    held = {n: v for c in reversed(classes) for n, v in vars(c).items() if not n.startswith("_") and is_plain(v)}
    held |= vars(step)
    home = sys.modules[cls.__module__]
    if cls.__name__ in bundle.texts:
        raise Unbundled(f"the augmentation {cls.__name__} is there twice")
    for name in methods:
        bundle.known[f"{cls.__name__}.{name}"] = {"self": Attributes({n: v for n, v in held.items() if is_plain(v)})}
    doc = (cls.__doc__ or "").strip()
    body = "\n\n".join(_reachable(methods))
    text = f'class {cls.__name__}:\n    """{doc}"""\n\n{indented(body, 4)}'
    bundle.put(home, cls.__name__, text)
    for base in classes[1:]:
        bundle.uses(sys.modules[base.__module__], body)
    alone = {cls.__name__: UNTYPED.sub("", bundle.texts[cls.__name__])}
    sweep(alone, f"{cls.__name__}().apply")
    bundle.texts[cls.__name__] = alone[cls.__name__]
    return held


def _settled(name: str, held: dict[str, Any], bundle: Bundle) -> None:
    """Put an augmentation's settings into its class, as far as they are read."""
    read, text = attributes(bundle.texts.values()), bundle.texts[name]
    settings = [f"{key} = {_setting(value, read)}" for key, value in held.items() if f"self.{key}" in text]
    if settings:
        head, mark, body = text.partition('"""\n')
        bundle.texts[name] = head + mark + "".join(f"\n    {line}" for line in settings) + "\n" + body


def _reachable(methods: dict[str, str]) -> list[str]:
    """Give `apply` and the methods that it calls, in the order of calling."""
    found, open_ = [], ["apply"]
    while open_:
        name = open_.pop(0)
        if name not in found:
            found.append(name)
            open_ += [other for other in methods if f"self.{other}(" in methods[name]]
    return [methods[name] for name in found]


def _setting(value: Any, read: set[str]) -> str:
    """Write an attribute: plain values, or what of a description is read."""
    if is_literal(value):
        return literal(value)
    if isinstance(value, tuple):
        items = [_setting(each, read) for each in value]
        line = f"({', '.join(items)}{',' * (len(items) == 1)})"
        return line if len(line) <= 100 else call("", items).replace("\n", "\n    ")
    if dataclasses.is_dataclass(value):
        kept = [f.name for f in dataclasses.fields(value) if f.name in read]
        return f"SimpleNamespace({', '.join(f'{name}={_setting(getattr(value, name), read)}' for name in kept)})"
    raise Unbundled(f"an augmentation holds a {type(value).__name__}")
