"""Training over processes: ``ranks`` is what processes agree on, ``shard_tree`` adds up what shards of a batch give in
one order, ``packed`` holds that in few arrays, and ``sharded_stepper`` makes steps of it.
"""
