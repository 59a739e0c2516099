"""Dates as people write them -> 2021-03-09: source, encoder and decoder, task, and greedy decoding.

One input holds both sequences: a text of READ tokens, then the answer so far. Code 0 fills the text up, and begins
the answer; the network's score for place t is that of the answer's token t, given the ones before.
"""

from datetime import date, timedelta

from benchdog.api import (
    Answer,
    BadData,
    BadUsage,
    Field,
    ModelInfo,
    Preprocess,
    Raw,
    SourceInfo,
    Spec,
    Target,
    TaskInfo,
    hookimpl,
    split_of,
)

CONTRACT = 1
READ, WRITTEN = 18, 10
ANSWER = "0123456789-"
LETTERS = ANSWER + " ,.abcdefghijklmnopqrstuvwxyz"
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
)
MONTHS += ("december",)
SAMPLES = 4000


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="dates", summary="Made-up dates.", target=":Dates")]


@hookimpl
def benchdog_models():
    return [ModelInfo(name="encoder-decoder", summary="Two recurrent networks and attention.", target=":build")]


@hookimpl
def benchdog_tasks():
    more = {"targets": ("sequence",), "models": {"tokens": "encoder-decoder"}}
    return [TaskInfo(name="seq2seq", summary="A sequence.", target=":Seq2Seq", answer=":answer", **more)]


class Dates:
    def spec(self):
        field = Field(kind="tokens", shape=(READ + WRITTEN,), dtype="int64", range=(0, len(LETTERS) + 1))
        return Spec(fields=(field,), target=Target(kind="sequence", classes=tuple(ANSWER), shape=(WRITTEN,)))

    def preprocess(self, spec):
        read = {"op": "tokens", "vocabulary": list(LETTERS), "length": READ + WRITTEN}
        return Preprocess(decode={"input": [read]}, transform={"input": [{"op": "identity"}]})

    def open(self):
        splits = {"train": [], "valid": [], "test": []}
        for number in range(SAMPLES):
            raw, day = sample(number)
            splits[split_of(day.encode())].append(raw)  # all spellings of a day in one split
        return splits


def sample(number):
    import numpy as np

    draw = np.random.default_rng([5, number])
    day = date(1950, 1, 1) + timedelta(days=int(draw.integers(0, 36_500)))
    month = MONTHS[day.month - 1]
    text = (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.day}.{day.month}.{day.year}",
        f"{day.month}-{day.day}-{day.year}",
        f"{day.day} {month[:3]} {day.year}",
    )[draw.integers(5)]
    codes = np.zeros(READ + WRITTEN, np.int64)
    codes[: len(text)] = [LETTERS.index(letter) + 1 for letter in text]
    target = np.array([ANSWER.index(letter) for letter in day.isoformat()], np.int64)
    codes[READ + 1 :] = target[:-1] + 1  # the decoder reads what it should have written (teacher forcing)
    return Raw(id=f"{number}: {text}", fields={"input": codes}, target=target), day.isoformat()


def build(spec, options=None):
    import torch
    from torch import nn

    class EncoderDecoder(nn.Module):
        def __init__(self, width=96):
            super().__init__()
            self.letters = nn.Embedding(len(LETTERS) + 2, width)
            self.encoder = nn.GRU(width, width, batch_first=True, bidirectional=True)
            self.keys = nn.Linear(2 * width, width)
            self.written = nn.Embedding(len(ANSWER) + 1, width)
            self.decoder = nn.GRU(width, width, batch_first=True)
            self.out = nn.Linear(2 * width, len(ANSWER))

        def forward(self, codes):
            text, so_far = codes[:, :READ], codes[:, READ:].clamp(max=len(ANSWER))
            keys = self.keys(self.encoder(self.letters(text))[0])
            state = self.decoder(self.written(so_far))[0]
            match = (state @ keys.transpose(1, 2)).masked_fill(text[:, None] == 0, -1e9)
            seen = match.softmax(2) @ keys
            return self.out(torch.cat([state, seen], 2))

    return EncoderDecoder()


class Seq2Seq:
    monitor, better = "exact", "max"

    def check(self, spec):
        if spec.target.kind != "sequence":
            raise BadUsage(f"The task 'seq2seq' needs a sequence, but the target is a {spec.target.kind}.")

    def output(self, spec):
        return (*spec.target.shape, spec.classes)

    def head(self, spec):
        from torch import nn

        return nn.Softmax(dim=2)

    def loss(self, score, batch):
        from torch.nn.functional import cross_entropy

        total = cross_entropy(score.flatten(0, 1), batch.target.flatten(), reduction="sum")
        return total, float(batch.target.numel())

    def meter(self, spec):
        return Meter(self.loss)


class Meter:
    """Loss, and how many tokens and whole sequences are right: greedy decoding writes exactly the same ones."""

    def __init__(self, loss):
        import torch

        self.loss, self.sums = loss, torch.zeros(5, dtype=torch.float64)

    def add(self, score, batch):
        right = score.argmax(2) == batch.target
        total, weight = self.loss(score, batch)
        found = (total, weight, right.sum(), right.all(1).sum(), len(right))
        self.sums += self.sums.new_tensor([float(x) for x in found])

    def state(self):
        return {"sums": self.sums}

    def merge(self, state):
        self.sums += state["sums"]

    def value(self):
        total, tokens, right, exact, samples = self.sums.tolist()
        return {"loss": total / tokens, "token_accuracy": right / tokens, "exact": exact / samples}


def answer(call, inputs, spec, options):
    (codes,) = inputs
    if codes.shape[1] != READ + WRITTEN or codes[:, READ].any():  # where every answer begins
        raise BadData(f"A text has more than {READ} characters.", "The network has read no longer ones.")
    codes = codes.copy()
    codes[:, READ:] = 0  # a sample of training has its answer here
    for place in range(WRITTEN):
        probabilities, _ = call(codes)
        best = probabilities[:, place].argmax(1)
        if place + 1 < WRITTEN:
            codes[:, READ + place + 1] = best + 1
    texts = ["".join(spec.target.classes[code] for code in row.argmax(1)) for row in probabilities]
    sure = probabilities.max(2).prod(1)
    return [Answer({"text": text, "probability": float(p)}) for text, p in zip(texts, sure, strict=True)]
