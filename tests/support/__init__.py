"""Shared test helpers: running commands, small data sets, plugins and artifacts."""
