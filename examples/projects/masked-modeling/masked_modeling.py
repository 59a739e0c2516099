"""Masked characters: the task hides some characters of a text, and the model says which they were."""

import re
from typing import Any

from benchdog.api import Answer, Field, ModelInfo, Preprocess, Raw, SourceInfo, Spec, Target, TaskInfo, hookimpl

CONTRACT = 1
CHARACTERS = " abcdefghijklmnopqrstuvwxyz.,'_"  # the last one stands for a hidden character
MASK, IGNORED, LENGTH, SHARE = len(CHARACTERS) - 1, -100, 32, 0.15


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    return [SourceInfo(name="python-help", summary="What Python's help() says on its topics.", target=":PythonHelp")]


@hookimpl
def benchdog_tasks() -> list[TaskInfo]:
    return [TaskInfo(name="masked", summary="Predict hidden characters.", target=":Masked", answer=":filled")]


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    return [ModelInfo(name="encoder", summary="A transformer that looks both ways.", target=":encoder")]


class PythonHelp:
    """Windows of English text that comes with Python; a topic is in one split."""

    def spec(self) -> Spec:
        field = Field(kind="tokens", shape=(LENGTH,), dtype="int64", range=(0, MASK))
        return Spec(fields=(field,), target=Target(kind="characters", shape=(LENGTH,), classes=tuple(CHARACTERS)))

    def preprocess(self, spec: Spec) -> Preprocess:
        tokens = {"op": "tokens", "vocabulary": list(CHARACTERS)}
        return Preprocess(decode={"input": [tokens]}, transform={"input": [{"op": "identity"}]})

    def open(self) -> dict[str, list[Raw]]:
        from pydoc_data.topics import topics

        from benchdog.api import split_of

        splits: dict[str, list[Raw]] = {"train": [], "valid": [], "test": []}
        for topic, text in sorted(topics.items())[::2]:
            text = re.sub(r"[^a-z.,']+", " ", text.lower())
            for start in range(0, len(text) - LENGTH + 1, LENGTH):
                window = text[start : start + LENGTH]
                codes = [CHARACTERS.index(character) for character in window]
                splits[split_of(topic.encode())].append(
                    Raw(id=f"{topic}/{start}", fields={"input": window}, target=codes)
                )
        return splits


class Masked:
    """Cross-entropy of the hidden characters."""

    monitor, better = "accuracy", "max"

    def check(self, spec: Spec) -> None:
        pass

    def prepared_spec(self, spec: Spec) -> Spec:
        return spec  # what prepare changes are values

    def prepare(self, inputs: Any, target: Any, draws: Any) -> Any:
        hidden = draws.uniform(target.shape[1]) < SHARE
        return (inputs[0].masked_fill(hidden, MASK),), target.masked_fill(~hidden, IGNORED)

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (None, spec.classes)

    def head(self, spec: Spec) -> Any:
        from torch import nn

        return nn.Softmax(dim=2)

    def loss(self, score: Any, batch: Any) -> tuple[Any, Any]:
        from torch.nn.functional import cross_entropy

        loss = cross_entropy(score.transpose(1, 2), batch.target, ignore_index=IGNORED, reduction="sum")
        return loss, (batch.target != IGNORED).sum()

    def meter(self, spec: Spec) -> "Meter":
        return Meter(self)


class Meter:
    """Share of the hidden characters that were found, and the mean loss."""

    def __init__(self, task: Masked) -> None:
        import torch

        self.task, self.sums = task, torch.zeros(3, dtype=torch.float64)

    def add(self, score: Any, batch: Any) -> None:
        loss, count = self.task.loss(score, batch)
        right = (score.argmax(2) == batch.target).sum()
        self.sums += self.sums.new_tensor([float(loss), float(right), float(count)])

    def state(self) -> dict[str, Any]:
        return {"sums": self.sums}

    def merge(self, state: Any) -> None:
        self.sums += state["sums"]

    def value(self) -> dict[str, float]:
        loss, right, count = self.sums.tolist()
        return {"accuracy": right / max(1, count), "loss": loss / max(1, count)}


def filled(call: Any, inputs: Any, spec: Spec, options: Any) -> list[Answer]:
    """Replace each hidden character by the likeliest."""
    probabilities, _ = call(inputs[0])
    probabilities[:, :, MASK] = 0
    answers = []
    for codes, row in zip(inputs[0], probabilities, strict=True):
        best = [int(row[i].argmax()) if code == MASK else int(code) for i, code in enumerate(codes)]
        answers.append(Answer({"text": "".join(CHARACTERS[code] for code in best)}))
    return answers


def encoder(spec: Spec, options: None) -> Any:
    import torch
    from torch import nn

    from benchdog.builtin.models.transformer_blocks import Block

    class Encoder(nn.Module):
        def __init__(self, width: int = 64) -> None:
            super().__init__()
            self.code, self.place = nn.Embedding(len(CHARACTERS), width), nn.Embedding(LENGTH, width)
            self.blocks = nn.Sequential(*(Block(width, 2, 0.0) for _ in range(2)))
            self.last = nn.Linear(width, spec.outputs or len(CHARACTERS))

        def forward(self, codes: torch.Tensor) -> torch.Tensor:
            x = self.code(codes) + self.place(torch.arange(codes.shape[1], device=codes.device))
            return self.last(self.blocks(x))

    return Encoder()
