"""Pictures for people: nearest strips of frames, and the skeleton."""
