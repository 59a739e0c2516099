"""Plugin files with a fault that is detected at loading: {name: (text, check, part of the message)}."""

HOOK = """
from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models():
    return [ModelInfo(name="net-of-mine", summary="A net.", target=":build")]


def build(spec, options):
    from torch import nn

    return nn.Linear(spec.fields[0].shape[0], spec.outputs)
"""
OBSERVER = """
from benchdog.api import hookimpl

CONTRACT = 1


@hookimpl
def benchdog_epoch_ended({arguments}):
    {body}
"""
TASK = """
from benchdog.api import TaskInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_tasks():
    return [TaskInfo(name="median", summary="A task.", target=":Median", answer="needs_torch:answer")]
"""
DECODER = """
from benchdog.api import DecoderInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_decoders():
    return [DecoderInfo(name="median", summary="A decoder.", target="needs_torch:answer", suffixes=(".med",))]
"""

FILES: dict[str, tuple[str, str, str]] = {
    "torch-at-top": (f"import torch\n{HOOK}", "import", "loads torch"),
    "numpy-at-top": (f"import numpy\n{HOOK}", "import", "loads numpy"),
    "slow": (f"import time\n\ntime.sleep(1.2)\n{HOOK}", "import", "s more than Benchdog's own"),
    "calls-home": (
        f"import socket\n\nsocket.create_connection(('models.example', 443), timeout=1)\n{HOOK}",
        "import",
        "uses the network: models.example",
    ),
    "calls-home-in-secret": (
        "import contextlib\nimport urllib.request\n\nwith contextlib.suppress(OSError):\n"
        f"    urllib.request.urlopen('http://models.example/version', timeout=1)\n{HOOK}",
        "import",
        "uses the network: models.example",
    ),
    "talks": (f"print('loading')\n{HOOK}", "import", "prints on stdout"),
    "raises": (f"{HOOK}\n1 / 0\n", "import", "raises ZeroDivisionError"),
    "exits": (f"import os\n\nos._exit(3)\n{HOOK}", "import", "ends the process with code 3"),
    "old-contract": (HOOK.replace("CONTRACT = 1", "CONTRACT = 0"), "hooks", "through a shim until contract 2"),
    "no-contract": (HOOK.replace("CONTRACT = 1", ""), "hooks", "declares no CONTRACT"),
    "other-contract": (HOOK.replace("CONTRACT = 1", "CONTRACT = 99"), "hooks", "written for contract 99"),
    "no-marker": (HOOK.replace("@hookimpl\n", ""), "hooks", "without @hookimpl"),
    "misspelt-hook": (HOOK.replace("benchdog_models", "benchdog_model"), "hooks", "which is not a hook"),
    "hook-with-arguments": (
        OBSERVER.format(arguments="run, epoch, metric", body="print(metric)"),
        "hooks",
        "can not be found in the hookspec",
    ),
    "wrapper": (HOOK.replace("@hookimpl", "@hookimpl(wrapper=True)"), "hooks", "wraps benchdog_models"),
    "no-list": (
        HOOK.replace("return [", "[").replace('build")]', 'build")]\n    return None'),
        "hooks",
        "returns None",
    ),
    "other-descriptor": (
        HOOK.replace("import ModelInfo,", "import ModelInfo, SourceInfo,").replace("[ModelInfo(", "[SourceInfo("),
        "hooks",
        "offers a SourceInfo instead of a ModelInfo",
    ),
    "capital-letters": (HOOK.replace("net-of-mine", "NetOfMine"), "hooks", "isn't made of lower-case letters"),
    "no-colon": (HOOK.replace(":build", "build"), "hooks", "isn't 'package.module:attribute'"),
    "taken-name": (HOOK.replace("net-of-mine", "resnet"), "names", "has the name of benchdog's own"),
    "answer-needs-torch": (TASK, "import", "can't be imported without torch"),
    "decoder-needs-torch": (DECODER, "import", "can't be imported without torch"),
    "upper-case-suffix": (DECODER.replace(".med", ".MED"), "hooks", "isn't lower case with a dot"),
    "lost-answer": (TASK.replace("needs_torch:answer", ":reply"), "hooks", "doesn't resolve"),
    "slow-handler": (
        OBSERVER.format(arguments="epoch", body="import time\n\n    time.sleep(1.1 * (epoch == 1))"),
        "quick",
        "s to hear of an event",
    ),
    "picky-handler": (
        OBSERVER.format(arguments="metrics", body='return metrics["valid.accuracy"]'),
        "metrics",
        "KeyError",
    ),
}
"""The named check reports the fault."""
NEEDS_TORCH = "import torch\n\n\ndef answer(call, inputs, spec, options):\n    return []\n"
OPTIONS_NEED_TORCH = """
from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models():
    return [ModelInfo(name="net-of-mine", summary="A net.", target=":build", options="heavy_options:Options")]
"""
HEAVY_OPTIONS = """
from dataclasses import dataclass
from typing import Annotated

import torch

from benchdog.api import Doc


@dataclass(frozen=True)
class Options:
    width: Annotated[int, Doc("Hidden units.")] = torch.ones(3).int().sum().item()
"""
FILES["options-need-torch"] = (OPTIONS_NEED_TORCH, "import", "for which schemas, completion")
HELPER_MODULES = {"needs_torch.py": NEEDS_TORCH, "heavy_options.py": HEAVY_OPTIONS}
"""Modules that some of them import; they must be on the path."""

COMMANDS: dict[str, tuple[str, str, str]] = {
    "sing": ("def sing(loud: bool = False) -> None:\n    pass\n", "help", "has no help"),
    "hum": (
        "def hum(loud: bool = False) -> None:\n    '''Hum a tune.'''\n",
        "help",
        "--loud has no help",
    ),
    "march": ("import numpy\n\n\ndef march() -> None:\n    '''March on.'''\n", "loads", "loads numpy"),
    "train": ("def train() -> None:\n    '''Go by train.'''\n", "own-name", "the name of Benchdog's own"),
    "whistle": ("tune = 3\n", "help", "is not a command"),
}
"""Commands by name: the text of their module, the check, and a part of its message."""
