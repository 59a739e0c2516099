"""Cart-pole by policy gradient: the source describes what the policy sees, the trainer simulates it."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from benchdog.api import Batch, Bounds, Column, Doc, Field, SourceInfo, Spec, Target, TaskInfo, TrainerInfo, hookimpl

CONTRACT = 1
COLUMNS = ("position", "speed", "angle", "rotation")
LONGEST = 500  # steps of an episode; the return is the number of steps before the pole falls


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    return [SourceInfo(name="cart-pole", summary="A pole on a cart that is pushed.", target=":CartPole")]


@hookimpl
def benchdog_tasks() -> list[TaskInfo]:
    answer = "benchdog.builtin.tasks.answers:classification"
    return [TaskInfo(name="policy", summary="Choose an action.", target=":policy", answer=answer)]


@hookimpl
def benchdog_trainers() -> list[TrainerInfo]:
    more: dict[str, Any] = {"target": ":Reinforce", "options": ":Options", "uses_data": False}
    return [TrainerInfo(name="reinforce", summary="Policy gradient with a baseline.", **more)]


class CartPole:
    """What the policy sees, and its two actions."""

    def spec(self) -> Spec:
        field = Field(kind="table", shape=(4,), dtype="float32", columns=tuple(Column(name=n) for n in COLUMNS))
        return Spec(fields=(field,), target=Target(kind="class", name="push", classes=("left", "right")))

    def open(self) -> dict[str, Any]:
        return {}  # the trainer brings the data


def policy() -> Any:
    from benchdog.builtin.tasks.classification import Classification

    class Policy(Classification):  # a class weighted by its advantage: the policy gradient
        monitor, better = "return", "max"

    return Policy()


def pushed(state: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Return the states (B, 4) after 0.02 s of pushing left (0) or right (1)."""
    _, speed, angle, rotation = state.T
    force, sine, cosine = np.where(action, 10.0, -10.0), np.sin(angle), np.cos(angle)
    push = (force + 0.05 * rotation**2 * sine) / 1.1
    twist = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    return state + 0.02 * np.stack([speed, push - 0.05 * twist * cosine / 1.1, rotation, twist], 1)


def episodes(choose: Any, count: int, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate episodes side by side; return states (T, N, 4), actions (T, N), and which were still up (T, N)."""
    state, up = draws.uniform(-0.05, 0.05, (count, 4)), np.ones(count, bool)
    seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    while up.any() and len(seen) < LONGEST:
        action = choose(state)
        seen.append((state, action, up))
        state = np.where(up[:, None], pushed(state, action), state)
        up = up & (np.abs(state[:, 0]) < 2.4) & (np.abs(state[:, 2]) < 0.2095)
    states, actions, alive = (np.stack(column) for column in zip(*seen, strict=True))
    return states, actions, alive


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of reinforce."""

    lr: Annotated[float, Doc("Learning rate."), Bounds(gt=0)] = 1e-2
    episodes: Annotated[int, Doc("Episodes of a step."), Bounds(ge=2)] = 16
    discount: Annotated[float, Doc("What a reward counts a step earlier."), Bounds(gt=0, lt=1)] = 0.99


class Reinforce:
    """Play some episodes per step, and make actions likelier that led to a longer rest than others at that time."""

    weighs = True

    def __init__(self, options: Options) -> None:
        self.options = options

    def train(self, session: Any) -> Any:
        import torch

        options, task, device = self.options, session.task, session.device
        model = device.prepare(session.model)
        optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
        session.track(optimizer=optimizer)

        def chances(states: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                score = model(*session.transformed(states.astype(np.float32)))
            return np.asarray(score.softmax(1)[:, 1].cpu())

        def returns(seed: int, count: int = 16) -> np.ndarray:
            """Play greedily: the same episodes for every epoch."""
            *_, up = episodes(lambda states: chances(states) > 0.5, count, np.random.default_rng(seed))
            return np.asarray(up.sum(0))

        for _ in session.epochs():
            for step in session.steps():
                draws = np.random.default_rng((session.seed, step))
                drawn = episodes(
                    lambda states, d=draws: d.random(len(states)) < chances(states), options.episodes, draws
                )
                states, actions, up = drawn
                rest = np.zeros(up.shape)
                for t in reversed(range(len(up))):
                    rest[t] = up[t] * (1 + (options.discount * rest[t + 1] if t + 1 < len(up) else 0))
                advantage = (rest - rest.mean(1, keepdims=True))[up]
                advantage /= advantage.std() + 1e-6
                inputs = session.transformed(states[up].astype(np.float32))
                target, weight = (device.put(torch.from_numpy(x)) for x in (actions[up] * 1, np.float32(advantage)))
                batch = Batch(inputs, target, weight=weight)
                loss, _ = task.loss(model(*inputs), batch)
                session.backward(loss, len(target), batch)
                device.step(optimizer)
                optimizer.zero_grad()
                session.step_done(loss.detach(), len(target))
            session.epoch_done({"return": float(returns(session.seed + 1).mean())})
        return model
