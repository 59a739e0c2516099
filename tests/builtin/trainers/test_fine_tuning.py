"""Fine-tuning: freezing, layer-wise learning rates, LoRA; exact on resume."""

import pytest
import torch
from torch import nn

from benchdog.builtin.trainers.freezing import Tuning
from benchdog.builtin.trainers.options import Supervised as Options
from benchdog.errors import Stopped
from benchdog.model.layer_groups import stages
from support.in_process import run, same, stop_at
from support.pretrained_plugin import facts, fine_tune, model_of, write_pretrained

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a third-party model `tiny`, its published weights, and a run `first` on the digits."""
    return write_pretrained(tmp_path_factory.mktemp("pretrained"))


def net_and_tuning(**options):
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    return net, Tuning(Options(**options), net, stages(net))


def learning(net):
    return [name for name, p in net.named_parameters() if p.requires_grad]


def test_gradual_unfreezing_from_the_head_down():
    net, tuning = net_and_tuning(freeze_groups=-1, unfreeze_every=2)
    seen = []
    for epoch in range(8):
        tuning.begin(epoch)
        seen.append(len({name[0] for name in learning(net)}))
        assert net[2].training == (epoch >= 2)  # the norm's statistics update once its group is unfrozen
    assert seen == [1, 1, 2, 2, 3, 3, 4, 4]
    _, again = net_and_tuning(freeze_groups=-1, unfreeze_every=2)
    again.begin(5)
    assert learning(again.model) == [n for n in dict(net.named_parameters()) if again.learns(n, 5)]
    assert [len(group["params"]) for group in tuning.groups()] == [8]  # every parameter that is trained at some epoch


def test_freeze_patterns_and_layer_wise_learning_rates():
    net, tuning = net_and_tuning(freeze=("0", "1.*"), unfreeze=("1.bias",), layer_decay=0.5, lr=0.8)
    tuning.begin(0)
    assert learning(net) == ["1.bias", "2.weight", "2.bias", "3.weight", "3.bias"]
    assert [(group["lr"], len(group["params"])) for group in tuning.groups()] == [(0.2, 1), (0.4, 2), (0.8, 2)]
    net[3].weight.requires_grad_(False)  # parameters frozen by the model's author stay frozen
    own = Tuning(Options(), net, stages(net))
    own.begin(0)
    assert "3.weight" not in learning(net)


@pytest.mark.parametrize(("hold", "held"), [("none", [False, False]), ("frozen", [True, False]), ("all", [True] * 2)])
def test_batch_norm_statistics_are_held(place, hold, held):
    old = model_of(place, "first")
    fine_tune(place, f"hold-{hold}", "start.weights=first", "trainer.freeze_groups=2",
              f"trainer.hold_statistics={hold}", epochs=1)  # fmt: skip
    new = model_of(place, f"hold-{hold}")
    name = "blocks.{}.norm.running_mean"
    assert [torch.equal(old[name.format(i)], new[name.format(i)]) for i in (0, 1)] == held


def test_lora_is_merged_into_plain_layers_with_a_low_rank_update(place):
    fine_tune(place, "lora", "start.weights=first", "trainer.lora=2", "trainer.lr=0.01")
    old, new = model_of(place, "first"), model_of(place, "lora")
    assert old.keys() == new.keys()
    for layer in ("stem", "blocks.0.first", "blocks.1.first"):
        change = new[f"{layer}.weight"] - old[f"{layer}.weight"]
        assert change.abs().max() > 1e-3
        sizes = torch.linalg.svdvals(change)
        assert (sizes > 1e-5 * sizes[0]).sum() <= 2
        assert torch.equal(new[f"{layer}.bias"], old[f"{layer}.bias"])
    assert facts(place, "lora")["best"]["value"] > 0.3
    run("--plugin", "tiny.py", "evaluate", "lora", cwd=place)
    fine_tune(place, "cut", "start.weights=first", "trainer.lora=2", "trainer.lr=0.01", "loop.accumulate=3",
              "loop.allow_batch_dependence=true")  # fmt: skip
    assert torch.allclose(model_of(place, "cut")["stem.weight"], new["stem.weight"], atol=1e-3)


def test_lora_on_1x1_convolution_equals_its_merged_weight():
    from benchdog.builtin.trainers.lora import Lora

    first = nn.Conv2d(3, 4, 1)
    model = nn.Sequential(first, nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    lora = Lora(Options(lora=2, lora_scale=0.5), model, "4", 0)
    assert list(lora.layers) == ["0"]
    with torch.no_grad():
        lora.corrections["0"].up.normal_()
    x = torch.randn(2, 3, 4, 4)
    unmerged, weight = model(x), first.weight.clone()
    with lora.merged():
        assert not torch.equal(first.weight, weight)
        assert torch.allclose(model(x), unmerged, atol=1e-5)
        assert torch.equal(lora.state_dict()["0"]["weight"], weight)  # a checkpoint may be written while merged
    assert torch.equal(first.weight, weight)
    assert set(model.state_dict()) == {f"{i}.{k}" for i in (0, 2, 4) for k in ("weight", "bias")}
    lora.finish()
    assert torch.allclose(model(x), unmerged, atol=1e-5)
    assert not list(first.children())


STOPPED = {
    "gradual": ("trainer.freeze_groups=-1", "trainer.unfreeze_every=1", "trainer.layer_decay=0.7"),
    "corrected": ("trainer.lora=2", "trainer.schedule=cosine"),
}


@pytest.mark.parametrize("where", ["step", "evaluation"])
@pytest.mark.parametrize("kind", STOPPED)
def test_resumed_fine_tuning_is_bit_identical(place, monkeypatch, kind, where):
    settings = ("start.weights=first", *STOPPED[kind])
    if not (place / "runs" / kind).exists():
        fine_tune(place, kind, *settings, epochs=3)
    with monkeypatch.context() as patched:
        stop_at(patched, 13, where)
        name = f"{kind}-{where}"
        fine_tune(place, name, *settings, epochs=3, code=Stopped("", "", 143).code)
    run("train", "--resume", name, cwd=place)
    assert same(place / "runs" / kind, place / "runs" / name)
