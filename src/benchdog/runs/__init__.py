"""Run folders: checkpoints, metrics log, provenance, comparison."""
