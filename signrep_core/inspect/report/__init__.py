"""The report page of a run: statistics of each shard, charts, and one self-contained HTML file."""
