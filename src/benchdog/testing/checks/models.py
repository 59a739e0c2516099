"""What is asked of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.api import ModelInfo, Spec
from benchdog.data.transform.transform import Transform, with_category_codes
from benchdog.errors import BenchdogError
from benchdog.model.rebuild import build_model
from benchdog.testing.checks.comparing import shaken, states
from benchdog.testing.fixtures.data_kinds import ROWS, Kind, kinds, refused, task_for
from benchdog.testing.runner import trial as trials
from benchdog.testing.runner.locations import raised, said
from benchdog.testing.runner.results import Fault, Skip

NEAR = 1e-4


@dataclass(frozen=True, slots=True)
class Case:
    """Data that a model is built for: what it gets, and what it must give."""

    what: str
    spec: Spec
    inputs: tuple[Tensor, ...]
    build: Callable[[int], nn.Module]

    def score(self, model: nn.Module, *inputs: Tensor) -> Tensor:
        """Call the model in evaluation mode."""
        with torch.no_grad():
            given = model.eval()(*(x.clone() for x in inputs))
        score = given["score"] if isinstance(given, Mapping) else given
        assert isinstance(score, Tensor)
        return score


class Trial(trials.Trial):
    """A model on trial."""

    @property
    def cases(self) -> list[Case]:
        """The data, among the kit's, that it can be built for."""
        return self.once("cases", self._cases)

    def _cases(self) -> list[Case]:
        found, told = [], list[str]()
        self.cls  # noqa: B018 -- a target that doesn't resolve is told first
        for kind in kinds(self):
            name = task_for(kind.spec.target.kind, self.plugins)
            if not name:
                continue
            task = self.plugins.make("task", name)
            case = self._case(kind, kind.spec.with_output(*task.output(kind.spec)))
            what = kind.what
            try:
                case.build(0)
            except BenchdogError as error:
                told.append(error.message)
            except Exception as error:
                if "spec" not in self.parameters:
                    told.append(said(error))
                    continue
                raise Fault(
                    f"Built for {what} it raises {said(error)}.",
                    "Raise BadUsage of benchdog.api for data that it isn't for, and say what it needs.",
                    raised(error) or self.where,
                ) from error
            else:
                found.append(case)
        if not found:
            raise Skip(refused(told))
        return found

    @property
    def working(self) -> list[Case]:
        """Those of them that it runs on."""
        return self.once("working", self._working)

    def _working(self) -> list[Case]:
        found = []
        for case in self.cases:
            try:
                case.score(case.build(0), *case.inputs)
            except Exception:  # reported by the check `output`
                continue
            found.append(case)
        if not found:
            raise Skip("runs on none of the kit's data")
        return found

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the arguments that it is built with."""
        import inspect

        return tuple(inspect.signature(self.cls).parameters)

    def _case(self, kind: Kind, spec: Spec) -> Case:
        """Prepare inputs as training would."""
        preprocess = kind.preprocess
        if isinstance(self.info, ModelInfo) and self.info.codes:
            preprocess = with_category_codes(preprocess)
        transform = Transform(preprocess, spec)
        transform.fit([kind.inputs])
        inner = transform.spec(spec)
        part = {"name": self.found.where, "options": self.full()}

        def build(seed: int) -> nn.Module:
            torch.manual_seed(seed)
            return build_model(part, inner, self.plugins)

        return Case(kind.what, inner, tuple(transform(*kind.inputs)), build)


def builds(trial: Trial) -> str:
    """Check that it builds a module for some data, and refuses other data in words."""
    for case in trial.cases:
        model = case.build(0)
        if not isinstance(model, nn.Module):
            raise Fault(
                f"Built for {case.what} it is a {type(model).__name__}.", "Return a torch.nn.Module.", trial.where
            )
    return f"for {', '.join(case.what for case in trial.cases)}"


def output(trial: Trial) -> str:
    """Check that it runs on what it was built for, and gives a score of the right shape."""
    for case in trial.cases:
        model = case.build(0)
        try:
            score = case.score(model, *case.inputs)
        except Exception as error:
            raise Fault(
                f"It is built for {case.what}, and raises {said(error)} on them.",
                "Refuse data that it isn't for when it is built (raise BadUsage of benchdog.api), or fix forward().",
                raised(error) or trial.where,
            ) from error
        wanted = (ROWS, *case.spec.output)
        fits = score.ndim == len(wanted) and all(
            want in (None, have) for want, have in zip(wanted, score.shape, strict=True)
        )
        if not fits:
            raise Fault(
                f"On {case.what} its score has the shape {tuple(score.shape)}; the task needs {wanted}.",
                "The size of the last layer is spec.outputs; spec.output is the whole shape.",
                trial.where,
            )
        if not bool(torch.isfinite(score).all()):
            raise Fault(
                f"On {case.what} its score isn't finite.",
                "Look for a division by zero, or a logarithm or root of what may be 0.",
                trial.where,
            )
        _learns(trial, case, model)
    return f"on {len(trial.cases)} kinds of data"


def _learns(trial: Trial, case: Case, model: nn.Module) -> None:
    """Check that the score depends on parameters, if the model has any."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return
    given = model.train()(*(x.clone() for x in case.inputs))
    score = given["score"] if isinstance(given, Mapping) else given
    if not score.requires_grad:
        raise Fault(
            f"On {case.what} its score has no gradient, so it can't learn.",
            "Compute it from the parameters, without detach(), item(), numpy() or no_grad().",
            trial.where,
        )


