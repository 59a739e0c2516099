"""Script that prints the version of Python and its torch as JSON.

Its text is run with `-c`, also by a Jupyter kernel's interpreter without Benchdog: standard library only, and no
syntax newer than Python 3.8. The argument "import" imports torch; without it torch is only located. A torch that
crashes the interpreter takes down this process, not the caller.
"""

import json
import sys


def located():
    # type: () -> dict[str, object]
    """Return version and path of torch without importing it; {} if it isn't installed."""
    from importlib import metadata, util

    try:
        version = metadata.version("torch")
    except Exception:  # damaged metadata raises nearly anything
        version = ""
    spec = util.find_spec("torch")
    origin = (spec.origin or "") if spec else ""
    return {"version": version, "path": origin} if spec or version else {}


def loaded():
    # type: () -> dict[str, object]
    """Import torch; return its build and the devices it sees."""
    import torch

    mps = getattr(torch.backends, "mps", None)
    cuda = torch.cuda.is_available()
    return {
        "version": str(torch.__version__),
        "path": str(torch.__file__),
        "cuda": torch.version.cuda or "",
        "rocm": getattr(torch.version, "hip", None) or "",
        "cuda_available": bool(cuda),
        "mps_built": bool(mps and mps.is_built()),
        "mps_available": bool(mps and mps.is_available()),
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
    }


def main(arguments):
    # type: (list[str]) -> None
    """Print one JSON document; a torch that can't be imported is reported, not raised."""
    facts = {
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "prefix": sys.prefix,
        "torch": located(),
        "error": "",
    }
    if "import" in arguments and facts["torch"]:
        try:
            facts["torch"] = loaded()
        except Exception as error:
            facts["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1:])
