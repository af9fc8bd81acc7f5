"""Converts counts of slots (pieces of code with their own counters) to kernels, layers, phases and lines.

Kernels are measured. If a kernel computes several lines or layers, its time is divided in proportion to the costs of
their ops, as ``floors`` estimates them; operations and bytes are counted op by op.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...codegen.analysis.node_kinds import label_of
from ...codegen.loop_ir.nodes import Buffer
from ...codegen.schedule.emit.ticks import COPY, PACK, TABLE, WAIT, WORK, Ticks, Timed
from ...ir.graph import Node, topological
from ...ir.node import INSTRUCTION
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...support.errors import Where
from .floors import Floor, bound_of, floor_of
from .limits import Limits
from .measure import Measured
from .work import Feeds, Sizes, Work, necessary, work_of

NO_LAYER, NO_LINE = "(no layer)", "(no line)"
LABELS_BY_KIND = {WAIT: "(waits)", PACK: "(packing)"}
"""Names of time outside layers, by kind of slot."""
BETWEEN = "(between kernels)"
OWNED = (WORK, COPY, TABLE, PACK)
"""Kinds of slots with lines and layers."""


@dataclass(frozen=True)
class Part:
    """Cost of a kernel, layer, phase or line of the script in an average call.

    Attributes:
        name: Name of the kernel, layer, phase or line.
        seconds: Seconds in native code, on average over the workers.
        share: Fraction of the seconds of the whole call.
        runs: Executions, such as one for each step; 0 for several kernels together.
        flops: Floating-point operations.
        bytes: Bytes read and written.
        floor: Minimum seconds on this machine with as many workers.
        bound: Bottleneck of the kernel, in words; for several kernels, the bottleneck of the longest one.
        estimated: True if the share is estimated by the cost model, not measured.
    """

    name: str
    seconds: float
    share: float
    runs: float
    flops: float
    bytes: float
    floor: float
    bound: str
    estimated: bool = False

    @property
    def gflops(self) -> float:
        """GFLOP/s; 0 without measured time."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """GB/s; 0 without measured time."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def over_floor(self) -> float:
        """Time divided by the floor; NaN if unknown."""
        return max(1.0, self.seconds / self.floor) if self.floor and self.seconds else float("nan")


@dataclass(frozen=True)
class Piece:
    """A kernel's part for one line of the script.

    Attributes:
        where: The line.
        share: Fraction of the kernel's time, by a model of cost.
        flops, bytes: Counts of a call.
    """

    where: Where | None
    share: float
    flops: float
    bytes: float