def batches(trial: Trial) -> str:
    """Check that a sample's score doesn't depend on the samples next to it."""
    steady(trial)
    for case in trial.working:
        model = case.build(0)
        together = case.score(model, *case.inputs)
        alone = torch.cat([case.score(model, *(x[i : i + 1] for x in case.inputs)) for i in range(ROWS)])
        gap = float((together - alone).abs().max())
        if not torch.allclose(together, alone, rtol=NEAR, atol=NEAR):
            raise Fault(
                f"On {case.what} a sample's score differs by {gap:.2g} when batched with others, in evaluation mode.",
                "When self.training is false, use statistics of the training (BatchNorm's running ones) alone.",
                trial.where,
            )
    return "alone and in a batch the same"


def rebuilds(trial: Trial) -> str:
    """Check that a second model of the same options takes the first one's weights and answers alike."""
    steady(trial)
    for case in trial.working:
        first, second = case.build(1), case.build(2)
        shapes = [_shapes(each) for each in (first, second)]
        if shapes[0] != shapes[1]:
            keys = sorted({k for k in shapes[0].keys() | shapes[1].keys() if shapes[0].get(k) != shapes[1].get(k)})
            raise Fault(
                f"Built twice from the same options it has other weights: {', '.join(keys[:3])}.",
                "Let layers and their names depend on spec and options alone.",
                trial.where,
            )
        second.load_state_dict(first.state_dict(), strict=True)
        gap = (case.score(first, *case.inputs) - case.score(second, *case.inputs)).abs().max()
        if float(gap) > NEAR:
            raise Fault(
                f"Rebuilt from its options and weights it gives other scores on {case.what} (by {float(gap):.2g}).",
                "Keep every tensor that the score depends on as a parameter or by register_buffer.",
                trial.where,
            )
    here = digest(trial)
    if here != trial.twin():
        raise Fault(
            "Built by another process from the same options it has other weights or names.",
            "Let layers and their names depend on spec and options alone: the order of a set differs there.",
            trial.where,
        )
    return "weights of one fit the other"


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _shapes(model: nn.Module) -> dict[str, list[int]]:
    return {name: list(x.shape) for name, x in model.state_dict().items()}


def digest(trial: Trial) -> dict[str, Any]:
    """Return names and shapes of the weights, in their order."""
    return {case.what: [[*each] for each in _shapes(case.build(0)).items()] for case in trial.working}


def steady(trial: Trial) -> None:
    """Check that one model gives one score for one input; what compares scores asks for it first."""
    trial.once("steady", lambda: _steady(trial))


def _steady(trial: Trial) -> bool:
    for case in trial.working:
        model = case.build(3)
        if not torch.equal(case.score(model, *case.inputs), case.score(model, *case.inputs)):
            raise Fault(
                f"On {case.what} it gives two scores for one input, in evaluation mode.",
                "Drop and draw in training alone: F.dropout(x, p, self.training).",
                trial.where,
            )
    return True


def repeats(trial: Trial) -> str:
    """Check that weights are drawn from torch's generator alone, and scores from nothing."""
    steady(trial)
    for case in trial.working:
        shaken(1)
        first = case.build(3)
        shaken(2)
        before = states()[:2]
        second = case.build(3)
        used = states()[:2] != before
        if not all(
            torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
        ):
            raise Fault(
                f"Built twice for {case.what} from one torch.manual_seed it has other weights.",
                "Draw weights with torch alone, and no generator of your own: the run seeds it.",
                trial.where,
            )
        if used:
            raise Fault(
                "Building it uses the global generator of random or numpy, which no run seeds.",
                "Draw weights with torch alone: the run seeds it.",
                trial.where,
            )
    return "one seed, one model, one score"


def pure(trial: Trial) -> str:
    """Check that calling it changes neither its input nor, in evaluation mode, itself."""
    for case in trial.working:
        model = case.build(0)
        inputs = tuple(x.clone() for x in case.inputs)
        weights = {name: x.clone() for name, x in model.state_dict().items()}
        with torch.no_grad():
            model.eval()(*inputs)
        if not all(torch.equal(a, b) for a, b in zip(inputs, case.inputs, strict=True)):
            raise Fault(
                f"On {case.what} it changes its input in place.",
                "Work on a copy: small data is transformed once and used in every epoch. x = x + 1, not x += 1.",
                trial.where,
            )
        for name, x in model.state_dict().items():
            if not torch.equal(x, weights[name]):
                raise Fault(
                    f"Calling it in evaluation mode changes {name!r}.",
                    "Change statistics only when self.training is true.",
                    trial.where,
                )
    return "changes nothing but its answer"
