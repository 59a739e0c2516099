"""Register the exporter my-thing."""

from benchdog.api import ExporterInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_exporters() -> list[ExporterInfo]:
    """Return the components; a target is imported on first use."""
    return [
        ExporterInfo(
            name="my-thing",
            summary="The graph of torch.export, compressed.",
            target="benchdog_my_thing.exporter:MyThingExporter",
            options="benchdog_my_thing.options:Options",
            runner="benchdog_my_thing.runner:MyThingRunner",
            requires=("torch",),
            program=True,  # files of torch.export can run code: loaded only here, or with --trust
        )
    ]
