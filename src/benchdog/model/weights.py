"""Weights from files: tensors by name and nothing else, renamed and put into a model, with a report."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.errors import BadData, BadUsage, nearest, shortlist
from benchdog.model.layer_groups import stages, within

SUFFIXES = (".safetensors", ".pth", ".pt")
"""Usual suffixes of weight files; no run's name ends in one."""
DEEPEST = 8
"""Levels of a checkpoint that are looked through."""
SHOWN = 4
COMPLEX = (torch.complex64, torch.complex128)
READ = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8),
    torch.bool,
)
"""Kinds of number that a file's tensors are read as; complex ones are looked at, and fit no place."""


@dataclass(slots=True)
class Report:
    """What of a file went into a model.

    Attributes:
        loaded: names of the model's tensors that were read.
        fresh: names of those that were not, with the reason.
        unused: names in the file, renamed, that the model has no place for.
        share: of the parameters that were meant to be read, those that were.
        summed: the first convolution, where it was made one for gray of one for colors.
        prefix: what was taken off all names of the file.
    """

    loaded: list[str] = field(default_factory=list)
    fresh: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    share: float = 0.0
    summed: str = ""
    prefix: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the form that run.json keeps."""
        counts = {"loaded": len(self.loaded), "share": self.share, "fresh": self.fresh, "unused": self.unused}
        return {**counts, "summed": self.summed}

    def sentence(self) -> str:
        """Return a summary of one to three lines."""
        whole = len(self.loaded) + len(self.fresh)
        lines = [f"{len(self.loaded)} of {whole} tensors read ({self.share:.1%} of the parameters below the head)"]
        if self.fresh:
            lines.append(
                "reinitialized: " + shortlist((f"{name} ({why})" for name, why in self.fresh.items()), SHOWN)
            )
        if self.prefix:
            lines.append(f"all names in the file begin with {self.prefix!r}, which was taken off")
        if self.summed:
            lines.append(f"for gray images, {self.summed} is the sum over the colors")
        if self.unused:
            lines.append(f"of the file, not used: {shortlist(self.unused, SHOWN)}")
        return "; ".join(lines)


def read(path: Path, part: str = "") -> dict[str, Tensor]:
    """Read a file of weights as tensors by name, whatever its suffix; code in it is never run.

    Args:
        path: safetensors, or what torch.save wrote.
        part: where in the file the weights are, keys joined by dots; "" when it holds those of one model alone.

    Raises:
        BadUsage: there is no such file, or it holds several models and no part is named.
        BadData: it is of another kind, is damaged, or holds something other than finite tensors.
    """
    if not path.is_file():
        raise BadUsage(f"There is no file {path}.", "Pass the path of a weights file, or a run's name.")
    found = _safetensors(path) if _is_safetensors(path) else checkpoint_part(_pickled(path), path, part)
    for name, tensor in found.items():
        if odd := _odd(tensor):
            raise BadData(
                f"{path}: the tensor {name!r} is {odd}, which isn't read as weights.",
                "Dense tensors are read, of float64, float32, float16, bfloat16, integers or bool: "
                "save them as such, with tensor.to_dense(), .dequantize() or .float().",
            )
        if (tensor.is_floating_point() or tensor.is_complex()) and not bool(tensor.isfinite().all()):
            raise BadData(f"{path} holds something other than finite numbers in {name!r}.", "Get the file again.")
    return found


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors does: the length of a header, and its brace; or is named so."""
    if path.suffix == ".safetensors":
        return True
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise BadData(f"{path} can't be read: {error.strerror or error}.") from None


def _odd(tensor: Tensor) -> str:
    """Return what keeps a tensor from being read as numbers in their places: "sparse_coo"; "" when nothing does."""
    if tensor.is_meta:
        return "without values (on the device meta)"
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return f"quantised ({str(tensor.dtype).removeprefix('torch.')})"
    if tensor.layout != torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    return "" if tensor.dtype in (*READ, *COMPLEX) else str(tensor.dtype).removeprefix("torch.")


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadData(f"{path} can't be read: {error}.", "The file is damaged: get it again.") from None
    except (KeyError, AttributeError) as error:  # a type that this torch has no name for
        raise BadData(f"{path} holds tensors of the type {error}, which isn't read.", "Save it as float32.") from None


def _pickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a third party's file may fail in any way
        reason = " ".join(str(error).split()).partition(". ")[0][:160] or "the file ends too early"
        raise BadData(
            f"{path} can't be read as tensors alone: {type(error).__name__}: {reason.rstrip('.')}.",
            "It is damaged, is neither safetensors nor a file of torch.save, or holds code, which isn't run: "
            "save model.state_dict() of it as .safetensors.",
        ) from None


def checkpoint_part(content: Any, path: Path, part: str = "") -> dict[str, Tensor]:
    """Find a model's weights in what a training script saved: the only dict of tensors, or that of a name.

    Optimizers' states don't count.

    Args:
        content: of the file.
        path: its path, for messages.
        part: keys joined by dots; "" for the only one.

    Raises:
        BadUsage: there are several, or none of that name; the message lists them.
        BadData: there is none.
    """
    parts = dict(_parts(content, set()))
    listed = ", ".join(f"{name or 'the whole file'} ({len(tensors)} tensors)" for name, tensors in parts.items())
    if part and part not in parts:
        raise BadUsage(f"{path} holds no weights named {part!r}.", f"start.part is one of: {listed or 'none'}.")
    if len(parts) > 1 and not part:
        raise BadUsage(
            f"{path} holds the weights of several models: {listed}.",
            f"Name the one to begin from: --set start.part={next(iter(parts))}",
        )
    if not parts:
        if not isinstance(content, Mapping):
            raise BadData(
                f"{path} holds a {type(content).__name__}, not tensors by name.", "Save model.state_dict()."
            )
        strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
        raise BadData(
            f"{path} holds no tensors by name: {shortlist(strange, SHOWN) or 'it is empty'}.", "Save state_dict()."
        )
    return parts[part] if part else next(iter(parts.values()))


