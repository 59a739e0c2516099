"""Register the exporter xz."""

from benchdog.api import ExporterInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_exporters() -> list[ExporterInfo]:
    """Return the components; a target is imported on first use."""
    return [
        ExporterInfo(
            name="xz",
            summary="The graph of torch.export, compressed.",
            target="benchdog_xz.exporter:XzExporter",
            options="benchdog_xz.options:Options",
            runner="benchdog_xz.runner:XzRunner",
            requires=("torch",),
            program=True,  # files of torch.export can run code: loaded only here, or with --trust
        )
    ]
