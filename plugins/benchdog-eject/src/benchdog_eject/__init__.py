"""`benchdog eject`: a run as one plain PyTorch program, without Benchdog, that ends with the same weights."""
