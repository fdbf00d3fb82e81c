"""Figures: nearest neighbours as strips of frames, augmented windows, confusion matrix, and the skeleton."""
