"""The trainers that come with Benchdog."""
