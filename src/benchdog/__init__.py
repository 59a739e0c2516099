"""Benchdog: from raw data to a deployed model, every step pluggable.

The names below are the Python API, for notebooks and for plugins; each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Experiment",
    "FinishedRun",
    "LoadedModel",
    "PluginContext",
    "SplitArrays",
    "TrainedRun",
    "ValueFiles",
    "__version__",
    "derive_seed",
    "evaluate",
    "follow_parent",
    "format_duration",
    "is_recipe_key",
    "load",
    "load_model",
    "open_run",
    "parse_duration",
    "read_samples",
    "recipe_keys",
    "recipe_table",
    "report_page",
    "runs_dir",
    "train",
    "validate_options",
]

if TYPE_CHECKING:
    from benchdog.data.randomness import derive_seed
    from benchdog.deployment.find_model import load_model
    from benchdog.deployment.inputs import read_samples
    from benchdog.evaluation.report.formatting import seconds as format_duration
    from benchdog.experiments import Experiment, recipe_table, report_page
    from benchdog.model.load import LoadedModel
    from benchdog.model.value_files import ValueFiles
    from benchdog.notebook import TrainedRun, evaluate, load, open_run, train
    from benchdog.plugins.context import PluginContext
    from benchdog.plugins.options import validate as validate_options
    from benchdog.recipe.layers import is_key as is_recipe_key
    from benchdog.recipe.layers import recipe_keys
    from benchdog.system.parent import follow_parent
    from benchdog.system.paths import runs_dir
    from benchdog.training.finished_run import FinishedRun, SplitArrays
    from benchdog.training.resolve.time_budget import seconds_of as parse_duration

_PLACES = {
    "Experiment": "benchdog.experiments:Experiment",
    "FinishedRun": "benchdog.training.finished_run:FinishedRun",
    "LoadedModel": "benchdog.model.load:LoadedModel",
    "PluginContext": "benchdog.plugins.context:PluginContext",
    "SplitArrays": "benchdog.training.finished_run:SplitArrays",
    "TrainedRun": "benchdog.notebook:TrainedRun",
    "ValueFiles": "benchdog.model.value_files:ValueFiles",
    "derive_seed": "benchdog.data.randomness:derive_seed",
    "evaluate": "benchdog.notebook:evaluate",
    "follow_parent": "benchdog.system.parent:follow_parent",
    "format_duration": "benchdog.evaluation.report.formatting:seconds",
    "is_recipe_key": "benchdog.recipe.layers:is_key",
    "load": "benchdog.notebook:load",
    "load_model": "benchdog.deployment.find_model:load_model",
    "open_run": "benchdog.notebook:open_run",
    "parse_duration": "benchdog.training.resolve.time_budget:seconds_of",
    "read_samples": "benchdog.deployment.inputs:read_samples",
    "recipe_keys": "benchdog.recipe.layers:recipe_keys",
    "recipe_table": "benchdog.experiments:recipe_table",
    "report_page": "benchdog.experiments:report_page",
    "runs_dir": "benchdog.system.paths:runs_dir",
    "train": "benchdog.notebook:train",
    "validate_options": "benchdog.plugins.options:validate",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'benchdog' has no attribute {name!r}")