@dataclass(frozen=True)
class KernelPart(Part):
    """A kernel, and its ``pieces``, one for each line of the script."""

    kind: str = WORK
    pieces: tuple[Piece, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines of the script that the kernel computes, in descending order of time."""
        ordered = sorted(self.pieces, key=lambda piece: -piece.share)
        return tuple(dict.fromkeys(str(piece.where) for piece in ordered if piece.where is not None))

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that the kernel computes, in descending order of time."""
        ordered = sorted(self.pieces, key=lambda piece: -piece.share)
        return tuple(dict.fromkeys(layer_of(self, piece.where) for piece in ordered))

    @property
    def phases(self) -> tuple[str, ...]:
        """Distinct ``forward``, ``backward`` and ``update`` of its pieces; names in parentheses for other time."""
        return tuple(dict.fromkeys(phase_of(self, piece.where) for piece in self.pieces))


def kernels_of(
    ticks: Ticks, measured: Measured, sizes: Sizes, feeds: Feeds, limits: Limits, arrays: Collection[Buffer]
) -> tuple[KernelPart, ...]:
    """Return time, work and lines of each kernel or other timed slot that ran, in execution order.

    Flops and bytes follow from ``sizes`` and ``feeds``; seconds and shares are measured. ``arrays`` are buffers of the
    caller.
    """
    works = [work_of(timed, sizes, feeds) for timed in ticks.timed]
    floors = []
    # kernels that sample a scan's steps come before the scan
    order = sorted(range(len(works)), key=lambda number: ticks.timed[number].whole is None)
    needed = dict(zip(order, necessary((works[number] for number in order), arrays), strict=True))
    for number, timed in enumerate(ticks.timed):
        work = needed[number]
        weights = sum(other.weights for at, other in enumerate(works) if _is_same_step(ticks, number, at))
        floors.append(floor_of(work, limits, weights, timed.chunked))
    outer = measured.seconds[[number for number, timed in enumerate(ticks.timed) if timed.whole is None]]
    workers = (float(outer.sum()) or 1.0) / (float(outer[:, 0].sum()) or 1.0)  # average number of busy workers
    users, kernels = lines_of_users(ticks), []
    for number, share in _shares(ticks, measured, floors).items():
        timed, work, floor = ticks.timed[number], works[number], floors[number]
        seconds = share * measured.native
        runs = work.runs if timed.scan is not None else float(measured.times[number].sum())
        kernels.append(
            KernelPart(
                name_of(timed),
                seconds,
                share,
                runs,
                work.flops,
                work.bytes,
                floor.seconds / workers,
                bound_of(floor, seconds * workers, work, timed, limits),
                False,
                timed.kind,
                tuple(pieces_of(timed, floor, work, users)),
            )
        )
    return tuple(kernels)


def _shares(ticks: Ticks, measured: Measured, floors: Sequence[Floor]) -> dict[int, float]:
    """Return {index of a timed slot that ran: its share of the time of all slots and workers}.

    Samples replace the scan whose steps they sample, and divide its time.
    """
    ran = [number for number, times in enumerate(measured.times.sum(1)) if times > 0]
    seconds = measured.seconds.sum(1)
    outer = [number for number in ran if ticks.timed[number].whole is None]
    shares: dict[int, float] = {}
    for number, share in zip(outer, _divided(outer, seconds, floors), strict=True):
        samples = [at for at in ran if ticks.timed[at].whole == number] or [number]
        for at, part in zip(samples, _divided(samples, seconds, floors), strict=True):
            shares[at] = share * part
    return dict(sorted(shares.items()))


def _divided(numbers: Sequence[int], seconds: np.ndarray, floors: Sequence[Floor]) -> Iterator[float]:
    """Yield each slot's share of the time of the slots ``numbers``.

    Slots shorter than one reading of the counter have no measured time. If all have none, floors divide the time.
    """
    weights = [float(seconds[number]) for number in numbers]
    if not any(weights):
        weights = [floors[number].seconds for number in numbers]
    if not any(weights):
        weights = [1.0] * len(numbers)
    yield from (weight / sum(weights) for weight in weights)


def _is_same_step(ticks: Ticks, one: int, other: int) -> bool:
    """True if two timed slots belong to one step of a scan, or are the same slot."""
    first, second = ticks.timed[one], ticks.timed[other]
    return one == other or (first.whole is not None and first.whole == second.whole)


def name_of(timed: Timed) -> str:
    """Return the name of a timed slot in tables: its products and functions, such as ``step: 2 products, tanh``."""
    if timed.kind != WORK or timed.plan is None:
        return timed.text.partition("  ")[0]
    nodes = timed.nodes
    count = sum(node.op in MATRIX_PRODUCTS for node in nodes)
    words = [f"{count} product{'s' * (count > 1)}"] if count else []
    words += dict.fromkeys(node.op for node in nodes if OPS[node.op].cost != INSTRUCTION)
    last = next((node for node in reversed(nodes) if node.name), nodes[-1])
    text = ", ".join(words) or (last.op if last.op == label_of(last) else f"{last.op} {label_of(last)}")
    return f"step: {text}" if timed.scan is not None else text


def lines_of_users(ticks: Ticks) -> dict[Node, Where]:
    """Return {value that an op reads: script line of the last op that reads it}."""
    lines: dict[Node, Where] = {}
    for node in reversed(topological(node for timed in ticks.timed for node in timed.nodes)):
        where = node.where or lines.get(node)
        if where is not None:
            lines |= {operand: where for operand in node.operands if operand not in lines}
    return lines


def pieces_of(timed: Timed, floor: Floor, work: Work, users: Mapping[Node, Where]) -> Iterator[Piece]:
    """Yield the share of each script line in the cost of a kernel or other timed slot.

    Costs of nodes without a line are divided among the slot's lines in proportion to their costs. If the slot's lines
    have no cost, there is one piece: for the first of these lines, else for the nearest line of users or operands.
    """
    costs = _by_line(floor.costs)
    total = sum(costs.values())
    if not total:
        yield Piece(next(iter(costs), _nearest(timed, users)), 1.0, work.flops, work.bytes)
        return
    shares = {where: cost / total for where, cost in costs.items()}
    flops, moved = _counts_by_line(work.flops_by_node, shares), _counts_by_line(work.bytes_by_node, shares)
    yield from (
        Piece(where, shares.get(where, 0.0), flops.get(where, 0.0), moved.get(where, 0.0))
        for where in dict.fromkeys([*shares, *flops, *moved])
    )


def _by_line(values: Mapping[Node, float]) -> dict[Where, float]:
    """Return {line: sum of the values of its nodes}. Nodes without a line are left out."""
    sums: dict[Where, float] = {}
    for node, value in values.items():
        if node.where is not None:
            sums[node.where] = sums.get(node.where, 0.0) + value
    return sums


def _counts_by_line(counts: Mapping[Node, float], shares: Mapping[Where, float]) -> dict[Where, float]:
    """Return {line: count}. Counts of nodes without a line are divided among the lines in proportion."""
    sums = _by_line(counts)
    known, total = sum(sums.values()), sum(counts.values())
    if not known:
        return {where: share * total for where, share in shares.items()}
    return {where: value / known * total for where, value in sums.items()}


def _nearest(timed: Timed, users: Mapping[Node, Where]) -> Where | None:
    """Return the script line for a slot without one of its own: of its owner, users or operands; None without any."""
    for node in (timed.owner, timed.scan, *timed.nodes):
        if node is not None and (node.where is not None or node in users):
            return node.where or users[node]
    pending = list(timed.nodes)
    visited: set[Node] = set()
    while pending:
        node = pending.pop(0)
        if node.where is not None:
            return node.where
        if node not in visited:
            visited.add(node)
            pending += node.operands
    return None


def common_path(names: Iterable[str]) -> str:
    """Return the path that all names with a path begin with, such as ``rnn/``; "" if there is none."""
    paths = [name.split("/")[:-1] for name in names if "/" in name]
    shared = [parts[0] for parts in zip(*paths, strict=False)]
    while shared and any(path[: len(shared)] != shared for path in paths):
        shared.pop()
    return "/".join([*shared, ""]) if shared else ""


def layer_of(kernel: KernelPart, where: Where | None) -> str:
    """Return the layer of a line, or for time outside layers a name in parentheses, such as ``(waits)``."""
    if kernel.kind in OWNED:
        return (where.layer if where is not None else "") or NO_LAYER
    return LABELS_BY_KIND.get(kernel.kind, BETWEEN)


def phase_of(kernel: KernelPart, where: Where | None) -> str:
    """Return the phase of a line, such as ``backward``, or for other time a name in parentheses."""
    if kernel.kind in (WORK, COPY, TABLE):
        return where.phase if where is not None else NO_LINE
    return LABELS_BY_KIND.get(kernel.kind, BETWEEN)


def line_of(kernel: KernelPart, where: Where | None) -> str:
    """Return a script line as text, or for other time a name in parentheses, such as ``(waits)``."""
    if where is not None:
        return str(where)
    return NO_LINE if kernel.kind in OWNED else LABELS_BY_KIND.get(kernel.kind, BETWEEN)


def grouped(kernels: Iterable[KernelPart], name: Callable[[KernelPart, Where | None], str]) -> Mapping[str, Part]:
    """Return {name: summed cost of the kernels' parts with that name}, such as by layer."""
    parts: dict[str, Part] = {}
    longest: dict[str, float] = {}
    for kernel in kernels:
        pieces: dict[str, list[Piece]] = {}
        for piece in kernel.pieces:
            pieces.setdefault(name(kernel, piece.where), []).append(piece)
        for key, own in pieces.items():
            known = parts.get(key, Part(key, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ""))
            share = sum(piece.share for piece in own)
            seconds = share * kernel.seconds
            is_longest = seconds > longest.get(key, -1.0)
            longest[key] = max(seconds, longest.get(key, 0.0))
            parts[key] = Part(
                key,
                known.seconds + seconds,
                known.share + share * kernel.share,
                0.0,
                known.flops + sum(piece.flops for piece in own),
                known.bytes + sum(piece.bytes for piece in own),
                known.floor + share * kernel.floor,
                kernel.bound if is_longest else known.bound,
                known.estimated or len(pieces) > 1,
            )
    return parts


def unowned(kernels: Iterable[KernelPart]) -> float:
    """Return the share of a call's time that belongs to no line of the script, without waits for other workers."""
    return sum(
        kernel.share * piece.share
        for kernel in kernels
        for piece in kernel.pieces
        if piece.where is None and kernel.kind != WAIT
    )
