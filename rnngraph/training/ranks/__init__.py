"""Training over processes: ``exchange`` is how they tell each other values, ``ranks`` what they agree on, ``packed``
holds what is sent in few arrays, ``shard_tree`` adds up what the shards of a batch give in one order, ``shard_variant``
computes it, ``sharded_stepper`` cuts batches into shards and makes steps of that, and ``start`` sees that all processes
begin alike.
"""
