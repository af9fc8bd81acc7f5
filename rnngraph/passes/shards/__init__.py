"""Sharding of a batch by rows. Losses and gradients of the shards add up to those of the batch.

``kinds`` classifies values as replicated, sharded or partial sums. ``shard`` builds the graph of a shard.
"""
