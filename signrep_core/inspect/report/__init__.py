"""The page that shows what a run did: counted shard by shard, drawn, and put together as one file of HTML."""
