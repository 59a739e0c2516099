"""Decoding: raw bytes, rows and text to tensors in their storage type."""
