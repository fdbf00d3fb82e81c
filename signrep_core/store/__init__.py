"""The disk: atomic files, table schemas, video decode and encode, shards."""
