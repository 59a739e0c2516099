"""Deployment: exports with verification, and the inputs of inference."""
