"""Models that come with Benchdog."""
