"""Scans beside each other: which scans' steps one loop body runs together, and by how many chunks one is behind.

A step of few units waits for the step before it far longer than the processor is busy with it. Scans that don't need
each other within a chunk of time fill each other's waits: branches, both directions, and the layers of a stack, each a
chunk behind the one that it reads. Estimates decide what runs together, and never change what is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

from ...ir.graph import Node
from ...ir.node import DIVISION, DRAW
from ...ir.ops import OPS
from ...ir.scan import ScanParts, step_condition
from ...ir.types import ITEM_BYTES, Dim
from ..analysis.chunk_needs import Needs
from ..analysis.kernel_fusion import Kernel
from ..analysis.node_kinds import is_view
from ..machine.target import Target
from .chunk_length import LONGEST_CHUNK, TimeChunk
from .register_tiles import FMA_LATENCY, OPEN_ROWS, accumulators, lanes_for
from .work_sharing import LONG_OPS, ONE_WORKER, WorkSharing, per_chunk_overhead

MOST_LAG = 12
"""Chunks that the last kernels may be behind the first: so many turns are written out before the loop."""
PAYS = 1.1
"""How many times as fast steps beside each other have to be, as estimated."""
MOST_BUSY = 2.0
"""More scans than keep the processor busy for so many times the longest wait are not put beside each other."""
LONG_LATENCY, DIVISION_LATENCY, MEMORY_LATENCY = 70.0, 13.0, 12.0
"""Cycles until a polynomial, a quotient, or what was written to memory can be read."""
LOADED_BYTES = 64.0
"""Bytes of weights a cycle: a lone row's multiply-add takes them from the first cache."""
CACHE_SHARE = 0.875
"""How much of the first cache the weights of scans beside each other may take."""
LOOK_AHEAD = 128.0
"""Cycles of steps that a processor looks ahead. Longer ones are interleaved statement by statement."""
FEWEST = 12
"""Steps of a chunk where one scan is a chunk behind another: few, since the first and the last chunks of a scan run
alone. Up to twice as many where tiles of products then cover them without a rest, and twice that where each chunk has
an overhead.
"""

Phase = tuple[int, int]
"""By how many chunks of time a kernel is behind the first ones, and its place in a turn: scans that run beside each
other have an odd one, of their own, all other kernels an even one.
"""


class LoopKernels(NamedTuple):
    """A loop over chunks of time. needs: of its kernels within a chunk. longest: steps of a chunk if it runs alone."""

    kernels: Sequence[Kernel]
    needs: Sequence[Needs]
    longest: int


@dataclass(frozen=True)
class InterleavingPlan:
    """Loops over chunks of time that are one loop, whose scans run beside each other.

    phases: of the kernels of each loop. steps: of a chunk. depths: of each loop how many buffers there are for what
    a chunk hands on. by_statement: places in a turn of scans whose statements are interleaved. gains: by place,
    as estimated.
    """

    phases: tuple[tuple[Phase, ...], ...]
    steps: int
    depths: tuple[int, ...]
    by_statement: frozenset[int]
    gains: Mapping[int, float]

    @cached_property
    def last(self) -> int:
        """By how many chunks the last kernels are behind the first ones."""
        return max(lag for phases in self.phases for lag, _ in phases)


@dataclass(frozen=True)
class StepCost:
    """Estimates of a scan's step, in cycles. waits: from the values that it takes to those that it carries on. busy:
    that it keeps the processor's units, if nothing waits. weight_bytes: that it reads.
    """

    waits: float
    busy: float
    weight_bytes: int


def may_pay(target: Target, scans: Sequence[Node]) -> bool:
    """Whether some of these scans may run beside each other. A processor without vectors is taken for one that runs
    instructions in their order; blocks of steps that are computed again run by themselves.
    """
    if any((scan.get("keeps"), scan.get("blocks")) != (None, None) for scan in scans):
        return False
    return len(scans) > 1 and target.lanes(4) > 1 and bool(_batches(target, _costs(target, scans)))


def plan_interleaving(target: Target, loops: Sequence[LoopKernels], length: Dim) -> InterleavingPlan | None:
    """How loops over chunks of one time axis, which don't need each other, run as one; None where that doesn't pay."""
    scans = [kernel.first for loop in loops for kernel in loop.kernels if kernel.kind == "scan"]
    costs = _costs(target, scans)
    batches = _batches(target, costs)
    if not batches:
        return None
    batch_of = {scan: number for number, batch in enumerate(batches) for scan in batch}
    phases = [_phases(loop.kernels, loop.needs, batch_of) for loop in loops]
    if max(lag for places in phases for lag, _ in places) > MOST_LAG:
        return None
    steps = min(loop.longest for loop in loops)
    if any(lag for places in phases for lag, _ in places):
        steps = min(steps, _grain(target, [kernel for loop in loops for kernel in loop.kernels], length))
        if isinstance(length, int) and length <= 2 * steps:
            return None
    busy = [sum(costs[scan].busy for scan in batch) for batch in batches]
    return InterleavingPlan(
        tuple(map(tuple, phases)),
        steps,
        tuple(_depth(places, loop.needs) for places, loop in zip(phases, loops, strict=True)),
        frozenset(2 * number + 1 for number, cycles in enumerate(busy) if cycles > LOOK_AHEAD),
        {2 * number + 1: _gain([costs[scan] for scan in batch]) for number, batch in enumerate(batches)},
    )


