"""Parts of an ejected program: transforms."""
