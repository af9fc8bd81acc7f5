"""The tree of shards: one order of sums for any number of processes, and no process waits for a missing message."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rnngraph.support.errors import ArgumentError, RanksError
from rnngraph.training.ranks.exchange import Exchange
from rnngraph.training.ranks.packed import Packed, Packing
from rnngraph.training.ranks.ranks import Ranks
from rnngraph.training.ranks.shard_tree import ShardTree

WAIT = 20


class World:
    """Threads as processes of a communicator, with the subset of mpi4py's methods in use."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.queues: dict[tuple[int, int], Queue[Any]] = {(a, b): Queue() for a in range(size) for b in range(size)}

    def run(self, function: Any) -> list[Any]:
        """Return the results of a function of a communicator on each rank, or the errors that it raises."""
        results: list[Any] = [None] * self.size

        def target(rank: int) -> None:
            try:
                results[rank] = function(Comm(self, rank))
            except Exception as error:
                results[rank] = error

        threads = [threading.Thread(target=target, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


class Comm:
    """Communicator of one rank. ``chain``: current length of the chain of dependent messages."""

    def __init__(self, world: World, rank: int) -> None:
        self._world, self._rank = world, rank
        self.chain = 0

    def Get_rank(self) -> int:
        return self._rank

    def Get_size(self) -> int:
        return self._world.size

    def Dup(self) -> Comm:
        return self

    def Send(self, array: np.ndarray, dest: int) -> None:
        self._world.queues[self._rank, dest].put((array.copy(), self.chain))
        self.chain += 1

    def Recv(self, array: np.ndarray, source: int) -> None:
        array[...], chain = self._world.queues[source, self._rank].get(timeout=WAIT)
        self.chain = max(self.chain, chain) + 1

    def bcast(self, value: Any, root: int) -> Any:
        if self._rank == root:
            for other in range(self._world.size):
                self._world.queues[root, other].put(value)
        return self._world.queues[root, self._rank].get(timeout=WAIT)

    def Bcast(self, array: np.ndarray, root: int) -> None:
        array[...] = self.bcast(array.copy() if self._rank == root else None, root)

    def allgather(self, value: Any) -> list[Any]:
        for other in range(self._world.size):
            self._world.queues[self._rank, other].put(value)
        return [self._world.queues[other, self._rank].get(timeout=WAIT) for other in range(self._world.size)]


def in_order(values: list[np.ndarray]) -> np.ndarray:
    """Return the documented sum: pairs of neighbours, level by level; an odd last value moves up unchanged."""
    while len(values) > 1:
        pairs = [values[place : place + 2] for place in range(0, len(values), 2)]
        values = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
    return values[0]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("shards", "used"), [(8, 8), (8, 5), (13, 13), (17, 1), (25, 24)])
def test_sums_are_in_one_order_on_any_number_of_ranks(size: int, shards: int, used: int) -> None:
    values = np.random.default_rng(shards).normal(size=(used, 7)).astype(np.float32)
    integers = np.arange(used, dtype=np.int64)
    expected = in_order([*values])
    packing = Packing({"a": ((7,), np.dtype("float32")), "b": ((), np.dtype("int64"))})

    def add(comm: Any) -> Packed:
        tree = ShardTree(shards, Ranks(comm if size > 1 else None))
        leaf, total = packing.make(), packing.make()

        def leaves() -> Iterator[tuple[int, Packed]]:
            for shard in tree.own_shards:
                if shard < used:
                    leaf.views["a"][...], leaf.views["b"][...] = values[shard], integers[shard]
                    yield shard, leaf

        tree.add(leaves(), used, packing, total)
        return total

    for total in World(size).run(add):
        assert_array_equal(total.views["a"], expected)
        assert total.views["b"] == integers.sum()


@pytest.mark.parametrize(
    ("size", "shards", "longest"),
    [
        (1, 8, 0),
        (2, 8, 1),
        (3, 3, 2),
        (3, 8, 4),
        (3, 12, 2),
        (4, 4, 2),
        (4, 8, 2),
        (5, 5, 3),
        (8, 8, 3),
        (8, 32, 3),
    ],
)
def test_the_number_of_consecutive_messages_equals_the_models(size: int, shards: int, longest: int) -> None:
    """The chain of dependent messages is as long as the docs say: one for each level between processes."""
    packing = Packing({"a": ((1,), np.dtype("float32"))})

    def add(comm: Any) -> int:
        tree = ShardTree(shards, Ranks(comm if size > 1 else None))
        leaf = packing.make()
        tree.add(((shard, leaf) for shard in tree.own_shards), shards, packing, packing.make())
        return int(comm.chain)

    assert World(size).run(add)[0] == longest


def test_an_error_of_one_rank_is_everyones() -> None:
    def work(comm: Any) -> None:
        with Ranks(comm).raise_together():
            if comm.Get_rank() == 1:
                raise ValueError("no such file")

    first, second, third = World(3).run(work)
    assert isinstance(second, ValueError)
    for error in (first, third):
        assert isinstance(error, RanksError)
        assert "rank 1 failed" in str(error)
        assert "no such file" in str(error)


def test_a_rank_that_has_left_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "Is_finalized", lambda: False, raising=False)

    def work(comm: Any) -> list[str]:
        one, other = Ranks(comm), Ranks(comm)
        if comm.Get_rank() == 1:
            Exchange.of(comm).leave()
            return []
        results = []
        for ranks in (other, one, other):
            with pytest.raises(RanksError) as error:
                ranks.exchanged(1)
            results.append(str(error.value))
        return results

    first, second, third = World(3).run(work)
    assert second == []
    assert first == third
    assert all("rank 1 failed, and the others stop with it: its script has ended" in text for text in first)


def test_callbacks_of_one_rank_can_not_step_another_training() -> None:
    def work(comm: Any) -> None:
        one, other = Ranks(comm), Ranks(comm)
        one.agreed(lambda: other.exchanged(1))

    errors = World(3).run(work)
    assert all(
        isinstance(error, RanksError) and "runs on rank 0 only, so it can't make a step" in str(error)
        for error in errors
    )


def test_results_of_rank_0_apply_to_all() -> None:
    assert World(3).run(lambda comm: Ranks(comm).agreed(lambda: comm.Get_rank())) == [0, 0, 0]

    def fails(comm: Any) -> Any:
        return Ranks(comm).agreed(lambda: 1 / comm.Get_rank())

    first, *others = World(3).run(fails)
    assert isinstance(first, ZeroDivisionError)
    assert all(isinstance(error, RanksError) and "ZeroDivisionError" in str(error) for error in others)


def test_values_that_differ_are_refused_by_all() -> None:
    errors = World(3).run(lambda comm: Ranks(comm).check_same(comm.Get_rank() // 2, "rank {rank} has {other}", None))
    assert all(isinstance(error, ArgumentError) and "rank 2 has 1" in str(error) for error in errors)
