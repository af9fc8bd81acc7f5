"""From what slots counted to kernels, and from kernels to layers, phases and lines.

Kernels are measured. Where one computes several lines or layers, each has the share that its ops have of the kernel's
cost, as ``floors`` estimates it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..codegen.analysis.node_kinds import label_of
from ..codegen.schedule.ticks import COPY, PACK, TABLE, WAIT, WORK, Ticks, Timed
from ..errors import Where
from ..ir.graph import Node, topological
from ..ir.node import INSTRUCTION
from ..ir.ops import OPS
from .floors import Floor, bound_of, floor_of
from .limits import Limits
from .measure import Measured
from .work import Feeds, Sizes, work_of

NO_LAYER, NO_LINE = "(no layer)", "(no line)"
APART = {WAIT: "(waits)", PACK: "(packing)"}
"""Where time goes that is no layer's, by kind of slot."""
BETWEEN = "(between kernels)"
OWNED = (WORK, COPY, TABLE, PACK)
"""Kinds of slots that have lines and layers."""


@dataclass(frozen=True)
class Part:
    """What a kernel, a layer, a phase or a line of the script takes of an average call.

    seconds: in native code; of several workers their time, divided by how many were at it. share: of all of that.
    runs: how often, such as once a step; of several kernels together 0. flops: floating-point operations; bytes: read
    and written. floor: seconds that no code can beat on this machine, with as many workers.
    bound: what bounds it, in words; of several kernels that of the longest. estimated: whether it is a share of a
    kernel that computes more, rather than measured.
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
        """GFLOP/s."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """GB/s."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def over_floor(self) -> float:
        """How many times as long as the floor it takes; NaN where nothing is known of that."""
        return max(1.0, self.seconds / self.floor) if self.floor and self.seconds else float("nan")


