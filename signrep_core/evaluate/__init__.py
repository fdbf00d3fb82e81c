"""Features, retrieval and the other measurements."""
