"""The model `hf`: a transformers network between Benchdog's tokens and its score."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.api import BadUsage, Field, Spec
from benchdog_huggingface.offline import transformers
from benchdog_huggingface.options import FIRST, FROM, ModelOptions

SHIFTED = ("roberta", "xlm-roberta", "camembert", "data2vec-text", "longformer", "mpnet", "esm")
"""Architectures whose positions begin after the padding token's id."""


class Reader(nn.Module):
    """Tokens (B, T) int64, 0 for padding -> the network's score.

    Args:
        net: takes input_ids and attention_mask, gives logits.
        first: the code of the vocabulary's first token.
        pad: the network's own id of the padding token.
    """

    def __init__(self, net: nn.Module, first: int, pad: int) -> None:
        super().__init__()
        self.net, self.first, self.pad = net, first, pad

    def forward(self, tokens: Tensor) -> Tensor:
        # The first place counts always: attention to nothing gives no number.
        there = (tokens != 0) | (torch.arange(tokens.shape[1], device=tokens.device) == 0)  # (B, T)
        ids = torch.where(there, (tokens - self.first).clamp(min=0), self.pad)
        score: Tensor = self.net(input_ids=ids, attention_mask=there.long()).logits
        return score


class Guesser(nn.Module):
    """Tokens (B, T) int64, all of them real -> a score for each next token (B, T, tokens)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, tokens: Tensor) -> Tensor:
        score: Tensor = self.net(input_ids=tokens).logits
        return score


class Scored:
    """What `Reader` expects of a network."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class MeanHead(nn.Module):
    """A network without a head, and a linear layer on the mean of its tokens' values."""

    def __init__(self, encoder: nn.Module, width: int, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.last = nn.Linear(width, outputs)
        nn.init.normal_(self.last.weight, std=0.02)
        nn.init.zeros_(self.last.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Scored:
        x = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (B, T, width)
        real = attention_mask.unsqueeze(2).to(x.dtype)
        return Scored(self.last((x * real).sum(1) / real.sum(1)))


def build(spec: Spec, options: ModelOptions) -> nn.Module:
    """Build a network of config.json's sizes for the spec's tokens and outputs; its weights are drawn."""
    field = spec.fields[0]
    if len(spec.fields) != 1 or field.kind != "tokens":
        raise BadUsage(
            f"The model 'hf' reads one field of tokens, but the data is {', '.join(f.kind for f in spec.fields)}.",
            "Take the source hf or text, or another model.",
        )
    said = saved(options)
    first = int(said.pop(FIRST, 1))
    library = transformers()
    if spec.target.kind == "next-token":
        config = configured(said, vocab_size=spec.classes, use_cache=False)
        _fits(config, field, 0)
        return Guesser(made(library.AutoModelForCausalLM, config, "guess the next token"))
    if len(spec.output) != 1 or not spec.outputs:
        raise BadUsage(
            "The model 'hf' gives one row of values per text, the task wants another shape.", "Choose another."
        )
    config = configured(said, num_labels=spec.outputs, use_cache=False)
    _fits(config, field, first)
    if getattr(config, "pad_token_id", None) is None:  # as GPT-2: what ends a text fills up, too
        ends = getattr(config, "eos_token_id", None)
        config.pad_token_id = (ends[0] if isinstance(ends, list) else ends) or 0
    if options.head == "own":
        net = made(library.AutoModelForSequenceClassification, config, "classify texts")
        return Reader(net, first, config.pad_token_id)
    encoder: Any = made(library.AutoModel, config, "read texts")
    if hasattr(encoder, "pooler"):
        encoder.pooler = None  # it would learn nothing
    return Reader(MeanHead(encoder, config.hidden_size, spec.outputs), first, config.pad_token_id)


def saved(options: ModelOptions) -> dict[str, Any]:
    """Return what config.json said."""
    if not options.config:
        raise BadUsage(
            "The model 'hf' needs the folder of a transformers model.",
            "Add --set model.path=FOLDER; it holds config.json, and model.safetensors if the model is trained.",
        )
    found: dict[str, Any] = json.loads(options.config)
    found.pop(FROM, None)
    # attn_implementation = "someone/kernel" would load code from the hub's cache.
    return {key: value for key, value in found.items() if not key.endswith("implementation")}


def configured(said: dict[str, Any], **more: Any) -> Any:
    """Make the library's configuration.

    Raises:
        BadUsage: it doesn't know the architecture, or not with these values.
    """
    library = transformers()
    kind = said["model_type"]
    known = library.models.auto.configuration_auto.CONFIG_MAPPING
    if kind not in known:
        close = get_close_matches(kind, list(known), n=3, cutoff=0.5)
        raise BadUsage(
            f"transformers {library.__version__} has no architecture {kind!r}.",
            f"Near to it: {', '.join(close)}." if close else "Update transformers, or take another model.",
        )
    try:
        config = known[kind](**{key: value for key, value in said.items() if key != "model_type"})
        for key, value in more.items():
            setattr(config, key, value)
    except Exception as error:  # each architecture checks its own values in its own way
        text = " ".join(str(error).split())[:300]
        raise BadUsage(f"config.json doesn't fit {kind!r}: {text}.", "Fix it, or get it again.") from None
    return config


def made(kind: Any, config: Any, purpose: str) -> nn.Module:
    """Make a network of the configuration, in float32.

    Raises:
        BadUsage: the architecture has none for this purpose.
    """
    if type(config) not in kind._model_mapping:
        hint = 'Take its values: --set model.head="mean"' if purpose == "classify texts" else "Choose another model."
        raise BadUsage(f"The architecture {config.model_type!r} has no head to {purpose}.", hint)
    net: nn.Module = kind.from_config(config, dtype=torch.float32)
    return net


def _fits(config: Any, field: Field, first: int) -> None:
    """Check that tokens and length are within what the network has places for."""
    tokens = int(field.range[1]) + 1 - first if field.range else 0
    if tokens > config.vocab_size:
        raise BadUsage(
            f"The model knows {config.vocab_size:,} tokens, the data has {tokens:,}.",
            "Take the tokenizer that belongs to the model: --set source.tokenizer=FOLDER",
        )
    longest = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if longest and config.model_type in SHIFTED:
        longest -= (config.pad_token_id or 0) + 1
    if longest and (field.shape[0] or 0) > longest:
        raise BadUsage(
            f"The model reads {longest:,} tokens, a text has {field.shape[0]:,}.", f"--set source.length={longest}"
        )
