"""Memory of outputs. If possible, kernels write them directly to the caller's arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...ir.graph import Graph, Node, topological
from ...ir.ops import OPS
from ...ir.scan import is_final
from ..analysis.loop_fusion import PLAIN, PREPARED, LoopFusion
from ..analysis.node_kinds import is_view, kind_of
from .views import View, parts_of, written_at

OWN_KERNEL_KINDS = ("outer_sum", "scatter_add", "overlap_add", "reduce")
"""Kinds of kernels that compute a single value, which is always stored in memory."""

MANY_READERS, MAX_SHARED = 64, 16
"""Number of readers of a value above which the set of its sources is cached, and maximum number of cached sets."""


class OutputBuffers:
    """Choice of the outputs that kernels write directly to the caller's memory.

    Attributes:
        places: The caller's memory, by the value that is written to it.
    """

    def __init__(self, graph: Graph, fusion: LoopFusion, users: Mapping[Node, Sequence[Node]]) -> None:
        self.fusion, self.users = fusion, users
        self.outputs = {node for _, node in graph.outputs}
        self.places: dict[Node, list[View]] = {}
        self.sources = _Sources(users)

    def write_directly(self, node: Node, view: View, old: Node | None) -> bool:
        """Choose to write an output directly to ``view``, the caller's memory. Return False if that is impossible.

        ``old`` is the input that the output overwrites, if any.
        """
        source, inner = written_at(node, view, self._is_free)
        if not self._computed(source) or is_view(source) or not _writes(source) or source in self.places:
            return False
        if old is not None and not (source is node and self._replaces(node, old)):
            return False
        self.places[source] = [inner]
        if source.op == "concat" and self.fusion.kind[source] == PLAIN:
            self._write_pieces(source, inner)
        if old is None and source is node:
            self._reuse_for_source(node, view)
        return True

    def _write_pieces(self, node: Node, view: View) -> None:
        """Choose operands of the concatenation ``node`` that kernels write directly to their parts of ``view``.

        A loop over time may run several scans at once, and then each scan must have a separate buffer. Only the results
        of one scan are therefore written directly, and values outside of loops.
        """
        placed = [
            written_at(piece, part, self._is_free)
            for piece, part in zip(node.operands, parts_of(node, view), strict=True)
        ]
        scans = Counter(source.operands[0] for source, _ in placed if source.op == "get")
        scan = max(scans, key=scans.__getitem__, default=None)
        for source, place in placed:
            if not self._computed(source) or is_view(source) or not _writes(source) or source in self.places:
                continue
            if self.fusion.kind[source] == PLAIN or (source.op == "get" and source.operands[0] is scan):
                self.places[source] = [replace(place, room=None)]

    def _is_free(self, node: Node) -> bool:
        """True for a node of no fusion group."""
        return node in self.fusion.free

    def _computed(self, node: Node) -> bool:
        """True if some group computes a node in each call. Prepared values are computed only when parameters change."""
        return node not in self.fusion.free and self.fusion.kind[node] != PREPARED

    def _replaces(self, new: Node, old: Node) -> bool:
        """True if ``new`` can overwrite ``old``: each reader of ``old`` runs before, or reads the same position."""
        if OPS[new.op].kind != "elementwise" or self.fusion.kind[new] != PLAIN:
            return False
        if old in self.outputs or new.tensor != old.tensor:
            return False
        # readers of ``new`` may recompute it inline, and so read ``old`` after the overwrite
        if not new.tensor.rank or new.shape[-1] == 1:
            return False
        return all(_reads_same_position(user, old) and self.sources.depends(user, new) for user in self.users[old])

    def _reuse_for_source(self, new: Node, view: View) -> None:
        """Choose the output's memory for one value from which ``new`` is computed elementwise, if that is possible.

        The value must have a separate kernel, and ``new`` must be able to overwrite it.
        """
        visited, pending = {new}, [new]
        while pending:
            node = pending.pop()
            if kind_of(node) in OWN_KERNEL_KINDS and self._computed(node) and node not in self.places:
                if self._replaces(new, node):
                    self.places[node] = [view]
                    return
            elif OPS[node.op].kind == "elementwise" and node.shape == new.shape:
                pending += [item for item in node.operands if item not in visited]
                visited.update(node.operands)


class _Sources:
    """Test of dependency between values, with cached sets of sources.

    The sources of a value with many readers are collected once. An example is the norm of the gradients, on which all
    new parameters depend.
    """

    def __init__(self, users: Mapping[Node, Sequence[Node]]) -> None:
        much_read = [node for node in users if node.operands and len(users[node]) > MANY_READERS]
        much_read.sort(key=lambda node: len(users[node]), reverse=True)
        self._shared: dict[Node, set[Node]] = {}
        for node in much_read[:MAX_SHARED]:
            self._shared[node] = set(topological([node]))
        self._node: Node | None = None
        self._unshared: set[Node] = set()
        self._shared_sources: list[set[Node]] = []

    def depends(self, source: Node, node: Node) -> bool:
        """True if ``node`` is ``source`` or depends on it."""
        if self._node is not node:
            self._node = node
            self._collect_sources(node)
        return source in self._unshared or any(source in shared for shared in self._shared_sources)

    def _collect_sources(self, node: Node) -> None:
        """Store all values on which ``node`` depends in ``_shared_sources``, as cached sets, and in ``_unshared``."""
        self._unshared, self._shared_sources = set(), []
        # members of cached sets are visited last, because the walk may reach the value whose cached set has them
        pending, deferred = [node], list[Node]()
        while pending or deferred:
            is_deferred = not pending
            item = deferred.pop() if is_deferred else pending.pop()
            if item in self._unshared or any(item in shared for shared in self._shared_sources):
                continue
            if item in self._shared:
                self._shared_sources.append(self._shared[item])
            elif not is_deferred and any(item in shared for shared in self._shared.values()):
                deferred.append(item)
            else:
                self._unshared.add(item)
                pending += item.operands


def _writes(node: Node) -> bool:
    """True unless a node is the final value of a carry, which a loop keeps in its own memory."""
    return node.op != "get" or not is_final(node)


def _reads_same_position(user: Node, old: Node) -> bool:
    """True if a reader of ``old`` reads no position after it has been overwritten.

    In the overwriting kernel, an elementwise reader of the same shape reads each position just before. Readers with a
    separate kernel run before that kernel.
    """
    if OPS[user.op].kind == "elementwise":
        return user.shape == old.shape
    return not is_view(user) and kind_of(user) not in ("fused", "concat")
