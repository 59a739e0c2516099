"""Reading a tokenizer from the disk, as the decode operation that makes a text's tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchdog.api import BadData, BadUsage, Op, encoder_of_many
from benchdog_huggingface.offline import transformers

FILE = "tokenizer.json"


def operation(path: Path | None, length: int) -> Op:
    """Return the decode operation of a tokenizer.json, a folder with one, or, without any, of bytes.

    Raises:
        BadUsage: there is none.
        BadData: the file is damaged.
    """
    if path is None:
        return {"op": "tokens", "unit": "byte", "length": length}
    folder = path if path.is_dir() else path.parent
    definition = _definition(path)
    # Whether the tokenizer fills up, and where it cuts, is decided here.
    definition |= {"padding": None, "truncation": None}
    first = 0 if padding_id(folder, definition) == 0 else 1
    return {"op": "tokens", "unit": "tokenizer", "definition": definition, "length": length, "first": first}


def encoder(op: Op) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return the function from texts to their codes, filled up to the length."""
    if op["unit"] == "tokenizer":
        return encoder_of_many(op)
    length = op["length"]

    def encode(texts: Sequence[str]) -> list[list[int]]:
        rows = ([byte + 1 for byte in text.encode("utf-8", "surrogatepass")[:length]] for text in texts)
        return [row + [0] * (length - len(row)) for row in rows]

    return encode


def _definition(path: Path) -> dict[str, Any]:
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        if path.is_dir() and any((path / name).is_file() for name in ("vocab.txt", "vocab.json", "spiece.model")):
            return _converted(path)
        what = "holds no tokenizer.json" if path.is_dir() else "doesn't exist"
        raise BadUsage(
            f"{path} {what}.", "Pass a tokenizer.json, or a folder that a tokenizer's save_pretrained wrote."
        )
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        found["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{file} is not a tokenizer: {type(error).__name__}: {error}.", "Get the file again.") from None
    return dict(found)


def _converted(folder: Path) -> dict[str, Any]:
    """Let transformers make a tokenizer of files in older forms."""
    try:
        made = transformers().AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
        )
        return dict(json.loads(made.backend_tokenizer.to_str()))
    except Exception as error:  # as many kinds as there are tokenizers
        said = " ".join(str(error).split())[:200]
        raise BadUsage(
            f"transformers makes no tokenizer of {folder}: {said}.",
            "Save it as tokenizer.json: AutoTokenizer.from_pretrained(...).save_pretrained(FOLDER).",
        ) from None


def padding_id(folder: Path, definition: dict[str, Any] | None = None) -> int | None:
    """Return the code of the token that fills up short texts, by the files of a tokenizer's or model's folder.

    Source and model both ask this of their folders, so they agree on where codes begin: at 0 where that is the
    padding, else at 1.
    """
    if definition is None and (folder / FILE).is_file():
        definition = _definition(folder)
    config = _json(folder / "config.json").get("pad_token_id")
    if definition is None:
        return config if isinstance(config, int) else None
    codes = {token.get("content"): token.get("id") for token in definition.get("added_tokens") or ()}
    listed = definition["model"]["vocab"]
    codes |= dict(listed) if isinstance(listed, dict) else {word: i for i, (word, _) in enumerate(listed)}
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token = _json(folder / name).get("pad_token")
        token = token.get("content") if isinstance(token, dict) else token
        if token is not None and token in codes:
            return int(codes[token])
    if isinstance(config, int):
        return config
    return next((int(codes[token]) for token in ("[PAD]", "<pad>") if token in codes), None)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
