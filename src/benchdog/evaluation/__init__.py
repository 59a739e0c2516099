"""Evaluation: per-sample results, metrics with intervals, baselines, slices."""
