"""Write an artifact as ONNX: transform, model and head in one graph, batch and text length free."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from benchdog.api import ArtifactView, Failed, NotAvailable, Spec
from benchdog_onnx.options import OnnxOptions
from benchdog_onnx.runner import FILE

LIMIT = 2**31 - 1
"""Bytes of a protobuf message; more would need files of weights next to the graph."""


class Onnx:
    """Write model.onnx: inputs by the spec's names, outputs `answer` and `score`."""

    def __init__(self, options: OnnxOptions) -> None:
        self._options = options

    def export(self, artifact: ArtifactView, folder: Path, /) -> None:
        """Convert the artifact's torch.export program, check the graph, write it.

        Raises:
            NotAvailable: onnx or onnxscript is not installed.
            Failed: torch can't convert an operator, or the graph is larger than ONNX allows in one file.
        """
        try:
            import onnx
            import onnxscript  # noqa: F401 - torch's exporter needs it
        except ImportError as error:
            raise NotAvailable(f"The exporter 'onnx' needs {error.name}.", "pip install benchdog-onnx") from None
        model = self._convert(artifact)
        _strip(model)
        if model.ByteSize() > LIMIT:
            raise Failed("The graph is larger than 2 GiB, which ONNX can't hold in one file.", "Use torch-export.")
        onnx.checker.check_model(model, full_check=True)
        (folder / FILE).write_bytes(model.SerializeToString())

    def _convert(self, artifact: ArtifactView) -> Any:
        import torch

        program = artifact.program()
        with warnings.catch_warnings():
            # torch 2.13 warns of its own pytree; nothing that an exporter could do otherwise.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            converted = torch.onnx.export(
                program,
                (),
                dynamo=True,
                opset_version=self._options.opset,
                input_names=[field.name for field in artifact.spec.fields],
                output_names=["answer", "score"],
                dynamic_shapes=(_axes(artifact.spec, artifact.max_batch),),
                verbose=False,
            )
        if converted is None:
            raise Failed("torch gave no ONNX graph for this model.", "Use another exporter, such as torch-export.")
        return converted.model_proto


def _axes(spec: Spec, max_batch: int) -> tuple[dict[int, str], ...]:
    """Name the free axes for people who look at the graph: {0: "batch", 1: "input_1"}."""
    shapes = []
    for field in spec.fields:
        free = [
            axis
            for axis, length in enumerate(field.shape, start=1)
            if length is None or (field.kind == "tokens" and length > 1)
        ]
        batch = {0: "batch"} if max_batch > 1 else {}
        shapes.append(batch | {axis: f"{field.name}_{axis}" for axis in free})
    return tuple(shapes)


def _strip(model: Any) -> None:
    """Take out stack traces: they name files of this machine."""
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            graphs += [a.g for a in node.attribute if a.HasField("g")]
            graphs += [g for a in node.attribute for g in a.graphs]
        for value in (*graph.value_info, *getattr(graph, "input", ()), *getattr(graph, "output", ())):
            if hasattr(value, "metadata_props"):
                del value.metadata_props[:]
        for tensor in getattr(graph, "initializer", ()):
            del tensor.metadata_props[:]
