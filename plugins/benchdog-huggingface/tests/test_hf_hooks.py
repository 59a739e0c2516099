"""What the plugin offers, at what price, and what its options say."""

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
from benchdog_huggingface.tokenizer import filler


def test_the_hook_module_is_light_and_names_its_contract():
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


def test_a_models_options_keep_what_its_configuration_says(bert, tmp_path):
    options = ModelOptions(path=bert)
    kept = json.loads(options.config)
    assert kept["hidden_size"] == 32
    assert kept[FIRST] == 0
    assert not {"architectures", "id2label"} & set(kept)
    gone = tmp_path / "gone"  # as an artifact is built again where the folder isn't
    moved = options.config.replace(json.dumps(str(bert)), json.dumps(str(gone)))
    assert ModelOptions(path=gone, config=moved).config == moved
    assert ModelOptions(path=bert, config=moved).config == options.config  # another folder is read anew


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (None, BadUsage, "has no config.json"),
        ("{", BadData, "not a configuration"),
        ("{}", BadData, "names no model_type"),
        ('{"model_type": "bert", "auto_map": {"AutoModel": "evil.Net"}}', BadUsage, "never run"),
    ],
)
def test_a_folder_that_is_no_model_is_refused_in_words(text, kind, said, tmp_path):
    if text is not None:
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(kind, match=said):
        ModelOptions(path=tmp_path)


def test_the_filler_is_found_where_the_folder_tells_it(bert, gpt, tmp_path):
    assert filler(bert) == 0
    assert filler(gpt) is None
    (tmp_path / "config.json").write_text('{"pad_token_id": 1}', encoding="utf-8")
    assert filler(tmp_path) == 1
    assert filler(tmp_path / "nothing") is None


def test_weights_in_other_forms_are_named_and_never_read(bert, tmp_path):
    from benchdog_huggingface.weights import FolderWeights

    (tmp_path / "config.json").write_text((bert / "config.json").read_text(encoding="utf-8"), encoding="utf-8")
    assert not FolderWeights(ModelOptions(path=tmp_path)).begins
    with pytest.raises(NotAvailable, match=r"holds no model\.safetensors"):
        FolderWeights(ModelOptions(path=tmp_path)).weights()
    for name in ("pytorch_model.bin", "model.safetensors.index.json"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
        found = FolderWeights(ModelOptions(path=tmp_path))
        assert found.begins
        with pytest.raises(NotAvailable, match="isn't read"):
            found.weights()
        (tmp_path / name).unlink()
