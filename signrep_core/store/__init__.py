"""Tables on disk: atomic files, schemas, layout, video status, jobs, records, resume cache, shards and their reader."""
