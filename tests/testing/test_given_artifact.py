"""`plugins check --artifact`: exporters are tried with the author's own model; what is skipped is counted as such."""

import json
import shutil
from pathlib import Path

import pytest

from support.in_process import run, train

XZ = Path(__file__).parents[2] / "examples" / "plugins" / "xz.py"
POINTS = "x,y\n" + "".join(f"{i % 7}.5,{'ab'[i % 2]}\n" for i in range(60))
PICKY = """
from benchdog.api import BadUsage, ExporterInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_exporters():
    return [ExporterInfo(name="picky", summary="Digits alone.", target=":Picky", runner=":Runner")]


class Picky:
    def export(self, artifact, folder):
        if artifact.spec.fields[0].shape != (1, 8, 8):
            raise BadUsage("The exporter 'picky' takes pictures of 8 x 8.")
        import torch

        torch.jit.save(torch.jit.trace(artifact.module(), artifact.example(2)), folder / "model.pt")


class Runner:
    def __init__(self, folder):
        import torch
        from benchdog.api import BadData

        try:
            self.model = torch.jit.load(folder / "model.pt")
        except Exception as error:
            raise BadData(f"{folder} has no model.pt that can be read.") from error

    def __call__(self, *inputs):
        import torch

        answer, score = self.model(*map(torch.from_numpy, inputs))
        return answer.detach().numpy(), score.detach().numpy()
"""


@pytest.mark.slow
def test_exporter_is_tried_with_the_given_artifact(tmp_path: Path, digits_run: Path) -> None:
    (tmp_path / "picky.py").write_text(PICKY, encoding="utf-8")
    skipped = run("plugins", "check", "picky.py", "--only", "agrees", cwd=tmp_path)
    assert skipped.out.rstrip().splitlines()[-2:] == [
        "0 passed, 0 failed, 1 skipped.",
        "not checked: exporter picky, agrees: refuses the kit's small artifacts: "
        "The exporter 'picky' takes pictures of 8 x 8.",
    ]
    before = {path: path.read_bytes() for path in (digits_run / "artifact").rglob("*") if path.is_file()}
    document = run("plugins", "check", "picky.py", "--artifact", digits_run, "--json", cwd=tmp_path).json
    assert (document["conforms"], document["complete"], document["skipped"]) == (True, True, [])
    (agrees,) = (each for each in document["results"] if each["check"] == "agrees")
    assert agrees["found"] == "for the given artifact, at batches of one to 128"
    assert {path: path.read_bytes() for path in before} == before


def test_exporter_that_refuses_the_given_artifact_fails(tmp_path: Path) -> None:
    (tmp_path / "picky.py").write_text(PICKY, encoding="utf-8")
    (tmp_path / "points.csv").write_text(POINTS)
    train("points.csv", "--model", "linear", "--epochs", 1, "--quiet", "--name", "points", cwd=tmp_path)
    arguments = ("plugins", "check", "picky.py", "--artifact", "points", "--only", "exports", "--only", "agrees")
    document = run(*arguments, "--json", cwd=tmp_path, code=4).json
    assert document["counts"] == {"ok": 0, "fault": 1, "skipped": 1}
    assert not document["complete"]
    assert "It refuses the artifact" in document["results"][0]["found"]
    assert "takes pictures of 8 x 8" in document["skipped"][0]["reason"]


@pytest.mark.slow
def test_code_that_a_foreign_artifact_names_needs_trust(tmp_path: Path) -> None:
    net = "from torch import nn\n\n\ndef net(spec):\n    return nn.Sequential(nn.Flatten(), nn.Linear(1, 2))\n"
    (tmp_path / "nets.py").write_text(net, encoding="utf-8")
    (tmp_path / "points.csv").write_text(POINTS)
    train("points.csv", "--model", "nets.py:net", "--epochs", 1, "--quiet", "--name", "own", cwd=tmp_path)
    shutil.copytree(tmp_path / "runs" / "own" / "artifact", tmp_path / "foreign")
    path = tmp_path / "foreign" / "artifact.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**description, "machine": "0" * 64}), encoding="utf-8")
    arguments = ("plugins", "check", XZ, "--artifact", "foreign", "--only", "exports")
    refused = run(*arguments, cwd=tmp_path, code=4)
    assert "code outside any plugin" in refused.out
    run(*arguments, "--trust", cwd=tmp_path)


def test_artifact_is_for_exporters(tmp_path: Path, digits_run: Path) -> None:
    file = Path(__file__).parents[2] / "examples" / "plugins" / "stars.py"
    result = run("plugins", "check", file, "--artifact", digits_run, cwd=tmp_path, code=2)
    assert "offers no exporter" in result.err
    assert "--trust is for an --artifact" in run("plugins", "check", file, "--trust", cwd=tmp_path, code=2).err
