"""Training: set-up, session, ranks, batch size, compilation, learning-rate finder."""
