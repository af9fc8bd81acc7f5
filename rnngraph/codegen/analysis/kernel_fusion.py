"""Kernel fusion: divide the ops of a fusion group into kernels, one loop nest each.

Most kernels are fused: they compute all elementwise ops over one shape that can run together. An op that contracts,
reduces, concatenates or gathers a value waits until another kernel has stored the value. All other values are computed
in registers by the kernel that reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ...ir.graph import Graph, Node
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.scan import REDUCTIONS
from ...ir.types import FLOATS, Dim, Shape
from ...support.connected import connected
from ...support.records import dataclass
from .independent_parts import independent_parts
from .node_kinds import (
    contracted,
    factors_of,
    folds_operand,
    has_own_kernel,
    is_strided_view,
    is_view,
    kind_of,
    own_kernel_key,
    permutes_units,
    stays_view,
)

MAX_ROW = 128
"""Maximum units of a row that a kernel computes and reduces in one pass, which unrolls all vectors of the row."""


@dataclass(frozen=True)
class Kernel:
    """Ops that one loop nest computes.

    ``fused`` has elementwise ops, matrix products and gathers, whose results all have the ``shape``. ``fused_reduce``
    has reductions over operands of ``shape``, first among its members, and elementwise ops over ``shape``. All other
    kinds have one op and an empty shape: ``reduce``, ``concat``, ``outer_sum``, ``scatter_add``, ``overlap_add``,
    ``copy`` and ``scan``.
    """

    kind: str
    shape: Shape
    members: tuple[Node, ...]

    @property
    def first(self) -> Node:
        """First member. All kinds but ``fused`` and ``fused_reduce`` have no other member."""
        return self.members[0]


@dataclass(frozen=True)
class FusedKernels:
    """Kernels in topological order, and the set ``stored`` of values that must be in memory."""

    kernels: tuple[Kernel, ...]
    stored: frozenset[Node]


def fuse(
    nodes: Sequence[Node],
    live_out: set[Node],
    available: Collection[Node],
    copies: set[Node],
    lazy_concats: frozenset[Node] = frozenset(),
    matrix_rank: int = 4,
) -> FusedKernels:
    """Group ``nodes``, in topological order, into kernels: sets of ops that one loop nest computes.

    Args:
        nodes: Ops of one fusion group.
        live_out: Values that are read after the group, or outside of it.
        available: Values that are already in memory.
        copies: Movement ops that copy, for example because strides cannot express them.
        lazy_concats: Concatenations that are read piece by piece.
        matrix_rank: Minimum rank of large values, which kernels read and write as seldom as possible.
    """
    fuser = _Fuser(nodes, live_out, available, copies, lazy_concats, matrix_rank)
    fuser.levels()
    fuser.fold()
    fuser.sink()
    fuser.sink_together()
    return fuser.fused()


def fuse_body(body: Graph) -> FusedKernels:
    """Group the ops of a scan's body, whose inputs and constants are in memory, into kernels."""
    outputs = [value for _, value in body.outputs]
    inner_views = set(body.inputs) | {n for n in body.nodes if n.op == "constant" and n.tensor.rank}
    available = set(inner_views)
    for inner in body.nodes:  # views of inputs need no kernel
        if is_view(inner) and inner.operands[0] in available and is_strided_view(inner):
            available.add(inner)
    copies = {n for n in body.nodes if is_view(n) and n not in available and not is_strided_view(n)}
    return fuse(body.nodes, set(outputs) - available, available, copies, matrix_rank=3)


def _takes_reduction(kernel: Kernel, reductions: Sequence[Node]) -> bool:
    """True if an elementwise kernel can also compute all of ``reductions`` in its loop nest.

    The kernel must have only elementwise ops, over the shape that all reductions read, and the results must be floats.
    Reductions over axes other than the last must all reduce the same axes. If one is over the last axis, rows
    must have at most ``MAX_ROW`` units.
    """
    if kernel.kind != "fused" or any(OPS[node.op].kind != "elementwise" for node in kernel.members):
        return False
    if any(node.operands[0].shape != kernel.shape or node.dtype not in FLOATS for node in reductions):
        return False
    last = len(kernel.shape) - 1
    outer = {tuple(axis for axis in node["axes"] if axis != last) for node in reductions} - {()}
    by_units = [node for node in reductions if last in node["axes"]]
    return len(outer) < 2 and (not by_units or _is_narrow(kernel.shape[last]))


def _is_narrow(width: Dim) -> bool:
    """True if a row has a fixed width of at most ``MAX_ROW``, so that one pass can hold all its vectors."""
    return isinstance(width, int) and width <= MAX_ROW


