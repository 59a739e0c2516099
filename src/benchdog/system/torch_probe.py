"""Say as JSON which Python this is and which torch it has.

Its text is given to an interpreter with `-c`, also to a Jupyter kernel's that has no Benchdog: standard
library only, and no syntax newer than Python 3.8. The argument "import" loads torch; without it torch is
only looked up. A torch that crashes the interpreter takes this process down, not the one that asks.
"""

import json
import sys


def located():
    # type: () -> dict[str, object]
    """Look torch up without importing it: {} when there is none."""
    from importlib import metadata, util

    try:
        version = metadata.version("torch")
    except Exception:  # metadata of a half-removed package raises nearly anything
        version = ""
    found = util.find_spec("torch")
    origin = (found.origin or "") if found else ""
    return {"version": version, "path": origin} if found or version else {}


def loaded():
    # type: () -> dict[str, object]
    """Import torch and say what it was built for and what it sees."""
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
    """Print one JSON document; a torch that can't be imported is a fact, not a failure."""
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
