"""The backends that come with Benchdog."""
