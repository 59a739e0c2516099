"""Data on its way to the model: datasets, splits, loader, workers, streams, augmentation."""
