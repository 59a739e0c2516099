"""Templates run as modules, and are assembled into programs."""

from importlib import import_module
from pathlib import Path

import pytest
import torch

import benchdog_eject
from benchdog_eject.assembly import Code, assemble, literal
from benchdog_eject.templates import evaluation, training
from benchdog_eject.templates.transforms import table

TEMPLATES = Path(benchdog_eject.__file__).parent / "templates"
MODELS = sorted(p.stem for p in TEMPLATES.glob("models/*.py") if "def build_model" in p.read_text(encoding="utf-8"))
INPUTS = {"gpt": torch.ones(2, 9, dtype=torch.int64), "transformer": torch.ones(2, 9, dtype=torch.int64),
          "linear": torch.zeros(2, 1, 8, 8), "mlp": torch.zeros(2, 1, 8, 8), "cnn": torch.zeros(2, 1, 8, 8),
          "tabular": torch.zeros(2, 3)}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_model_templates_build_and_run(name):
    module = import_module(f"benchdog_eject.templates.models.{name}")
    with torch.no_grad():
        logits = module.build_model().eval()(INPUTS.get(name, torch.zeros(2, 1, 28, 28)))
    assert logits.shape[0] == 2
    assert logits.isfinite().all()


def test_training_template_runs_on_its_own(monkeypatch, tmp_path, capsys):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (200, 64), generator=generator, dtype=torch.uint8)
    y = (x[:, 0] // 26).long()
    monkeypatch.setattr(training, "load", lambda split: (x, y))
    monkeypatch.setattr(training, "save", lambda model: None)
    monkeypatch.setattr(training, "EPOCHS", 30)
    threads = torch.get_num_threads()
    try:
        training.main()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
    first, *_, last = (line.partition("accuracy ")[2] for line in capsys.readouterr().out.splitlines())
    assert float(last) > float(first)


def test_table_template_standardizes_flags_and_encodes():
    rows = torch.tensor([[40.0, 180.0, 2.0], [float("nan"), 170.0, 0.0]])
    expected = [[0.0, 1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]]
    assert torch.allclose(table.transform(rows), torch.tensor(expected))


def test_follow_averages_weights_and_copies_counters():
    average, model = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    model.weight.data.fill_(3.0)
    model.get_buffer("num_batches_tracked").fill_(7)
    training.follow(average, model, 0.25)
    assert average.weight.tolist() == [1.5, 1.5]
    assert int(average.get_buffer("num_batches_tracked")) == 7


def test_program_contains_what_its_templates_import_and_nothing_else():
    chosen = ["settings", "loading", "transforms.table", "models.gpt", "losses.standardized", "metrics.errors",
              "evaluation", "schedules.named", "saving", "training"]  # fmt: skip
    imports, text = assemble(chosen, {"SEED": 7, "SCHEDULE": Code("lr_scheduler.ExponentialLR")})
    assert "benchdog" not in imports + text
    assert "SEED = 7" in text
    assert "SCHEDULE = lr_scheduler.ExponentialLR" in text
    assert text.index("class Block") < text.index("class GPT") < text.index("def main")
    assert text.count("TARGET_MEAN =") == 1
    assert not any(word in text for word in ("type: ignore", "Flat(", "cross_entropy"))
    with pytest.raises(AssertionError, match="NO_SUCH"):
        assemble(["seeds"], {"NO_SUCH": 1})


def test_literals_preserve_every_bit_and_fit_the_line_length():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0))
    for tensor in (values, values.double(), values.view(5, 10, 1), torch.tensor(0.1)):
        text = literal(tensor)
        evaluated = eval(text)
        assert evaluated.dtype == tensor.dtype
        assert torch.equal(evaluated, tensor)
        assert max(map(len, text.splitlines())) < 118
    others: list[object] = [{"a b": (1, 2.5), 'say "x"': [None, True]}, [], (1,), "a\nb", float("inf")]
    for value in others:
        assert literal(value) == "float('inf')" or eval(literal(value)) == value


def test_evaluation_is_independent_of_the_batch_size(monkeypatch):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    x, y = torch.randint(0, 256, (50, 64), dtype=torch.uint8), torch.arange(50) % 10
    whole = evaluation.evaluate(model, x, y)
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH_SIZE", 7)
    assert evaluation.evaluate(model, x, y) == pytest.approx(whole, rel=1e-5)
