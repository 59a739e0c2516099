"""Register the backend one-core."""

from benchdog.api import BackendInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_backends() -> list[BackendInfo]:
    """Return the components; a target is imported on first use."""
    return [
        BackendInfo(
            name="one-core",
            summary="The CPU, a few threads.",
            target="benchdog_one_core.backend:OneCoreBackend",
            options="benchdog_one_core.options:Options",
        )
    ]
