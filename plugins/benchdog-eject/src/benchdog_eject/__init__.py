"""`benchdog eject`: a run as a standalone PyTorch script, without Benchdog, that ends with the same weights."""
