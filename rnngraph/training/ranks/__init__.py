"""Training over several processes.

- ``exchange``: sends values between processes.
- ``ranks``: agreement of processes on values and errors; ``start`` gives all the same initial state.
- ``packed``: values packed into few arrays.
- ``sharded_stepper``: splits batches into shards and runs steps on them.
- ``shard_variant``: computes the results of shards, and ``shard_tree`` adds them up in a fixed order.
"""