def _parts(content: Any, seen: set[int], place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield every mapping from names to tensors, except optimizer states, with its key path in the file."""
    if not isinstance(content, Mapping) or "param_groups" in content or id(content) in seen or depth > DEEPEST:
        return
    seen.add(id(content))  # a pickle may contain itself
    if content and all(isinstance(name, str) and isinstance(x, Tensor) for name, x in content.items()):
        yield place, dict(content)
        return
    for key, value in content.items():
        yield from _parts(value, seen, f"{place}.{key}" if place else str(key), depth + 1)


def renamed(tensors: Mapping[str, Tensor], pairs: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """Replace regular expressions in names, one after the other.

    Raises:
        BadUsage: an expression is none, or two names become one.
    """
    rules = []
    for pattern, text in pairs:
        try:
            rules.append((re.compile(pattern), text))
            rules[-1][0].sub(text, "")
        except (re.error, IndexError) as error:
            raise BadUsage(f"start.rename: {pattern!r} = {text!r}: {error}.", "It is a regular expression.") from None
    result: dict[str, Tensor] = {}
    for before, tensor in tensors.items():
        name = before
        for rule, text in rules:
            try:
                name = rule.sub(text, name)
            except (re.error, IndexError) as error:
                raise BadUsage(f"start.rename: {rule.pattern!r} = {text!r}: {error}.") from None
        if name in result:
            raise BadUsage(f"start.rename makes two tensors {name!r}, one of them of {before!r}.")
        result[name] = tensor
    return result


def without_wrapper(tensors: Mapping[str, Tensor], names: Iterable[str]) -> tuple[dict[str, Tensor], str]:
    """Take off what wraps all names of a file, such as "module.", where only then they are those of the model.

    `DataParallel` puts "module." before them, `torch.compile` "_orig_mod.", others the attribute that held the net.

    Args:
        tensors: by the file's names.
        names: the model's.

    Returns:
        The tensors, and what was taken off; "" where a name is the model's as it is, or no prefix makes one so.
    """
    wanted, prefix = set(names), ""
    while tensors and not wanted & tensors.keys():
        firsts = {name.partition(".")[0] for name in tensors}
        if len(firsts) > 1 or not all("." in name for name in tensors):
            return dict(tensors), ""
        prefix += f"{firsts.pop()}."
        tensors = {name.partition(".")[2]: tensor for name, tensor in tensors.items()}
    return dict(tensors), prefix


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a name is in a part, or fits a pattern with * and ?."""
    return any(within(name, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def fill(model: nn.Module, tensors: Mapping[str, Tensor], *, skip: Sequence[str] = (), head: bool = False) -> Report:
    """Copy tensors into a model where name, shape and kind of number agree.

    Args:
        skip: names of parts, or patterns, that stay as they are.
        head: read the head too.

    Raises:
        BadUsage: a name in `skip` fits nothing.
    """
    names = list(model.state_dict())
    for pattern in skip:
        if not any(matches(name, [pattern]) for name in names):
            raise BadUsage(f"start.skip: nothing in the model fits {pattern!r}.", nearest(pattern, stages(model)))
    report = Report()
    last = "" if head else (stages(model) or [""])[-1]
    parameters = {name for name, _ in model.named_parameters()}
    first = next(iter(dict(model.named_parameters())), "")
    wanted = got = 0
    for name, place in model.state_dict().items():
        given = tensors.get(name)
        if name == first and given is not None and _of_colours(given, place):
            given, report.summed = given.sum(1, keepdim=True), name
        meant = False
        if last and within(name, last):
            why = "the head"
        elif matches(name, skip):
            why = "as asked"
        else:
            meant, why = True, _misfit(given, place)
        size = place.numel() if name in parameters else 0
        wanted += size if meant else 0
        if why:
            report.fresh[name] = why
            continue
        assert given is not None
        with torch.no_grad():
            place.copy_(given)
        got += size
        report.loaded.append(name)
    report.unused = [n for n in tensors if n not in report.loaded and not (last and within(n, last))]
    report.share = got / wanted if wanted else 0.0
    return report


def _of_colours(given: Tensor, place: Tensor) -> bool:
    """Return whether a first convolution is for colors and the model's for gray.

    Gray is three equal colors, so the sum over them gives gray images what the colors' convolution would.
    """
    return given.dim() == 4 and given.shape[1] == 3 and place.shape == (given.shape[0], 1, *given.shape[2:])


def _misfit(given: Tensor | None, place: Tensor) -> str:
    if given is None:
        return "not in the file"
    if given.shape != place.shape:
        return f"{tuple(place.shape)}, in the file {tuple(given.shape)}"
    if given.is_floating_point() != place.is_floating_point() or given.is_complex():
        return f"{place.dtype}, in the file {given.dtype}"
    return ""
