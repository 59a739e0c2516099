"""Offer the exporter xz."""

from benchdog.api import ExporterInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_exporters() -> list[ExporterInfo]:
    """List the components; a target is imported when it is first used."""
    return [
        ExporterInfo(
            name="xz",
            summary="The graph of torch.export, compressed.",
            target="benchdog_xz.exporter:XzExporter",
            options="benchdog_xz.options:Options",
            runner="benchdog_xz.runner:XzRunner",
            requires=("torch",),
            program=True,  # torch.export's files can run code: they load only here, or with --trust
        )
    ]
