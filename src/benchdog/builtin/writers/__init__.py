"""Writers of predictions that are arrays: files of images, masks, audio, numbers."""
