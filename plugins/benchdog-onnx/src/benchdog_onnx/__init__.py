"""ONNX for Benchdog: the exporter `onnx`, and the runner of what it wrote."""

from __future__ import annotations

from benchdog.api import ExporterInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_exporters() -> list[ExporterInfo]:
    """Offer the exporter; its runner needs onnxruntime alone."""
    return [
        ExporterInfo(
            name="onnx",
            summary="An ONNX graph, for ONNX Runtime, browsers and C++.",
            target="benchdog_onnx.exporter:Onnx",
            options="benchdog_onnx.options:OnnxOptions",
            runner="benchdog_onnx.runner:OnnxRunner",
            requires=("onnxruntime",),
            install="pip install benchdog-onnx",
        )
    ]
