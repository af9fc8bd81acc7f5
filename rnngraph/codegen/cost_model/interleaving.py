"""Interleaving: steps of independent scans run alternately in one loop, so that each hides the other's latency.

A step of few units waits for the previous step much longer than it keeps the processor busy. Scans that do not depend
on each other within a chunk of time hide each other's latency. Examples are branches, both directions, and the layers
of a stack, each of which runs one chunk behind the previous layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import prod

from ...ir.graph import Node
from ...ir.node import DIVISION, DRAW
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.scan import ScanParts, step_condition
from ...ir.types import ITEM_BYTES, Dim
from ...support.records import NamedTuple, dataclass
from ..analysis.chunk_needs import Needs
from ..analysis.kernel_fusion import Kernel
from ..analysis.node_kinds import is_view
from ..machine.target import Target
from .chunk_length import MAX_CHUNK, TimeChunk
from .register_tiles import FMA_LATENCY, OPEN_ROWS, accumulators, lanes_for
from .work_sharing import LONG_OPS, ONE_WORKER, WorkSharing, per_chunk_overhead

MAX_LAG = 12
"""Maximum lag of a kernel behind the first one, in chunks. The loop's prologue has one unrolled iteration per chunk."""
PAYS = 1.1
"""Minimum estimated speedup for interleaving."""
MAX_BUSY = 2.0
"""Maximum total busy time of interleaved scans, as a multiple of the longest latency of one of them."""
LONG_LATENCY, DIVISION_LATENCY, MEMORY_LATENCY = 70.0, 13.0, 12.0
"""Latency in cycles of an elementary function, a division, and a load after a store."""
LOADED_BYTES = 64.0
"""Bytes of weights per cycle that multiply-adds of a single row load from L1."""
CACHE_SHARE = 0.875
"""Maximum share of L1 for the weights of interleaved scans."""
LOOK_AHEAD = 128.0
"""Cycles of work in the processor's out-of-order window.

If one step of all scans of a batch keeps the processor busy for longer, they are interleaved statement by statement.
"""
MIN_STEPS = 12
"""Minimum steps of a chunk. Chunks are short, because the first and last chunks of scans with different lags run alone.

A chunk has up to twice as many steps if that avoids remainder tiles of products. The result is doubled if each chunk
loads and stores sums over time.
"""

Phase = tuple[int, int]
"""(lag, position): chunks by which a kernel runs behind the first kernel, and the kernel's position in an iteration.

Batches of interleaved scans have odd positions, and other kernels have even positions.
"""


class LoopKernels(NamedTuple):
    """Kernels of a loop over chunks of time.

    Attributes:
        kernels: Kernels, in order.
        needs: Dependencies between the kernels within a chunk.
        longest: Maximum steps of a chunk without interleaving.
    """

    kernels: Sequence[Kernel]
    needs: Sequence[Needs]
    longest: int


@dataclass(frozen=True)
class InterleavingPlan:
    """Plan for several loops over chunks of time that run as one, with interleaved scans.

    Attributes:
        phases: For each loop, the (lag, position) of each kernel.
        steps: Steps of a chunk.
        depths: For each loop, the number of chunks whose values have buffers at the same time.
        by_statement: Positions of batches that are interleaved statement by statement.
        gains: Estimated speedup of each batch of interleaved scans, by position.
    """

    phases: tuple[tuple[Phase, ...], ...]
    steps: int
    depths: tuple[int, ...]
    by_statement: frozenset[int]
    gains: Mapping[int, float]

    @cached_property
    def last(self) -> int:
        """Maximum lag in chunks."""
        return max(lag for phases in self.phases for lag, _ in phases)


@dataclass(frozen=True)
class StepCost:
    """Estimates for a scan's step.

    Attributes:
        waits: Latency in cycles from the carries to their next values.
        busy: Cycles in which the processor's execution units are busy.
        weight_bytes: Bytes of weights that the step reads.
    """

    waits: float
    busy: float
    weight_bytes: int


def may_pay(target: Target, scans: Sequence[Node]) -> bool:
    """True if some of these scans are probably faster if interleaved.

    Targets without vectors are assumed to execute instructions in order, so that interleaving saves nothing. Scans that
    save carries before blocks of steps, or recompute blocks, are not interleaved.
    """
    if any((scan.get("keeps"), scan.get("blocks")) != (None, None) for scan in scans):
        return False
    return len(scans) > 1 and target.lanes(4) > 1 and bool(_batches(target, _costs(target, scans)))


def plan_interleaving(target: Target, loops: Sequence[LoopKernels], length: Dim) -> InterleavingPlan | None:
    """Return a plan that alternates steps of independent scans of one or several time loops; None if that does not pay.

    Return None also if a kernel would lag more than ``MAX_LAG`` chunks. If scans have different lags,
    a sequence of known length must have more than two chunks.
    """
    scans = [kernel.first for loop in loops for kernel in loop.kernels if kernel.kind == "scan"]
    costs = _costs(target, scans)
    batches = _batches(target, costs)
    if not batches:
        return None
    batch_of = {scan: number for number, batch in enumerate(batches) for scan in batch}
    phases = [_phases(loop.kernels, loop.needs, batch_of) for loop in loops]
    if max(lag for places in phases for lag, _ in places) > MAX_LAG:
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
    """Return {scan: cost of a step}, for scans that can be interleaved: those without conditional or unrolled steps."""
    plain = [scan for scan in scans if step_condition(scan) is None and scan.get("unroll", 1) == 1]
    return {scan: step_cost(target, scan) for scan in plain}


