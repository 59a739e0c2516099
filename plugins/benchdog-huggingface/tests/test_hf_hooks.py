"""The hook module, the options of the model, and its folder of weights."""

import ast
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchdog.api import BadData, BadUsage
from benchdog.errors import NotAvailable
from benchdog_huggingface.options import FIRST, ModelOptions
from benchdog_huggingface.tokenizer import padding_id


def test_hook_module_is_lightweight_and_declares_its_contract():
    spec = find_spec("benchdog_huggingface")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert any(isinstance(n, ast.Assign) and ast.unparse(n) == "CONTRACT = 1" for n in tree.body)
    heavy = "{'torch', 'numpy', 'transformers', 'datasets', 'tokenizers', 'PIL'}"
    script = (
        f"import sys, benchdog_huggingface, benchdog_huggingface.options\nprint(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_model_options_store_the_configuration(bert, tmp_path):
    options = ModelOptions(path=bert)
    config = json.loads(options.config)
    assert config["hidden_size"] == 32
    assert config[FIRST] == 0
    assert not {"architectures", "id2label"} & set(config)
    missing = tmp_path / "gone"  # an artifact is rebuilt where the folder doesn't exist
    moved = options.config.replace(json.dumps(str(bert)), json.dumps(str(missing)))
    assert ModelOptions(path=missing, config=moved).config == moved
    # the configuration of another folder is replaced
    assert ModelOptions(path=bert, config=moved).config == options.config


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (None, BadUsage, "has no config.json"),
        ("{", BadData, "not a configuration"),
        ("{}", BadData, "names no model_type"),
        ('{"model_type": "bert", "auto_map": {"AutoModel": "evil.Net"}}', BadUsage, "never run"),
    ],
)
def test_folder_without_a_model_is_refused(text, kind, message, tmp_path):
    if text is not None:
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(kind, match=message):
        ModelOptions(path=tmp_path)


def test_kernels_that_a_configuration_names_are_left_out(tmp_path):
    from benchdog_huggingface.model import saved

    text = '{"model_type": "bert", "attn_implementation": "someone/kernel", "_attn_implementation": "someone/kernel"}'
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert set(saved(ModelOptions(path=tmp_path))) == {"model_type", "_first"}


def test_padding_id_is_read_from_the_folder(bert, gpt, tmp_path):
    assert padding_id(bert) == 0
    assert padding_id(gpt) is None
    (tmp_path / "config.json").write_text('{"pad_token_id": 1}', encoding="utf-8")
    assert padding_id(tmp_path) == 1
    assert padding_id(tmp_path / "nothing") is None


def test_weights_in_other_formats_are_refused(bert, tmp_path):
    from benchdog_huggingface.weights import FolderWeights

    (tmp_path / "config.json").write_text((bert / "config.json").read_text(encoding="utf-8"), encoding="utf-8")
    assert not FolderWeights(ModelOptions(path=tmp_path)).begins
    with pytest.raises(NotAvailable, match=r"holds no model\.safetensors"):
        FolderWeights(ModelOptions(path=tmp_path)).weights()
    for name in ("pytorch_model.bin", "model.safetensors.index.json"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
        folder_weights = FolderWeights(ModelOptions(path=tmp_path))
        assert folder_weights.begins
        with pytest.raises(NotAvailable, match="isn't read"):
            folder_weights.weights()
        (tmp_path / name).unlink()
