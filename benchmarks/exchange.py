"""Measure the time to add gradients over MPI processes, and compare it with the model of docs/many_machines.md.

    mpiexec -n 2 python benchmarks/exchange.py [--shards 8] [--rounds 50]

Rank 0 prints a line for each size of gradients. The model's parameters are measured in the same run: between ranks 0
and 1, the seconds of a message of 8 bytes, and the bytes per second of a message of each size; and the speed at which
one process adds two arrays of each size. Waiting processes spin, so run no more processes than the machine has cores.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from mpi4py import MPI

from rnngraph.training.ranks.packed import Packed, Packing
from rnngraph.training.ranks.ranks import Ranks
from rnngraph.training.ranks.shard_tree import ShardTree

SIZES = 4_000, 40_000, 400_000, 4_000_000, 40_000_000
WORLD = MPI.COMM_WORLD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    processes, ranks = WORLD.Get_size(), Ranks(WORLD)
    tree = ShardTree(options.shards, ranks)
    latency = message_seconds(8, options.rounds)
    if ranks.is_first:
        print(f"{processes} processes, {options.shards} shards; a message of 8 bytes takes {latency * 1e6:.1f} µs")
        print("| gradients | measured | model | of it messages | additions | GB/s of a message |")
        print("|---|---|---|---|---|---|")
    for size in SIZES:
        packing = Packing({"gradients": ((size // 4,), np.dtype("float32"))})
        leaf, total = packing.make(), packing.make()
        measured = seconds(partial(added, tree, leaf, packing, total), options.rounds)
        one_way = message_seconds(size, options.rounds) if processes > 1 else 0.0
        one_sum = seconds(partial(total.add, leaf), options.rounds)
        levels = math.ceil(math.log2(processes))
        messages = 2 * levels * one_way
        mine = math.ceil(options.shards / processes)
        additions = (math.ceil(mine / 2) + mine + levels) * one_sum  # every second leaf is copied, and the sum too
        if ranks.is_first:
            rate = f"{size / (one_way - latency) / 1e9:.1f}" if one_way > latency else ""
            print(
                f"| {size / 1e6:g} MB | {measured * 1e3:.3f} ms | {(messages + additions) * 1e3:.3f} ms "
                f"| {messages * 1e3:.3f} ms | {additions * 1e3:.3f} ms | {rate} |"
            )


def added(tree: ShardTree, leaf: Packed, packing: Packing, total: Packed) -> None:
    tree.add(((shard, leaf) for shard in tree.own_shards), tree.shards, packing, total)


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median seconds of ``work`` over rounds that begin at the same time in all processes."""
    times = []
    for _ in range(rounds):
        WORLD.Barrier()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def message_seconds(size: int, rounds: int) -> float:
    """Return half of the seconds of a message's round trip from rank 0 to 1 and back; the same value on all ranks."""
    array, took = np.zeros(size, np.uint8), 0.0
    if WORLD.Get_size() > 1:
        for _ in range(3):
            took = seconds(lambda: there_and_back(array), rounds) / 2
    return float(WORLD.bcast(took, root=0))


def there_and_back(array: np.ndarray) -> None:
    if WORLD.Get_rank() == 0:
        WORLD.Send(array, dest=1)
        WORLD.Recv(array, source=1)
    elif WORLD.Get_rank() == 1:
        WORLD.Recv(array, source=0)
        WORLD.Send(array, dest=0)


if __name__ == "__main__":
    main()
