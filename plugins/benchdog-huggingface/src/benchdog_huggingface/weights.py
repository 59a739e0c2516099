"""What lies next to config.json: the weights to begin from."""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from benchdog.api import NotAvailable, Op, Preprocess, Spec
from benchdog_huggingface.model import configured, saved
from benchdog_huggingface.offline import transformers
from benchdog_huggingface.options import CONFIG, FIRST, ModelOptions

FILE = "model.safetensors"
OTHERS = ("model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5")
"""Weights in forms that aren't read."""
HEADS = (
    "classifier", "pre_classifier", "score", "cls", "lm_head", "qa_outputs", "vocab_transform", "vocab_layer_norm",
    "vocab_projector", "classification_head", "generator_predictions", "discriminator_predictions",
)  # fmt: skip
"""How names of a network's heads begin; other names belong to the network itself."""


class FolderWeights:
    """The model.safetensors of a folder that save_pretrained wrote."""

    task = ""
    transform: tuple[Op, ...] = ({"op": "identity"},)

    def __init__(self, options: ModelOptions) -> None:
        self.options = options

    @property
    def begins(self) -> bool:
        """Whether the folder holds weights, whatever their form."""
        folder = self.options.path
        return folder is not None and any((folder / name).is_file() for name in (FILE, *OTHERS))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the head's classes by config.json's id2label; none where it numbers them."""
        try:
            said = json.loads((self.options.path / CONFIG).read_text("utf-8")) if self.options.path else {}
            names = tuple(name for _, name in sorted((int(i), str(name)) for i, name in said["id2label"].items()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return ()
        return () if any(re.fullmatch(r"LABEL_\d+", name) for name in names) else names

    def weights(self) -> Path:
        """Return the file.

        Raises:
            NotAvailable: there is none, or only in a form that isn't read.
        """
        folder = self.options.path
        if folder is None:
            raise NotAvailable("The model 'hf' has no folder, so no weights.", "--set model.path=FOLDER")
        if (folder / FILE).is_file():
            return folder / FILE
        scratch = 'To learn from scratch: --set start.weights=""'
        for name in OTHERS:
            if (folder / name).is_file():
                raise NotAvailable(
                    f"{folder / name} isn't read: weights must be in one {FILE}.",
                    'Load the model with transformers, then model.save_pretrained(FOLDER, max_shard_size="1TB"). '
                    + scratch,
                )
        raise NotAvailable(f"{folder} holds no {FILE}.", scratch)

    @cached_property
    def rename(self) -> tuple[tuple[str, str], ...]:
        """Return the rules from the file's names to those of `Reader`'s network."""
        base = self._base()
        old = ((r"\bgamma$", "weight"), (r"\bbeta$", "bias"))  # of normalizations, in files of BERT's time
        if self.options.head == "mean":
            return (*old, (rf"^{base}\.", ""), (rf"^(?!net\.|(?:{'|'.join(HEADS)})\.)", "net.encoder."))
        own = "|".join((base, *HEADS))
        return (*old, (rf"^(?!net\.|(?:{own})\.)", f"{base}."), (r"^(?!net\.)", "net."))

    def _base(self) -> str:
        said = saved(self.options)
        said.pop(FIRST, None)
        kind: Any = transformers().AutoModel._model_mapping[type(configured(said))]
        return str((kind[0] if isinstance(kind, tuple) else kind).base_model_prefix)

    def preprocess(self) -> Preprocess:
        """Refuse: how a text becomes tokens is the data's affair."""
        raise self._unready()

    def spec(self) -> Spec:
        """Refuse: what the classes mean isn't known."""
        raise self._unready()

    def _unready(self) -> NotAvailable:
        return NotAvailable(
            "The model 'hf' answers nothing before it is trained.", "benchdog train hf --model hf ..."
        )
