"""Parts of an ejected program: metrics."""
