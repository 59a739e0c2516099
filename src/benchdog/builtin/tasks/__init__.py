"""Tasks that come with Benchdog."""
