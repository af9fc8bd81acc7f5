"""Where the values of an entry lie: in the caller's memory, in the arena, or in what is left of a chunk of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...ir.graph import Graph, Node
from ...ir.types import Dim, Shape, product
from ..analysis.kernel_fusion import Phases
from ..analysis.node_kinds import is_view, label_of
from ..kernels.loop_nests import Region
from ..loop_ir.nodes import Buffer
from ..machine.alignment import padded_row
from ..schedule.entry_writer import Writer
from .arena import Arena
from .buffer_reuse import TakenOver
from .carried_state import tracks_of
from .views import View, view_through


class Places(Writer):
    """views: of values that are in memory, by what they are of. targets: memory of the caller's for results. order:
    of the graph's nodes. residuals: bytes of what is kept from one stage to another.
    """

    graph: Graph
    users: dict[Node, list[Node]]
    order: Mapping[Node, int]
    views: dict[Node, View]
    targets: Mapping[Node, Sequence[View]]
    arena: Arena
    residuals: Dim
    taken_over: TakenOver

    def allocate(self, region: Region, cutting: Phases, leaving: set[Node], longest: int) -> None:
        """A place for every value that must be in memory."""
        for step in cutting.steps:
            if step.kind == "scan":
                self.tracks_in(region, step.members[0], cutting.stored, leaving)
                self.take_over(region, step.members[0], cutting.stored)
        for node in sorted(cutting.stored, key=self.order.__getitem__):
            if node.op == "scan" or node in region.stores:
                continue
            whole = node in leaving or region.length is None
            if node in self.targets and not self.preparing:
                self.views[node] = self.targets[node][0]
                region.stores[node] = list(self.targets[node])
                continue
            shape = node.shape
            timed = region.length is not None and len(shape) > 1 and shape[0] == region.length
            if timed and not whole:
                shape = (longest, *shape[1:])
            view = self.temporary(node, shape, contiguous=node.op == "reshape")
            if timed and not whole:
                view = replace(view, local=True, shape=node.shape)
            elif timed and not self.preparing:
                self.residuals = self.residuals + self.arena.sizes[view.buffer]
                self.taken_over.sequences.add(node)
            self.views[node] = view
            region.stores[node] = [view]

    def tracks_in(self, region: Region, scan: Node, stored: set[Node], leaving: set[Node]) -> None:
        """A carry of which every value is kept lies in what is kept: nothing is copied, and what a step gives is
        what the next one begins with.
        """
        length, reverse = scan["length"], scan["reverse"]
        gets = [user for user in self.users[scan] if user in stored and user not in self.targets]
        for index, before, after in tracks_of(scan, gets, leaving.__contains__):
            view = self.temporary(before[0], (length + 1, *before[0].shape[1:]))
            self.residuals = self.residuals + self.arena.sizes[view.buffer]
            region.tracks[scan, index] = view
            for users, first in ((before, int(reverse)), (after, 1 - int(reverse))):
                shifted = replace(view, offset=view.offset + view.strides[0] * first, shape=before[0].shape)
                for user in users:
                    if user not in region.stores:
                        self.views[user], region.stores[user] = shifted, []

    def take_over(self, region: Region, scan: Node, stored: set[Node]) -> None:
        """What a scan emits may lie where sequences lay that nothing reads after it: so it takes no memory."""
        emitted = [user for user in self.users[scan] if user in stored and user["index"] >= scan["carries"]]
        emitted = [user for user in emitted if user not in region.stores and user not in self.targets]
        for node, view in self.taken_over.places(scan, emitted, self.views, region.longest).items():
            self.views[node], region.stores[node] = view, [view]

    def scratch(self, name: str, dtype: str, elements: Dim) -> Buffer:
        if self.preparing:
            return self.panels.prepared(name, dtype, int(str(elements)))
        return self.arena.buffer(name, dtype, elements)

    def temporary(self, node: Node, shape: Shape, contiguous: bool = False) -> View:
        row = 1 if not shape else shape[-1] if contiguous else padded_row(shape[-1], node.dtype)
        elements = product((*shape[:-1], row))
        if self.preparing:
            buffer = self.panels.prepared(label_of(node), node.dtype, int(str(elements)))
        else:
            buffer = self.arena.buffer(label_of(node), node.dtype, elements)
        if not shape or contiguous:
            return View.contiguous(buffer, shape)
        if isinstance(row, int) and row != 1:
            return View.padded(buffer, shape, row)
        return View.contiguous(buffer, shape)

    def add_views(self, nodes: Sequence[Node], region: Region) -> None:
        """Views of what lies in memory, through every movement op."""
        for node in nodes:
            if node in self.views or not node.operands:
                continue
            source = node.operands[0]
            if is_view(node) and source in self.views:
                view = view_through(node, self.views[source])
                if view is not None:
                    self.views[node] = view
