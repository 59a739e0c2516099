"""Register the backend my-thing."""

from benchdog.api import BackendInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_backends() -> list[BackendInfo]:
    """Return the components; a target is imported on first use."""
    return [
        BackendInfo(
            name="my-thing",
            summary="The CPU, a few threads.",
            target="benchdog_my_thing.backend:MyThingBackend",
            options="benchdog_my_thing.options:Options",
        )
    ]
