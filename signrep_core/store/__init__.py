"""Tables on disk: atomic files, schemas, layout, records, shards and their reader."""