def _costs(target: Target, scans: Sequence[Node]) -> dict[Node, StepCost]:
    """Of the scans of which every step runs, if turns of their loops are not settled."""
    plain = [scan for scan in scans if step_condition(scan) is None and scan.get("unroll", 1) == 1]
    return {scan: step_cost(target, scan) for scan in plain}


def step_cost(target: Target, scan: Node) -> StepCost:
    """Estimates of a step, by the ops of a scan's body."""
    body, ready = scan["body"], dict[Node, float]()
    busy, weight_bytes = 0.0, 0
    for node in body.nodes:
        found = [ready[item] for item in node.operands if item in ready]
        if node in body.inputs[: scan["carries"]]:
            ready[node] = 0.0
        elif found:
            ready[node] = max(found) + _latency(target, node)
        if node.op in ("input", "constant") or is_view(node):
            continue
        lanes = lanes_for(target, [node], node.shape[-1] if node.tensor.rank else 1)
        shape = [dim if isinstance(dim, int) else OPEN_ROWS for dim in node.shape] or [1]
        vectors = prod(shape[:-1]) * -(-shape[-1] // lanes)
        row = OPS[node.op]
        if node.op == "matmul":
            weights = node.operands[1]
            vector_bytes = _extent(weights.shape[-2]) * lanes * ITEM_BYTES[weights.dtype]
            busy += vectors * vector_bytes / LOADED_BYTES
            weight_bytes += -(-shape[-1] // lanes) * vector_bytes
        else:
            busy += vectors * (5 * LONG_OPS if row.cost == DRAW else LONG_OPS if row.is_long else 1.0)
    return StepCost(
        max((ready.get(carry.next, 0.0) for carry in ScanParts.of(scan).carries), default=0.0), busy, weight_bytes
    )


def _latency(target: Target, node: Node) -> float:
    row = OPS[node.op]
    if node.op == "matmul":
        depth, width = node.operands[1].shape[-2:]
        sums = accumulators(target, depth, width)
        return MEMORY_LATENCY + FMA_LATENCY * (_extent(depth) / sums + sums - 1)
    if row.is_long:
        return LONG_LATENCY
    return DIVISION_LATENCY if row.cost == DIVISION else 0.0 if is_view(node) else FMA_LATENCY


def _extent(dim: Dim) -> int:
    return dim if isinstance(dim, int) else OPEN_ROWS


def _batches(target: Target, costs: Mapping[Node, StepCost]) -> list[list[Node]]:
    """Neighbours that run beside each other: as many as share the first cache, and wait."""
    found: list[list[Node]] = []
    for scan in costs:
        wider = [costs[item] for item in (*(found[-1] if found else ()), scan)]
        fits = sum(cost.weight_bytes for cost in wider) <= CACHE_SHARE * target.first_cache
        waits = sum(cost.busy for cost in wider) <= MOST_BUSY * max(cost.waits for cost in wider)
        if found and fits and waits:
            found[-1].append(scan)
        else:
            found.append([scan])
    return [batch for batch in found if len(batch) > 1 and _gain([costs[scan] for scan in batch]) >= PAYS]


def _gain(costs: Sequence[StepCost]) -> float:
    """How many times as fast steps are beside each other as one after the other."""
    beside = max(*(cost.waits for cost in costs), sum(cost.busy for cost in costs))
    return sum(max(cost.waits, cost.busy) for cost in costs) / beside if beside else 1.0


def _phases(kernels: Sequence[Kernel], needs: Sequence[Needs], batch_of: Mapping[Node, int]) -> list[Phase]:
    """The first place of each kernel that is behind all that it needs of the same chunk."""
    found: list[Phase] = []
    for kernel, needed in zip(kernels, needs, strict=True):
        lag, place = max((found[number] for number in needed), default=(0, 0))
        if kernel.first in batch_of:
            own = 2 * batch_of[kernel.first] + 1
            found.append((lag + (place >= own), own))
        else:
            found.append((lag, place + place % 2))
    return found


def _depth(phases: Sequence[Phase], needs: Sequence[Needs]) -> int:
    """How many buffers what a chunk hands on needs: nothing is overwritten that is still read."""
    found = 1
    for (lag, place), needed in zip(phases, needs, strict=True):
        for lag_before, place_before in (phases[number] for number in needed):
            found = max(found, lag - lag_before + (place >= place_before))
    return found


def _grain(target: Target, kernels: Sequence[Kernel], length: Dim) -> int:
    """Steps of a chunk."""
    sharing = WorkSharing(target, ONE_WORKER, TimeChunk(length, 0, 0, False, LONGEST_CHUNK))
    tiles = [sharing.tile_steps(kernel) for kernel in kernels]
    grain = min(range(FEWEST, 2 * FEWEST), key=lambda steps: (sum(steps % tile for tile in tiles) / steps, steps))
    return 2 * grain if any(map(per_chunk_overhead, kernels)) else grain
