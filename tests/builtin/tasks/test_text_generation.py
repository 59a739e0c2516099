"""Text generation: the same text from a run and from its exports."""

import importlib.util
from pathlib import Path

import pytest

from support.in_process import run, run_export

pytestmark = pytest.mark.usefixtures("weights_alone")

RHYME = "the cat sat on the mat. the rat ran to the cat. a hat for the cat, a mat for the rat.\n"
MODEL = ["--model", "gpt", "--set", "model.width=16", "--set", "model.layers=1", "--set", "model.heads=2"]
TASK = ["--set", "task.length=40", "--set", "source.length=24", "--set", "source.stride=3"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small model of a rhyme and return the working folder."""
    folder = tmp_path_factory.mktemp("rhyme")
    (folder / "rhyme.txt").write_text(RHYME * 20, encoding="utf-8")
    data = ["--epochs", 6, "--lr", "0.01", "--quiet", "--name", "rhyme"]
    run("train", "rhyme.txt", *data, *MODEL, *TASK, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def text(place: Path) -> str:
    """Return the text that the artifact generates after a prompt."""
    (answer,) = run("predict", "rhyme", "the c", "--json", cwd=place).json["answers"]
    assert answer["prompt"] == "the c"
    assert len(answer["text"]) == 40
    return str(answer["text"])


def test_generated_text_resembles_training_text(text):
    assert set(text) <= set(RHYME)
    words = set(RHYME.replace(".", " ").replace(",", " ").split())
    assert sum(word in words for word in text.replace(".", " ").replace(",", " ").split()) >= 4


@pytest.mark.parametrize("exporter", ["torch-export", pytest.param("onnx", marks=pytest.mark.slow)])
def test_exported_model_generates_the_same_text(place, text, exporter):
    if exporter == "onnx" and importlib.util.find_spec("benchdog_onnx") is None:
        pytest.skip("benchdog-onnx is not installed")
    run_export("rhyme", "--to", exporter, cwd=place)
    export = place / "runs" / "rhyme" / "exports" / exporter
    # Prompts of different lengths in one call: none changes the text generated for another.
    prompts = ["the c", "a", "the rat ran to the cat. a hat for the"]
    answers = run("predict", export, *prompts, "--json", cwd=place).json["answers"]
    assert [answer["prompt"] for answer in answers] == prompts
    assert answers[0]["text"] == text


def test_unknown_character_in_prompt_is_refused(place):
    result = run("predict", "rhyme", "the c\u00e4t", cwd=place, code=5)
    assert "\u00e4" in result.err


def test_inference_options_length_temperature_and_seed(place, text):
    def generate(*given):
        settings = [word for pair in given for word in ("--set", pair)]
        (answer,) = run("predict", "rhyme", "the c", *settings, "--json", cwd=place).json["answers"]
        return answer["text"]

    longer = generate("length=60")
    assert len(longer) == 60
    assert longer.startswith(text)  # the draws of a seed don't depend on how many are wanted
    assert generate("seed=3", "temperature=2") != generate("seed=4", "temperature=2")
    assert generate("temperature=0") == generate("temperature=0", "seed=9")
    for wrong, message in (("lenght=3", "'length'"), ("ignore=1", "has no inference option 'ignore'"),
                        ("length=-1", "length"), ("length", "key=value"), ("length=long", "length")):  # fmt: skip
        result = run("predict", "rhyme", "the c", "--set", wrong, cwd=place, code=2)
        assert message in result.err
        assert not result.out


def test_classification_has_no_inference_options(digits_run):
    result = run("predict", digits_run, "x.png", "--set", "length=3", cwd=digits_run, code=2)
    assert "'classification' has no inference option 'length'" in result.err