def step_cost(target: Target, scan: Node) -> StepCost:
    """Return the estimated cost of a scan's step: its latency and busy time in cycles, and its bytes of weights."""
    body, ready = scan["body"], dict[Node, float]()
    busy, weight_bytes = 0.0, 0
    for node in body.nodes:
        operand_times = [ready[item] for item in node.operands if item in ready]
        if node in body.inputs[: scan["carries"]]:
            ready[node] = 0.0
        elif operand_times:
            ready[node] = max(operand_times) + _latency(target, node)
        if node.op in ("input", "constant") or is_view(node):
            continue
        lanes = lanes_for(target, [node], node.shape[-1] if node.tensor.rank else 1)
        shape = [dim if isinstance(dim, int) else OPEN_ROWS for dim in node.shape] or [1]
        vectors = prod(shape[:-1]) * -(-shape[-1] // lanes)
        row = OPS[node.op]
        if node.op in MATRIX_PRODUCTS:
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
    """Return the latency of an op in cycles."""
    row = OPS[node.op]
    if node.op in MATRIX_PRODUCTS:
        depth, width = node.operands[1].shape[-2:]
        sums = accumulators(target, depth, width)
        return MEMORY_LATENCY + FMA_LATENCY * (_extent(depth) / sums + sums - 1)
    if row.is_long:
        return LONG_LATENCY
    return DIVISION_LATENCY if row.cost == DIVISION else 0.0 if is_view(node) else FMA_LATENCY


def _extent(dim: Dim) -> int:
    """Return a size, or ``OPEN_ROWS`` for a symbolic size."""
    return dim if isinstance(dim, int) else OPEN_ROWS


def _batches(target: Target, costs: Mapping[Node, StepCost]) -> list[list[Node]]:
    """Return lists of scans to interleave: consecutive, latency-bound ones whose weights fit together in L1."""
    batches: list[list[Node]] = []
    for scan in costs:
        wider = [costs[item] for item in (*(batches[-1] if batches else ()), scan)]
        fits = sum(cost.weight_bytes for cost in wider) <= CACHE_SHARE * target.first_cache
        waits = sum(cost.busy for cost in wider) <= MAX_BUSY * max(cost.waits for cost in wider)
        if batches and fits and waits:
            batches[-1].append(scan)
        else:
            batches.append([scan])
    return [batch for batch in batches if len(batch) > 1 and _gain([costs[scan] for scan in batch]) >= PAYS]


def _gain(costs: Sequence[StepCost]) -> float:
    """Return the estimated speedup of interleaved steps."""
    interleaved_cycles = max(*(cost.waits for cost in costs), sum(cost.busy for cost in costs))
    return sum(max(cost.waits, cost.busy) for cost in costs) / interleaved_cycles if interleaved_cycles else 1.0


def _phases(kernels: Sequence[Kernel], needs: Sequence[Needs], batch_of: Mapping[Node, int]) -> list[Phase]:
    """Return the earliest (lag in chunks, position in the loop) at which each kernel can run, by its dependencies.

    Scans of batch n have position 2 n + 1. Other kernels have even positions, between the batches.
    """
    phases: list[Phase] = []
    for kernel, needed in zip(kernels, needs, strict=True):
        lag, place = max((phases[number] for number in needed), default=(0, 0))
        if kernel.first in batch_of:
            own_place = 2 * batch_of[kernel.first] + 1
            phases.append((lag + (place >= own_place), own_place))
        else:
            phases.append((lag, place + place % 2))
    return phases


def _depth(phases: Sequence[Phase], needs: Sequence[Needs]) -> int:
    """Return the minimum number of buffers with which no chunk's value is overwritten before it is read."""
    depth = 1
    for (lag, place), needed in zip(phases, needs, strict=True):
        for lag_before, place_before in (phases[number] for number in needed):
            depth = max(depth, lag - lag_before + (place >= place_before))
    return depth


def _grain(target: Target, kernels: Sequence[Kernel], length: Dim) -> int:
    """Return the number of steps of a chunk for which the smallest share of steps is in remainder tiles of products."""
    sharing = WorkSharing(target, ONE_WORKER, TimeChunk(length, 0, 0, False, MAX_CHUNK))
    tiles = [sharing.tile_steps(kernel) for kernel in kernels]
    grain = min(range(MIN_STEPS, 2 * MIN_STEPS), key=lambda steps: (sum(steps % tile for tile in tiles) / steps, steps))
    return 2 * grain if any(map(per_chunk_overhead, kernels)) else grain
