from benchdog.api import BadData, ExporterInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_exporters():
    return [ExporterInfo(name="xz", summary="A graph", target=":Saver", runner=":Runner", program=True)]


class Saver:
    def export(self, artifact, folder):
        import torch

        torch.export.save(artifact.program(), folder / "graph.pt2")


class Runner:
    def __init__(self, folder):
        import torch

        try:
            self.module, self.tensor = torch.export.load(folder / "graph.pt2").module(), torch.from_numpy
        except Exception as error:
            raise BadData(f"{folder} holds no whole graph.pt2.", "Export it again.") from error

    def __call__(self, *inputs):
        answer, score = self.module(*map(self.tensor, inputs))
        return answer.detach().numpy(), score.detach().numpy()
