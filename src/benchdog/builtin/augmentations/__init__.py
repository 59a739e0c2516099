"""The augmentations that come with Benchdog."""
