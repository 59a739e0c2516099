"""Configuration: layers of settings, the draft they make, the resolved recipe, its JSON Schema."""
