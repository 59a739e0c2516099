"""What is said about a sample, from any runner's numpy arrays. No torch: an export answers without it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from benchdog.api import Answer, Call, Failed, Spec, spellings
from benchdog.builtin.tasks.class_order import ranks_of
from benchdog.builtin.tasks.options import EmbeddingOptions, LabelsOptions, NextTokenOptions, OrdinalOptions

FEW = 20
"""With more classes than this, only the likeliest are listed."""
LISTED = 5
HALF = 0.5
ROWS = 256
"""Vectors that are compared with all others at once."""
WINDOW = 256
"""Tokens that a model of free length gets to see."""


def classification(call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: Any) -> list[Answer]:
    """Return label, its probability, and probabilities by class: all, or the 5 likeliest of more than 20."""
    answer, score = call(*inputs)
    names = spec.target.classes
    answers = []
    for row, best in zip(answer, score.argmax(1), strict=True):
        order = range(len(names)) if len(names) <= FEW else np.argsort(-row, kind="stable")[:LISTED]
        probabilities = {names[k]: float(row[k]) for k in order}
        answers.append(
            Answer({"label": names[best], "probability": float(row[best]), "probabilities": probabilities})
        )
    return answers


def multi_label(
    call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: LabelsOptions | None
) -> list[Answer]:
    """Return the labels whose probability reaches the threshold, and the probability of each."""
    threshold = (options or LabelsOptions()).threshold
    answer, _ = call(*inputs)
    names = spec.target.classes
    return [
        Answer(
            {
                "labels": [name for name, p in zip(names, row, strict=True) if p >= threshold],
                "probabilities": {name: float(p) for name, p in zip(names, row, strict=True)},
            }
        )
        for row in answer
    ]


def ordinal(call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: OrdinalOptions | None) -> list[Answer]:
    """Return the label in the middle of the probabilities, its own probability, and that of each class."""
    answer, _ = call(*inputs)
    names = spec.target.classes
    order = np.argsort(ranks_of(names, (options or OrdinalOptions()).order)[0])
    answers = []
    for row in answer:
        # The first rank that half of the probability doesn't exceed: being above it is no likelier than not.
        passed = row[order][::-1].cumsum()[::-1][1:] > HALF
        label = int(order[passed.sum()])
        probabilities = {names[k]: float(row[k]) for k in order}
        answers.append(
            Answer({"label": names[label], "probability": float(row[label]), "probabilities": probabilities})
        )
    return answers


def embedding(call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: Any) -> list[Answer]:
    """Return the vector, of length 1."""
    answer, _ = call(*inputs)
    return [Answer({"vector": [float(x) for x in row]}) for row in answer]


def neighbors(answers: list[Answer], spec: Spec, options: EmbeddingOptions | None) -> list[Answer]:
    """Name for each of several inputs the others that are nearest, with their distance: 0 to 2."""
    count = min((options or EmbeddingOptions()).nearest, len(answers) - 1)
    vectors = np.array([each.values["vector"] for each in answers])
    told = []
    for start in range(0, len(answers), ROWS):
        close = vectors[start : start + ROWS] @ vectors.T
        close[np.arange(len(close)), start + np.arange(len(close))] = -np.inf  # itself
        order = np.argsort(-close, axis=1, kind="stable")[:, :count]
        for each, row, places in zip(answers[start:], close, order, strict=False):
            # From the product of unit vectors: |a - b|^2 = 2 - 2 a.b
            near = [{"id": answers[i].id, "distance": float(np.sqrt(max(0.0, 2 - 2 * row[i])))} for i in places]
            first = {"nearest": near[0]["id"], "distance": near[0]["distance"]} if near else {}
            told.append(replace(each, values={**first, "neighbours": near, **each.values}))
    return told


def regression(call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: Any) -> list[Answer]:
    """Return the value, or one value per target by name."""
    answer, _ = call(*inputs)
    names = target_names(spec) if len(spec.target.shape) and answer.shape[1] > 1 else ("value",)
    return [Answer({name: float(v) for name, v in zip(names, row, strict=True)}) for row in answer]


def segmentation(call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: Any) -> list[Answer]:
    """Return the mask (H, W) or (D, H, W) of class codes, uint8, and each class's share of its pixels."""
    answer, _ = call(*inputs)
    answers = []
    for mask in answer.astype(np.uint8):
        shares = np.bincount(mask.reshape(-1), minlength=spec.classes) / max(mask.size, 1)
        classes = {name: float(share) for name, share in zip(spec.target.classes, shares, strict=False)}
        answers.append(Answer({"mask": mask, "classes": classes}))
    return answers


