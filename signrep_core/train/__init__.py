"""Optimiser, checkpoint and the training loops."""
