"""Transformer models: positions, padding, sizes, category codes and the cost of a step."""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchdog.api import Column, Field, Spec, Target
from benchdog.builtin.models import gpt, resnet, tabular, transformer, vit
from benchdog.builtin.models.options import (
    GptOptions,
    ResnetOptions,
    TabularOptions,
    TransformerOptions,
    VitOptions,
)
from benchdog.builtin.models.transformer_blocks import Block

TOKENS = Field(kind="tokens", shape=(12,), dtype="int64", range=(0, 10))
COLUMNS = (
    Column(name="age"),
    Column(name="town", kind="category", categories=("Rome", "Oslo")),
    Column(name="sign", kind="category", categories=tuple("abcdefg")),
)
PEOPLE = Field(kind="table", shape=(3,), dtype="float32", columns=COLUMNS)


def image_field(*shape):
    return Field(kind="image", shape=shape, dtype="uint8")


def spec_of(field, *output):
    return Spec(fields=(field,), target=Target(kind="class", classes=("a", "b", "c")), output=output)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_gpt_attention_is_causal(positions):
    torch.manual_seed(0)
    model = gpt.build(spec_of(TOKENS, 12, 11), GptOptions(width=16, heads=2, positions=positions)).eval()
    x = torch.randint(0, 11, (2, 12))
    changed = x.clone()
    changed[:, 8:] = (changed[:, 8:] + 1) % 11
    torch.testing.assert_close(model(x)[:, :8], model(changed)[:, :8])
    assert not torch.allclose(model(x)[:, 8:], model(changed)[:, 8:])
    # The order matters, and a shorter text gives the same beginning.
    assert not torch.allclose(model(x)[:, 5], model(x[:, [4, 3, 2, 1, 0, 5]])[:, 5])
    torch.testing.assert_close(model(x)[:, :8], model(x[:, :8]))


class ByHand(nn.Module):
    """A hand-written `gpt`: 11 tokens, width 16, 2 layers of 2 heads."""

    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(11, 16), nn.Embedding(12, 16)
        self.parts = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16),
                    nn.LayerNorm(16), nn.Linear(16, 64), nn.Linear(64, 16),
                ]
            ) for _ in range(2)
        )  # fmt: skip
        self.norm, self.last = nn.LayerNorm(16), nn.Linear(16, 11)

    def forward(self, tokens):
        x = self.token(tokens) + self.place(torch.arange(12))
        for part in self.parts:
            assert isinstance(part, nn.ModuleList)
            first, attend, mix, second, widen, narrow = part
            q, k, v = (each.view(-1, 12, 2, 8).transpose(1, 2) for each in attend(first(x)).chunk(3, -1))
            seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + mix(seen.transpose(1, 2).reshape(-1, 12, 16))
            x = x + narrow(nn.functional.gelu(widen(second(x))))
        return self.last(self.norm(x))


class Operators(TorchDispatchMode):
    """Count the operators that run."""

    def __init__(self):
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[str(func)] += 1
        return func(*args, **(kwargs or {}))


def test_gpt_step_runs_no_more_operators_than_a_hand_written_one():
    mine = gpt.build(spec_of(TOKENS, 12, 11), GptOptions(width=16, heads=2, layers=2))
    counts = []
    for model in (ByHand(), mine):
        with Operators() as operators:
            score = model(torch.zeros(4, 12, dtype=torch.int64)).flatten(0, 1)
            nn.functional.cross_entropy(score, torch.zeros(48, dtype=torch.int64)).backward()
        counts.append(operators.seen)
    hand, here = counts
    assert sum(here.values()) <= sum(hand.values())
    # The only differences: positions are a slice of a table, and not looked up.
    assert {name.split(".")[1] for name in {**hand, **here} if hand[name] != here[name]} <= {
        "arange", "embedding", "embedding_dense_backward", "slice", "slice_backward"
    }  # fmt: skip


def test_gpt_fits_a_pattern():
    torch.manual_seed(0)
    model = gpt.build(spec_of(TOKENS, 12, 11), GptOptions(width=32, heads=2))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        x = (torch.randint(0, 11, (32, 1)) + 3 * torch.arange(13)) % 11
        loss = nn.functional.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_transformer_ignores_padding():
    torch.manual_seed(0)
    model = transformer.build(spec_of(TOKENS, 3), TransformerOptions(width=16)).eval()
    x = torch.randint(1, 11, (4, 12))
    x[:, 7:] = 0
    torch.testing.assert_close(model(x), model(x[:, :7]), rtol=1e-4, atol=1e-5)
    other = x.clone()
    other[:, 3] = 1 + other[:, 3] % 10
    assert not torch.allclose(model(x), model(other))
    assert model(torch.zeros(2, 12, dtype=torch.int64)).isfinite().all()


def test_tabular_embedding_of_unknown_category_is_zero():
    torch.manual_seed(0)
    model = tabular.build(spec_of(PEOPLE, 3), TabularOptions())
    tables = list(model.embed.parameters())
    assert [table.shape[0] for table in tables] == [3, 8]
    assert all(not table[0].any() and table[1:].any(1).all() for table in tables)


@pytest.mark.parametrize(("side", "patch"), [((8, 8), 1), ((28, 28), 2), ((64, 48), 8), ((224, 224), 16)])
def test_vit_patch_follows_image_size(side, patch):
    model = vit.build(spec_of(image_field(3, *side), 3), VitOptions(layers=1))
    assert model.cut.kernel_size == (patch, patch)


def test_named_model_sizes_can_be_overridden():
    small = gpt.build(spec_of(TOKENS, 12, 11), GptOptions())
    first = small.layers[0]
    assert isinstance(first, Block)
    assert (len(small.layers), small.embed.weight.shape[1], first.heads) == (3, 128, 4)
    other = gpt.build(spec_of(TOKENS, 12, 11), GptOptions(size="micro", layers=1))
    assert (len(other.layers), other.embed.weight.shape[1]) == (1, 256)
    assert resnet.build(spec_of(image_field(1, 8, 8), 3), ResnetOptions(depth=50, width=4)).last.in_features == 128
    depths = {
        depth: sum(isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1) for m in net.modules())
        for depth in (10, 18, 34)
        for net in [resnet.build(spec_of(image_field(1, 8, 8), 3), ResnetOptions(depth=depth, width=2))]
    }
    assert depths == {10: 9, 18: 17, 34: 33}
