"""Prediction functions, three of them with a fault."""

import numpy as np

from benchdog.api import Answer


def answer(call, inputs, spec, options):
    answers, _ = call(*inputs)
    return [Answer({"probability": float(row.max())}) for row in answers]


def by_batch(call, inputs, spec, options):
    answers, _ = call(*inputs)
    return [Answer({"probability": float(row.max() / answers.max())}) for row in answers]


def odd(call, inputs, spec, options):
    answers, _ = call(*inputs)
    return [Answer({"probability": row.max()}) for row in answers]


def mesh(call, inputs, spec, options):
    answers, _ = call(*inputs)
    return [Answer({"surface": np.outer(row, row)}) for row in answers]


def first(answers, spec, options):
    return answers[:1]
