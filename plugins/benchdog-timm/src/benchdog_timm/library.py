"""The library timm, kept off the network, and its names."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any

from benchdog.api import BadUsage, NotAvailable

SHOWN = 8
"""Names that an error lists."""


def timm() -> Any:
    """Import timm; weights come from files alone.

    Raises:
        NotAvailable: it can't be imported; says why, and how to fix it.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import timm
    except ImportError as error:
        raise _missing(error.name or "", error) from None
    except Exception as error:  # torchvision raises RuntimeError where it was built for another torch
        raise _missing("", error) from None
    return timm


def _missing(name: str, error: Exception) -> NotAvailable:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"[:200]
    if name == "timm":
        return NotAvailable("The model 'timm' needs the package timm.", "pip install benchdog-timm")
    return NotAvailable(
        f"timm is installed, but can't be imported: {said.rstrip('.')}.",
        f"timm needs a torchvision that was built for this torch ({_version('torch')}; torchvision is "
        f"{_version('torchvision')}): take both from one place, "
        f"pip install --force-reinstall torch=={_version('torch').partition('+')[0]} torchvision",
    )


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def known(net: str) -> str:
    """Return a network's name if timm has it.

    Raises:
        BadUsage: it hasn't; names the nearest.
    """
    library = timm()
    if not net:
        raise BadUsage(
            "The model 'timm' needs the name of a network.",
            f"Add --set model.net=resnet18. timm {library.__version__} has {len(library.list_models()):,} of them.",
        )
    name, _, tag = net.partition(".")
    names = library.list_models()
    if ":" in net or name not in names:
        close = get_close_matches(name, names, n=SHOWN, cutoff=0.5)
        close += [other for other in names if name and name in other and other not in close][: SHOWN - len(close)]
        hint = f"Did you mean {', '.join(close)}?" if close else "timm.list_models() lists them."
        raise BadUsage(f"timm {library.__version__} has no network {net!r} ({len(names):,} others).", hint)
    tags = [other.partition(".")[2] for other in library.list_pretrained(f"{name}.*")]
    if tag and tag not in tags:
        raise BadUsage(f"timm's {name} has no weights {tag!r}.", f"Available: {', '.join(tags) or 'none'}.")
    return net
