"""Offer the backend one-core."""

from benchdog.api import BackendInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_backends() -> list[BackendInfo]:
    """Say what there is; the strings are imported when somebody uses it."""
    return [
        BackendInfo(
            name="one-core",
            summary="The CPU, a few threads.",
            target="benchdog_one_core.backend:OneCoreBackend",
            options="benchdog_one_core.options:Options",
        )
    ]
