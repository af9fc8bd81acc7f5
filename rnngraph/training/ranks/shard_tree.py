"""Sum over a batch's shards, in an order that does not depend on the number of processes.

Shards are leaves of a binary tree: 0 and 1 are added, 2 and 3, then these two sums, and so on. A left node without a
right one moves up unchanged. A process has neighbouring shards. It adds the nodes whose leaves are all its own. Above
these nodes, the right sum is sent to the process that has the left sum. Rank 0 gets the total and sends it to all.
Each of ``log2(ranks)`` levels needs one message in each direction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .packed import Packed, Packing
from .ranks import Ranks


class ShardTree:
    """Binary tree of sums over ``shards`` leaves. ``own_shards`` are the leaves of this process."""

    def __init__(self, shards: int, ranks: Ranks) -> None:
        self.shards, self._ranks = shards, ranks
        self._bounds = [rank * shards // ranks.size for rank in range(ranks.size + 1)]
        self.own_shards = range(self._bounds[ranks.rank], self._bounds[ranks.rank + 1])
        self._owners = [rank for rank in range(ranks.size) for _ in range(self._bounds[rank], self._bounds[rank + 1])]

    def add(self, leaves: Iterable[tuple[int, Packed]], count: int, packing: Packing, total: Packed) -> None:
        """Add up the values of all shards of a batch, in a fixed order, and write the sum to ``total`` on all ranks.

        Args:
            leaves: (shard, values) for the ``own_shards`` that have rows, in order. Values are read before the next
                pair is requested.
            count: Number of shards that have rows, on all ranks. They are the first shards.
            packing: Places of the values.
            total: Result.
        """
        sums: dict[tuple[int, int], Packed] = {}  # by level and position
        for shard, leaf in leaves:
            value, level, place = leaf, 0, shard
            while place % 2 and (level, place - 1) in sums:
                left = sums.pop((level, place - 1))
                left.add(value)
                if value is not leaf:
                    packing.give_back(value)
                value, level, place = left, level + 1, place // 2
            if value is leaf:
                value = packing.room()
                value.take(leaf)
            sums[level, place] = value
        for height, first, second in self._joints(count):
            self._join(sums, height, first, second, packing)
        if self._ranks.is_first:
            (root,) = sums.values()
            total.take(root)
            packing.give_back(root)
        self._ranks.share(total.whole)

    def _joints(self, count: int) -> Iterator[tuple[int, int, int | None]]:
        """Yield (level, left, right) for each sum, lower levels first; right may be None."""
        level, nodes = 0, count
        while nodes > 1:
            for left in range(0, nodes, 2):
                yield level, left, left + 1 if left + 1 < nodes else None
            level, nodes = level + 1, (nodes + 1) // 2

    def _join(
        self, partial_sums: dict[tuple[int, int], Packed], level: int, left: int, right: int | None, packing: Packing
    ) -> None:
        """Add the sums of two neighbouring tree nodes, on the rank that has the left one."""
        rank, above = self._ranks.rank, (level + 1, left // 2)
        owner = self._owners[left << level]
        sender = owner if right is None else self._owners[right << level]
        if rank == sender != owner and right is not None:
            sent = partial_sums.pop((level, right))
            self._ranks.send(sent.whole, owner)
            packing.give_back(sent)
        if rank != owner or (level, left) not in partial_sums:  # already added if this rank has all of its leaves
            return
        value = partial_sums.pop((level, left))
        if right is not None:
            if sender == owner:
                other = partial_sums.pop((level, right))
            else:
                other = packing.room()
                self._ranks.receive(other.whole, sender)
            value.add(other)
            packing.give_back(other)
        partial_sums[above] = value
