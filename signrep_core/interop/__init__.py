"""Other people's formats: what they read of ours, and what we read of theirs."""
