"""Predictions from a model's outputs, with NumPy alone."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchdog.api import Failed, Field, Spec, Target
from benchdog.builtin.tasks import answers
from benchdog.builtin.tasks.options import NextTokenOptions

IMAGE = Field(kind="image", shape=(1, 2, 3), dtype="uint8")
INPUTS = (np.zeros((2, 1, 2, 3), np.uint8),)


def spec_of(kind, *, classes=(), shape=(), field=IMAGE, name="target"):
    return Spec(fields=(field,), target=Target(kind=kind, classes=classes, shape=shape, name=name))


def fixed_output(answer, score=None):
    answer = np.asarray(answer)
    return lambda *inputs: (answer, answer if score is None else np.asarray(score))


def test_classification_predicts_label_and_all_probabilities():
    spec = spec_of("class", classes=("cat", "dog", "eel"))
    call = fixed_output(np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], np.float32))
    first, second = answers.classification(call, INPUTS, spec, None)
    assert first.values["label"] == "dog"
    assert first.values["probability"] == pytest.approx(0.7)
    assert first.values["probabilities"] == pytest.approx({"cat": 0.1, "dog": 0.7, "eel": 0.2})
    assert second.values["label"] == "cat"
    json.dumps(dict(first.values))


def test_classification_lists_top_5_of_many_classes():
    names = tuple(f"c{i}" for i in range(30))
    probability = np.arange(30, dtype=np.float32)[None] / 435
    (answer,) = answers.classification(fixed_output(probability), INPUTS, spec_of("class", classes=names), None)
    assert list(answer.values["probabilities"]) == ["c29", "c28", "c27", "c26", "c25"]


def test_regression_predicts_one_value_per_target():
    (answer,) = answers.regression(fixed_output([[2.5]]), INPUTS, spec_of("number"), None)
    assert answer.values == {"value": 2.5}
    spec = spec_of("number", shape=(2,), classes=("width", "height"))
    (answer,) = answers.regression(fixed_output([[2.5, 4]]), INPUTS, spec, None)
    assert answer.values == {"width": 2.5, "height": 4.0}
    (answer,) = answers.regression(fixed_output([[2.5, 4]]), INPUTS, spec_of("number", shape=(2,), name="size"), None)
    assert answer.values == {"size 1": 2.5, "size 2": 4.0}


def test_segmentation_predicts_mask_and_class_fractions():
    spec = spec_of("mask", classes=("ground", "cell"), shape=(2, 3))
    mask = np.array([[[0, 1, 1], [0, 0, 0]]])
    (answer,) = answers.segmentation(fixed_output(mask), INPUTS, spec, None)
    assert answer.values["mask"].dtype == np.uint8
    assert (answer.values["mask"] == mask[0]).all()
    assert answer.values["classes"] == pytest.approx({"ground": 4 / 6, "cell": 2 / 6})


VOCABULARY = ("\n", "a", "b", "c", "d")


class Counter:
    """Predict the next letter of the alphabet with a given confidence; record the inputs."""

    def __init__(self, sure=50.0):
        self.sure = sure
        self.seen = []

    def __call__(self, tokens):
        self.seen.append(tokens.copy())
        following = np.where(tokens < 4, tokens + 1, 1)
        score = np.eye(5, dtype=np.float32)[following] * self.sure
        return score, score


def text_spec(length):
    field = Field(kind="tokens", shape=(length,), dtype="int64")
    return spec_of("next-token", classes=VOCABULARY, shape=(length,), field=field)


def generate(call, prompts, context=4, **options):
    tokens = np.array(prompts, dtype=np.int64)
    predictions = answers.next_token(call, (tokens,), text_spec(context), NextTokenOptions(**options))
    return [answer.values for answer in predictions]


@pytest.mark.parametrize("context", [4, None])
def test_next_token_continues_prompts(context):
    call = Counter()
    first, second = generate(call, [[1, 2], [4, 1]], context, length=6)
    assert first == {"prompt": "ab", "text": "cdabcd"}
    assert second == {"prompt": "da", "text": "bcdabc"}
    # A model of fixed length is always given that length.
    assert {seen.shape[1] for seen in call.seen} == ({4} if context else {2, 3, 4, 5, 6, 7})
    assert call.seen[0][:, :2].tolist() == [[1, 2], [4, 1]]


def test_generation_window_holds_the_latest_tokens():
    call = Counter()
    (answer,) = generate(call, [[1, 2, 3, 4, 1, 2]], length=4)
    assert answer["text"].startswith("cdab")
    assert call.seen[0].tolist() == [[3, 4, 1, 2]]
    free = Counter()
    generate(free, [[1] * 300], None, length=1)
    assert free.seen[0].shape == (1, answers.WINDOW)


def test_empty_prompt_starts_a_new_line():
    (answer,) = generate(Counter(), np.zeros((1, 0)), length=3)
    assert answer == {"prompt": "", "text": "abc"}
    (answer,) = generate(Counter(), [[1]], 4, length=0)
    assert answer == {"prompt": "a", "text": ""}


def test_generated_text_depends_on_seed_and_not_on_other_prompts():
    alone = generate(Counter(1.0), [[1, 2]], length=30, seed=5)
    batched = generate(Counter(1.0), [[3, 3], [1, 2]], length=30, seed=5)
    other = generate(Counter(1.0), [[1, 2]], length=30, seed=6)
    assert alone[0] == batched[1]
    assert alone != other


def test_temperature_controls_sampling():
    sure = generate(Counter(0.1), [[1]], length=8, temperature=0)
    assert sure[0]["text"] == "bcdabcda"
    assert generate(Counter(0.1), [[1]], length=8, temperature=1e-6) == sure
    assert generate(Counter(0.1), [[1]], length=8, temperature=5.0) != sure


def test_tokens_are_sampled_with_their_probabilities():
    score = np.log(np.array([[0.5, 0.2, 0.3]], np.float32))
    draws = np.random.default_rng(0).random(3000)
    counts = np.bincount([answers.choose(score, 1.0, draw)[0] for draw in draws], minlength=3)
    np.testing.assert_allclose(counts / 3000, [0.5, 0.2, 0.3], atol=0.03)
    assert answers.choose(score, 1.0, 1 - 1e-17)[0] == 2
    assert answers.choose(np.array([[-np.float32(1e30), 0.0]]), 1.0, 0.0)[0] == 1


def test_non_finite_scores_fail_generation():
    with pytest.raises(Failed, match="finite"):
        generate(Counter(float("nan")), [[1]])


def test_answers_module_does_not_import_torch():
    code = "import sys, benchdog.builtin.tasks.answers; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
