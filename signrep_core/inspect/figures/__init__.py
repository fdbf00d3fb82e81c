"""Pictures for people: nearest strips of frames, confused glosses, and the skeleton."""
