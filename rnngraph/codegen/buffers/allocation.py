"""Allocation of an entry's values: in the caller's memory or in the arena, for all steps or for one chunk of time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace

from ...ir.graph import Graph, Node
from ...ir.ops import MATRIX_PRODUCTS
from ...ir.scan import is_final, is_kept
from ...ir.types import ITEM_BYTES, Dim, Shape, product
from ...support.records import dataclass
from ..analysis.kernel_fusion import FusedKernels
from ..analysis.node_kinds import is_view, label_of, source_of
from ..cost_model.chunk_length import TimeChunk
from ..loop_ir.nodes import Buffer
from ..machine.alignment import WAY_BYTES, padded_bytes, padded_row, spread_row
from .arena import Arena
from .buffer_reuse import BufferReuse
from .carried_state import full_histories
from .memory import Memory, Scratch
from .packing import Panels
from .views import View, parts_of, places_of_sources, view_through, written_at

IN_PIECES = ("fused", "fused_reduce", "reduce", "concat")
"""Kinds of kernels that can write a value to a part of a concatenation."""


@dataclass
class GroupMemory:
    """Memory that the kernels of one fusion group write.

    Attributes:
        stores: For each value, all locations to which it must be written.
        histories: Memory of a carry's values before the first step and after every step, by (scan, index of the carry).
    """

    stores: dict[Node, list[View]] = field(default_factory=dict)
    histories: dict[tuple[Node, int], View] = field(default_factory=dict)

    def buffers(self, time: TimeChunk) -> tuple[set[Buffer], set[Buffer]]:
        """Return the buffers of values with a time axis: a set of those for all steps, and of those for one chunk."""
        sequences, local = set[Buffer](), set[Buffer]()
        for view in self.histories.values():
            (local if view.local else sequences).add(view.buffer)
        for node, views in self.stores.items():
            if time.is_axis(node.shape, 0):
                for view in views:
                    (local if view.local else sequences).add(view.buffer)
        return sequences, local


class Allocation:
    """Memory locations of all values of an entry.

    Attributes:
        views: Current location of each value.
        outputs: The caller's memory, for results that kernels write directly.
        residuals: Bytes of the values that fusion groups store at all steps for later groups.
    """

    def __init__(
        self, graph: Graph, users: Mapping[Node, Sequence[Node]], panels: Panels, views: dict[Node, View]
    ) -> None:
        self.users, self.panels, self.views = users, panels, views
        self.order = {node: number for number, node in enumerate(graph.nodes)}
        self.outputs: Mapping[Node, Sequence[View]] = {}
        self.arena = Arena()
        self.residuals: Dim = 0
        self.reuse = BufferReuse(graph, users)

    def memory(self, group: GroupMemory | None = None, scratch: Scratch | None = None) -> Memory:
        """Return the present memory of all values, in the form that kernels use.

        ``scratch`` allocates kernels' scratch memory, by default in the arena.
        """
        stores = {} if group is None else {node: tuple(views) for node, views in group.stores.items()}
        return Memory(self.panels, scratch or self.arena.buffer, dict(self.views), stores)

    def allocate(
        self,
        fused: FusedKernels,
        leaving: Collection[Node],
        time: TimeChunk | None = None,
        scratch: Scratch | None = None,
        one_block: Mapping[tuple[Node, int], tuple[int, ...]] | None = None,
    ) -> GroupMemory:
        """Allocate memory for every value of a group that must be stored.

        Args:
            fused: Kernels of the group.
            leaving: Values that outlive the group, or, in a loop over time, the chunk.
            time: Chunk of time; None without a loop.
            scratch: Allocator of temporaries; by default, the arena.
            one_block: {(scan, index of a carry): axes along which the history has room for one position only}. Other
                positions are computed later, in the same memory.
        """
        group = GroupMemory()
        for kernel in fused.kernels:
            if kernel.kind == "scan":
                self._keep_histories(group, kernel.first, fused.stored, leaving, one_block or {})
                self._reuse(group, kernel.first, fused.stored, 0 if time is None else time.longest)
        pieces = self._concat_places(fused) if time is None and scratch is None else {}
        present = self._present_pieces(fused)
        kinds = {node: kernel.kind for kernel in fused.kernels for node in kernel.members}
        for node in sorted(fused.stored, key=self.order.__getitem__):
            if node.op == "scan" or node in group.stores:
                continue
            if node in present:
                self.views[node], group.stores[node] = present[node], []
                continue
            if node in pieces:
                self.views[node], group.stores[node] = pieces[node], [pieces[node]]
                continue
            if node in self.outputs:
                self.views[node] = self.outputs[node][0]
                group.stores[node] = list(self.outputs[node])
                continue
            is_copy = kinds.get(node) == "copy" and (time is None or source_of(node) not in kinds)
            present_view = self._view_of_copy(node) if is_copy else None
            if present_view is not None:
                self.views[node], group.stores[node] = present_view, []
                continue
            shape = node.shape
            timed = time is not None and time.is_axis(shape, 0)
            local = timed and node not in leaving
            if time is not None and local:
                shape = (time.longest, *shape[1:])
            view = self.temporary(node, shape, node.op == "reshape", scratch, self._would_share_sets(node))
            if local:
                view = replace(view, local=True, shape=node.shape)
            elif timed:
                self.residuals = self.residuals + self.arena.sizes[view.buffer]
                self.reuse.sequences.add(node)
            self.views[node] = view
            group.stores[node] = [view]
        return group

    def _would_share_sets(self, node: Node) -> bool:
        """True if a product reads several rows of a value together, and all elements of a column share a set of L1."""
        if not any(user.op in MATRIX_PRODUCTS and user.operands[0] is node for user in self.users[node]):
            return False
        width = padded_row(node.shape[-1], node.dtype)
        return isinstance(width, int) and width * ITEM_BYTES[node.dtype] % WAY_BYTES == 0

    def _concat_places(self, fused: FusedKernels) -> dict[Node, View]:
        """Return {value: memory} for concatenations, and for operands that kernels write into them without a copy.

        Concatenations along the last axis are left out, so that each row of a piece is a row of the concatenation.
        """
        kinds = {node: kernel.kind for kernel in fused.kernels for node in kernel.members}
        places: dict[Node, View] = {}
        for node in sorted(kinds, key=self.order.__getitem__, reverse=True):
            axis = node.get("axis")
            if kinds[node] != "concat" or axis == node.tensor.rank - 1 or node in self.outputs:
                continue
            whole = places.get(node) or self.temporary(node, node.shape)
            written = {}
            for piece, part in zip(node.operands, parts_of(node, whole), strict=True):
                source, place = written_at(piece, part, lambda item: not is_view(item))
                if kinds.get(source) in IN_PIECES and source in fused.stored and source not in self.outputs:
                    written[source] = place
            if written:
                places = {node: whole, **written, **places}
        return places

    def _present_pieces(self, fused: FusedKernels) -> dict[Node, View]:
        """Return {operand of a concatenated output: its memory}, for operands that are in place and need no copy.

        These operands are reorderings of values that kernels write directly to the output.
        """
        present: dict[Node, View] = {}
        for node in fused.stored:
            if node.op != "concat" or len(self.outputs.get(node, ())) != 1:
                continue
            for piece, part in zip(node.operands, parts_of(node, self.outputs[node][0]), strict=True):
                *reordered, (source, place) = places_of_sources(piece, part, lambda item: not is_view(item))
                if any(view.lies_at(place) for view in self.outputs.get(source, ())[:1]):
                    present |= {item: replace(view, room=None) for item, view in reordered}
        return present

    def _view_of_copy(self, node: Node) -> View | None:
        """Return a reshape as a view of its operand's memory; None if it must be copied.

        The operand must be a temporary. Inputs and outputs may be overwritten before the reshape is read.
        """
        source = self.views.get(node.operands[0]) if node.op == "reshape" else None
        if source is None or source.local or source.buffer not in self.arena.sizes:
            return None
        return view_through(node, source)

    def _keep_histories(
        self,
        group: GroupMemory,
        scan: Node,
        stored: Collection[Node],
        leaving: Collection[Node],
        one_block: Mapping[tuple[Node, int], tuple[int, ...]],
    ) -> None:
        """Allocate memory for all steps' values of each carry of ``scan`` whose values before steps are read later.

        Each step writes one entry of the history, which the next step reads. For a scan that recomputes blocks of
        steps, the history has the steps of one block.
        """
        block, reverse = scan.get("blocks"), scan["reverse"]
        length = scan["length"] if block is None else block
        gets = [user for user in self.users[scan] if user in stored and user not in self.outputs]
        for index, before, after in full_histories(scan, gets, lambda get: block is not None or get in leaving):
            shape = before[0].shape[1:]
            single_axes = one_block.get((scan, index), ())
            stored_shape = tuple(1 if axis in single_axes else dim for axis, dim in enumerate(shape))
            view = self.temporary(before[0], (length + 1, *stored_shape)).broadcast((length + 1, *shape))
            if block is None:
                self.residuals = self.residuals + self.arena.sizes[view.buffer]
            else:
                view = replace(view, local=True)
            group.histories[scan, index] = view
            for users, first in ((before, int(reverse)), (after, 1 - int(reverse))):
                shifted = replace(view, offset=view.offset + view.strides[0] * first, shape=before[0].shape)
                for user in users:
                    if user not in group.stores:
                        self.views[user], group.stores[user] = shifted, []

    def _reuse(self, group: GroupMemory, scan: Node, stored: Collection[Node], longest: int) -> None:
        """Store results of a scan in the memory of sequences that no later op reads, as ``BufferReuse`` chooses."""
        emitted = [user for user in self.users[scan] if user in stored and not is_final(user) and not is_kept(user)]
        emitted = [user for user in emitted if user not in group.stores and user not in self.outputs]
        for node, view in self.reuse.places(scan, emitted, self.views, longest).items():
            self.views[node], group.stores[node] = view, [view]

    def temporary(
        self,
        node: Node,
        shape: Shape,
        contiguous: bool = False,
        scratch: Scratch | None = None,
        is_spread: bool = False,
    ) -> View:
        """Allocate a temporary. Rows are padded to cache lines unless ``contiguous``.

        With ``is_spread``, rows have an odd number of cache lines, so that a column's elements are in many cache sets.
        """
        row = 1 if not shape else shape[-1] if contiguous else padded_row(shape[-1], node.dtype)
        if is_spread:
            row = spread_row(row, node.dtype)
        buffer = (scratch or self.arena.buffer)(label_of(node), node.dtype, product((*shape[:-1], row)))
        if shape and not contiguous and isinstance(row, int) and row != 1:
            return View.padded(buffer, shape, row)
        return View.contiguous(buffer, shape)

    def add_views(self, nodes: Sequence[Node]) -> None:
        """Add the locations of slices, transposes and other movements of stored values, if strides express them."""
        for node in nodes:
            if node not in self.views and is_view(node) and node.operands[0] in self.views:
                view = view_through(node, self.views[node.operands[0]])
                if view is not None:
                    self.views[node] = view

    def multi_buffer(self, group: GroupMemory, slot: Dim, chunk: int, longest: int, depth: int) -> None:
        """Give each value that is stored for one chunk ``depth`` buffers, which consecutive chunks use in rotation.

        Args:
            group: Memory of the chunk's values.
            slot: Index of the current buffer.
            chunk: Number of steps of a buffer.
            longest: Number of steps that must fit if one worker uses all buffers as one.
            depth: Number of buffers.
        """
        for node, views in group.stores.items():
            for view in [view for view in views if view.local]:
                step = view.strides[0]
                self.views[node] = replace(view, offset=slot * step * chunk)
                group.stores[node] = [self.views[node]]
                self.arena.sizes[view.buffer] = padded_bytes(step * max(depth * chunk, longest), view.buffer.dtype)

    def end_group(self, group: GroupMemory, indices: Collection[Node]) -> None:
        """Remove the locations of values with memory for one chunk only, and of ``indices`` that the group stored.

        ``indices`` are values of index arithmetic, which later groups recompute.
        """
        freed = {view.buffer for node in group.stores if node in indices for view in group.stores[node]}
        self.views = {node: view for node, view in self.views.items() if not (view.local or view.buffer in freed)}
