"""Parts of an ejected program: losses."""
