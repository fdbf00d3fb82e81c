"""Training loops, optimiser and resume state."""
