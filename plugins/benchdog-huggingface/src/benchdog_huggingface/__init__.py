"""Hugging Face for Benchdog: data sets that lie on the disk, and transformers models from a folder."""

from __future__ import annotations

from benchdog.api import ModelInfo, SourceInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    """Offer data sets in the forms of the library datasets."""
    return [
        SourceInfo(
            name="hf",
            summary="A data set that the library datasets reads: its own folder, Parquet, Arrow, CSV or JSON files.",
            target="benchdog_huggingface.source:DataSet",
            options="benchdog_huggingface.options:DataOptions",
            requires=("datasets", "tokenizers"),
            install="pip install benchdog-huggingface",
            named_by="path",
        )
    ]


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """Return transformers models, whose weights are in the same folder, and a sentence encoder."""
    return [
        ModelInfo(
            name="hf",
            summary="A transformers model for texts from a folder: config.json, model.safetensors.",
            target="benchdog_huggingface.model:build",
            options="benchdog_huggingface.options:ModelOptions",
            requires=("transformers",),
            install="pip install benchdog-huggingface",
            pretrained="benchdog_huggingface.weights:FolderWeights",
        ),
        ModelInfo(
            name="minilm",
            summary="A small BERT for texts in word pieces; has weights of a sentence encoder.",
            target="benchdog_huggingface.minilm:build",
            options="benchdog_huggingface.options:MiniLMOptions",
            install="pip install benchdog-huggingface",
            pretrained="benchdog_huggingface.minilm:MiniLMWeights",
        ),
    ]
