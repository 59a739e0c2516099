"""Parts of an ejected program: models."""
