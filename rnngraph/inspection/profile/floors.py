"""Minimum time of a kernel on this machine, and a text that names its bottleneck.

The floor is the larger of computing time and memory time. Computing time is that of multiply-adds and elementwise ops
at their rates, one after another. Weights count at the bandwidth of the smallest cache that holds one step's weights,
other data at that of the smallest level that holds it. The remaining time is latency, or in short kernels loop
overhead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...codegen.cost_model.register_tiles import FMA_LATENCY
from ...codegen.schedule.emit.ticks import Timed
from ...ir.graph import Node
from ...ir.node import INSTRUCTION
from ...ir.ops import OPS
from .limits import Limits
from .work import Work

MULTIPLYING = "multiply-adds"
FAR = 1.5
"""Ratio of time to floor above which the floor does not explain the time, so that another bottleneck is named."""
SHORT = 0.5e-6
"""Maximum seconds of a run in which starts and ends of loops matter."""


@dataclass(frozen=True)
class Floor:
    """Minimum seconds of a call, with their ``terms`` by name, and ``costs`` of each node in one run."""

    seconds: float
    terms: Mapping[str, float]
    costs: Mapping[Node, float]

    @property
    def largest(self) -> str:
        """Name of the largest term, the bound of a kernel at its floor; "" without any term."""
        return max(self.terms, key=self.terms.__getitem__, default="")


def floor_of(work: Work, limits: Limits, step_weights: int, chunked: bool) -> Floor:
    """Return the minimum seconds that a kernel's arithmetic and memory traffic take on this machine.

    Args:
        step_weights: Bytes that are read between two reads of the same weights.
        chunked: True if the loop runs in chunks of steps, whose data fit in a cache.
    """
    costs: dict[Node, float] = {}
    products = functions = arithmetic = 0.0
    streamed = work.weights / limits.read(step_weights) if work.weights else 0.0
    for item in work.products:
        seconds = item.flops / (limits.flops(_float(item.node)) * item.dot_width)
        products += seconds
        weights = item.weights / work.weights * streamed if work.weights else 0.0
        costs[item.node] = max(seconds, weights / max(work.share, 1e-9))
    for node, count in work.elements:
        op = node.op if OPS[node.op].kind == "elementwise" else "add"
        seconds = count * limits.seconds(op, _float(node))
        if _is_function(op):
            functions += seconds
        else:
            arithmetic += seconds
        costs[node] = costs.get(node, 0.0) + seconds
    working_set = min(work.moved, limits.target.second_cache) if chunked else work.moved
    moved = work.moved / limits.read(working_set) if work.moved else 0.0
    computing = {
        MULTIPLYING: work.times * products,
        _functions(work): work.times * functions,
        "elementwise arithmetic": work.times * arithmetic,
    }
    moving = {
        f"weights stream from {limits.level(step_weights)}": work.runs * streamed,
        f"reads and writes, {limits.level(working_set)}": work.times * moved,
    }
    longer = max(computing, moving, key=lambda terms: sum(terms.values()))
    return Floor(sum(longer.values()), {words: seconds for words, seconds in longer.items() if seconds}, costs)


def bound_of(floor: Floor, seconds: float, work: Work, timed: Timed, limits: Limits) -> str:
    """Return a kernel's bottleneck in words, given the ``seconds`` that it takes in a call."""
    if not floor.terms:
        return "moves values" if timed.nodes else ""
    each = seconds / max(1.0, work.times)
    if seconds <= FAR * floor.seconds:
        return floor.largest
    busy, wait = _cycles_of_sums(timed, limits)
    longer = floor.seconds + floor.terms.get(MULTIPLYING, 0.0) * (wait / busy - 1)
    if wait > 1.25 * busy and seconds <= FAR * longer:
        return f"waits for sums: {wait - busy:.2g} of {wait:.2g} cycles"
    if timed.scan is not None:
        clock, least = limits.clock, floor.seconds / max(1.0, work.times)
        return f"waits for the step before: {(each - least) * clock:.0f} of {each * clock:.0f} cycles"
    if each < SHORT:
        return f"short: {each * 1e9:.0f} ns"
    return floor.largest


def _cycles_of_sums(timed: Timed, limits: Limits) -> tuple[float, float]:
    """Return (cycles to issue the multiply-adds of one ``k`` of a register tile, cycles until their sums are ready)."""
    products = None if timed.plan is None else timed.plan.products
    if products is None:
        return 1.0, 1.0
    tile, split = products.tile, max(item.accumulators for item in products.contractions)
    columns = tile.blocks * max(len(item.products) for item in products.contractions)
    a_vector = 2.0 * limits.target.lanes(4) / limits.flops()
    busy = tile.rows * columns * a_vector * limits.clock
    return busy, max(busy, FMA_LATENCY / split)


def _functions(work: Work) -> str:
    """Return the elementary functions of a kernel as text, such as ``functions: exp, tanh``."""
    names = dict.fromkeys(node.op for node, _ in work.elements if _is_function(node.op))
    return f"functions: {', '.join(names)}" if names else "functions"


def _is_function(op: str) -> bool:
    """True if an op takes longer than an instruction."""
    return OPS[op].cost != INSTRUCTION


def _float(node: Node) -> str:
    """Return the float dtype whose measured rate applies to a node."""
    return node.dtype if node.dtype == "float64" else "float32"
