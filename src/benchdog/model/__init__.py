"""The model: built, initialized, saved as an artifact, loaded again."""
