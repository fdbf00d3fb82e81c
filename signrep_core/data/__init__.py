"""Windows and pairs for training, augmentation on the GPU."""
