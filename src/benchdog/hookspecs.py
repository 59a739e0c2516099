"""The hooks that a plugin can implement, under the name that the documentation uses."""

from benchdog.plugins.hookspecs import *  # noqa: F403
