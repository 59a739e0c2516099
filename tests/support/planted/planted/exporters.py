"""Exporters with faults; each has a runner."""

import json
from pathlib import Path


class Good:
    def __init__(self, options=None):
        pass

    def export(self, artifact, folder):
        import torch

        torch.export.save(artifact.program(), folder / "graph.pt2")


class Runner:
    def __init__(self, folder):
        import torch

        from benchdog.api import BadData

        self.folder = folder
        try:
            self.module = torch.export.load(folder / "graph.pt2").module()
        except Exception as error:
            raise BadData(f"{folder} can't be read: {error}.") from error

    def __call__(self, *inputs):
        import torch

        with torch.no_grad():
            return tuple(x.numpy() for x in self.module(*map(torch.from_numpy, inputs)))


class NoFiles(Good):
    def export(self, artifact, folder):
        pass


NoFilesRunner = Runner


class OtherModel(Good):
    def export(self, artifact, folder):
        import torch

        from planted.models import Shifted

        module = Shifted(artifact.module())
        batch = torch.export.Dim("batch", min=1, max=artifact.max_batch)
        program = torch.export.export(module, artifact.example(3), dynamic_shapes=({0: batch},))
        torch.export.save(program, folder / "graph.pt2")


OtherModelRunner = Runner


class PointsBack(Good):
    def export(self, artifact, folder):
        super().export(artifact, folder)
        (folder / "from.json").write_text(json.dumps(str(artifact.folder)), encoding="utf-8")


class PointsBackRunner(Runner):
    def __init__(self, folder):
        super().__init__(folder)
        place = json.loads((folder / "from.json").read_text(encoding="utf-8"))
        self.classes = json.loads(Path(place, "artifact.json").read_text(encoding="utf-8"))["spec"]["target"]


class ChangesArtifact(Good):
    def export(self, artifact, folder):
        super().export(artifact, folder)
        (artifact.folder / "exported.txt").write_text("yes", encoding="utf-8")


ChangesArtifactRunner = Runner


class RawDamage(Good):
    pass


class RawDamageRunner(Runner):
    def __init__(self, folder):
        import torch

        self.module = torch.export.load(folder / "graph.pt2").module()


class RunnerInPlace(Good):
    pass


class RunnerInPlaceRunner(Runner):
    def __call__(self, *inputs):
        given = super().__call__(*inputs)
        inputs[0][:] = 0
        return given


class Takes(Good):
    def export(self, artifact, folder):
        raise RuntimeError("no converter for this net")


TakesRunner = Runner
