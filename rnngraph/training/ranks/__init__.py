"""Training over several processes.

``exchange`` sends values between processes, ``ranks`` makes them agree, ``packed`` puts values in few arrays,
``shard_tree`` adds up results of a batch's shards in a fixed order, ``shard_variant`` computes them,
``sharded_stepper`` splits batches into shards and makes steps of them, and ``start`` gives all processes the same
initial state.
"""