def _has_later_reader(kernel: Kernel) -> bool:
    """True if a later kernel of the group may read the result; False for sums of outer products, and ``scatter_add``.

    The latter run before others of their level, so that the memory of values that only they read can be reused.
    """
    return kernel.kind not in ("outer_sum", "scatter_add")


def _split(kernel: Kernel) -> list[Kernel]:
    """Return the independent parts of a long fused kernel; for any other kernel, the kernel itself."""
    if kernel.kind != "fused":
        return [kernel]
    return [replace(kernel, members=part) for part in independent_parts(kernel.members)]


class _Fuser:
    """Assignment of ops to levels, and of the ops of each level to kernels by their shapes."""

    def __init__(
        self,
        nodes: Sequence[Node],
        live_out: set[Node],
        available: Collection[Node],
        copies: set[Node],
        lazy_concats: frozenset[Node],
        matrix_rank: int,
    ) -> None:
        self.nodes = [node for node in nodes if node not in available]
        self.live_out, self.available, self.copies, self.lazy_concats = live_out, available, {*copies}, lazy_concats
        self.matrix_rank = matrix_rank
        self.members = set(self.nodes)
        self.level: dict[Node, int] = {}  # an op runs after all ops of lower levels
        self.inline: set[Node] = set()  # values that each reader recomputes
        self.recomputed: set[Node] = set()  # inlined values that readers recompute from matrices in memory
        self.folded: set[Node] = set()  # elementwise ops that a reduction's kernel computes
        self.users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for operand in node.operands:
                if operand in self.members:
                    self.users[operand].append(node)
        self.materialized = {
            node for node in self.nodes if any(self._in_memory_for(node, user) for user in self.users[node])
        }

    def _is_view(self, node: Node) -> bool:
        return is_view(node) and node not in self.copies

    def _can_inline(self, node: Node) -> bool:
        """True for a value that each reader can recompute cheaply: an index, one element per row, or one cheap op."""
        if node.op in ("iota", "dimension") or (node.op == "constant" and not node.tensor.rank):
            return True
        if self._is_view(node):
            return node.operands[0] in self.inline and not permutes_units(node)
        if OPS[node.op].kind != "elementwise":
            return False
        operands_ready = all(
            item in self.available or item in self.inline or self._source(item) is not None for item in node.operands
        )
        small = not node.tensor.rank or node.shape[-1] == 1
        pure = all(item in self.inline and item not in self.recomputed for item in node.operands)
        if operands_ready and (small or pure):
            return True
        if self._is_recomputed_matrix(node):
            self.recomputed.add(node)
        return node in self.recomputed

    def _is_recomputed_matrix(self, node: Node) -> bool:
        """True for a matrix with several readers, each of which recomputes it by one cheap op from a matrix in memory.

        An example is the square of a weight's derivative, because derivatives of weights are always in memory.
        """
        row, readers = OPS[node.op], self.users[node]
        is_of_derivative = any(item.op in ("outer_sum", "scatter_add") for item in node.operands)
        is_matrix = node.tensor.rank >= self.matrix_rank or is_of_derivative
        if not is_matrix or row.is_long or row.random or node in self.live_out or len(readers) < 2:
            return False
        if any(reader.op in MATRIX_PRODUCTS for reader in readers):
            return False
        full_matrices = {item for item in node.operands if item.shape == node.shape}
        smaller = [item for item in node.operands if item.tensor.rank and item not in full_matrices]
        in_memory = all(item in self.available or self._source(item) is not None for item in smaller)
        is_in_memory = len(full_matrices) == 1 and (is_of_derivative or full_matrices <= set(self.available))
        return in_memory and is_in_memory and all(1 in item.shape for item in smaller)

    def _in_memory_for(self, operand: Node, user: Node) -> bool:
        """True if a reader needs an operand in memory."""
        return contracted(operand, user) or user in self.lazy_concats

    def _source(self, node: Node) -> Node | None:
        """Return the value that a chain of views reads, if a kernel computes it; else None."""
        while self._is_view(node) and node in self.members:
            if node in self.inline:
                return None
            node = node.operands[0]
        if node in self.inline or node not in self.members:
            return None
        return node

    def levels(self) -> None:
        """Set each op's level to the lowest with all operands available. Choose the values that readers recompute."""
        for node in self.nodes:
            if is_view(node) and not stays_view(node) and node.operands[0] in self.inline:
                self.copies.add(node)  # a value that is not in memory has no strides
            if self._can_inline(node):
                self.inline.add(node)
            self.level[node] = max((self._min_level(operand, node) for operand in node.operands), default=0)

    def _min_level(self, operand: Node, node: Node) -> int:
        """Return the lowest level at which ``node`` can run after ``operand`` is available."""
        if operand not in self.members:
            return 0
        if operand.op == "scan":  # the level of a scan's results is that of the scan
            return self.level[operand]
        if operand in self.inline:  # the reader recomputes the operand, and waits only if it is stored
            waits = self._in_memory_for(operand, node) or self._stored(operand)
        else:
            waits = self._must_be_stored_first(operand, node)
        return self.level[operand] + (1 if waits else 0)

    def _must_be_stored_first(self, operand: Node, node: Node) -> bool:
        """True if ``operand`` must be in memory before ``node`` reads it."""
        if self._is_view(operand) or operand.op == "scan" or operand in self.lazy_concats:
            return False  # the view's level already is that at which its source is in memory
        if operand in self.folded or node in self.folded:
            return operand not in self.folded
        if self._is_view(node) or node in self.inline:
            return True
        if kind_of(node) != "fused" or kind_of(operand) != "fused" or node in self.copies:
            return True
        if has_own_kernel(node) or has_own_kernel(operand):
            return True
        if node.op == "gather" or operand.shape != node.shape:
            return True
        return node.op in MATRIX_PRODUCTS and operand in factors_of(node)

    def fold(self) -> None:
        """Merge elementwise ops into the reduction that alone reads them, unless that stores more values in memory."""
        for node in self.nodes:
            if not folds_operand(node) or node.operands[0] not in self.members:
                continue
            inside, pending = set[Node](), [node.operands[0]]
            while pending:
                item = pending.pop()
                if item in self.members and item not in inside and self._folds(item, node, inside):
                    inside.add(item)
                    pending += item.operands
            read = {item for inner in inside for item in inner.operands} - inside
            if sum(self._computed(item) and not self._in_memory(item) for item in read) <= 1:
                self.folded |= inside
                self.level.update(dict.fromkeys(inside, self.level[node]))

    def _folds(self, node: Node, reduction: Node, inside: set[Node]) -> bool:
        """True for an elementwise op that only a reduction, or the ops ``inside`` its kernel, reads."""
        if OPS[node.op].kind != "elementwise" or node in self.inline or node in self.live_out:
            return False
        if node.shape != reduction.operands[0].shape:
            return False
        return all(user is reduction or user in inside for user in self.users[node])

    def _computed(self, node: Node) -> bool:
        """True if a kernel of the group computes a value."""
        return node in self.members and node not in self.inline and not self._is_view(node)

    def sink(self) -> None:
        """Raise elementwise ops to the level of their first reader, unless that stores more values in memory."""
        for node in reversed(self.nodes):
            if (
                OPS[node.op].kind != "elementwise"
                or node in self.live_out
                or node in self.inline
                or node in self.folded
            ):
                continue
            users = self.users[node]
            if not users or any(self._is_view(user) or self._must_be_stored_first(node, user) for user in users):
                continue
            latest = min(self.level[user] for user in users)
            if latest <= self.level[node]:
                continue
            read = dict.fromkeys(node.operands)
            if sum(self._computed(item) and not self._in_memory(item) for item in read) <= 1:
                self.level[node] = latest

    def sink_together(self) -> None:
        """Raise groups of elementwise ops to the level of their first reader, unless that stores more values in memory.

        An example is the update of a parameter: all its ops move to the kernels that wait for the gradients' norm.
        """
        latest: dict[Node, int] = {}
        for node in reversed(self.nodes):
            if OPS[node.op].kind != "elementwise" or node in self.live_out | self.inline | self.folded:
                continue
            users = self.users[node]
            if users and not any(self._is_view(user) or self._must_be_stored_first(node, user) for user in users):
                level = min(latest.get(user, self.level[user]) for user in users)
                if level > self.level[node]:
                    latest[node] = level
        movable = [*latest]
        for part in connected([[node, *(item for item in node.operands if item in latest)] for node in movable]):
            moved = {movable[number] for number in part}
            written = sum(any(user not in moved for user in self.users[node]) for node in moved)
            read = {item for node in moved for item in node.operands} - moved
            if sum(self._computed(item) and not self._in_memory(item) for item in read) <= written:
                self.level.update((node, latest[node]) for node in moved)

    def _in_memory(self, node: Node) -> bool:
        """True if a value is stored because it leaves the group, or a kernel of a later level reads it."""
        if node in self.live_out:
            return True
        return any(
            self._must_be_stored_first(node, user) or self.level[user] > self.level[node] for user in self.users[node]
        )

    def fused(self) -> FusedKernels:
        """Return the kernels of all levels in order, and the set of values that they store in memory."""
        stored = {node for node in self.nodes if self._stored(node)}
        for node in self.nodes:
            source = self._source(node) if self._is_view(node) else None
            if source is not None:
                stored.add(source)
        members: dict[tuple[int, str, Shape, Node | None], list[Node]] = {}
        for node in self.nodes:
            is_inner = node in self.inline or node in self.lazy_concats or node in self.folded or self._is_view(node)
            if node.op == "get" or (node not in stored and is_inner):
                continue
            kind = "fused" if node in self.inline else "copy" if node in self.copies else kind_of(node)
            shared = kind == "fused"
            alone = own_kernel_key(node) if has_own_kernel(node) else None if shared else node
            key = (self.level[node], kind, node.shape if shared else (), alone)
            members.setdefault(key, []).append(node)
        positions = {node: number for number, node in enumerate(self.nodes)}
        parts_by_level = [
            (level, part)
            for (level, kind, shape, _), nodes in members.items()
            for part in _split(Kernel(kind, shape, tuple(nodes)))
        ]
        parts_by_level.sort(key=lambda item: (item[0], _has_later_reader(item[1]), positions[item[1].first]))
        kernels = self._with_reductions([kernel for _, kernel in parts_by_level])
        for kernel in kernels:
            if kernel.kind == "fused_reduce":
                stored -= {node for node in kernel.members if self._is_passed_on(node, kernel)}
        return FusedKernels(tuple(kernels), frozenset(stored))

    def _is_passed_on(self, node: Node, kernel: Kernel) -> bool:
        """True if only ``kernel``, which computes ``node``, reads it, so that ``node`` need not be stored."""
        if node in self.live_out or node.op in REDUCTIONS:
            return False
        pending, members = [*self.users[node]], set(kernel.members)
        while pending:
            user = pending.pop()
            if user in self.folded or user in self.inline:
                pending += self.users[user]
            elif user not in members:
                return False
        return True

    def _with_reductions(self, kernels: list[Kernel]) -> list[Kernel]:
        """Merge reductions into kernels that compute or read their operands, where possible. Return all kernels."""
        place = {node: number for number, kernel in enumerate(kernels) for node in kernel.members}
        joined = dict[int, list[Node]]()
        for number, kernel in enumerate(kernels):
            node = kernel.first
            if kernel.kind != "reduce" or node.operands[0].tensor.rank < self.matrix_rank or 0 in node["axes"]:
                continue
            operands = self._operands([node], place)
            earliest = max((place[item] for item in operands if item in place), default=0)
            # a view may read positions that the kernel of its source has not computed yet
            is_early = not self._viewed(node, place).isdisjoint(kernels[earliest].members)
            for other in range(earliest + is_early, number):
                is_related = other == earliest and operands & place.keys()
                is_related = is_related or operands & self._operands(kernels[other].members, place)
                if is_related and _takes_reduction(kernels[other], [*joined.get(other, ()), node]):
                    joined.setdefault(other, []).append(node)
                    break
        merged = {node for nodes in joined.values() for node in nodes}
        fused = list[Kernel]()
        for number, kernel in enumerate(kernels):
            if number in joined:
                fused.append(Kernel("fused_reduce", kernel.shape, (*joined[number], *kernel.members)))
            elif kernel.first not in merged:
                fused.append(kernel)
        return fused

    def _viewed(self, node: Node, place: Mapping[Node, int]) -> set[Node]:
        """Return the values that kernels compute and that a node reads through views, such as transposes."""
        views = list(filter(self._is_view, self._with_inlined([node], place)))
        return self._operands(views, place) & place.keys()

    def _operands(self, nodes: Sequence[Node], place: Mapping[Node, int]) -> set[Node]:
        """Return the values that nodes read, directly or through values without a kernel.

        The result has values that kernels compute, and values from outside of the group.

        Args:
            nodes: The readers.
            place: Index of each value's kernel.
        """
        read = {item for node in self._with_inlined(nodes, place) for item in node.operands} - {*nodes}
        return {item for item in read if item in place or item not in self.members}

    def _with_inlined(self, nodes: Sequence[Node], place: Mapping[Node, int]) -> set[Node]:
        """Return ``nodes``, and all values that they read, directly or indirectly, without reading a kernel's results.

        Views, inlined values and concatenations that are read piece by piece have no kernel.
        """
        inlined, pending = set[Node](), [*nodes]
        while pending:
            item = pending.pop()
            if item not in inlined:
                inlined.add(item)
                pending += (part for part in item.operands if part in self.members and part not in place)
        return inlined

    def _stored(self, node: Node) -> bool:
        """True if a value must be stored in memory."""
        if node in self.inline:
            return node in self.live_out or node in self.materialized
        if self._is_view(node) or node in self.lazy_concats or node in self.folded:
            return False
        return node in self.copies or kind_of(node) != "fused" or has_own_kernel(node) or self._in_memory(node)
