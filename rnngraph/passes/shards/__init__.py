"""Sharding of a batch by rows, so that the shards' losses and gradients add up.

``kinds`` classifies values as replicated, sharded or partial. ``shard`` makes the graph.
"""
