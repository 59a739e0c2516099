"""One component of each kind, as they were written before contract 1 was widened. Never edited."""
