"""Reading files and cells: the same functions in training, prediction, every source and the decode operations."""