@dataclass(frozen=True)
class KernelPart(Part):
    """A kernel, and where it belongs: ``pieces`` are the lines of the user's that it computes, with their shares."""

    kind: str = WORK
    pieces: tuple[tuple[Where | None, float], ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Its lines, the one that takes most first."""
        ordered = sorted(self.pieces, key=lambda piece: -piece[1])
        return tuple(dict.fromkeys(str(where) for where, _ in ordered if where is not None))

    @property
    def layers(self) -> tuple[str, ...]:
        """Its layers, the one that takes most first."""
        ordered = sorted(self.pieces, key=lambda piece: -piece[1])
        return tuple(dict.fromkeys(layer_of(self, where) for where, _ in ordered))

    @property
    def phases(self) -> tuple[str, ...]:
        """``forward``, ``backward`` or ``update``."""
        return tuple(dict.fromkeys(phase_of(self, where) for where, _ in self.pieces))


def kernels_of(
    ticks: Ticks, measured: Measured, sizes: Sizes, feeds: Feeds, limits: Limits
) -> tuple[KernelPart, ...]:  # fmt: skip
    """A part for each slot that took time, in the order in which they run."""
    works = [work_of(timed, sizes, feeds) for timed in ticks.timed]
    outer = measured.seconds[_outer(ticks)]
    total = float(outer.sum()) or 1.0
    workers = total / (float(outer[:, 0].sum()) or 1.0)  # that were at it, on average
    users, found = lines_of_users(ticks), []
    for number, (timed, work) in enumerate(zip(ticks.timed, works, strict=True)):
        share = _share(ticks, measured, number, total)
        if share <= 0.0:
            continue
        weights = sum(other.weights for at, other in enumerate(works) if _together(ticks, number, at))
        floor = floor_of(work, limits, weights, timed.chunked)
        seconds = share * measured.native
        runs = work.runs if timed.scan is not None else float(measured.times[number].sum())
        found.append(
            KernelPart(
                name_of(timed), seconds, share, runs, work.flops, work.bytes, floor.seconds / workers,
                bound_of(floor, seconds * workers, work, timed, limits), False, timed.kind,
                tuple(pieces_of(timed, floor, users)),
            )
        )  # fmt: skip
    return tuple(found)


def _outer(ticks: Ticks) -> list[int]:
    return [number for number, timed in enumerate(ticks.timed) if timed.whole is None]


def _share(ticks: Ticks, measured: Measured, number: int, total: float) -> float:
    """Of all workers' time. That of a scan whose steps are sampled goes to the samples, in proportion."""
    seconds, timed = measured.seconds.sum(1), ticks.timed[number]
    whole = number if timed.whole is None else timed.whole
    samples = [at for at, other in enumerate(ticks.timed) if other.whole == whole]
    sampled = float(seconds[samples].sum())
    if not sampled:
        return float(seconds[number]) / total if timed.whole is None else 0.0
    if timed.whole is None:
        return 0.0
    return float(seconds[whole] / total * seconds[number] / sampled)


def _together(ticks: Ticks, one: int, other: int) -> bool:
    """Whether two kernels are of one step of a scan, or are one."""
    first, second = ticks.timed[one], ticks.timed[other]
    return one == other or (first.whole is not None and first.whole == second.whole)


def name_of(timed: Timed) -> str:
    """What a slot is called in tables: what it computes, in a few words."""
    if timed.kind != WORK or timed.plan is None:
        return timed.text.partition("  ")[0]
    nodes = timed.nodes
    count = sum(node.op == "matmul" for node in nodes)
    words = [f"{count} product{'s' * (count > 1)}"] if count else []
    words += dict.fromkeys(node.op for node in nodes if OPS[node.op].cost != INSTRUCTION)
    last = next((node for node in reversed(nodes) if node.name), nodes[-1])
    text = ", ".join(words) or (last.op if last.op == label_of(last) else f"{last.op} {label_of(last)}")
    return f"step: {text}" if timed.scan is not None else text


def lines_of_users(ticks: Ticks) -> dict[Node, Where]:
    """By value the line of what is computed from it: of values that passes made, such as those that masks count in."""
    found: dict[Node, Where] = {}
    for node in reversed(topological(node for timed in ticks.timed for node in timed.nodes)):
        where = node.where or found.get(node)
        if where is not None:
            found |= {operand: where for operand in node.operands if operand not in found}
    return found


def pieces_of(
    timed: Timed, floor: Floor, users: Mapping[Node, Where]
) -> Iterator[tuple[Where | None, float]]:  # fmt: skip
    """The lines of a slot, each with its share. What no line is known of goes with the others, or with its users."""
    costs: dict[Where, float] = {}
    for node, cost in floor.costs.items():
        if node.where is not None:
            costs[node.where] = costs.get(node.where, 0.0) + cost
    total = sum(costs.values())
    if total:
        yield from ((where, cost / total) for where, cost in costs.items() if cost)
    else:
        yield next(iter(costs), _nearest(timed, users)), 1.0


def _nearest(timed: Timed, users: Mapping[Node, Where]) -> Where | None:
    """The line of what a slot belongs to, of what is computed from it, or of what it is computed from."""
    for node in (timed.owner, timed.scan, *timed.nodes):
        if node is not None and (node.where is not None or node in users):
            return node.where or users[node]
    pending = list(timed.nodes)
    seen: set[Node] = set()
    while pending:
        node = pending.pop(0)
        if node.where is not None:
            return node.where
        if node not in seen:
            seen.add(node)
            pending += node.operands
    return None


def layer_of(kernel: KernelPart, where: Where | None) -> str:
    """The layer of a piece of a kernel; in parentheses where it is none's."""
    if kernel.kind in OWNED:
        return (where.layer if where is not None else "") or NO_LAYER
    return APART.get(kernel.kind, BETWEEN)


def phase_of(kernel: KernelPart, where: Where | None) -> str:
    """The phase of a piece of a kernel; in parentheses where it is none's."""
    if kernel.kind in (WORK, COPY, TABLE):
        return where.phase if where is not None else NO_LINE
    return APART.get(kernel.kind, BETWEEN)


def line_of(kernel: KernelPart, where: Where | None) -> str:
    """The line of a piece of a kernel."""
    if where is not None:
        return str(where)
    return NO_LINE if kernel.kind in OWNED else APART.get(kernel.kind, BETWEEN)


def grouped(
    kernels: Iterable[KernelPart], name: Callable[[KernelPart, Where | None], str]
) -> Mapping[str, Part]:  # fmt: skip
    """Kernels' pieces by name, such as by layer; those of one name are added up."""
    found: dict[str, Part] = {}
    longest: dict[str, float] = {}
    for kernel in kernels:
        shares: dict[str, float] = {}
        for where, share in kernel.pieces:
            key = name(kernel, where)
            shares[key] = shares.get(key, 0.0) + share
        for key, share in shares.items():
            known = found.get(key, Part(key, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ""))
            seconds = share * kernel.seconds
            is_longest = seconds > longest.get(key, -1.0)
            longest[key] = max(seconds, longest.get(key, 0.0))
            found[key] = Part(
                key,
                known.seconds + seconds,
                known.share + share * kernel.share,
                0.0,
                known.flops + share * kernel.flops,
                known.bytes + share * kernel.bytes,
                known.floor + share * kernel.floor,
                kernel.bound if is_longest else known.bound,
                known.estimated or len(shares) > 1,
            )
    return found


def unowned(kernels: Iterable[KernelPart]) -> float:
    """The share of time that no line of the script owns; waits for other workers, of which none could, apart."""
    return sum(
        kernel.share * share
        for kernel in kernels
        for where, share in kernel.pieces
        if where is None and kernel.kind != WAIT
    )