def image_to_image(call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: Any) -> list[Answer]:
    """Return the image (C, H, W) in the target's dtype."""
    dtype = np.dtype(spec.target.dtype)
    images = []
    for image in call(*inputs)[0]:
        # NaN stays a float: as an integer it would be an image like any other.
        rounded = np.rint(image) if dtype.kind in "ui" else image
        images.append(rounded.astype(dtype) if np.isfinite(image).all() else image)
    return [Answer({"image": image}) for image in images]


def next_token(
    call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: NextTokenOptions | None
) -> list[Answer]:
    """Continue each prompt: {"prompt": ..., "text": what comes after it}.

    Each token is drawn from the score at the last position. The model sees as many tokens as the spec's
    field is long; a shorter prompt is filled up at its end, which a model that doesn't look ahead can't
    notice. A prompt's text depends on the seed alone, not on the prompts next to it.
    """
    options = options or NextTokenOptions()
    (tokens,) = inputs
    fixed = spec.fields[0].shape[0]
    vocabulary = spellings(spec.target)
    draws = np.random.default_rng(options.seed).random(options.length)
    # No prompt at all: begin as a line does.
    start = 0 if tokens.shape[1] else 1
    text = np.zeros((len(tokens), start + tokens.shape[1] + options.length), dtype=np.int64)
    text[:, :start] = vocabulary.index(b"\n") if b"\n" in vocabulary else 0
    text[:, start : text.shape[1] - options.length] = tokens
    begin = text.shape[1] - options.length
    for place, draw in enumerate(draws, begin):
        window = text[:, max(0, place - (fixed or WINDOW)) : place]
        seen = window.shape[1]
        if fixed:
            window = np.pad(window, ((0, 0), (0, fixed - seen)))
        _, score = call(np.ascontiguousarray(window))
        text[:, place] = choose(score[:, seen - 1], options.temperature, draw)
    return [
        Answer({"prompt": spell(row[start:begin], vocabulary), "text": spell(row[begin:], vocabulary)})
        for row in text
    ]


def choose(score: np.ndarray, temperature: float, draw: float) -> np.ndarray:
    """Choose a token per row of (B, vocabulary): `draw` in [0, 1) is a place on the summed probabilities."""
    if not np.isfinite(score).all():
        raise Failed(
            "The model's scores aren't finite, so no token can be drawn.",
            "Train it again, with a lower learning rate.",
        )
    if temperature == 0:
        return np.asarray(score.argmax(1))
    level = (score.astype(np.float64) - score.max(1, keepdims=True)) / temperature
    total = np.exp(level).cumsum(1)
    passed = (total <= draw * total[:, -1:]).sum(1)
    return np.asarray(np.minimum(passed, score.shape[1] - 1))


def spell(tokens: np.ndarray, vocabulary: tuple[bytes, ...]) -> str:
    """Write tokens as text; bytes that make no character become the sign for that."""
    return b"".join(vocabulary[token] for token in tokens).decode("utf-8", "replace")


def target_names(spec: Spec) -> tuple[str, ...]:
    """Name each number of the target: by its classes where given, else by its name and a count from 1."""
    shape, target = spec.target.shape, spec.target
    count = (shape[0] or 0) if shape else 1
    if len(target.classes) == count:
        return target.classes
    return tuple(f"{target.name} {i}" for i in range(1, count + 1)) if shape else (target.name,)
