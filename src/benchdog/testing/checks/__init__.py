"""Conformance checks, one module per kind of plugin."""
