"""Phases with matrix products: register tiles of rows x columns, and the rest of the phase on the same registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...ir.graph import Node, topological
from ...ir.types import NARROW, Dim, Size, size
from ..analysis.kernel_fusion import Step
from ..analysis.node_kinds import label_of
from ..buffers.packing import TOGETHER
from ..cost_model.register_tiles import balanced, strands, sum_block, tile_shape
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, Contract, Index, LetIndex, Literal, Operand, Value, When
from .active_rows import Rows
from .epilogue import Rest, TileRows
from .loop_nests import Region, Share, fresh_index, groups, loop, over_axes
from .values import Coordinate, Coordinates, Evaluator, Run, Time, aligned, place

OPEN_DEPTH = 256  # what is assumed of a number of k that is known at run time only


@dataclass
class _Group:
    """Products that one loop over k computes: the right operands ``products`` of each of ``lefts``, all of one depth.

    Several left operands are the parts that narrow numbers make of one.
    """

    lefts: list[Node]
    products: list[list[Node]]


class Tiles:
    """A phase with products, over tiles of rows x blocks of units x gates."""

    def __init__(
        self, region: Region, block: Block, step: Step, products: list[Node], lanes: int, share: Share | None = None
    ) -> None:  # fmt: skip
        self.region, self.block, self.step, self.lanes, self.share = region, block, step, lanes, share
        self.products = products
        self.members = set(step.members)
        self.shape = step.shape
        self.width = int(str(step.shape[-1]))
        self.groups = self._grouped()
        self.parts = max(len(group.lefts) for group in self.groups)
        self.row_axis = self._row_axis()
        rows = region.extent(self.shape, self.row_axis) if self.row_axis is not None else 1
        padded_blocks = -(-self.width // lanes)
        self.units_shared = share is not None and share.axis == len(self.shape) - 1
        self.rows_shared = share is not None and share.axis == self.row_axis
        if share is not None and self.units_shared:
            padded_blocks = -(-padded_blocks // share.parts)
        if share is not None and self.rows_shared and isinstance(rows, int):
            rows = -(-rows // share.parts)
        depths = [dim for node in products if isinstance(dim := node.operands[0].shape[-1], int)]
        together = max(map(together_of, products))
        depth = -(-max(depths, default=OPEN_DEPTH) // together)
        cut = max(map(self._strands, products))
        self.tile = tile_shape(region.target, self._gates(), padded_blocks, rows, depth, self.parts, cut)
        self.rest = Rest(region, step, products, self.tile, lanes, share, by_a_loop=self.parts == 1)

    def _gates(self) -> int:
        """Sums of a unit and row that stay in registers: those that no other sum starts from; of narrow numbers, which
        start from none, those of the largest group.
        """
        groups = [group.products[0] for group in self.groups]
        narrow = max((len(products) for products in groups if together_of(products[0]) > 1), default=0)
        starts = {node.operands[2] for node in self.products if len(node.operands) == 3}
        wide = sum(node not in starts and together_of(node) == 1 for node in self.products)
        return max(1, narrow, wide)

    def _strands(self, product: Node) -> int:
        """Into how many sums one of a product is cut."""
        if together_of(product) > 1:
            return 1
        depth, width = product.operands[1].shape[-2:]
        return strands(self.region.target, depth, width)

    def _row_axis(self) -> int | None:
        """The axis that tiles run along: the last one with several rows, else the open one."""
        outer = range(len(self.shape) - 1)
        several = [axis for axis in outer if isinstance(dim := self.region.extent(self.shape, axis), int) and dim > 1]
        open_axes = [axis for axis in outer if isinstance(self.region.extent(self.shape, axis), Size)]
        return several[-1] if several else open_axes[-1] if open_axes else None

    def _grouped(self) -> list[_Group]:
        """Products in an order in which each starts from what is there."""
        in_phase = set(self.products)
        outside = {item for node in self.members for item in node.operands if item not in self.members}
        after: dict[Node, int] = dict.fromkeys(outside, 0)  # the turn after which a value is known
        for node in topological(self.products, known=outside):
            summed = node.operands[2:] if node in in_phase else node.operands
            after[node] = (node in in_phase) + max(map(after.__getitem__, summed), default=0)
        groups: dict[tuple[object, ...], list[Node]] = {}
        for node in sorted(self.products, key=after.__getitem__):
            view = self.region.views[node.operands[0]]
            right = self.region.views[node.operands[1]]
            form = None if self.region.panels.packs(right) else right.strides
            key = (after[node], view, node.operands[0].shape[-1], node.operands[1].dtype, form)
            groups.setdefault(key, []).append(node)
        merged: dict[object, _Group] = {}
        for (turn, *rest), products in groups.items():
            rights = tuple(self.region.views[node.operands[1]] for node in products)
            narrow = together_of(products[0]) > 1  # parts of a row, which read the same panel
            group = merged.setdefault((turn, rights) if narrow else (turn, *rest), _Group([], []))
            group.lefts.append(products[0].operands[0])
            group.products.append(products)
        return list(merged.values())

    def emit(self) -> None:
        share = self.share if self.units_shared else None
        for block, start, valid in groups(
            self.block, self.width, self.lanes, self.tile.blocks, self._has_edge(), share
        ):
            self._rows(block, start, valid)

    def _has_edge(self) -> bool:
        """Whether some memory that the phase touches ends where the units end, without padding."""
        if self.width % self.lanes == 0:
            return False
        padded = -(-self.width // self.lanes) * self.lanes
        touched = [view for node in self.step.members for view in self.region.stores.get(node, [])]
        for node in self.step.members:
            for position, operand in enumerate(node.operands):  # one value may be both left operand and start
                view = self.region.views.get(operand)
                is_left = node.op == "matmul" and position == 0
                if (
                    view is not None
                    and operand not in self.members
                    and view.shape[-1:] == (self.width,)
                    and not is_left
                ):
                    if node.op == "matmul" and position == 1 and self.region.panels.packs(view):
                        continue
                    touched.append(view)
                elif view is None and operand not in self.members:
                    return True  # computed in place from memory of its own; stay careful
        return any(view.room is None or view.room < padded for view in touched)

    def _rows(self, block: Block, start: Index, valid: list[int | None]) -> None:
        """Tiles over all rows for one group of blocks of units."""
        axis = self.row_axis
        others = [other for other in range(len(self.shape) - 1) if other != axis]

        def tiles(nested: Block, at: list[Coordinate]) -> None:
            if axis is None:
                self._tile(nested, TileRows(1, lambda _, number: at[:-1]), at[:-1], start, valid)
                return
            extent, height = self.region.extent(self.shape, axis), self.tile.rows
            running = self.region.running
            if running is not None and running.cuts(self.shape, axis):
                self._running_rows(running, nested, at, axis, start, valid)
                return
            if isinstance(extent, int):
                share = self.share if self.rows_shared else None
                self._known_rows(nested, extent, share, lambda inner, begin, end, rows: self._row_loop(
                    inner, at, axis, begin, end, rows, start, valid
                ))  # fmt: skip
                return
            begin: Index = 0
            end: Index = extent
            if self.share is not None and self.rows_shared:
                begin, end = self.share.range(nested, extent, height)
            whole = begin
            if height > 1:
                name = fresh_index(nested, "whole")
                nested.add(LetIndex(name, "floor", end - begin, height))
                whole = begin + size(name)
                self._row_loop(nested, at, axis, begin, whole, height, start, valid)
            self._row_loop(nested, at, axis, whole, end, 1, start, valid)

        over_axes(self.region, block, self.shape, others, [0] * len(self.shape), tiles, self.share)

    def _running_rows(
        self, running: Rows, block: Block, at: list[Coordinate], axis: int, start: Index, valid: list[int | None]
    ) -> None:  # fmt: skip
        """Tiles over the rows that run; the last one may look at others, of which it stores nothing."""
        share = self.share if self.rows_shared else None

        def part(nested: Block, own: Share, low: Index, high: Index) -> None:
            def tiles(inner: Block, begin: Index, end: Index, height: int) -> None:
                name = fresh_index(inner, "behind")
                inner.add(LetIndex(name, "min", high, end))
                self._row_loop(inner, at, axis, begin, size(name), height, start, valid, high)

            if share is not None and own.parts == 1:
                tiles(nested, low, high, self.tile.rows)
            else:
                self._known_rows(nested, running.tables.limit.rows, own if own.parts > 1 else None, tiles)

        running.each_range(block, at, share, part)

    def _known_rows(
        self, block: Block, count: int, share: Share | None, tiles: Callable[[Block, Index, Index, int], None]
    ) -> None:
        """Tiles over a known number of rows, of as equal heights as can be; each part has one row more or less."""

        def all_of(inner: Block, begin: Index, rows: int) -> None:
            for height, number in balanced(rows, self.tile.rows):
                tiles(inner, begin, begin + height * number, height)
                begin = begin + height * number

        if share is None:
            all_of(block, 0, count)
            return
        begin, end = share.range(block, count)
        fewest, uneven = divmod(count, share.parts)
        if not uneven:
            all_of(block, begin, fewest)
            return
        for rows in (fewest, fewest + 1):
            inner = block.nested()
            all_of(inner, begin, rows)
            block.add(When(end - begin, rows, rows + 1, tuple(inner.statements)))

    def _row_loop(
        self, block: Block, at: list[Coordinate], axis: int, begin: Index, end: Index, height: int,
        start: Index, valid: list[int | None], running: Index | None = None,
    ) -> None:  # fmt: skip
        """running: how many rows run, which stand first in an order of their own; of the others nothing is stored."""

        def body(nested: Block, row: Index) -> None:
            def coordinates(inner: Block, number: Index) -> list[Coordinate]:
                index = row + number
                if running is not None and self.region.running is not None:
                    index = self.region.running.tables.row(inner, index)
                coordinate: Coordinate = index
                if self.region.is_time(self.shape, axis):
                    coordinate = Time(index, self.region.start + index)
                return [*at[:axis], coordinate, *at[axis + 1 : -1]]

            others = [*at[:axis], *at[axis + 1 : -1]]
            self._tile(nested, TileRows(height, coordinates, row, running), others, start, valid)

        loop(block, "r", end, body, begin, height)

    def _tile(
        self, block: Block, rows: TileRows, others: Sequence[Coordinate], start: Index, valid: list[int | None]
    ) -> None:
        """others: coordinates that all rows share."""
        runs = tuple(Run(start + number * self.lanes, self.lanes, limit) for number, limit in enumerate(valid))
        evaluator = Evaluator(block, self.region.views, computed=lambda node: node in self.members, at=(*others, *runs))
        outer = [rows.at(block, number) for number in range(rows.count)]
        cells = [[(*row, run) for run in runs] for row in outer]
        done: set[Node] = set()
        for group in self.groups:
            self._contract(evaluator, group, outer, cells, start, valid)
            done.update(node for products in group.products for node in products)
            if group is not self.groups[-1] and self.parts > 1:
                self._settle(evaluator, cells, done)
        self.rest.emit(evaluator, rows, runs, cells)

    def _settle(self, evaluator: Evaluator, cells: list[list[Coordinates]], done: set[Node]) -> None:
        """What follows from products that are ``done``, before others need registers: parts become one sum."""
        behind: dict[Node, set[Node]] = {node: {node} for node in self.products}
        for node in self.step.members:
            if node in behind or node.shape != self.shape:
                continue
            behind[node] = {product for item in node.operands for product in behind.get(item, ())}
            if behind[node] and behind[node] <= done:
                for row in cells:
                    for at in row:
                        evaluator.value(node, at)

    def _contract(
        self, evaluator: Evaluator, group: _Group, rows: Sequence[Sequence[Coordinate]],
        cells: list[list[Coordinates]], start: Index, valid: list[int | None],
    ) -> None:  # fmt: skip
        block, lanes, first_left = evaluator.block, self.lanes, group.lefts[0]
        together = together_of(group.products[0][0])
        results: list[tuple[Value, ...]] = []
        starts: list[tuple[Operand, ...]] = []
        lefts = []
        for outer, row in zip(rows, cells, strict=True):
            for left, products in zip(group.lefts, group.products, strict=True):
                view = self.region.views[left]
                index, _, _ = place(view, (*aligned(left.shape[:-1], tuple(outer)), 0))
                lefts.append((view.buffer, index))
                row_results, row_starts = [], []
                for node in products:
                    for at in row:
                        begin: Operand = Literal(0 if node.dtype == "int32" else 0.0, node.dtype, lanes)
                        if len(node.operands) == 3:
                            source = node.operands[2]
                            begin = evaluator.spread(evaluator.value(source, aligned(source.shape, at)), lanes)
                        result = Value(block.fresh(label_of(node)), node.dtype, lanes)
                        row_starts.append(begin)
                        row_results.append(result)
                        evaluator.given[node, aligned(node.shape, at)] = result
                results.append(tuple(row_results))
                starts.append(tuple(row_starts))
        depth = first_left.shape[-1]
        right, right_stride, lane_stride, limits = self._right(group.products[0], start, valid, depth)
        every = [node for products in group.products for node in products]
        block.add(
            Contract(
                tuple(results), tuple(starts), tuple(lefts), self.region.views[first_left].strides[-1] * together,
                depth, right, right_stride, lane_stride, limits, self.tile.unroll,
                " and ".join(dict.fromkeys(str(node.where) for node in every)), together, self._strands(every[0]),
                sum_block(depth, every[0].dtype),
            )
        )  # fmt: skip

    def _right(
        self, products: list[Node], start: Index, valid: list[int | None], depth: Dim
    ) -> tuple[tuple[tuple[Buffer, Index], ...], Index, Index, tuple[int | None, ...]]:
        """Where the right operands' columns lie: in a packed panel, or in rows as they are."""
        region, lanes, blocks = self.region, self.lanes, len(valid)
        views = [region.views[node.operands[1]] for node in products]
        if all(map(region.panels.packs, views)):
            panel = region.panels.panel(tuple(views), self.width, lanes, self.tile.blocks, together_of(products[0]))
            base = start * (panel.depth * len(views))  # each unit takes depth x gates elements
            places = tuple(
                (panel.buffer, base + (gate * blocks + number) * lanes * panel.together)
                for gate in range(len(views))
                for number in range(blocks)
            )
            return places, len(views) * blocks * lanes * panel.together, 1, (None,) * len(places)
        columns: list[tuple[Buffer, Index]] = []
        limits: list[int | None] = []
        for view in views:
            for number in range(blocks):
                columns.append((view.buffer, view.offset + (start + number * lanes) * view.strides[1]))
                roomy = view.room is not None and view.room >= -(-self.width // lanes) * lanes
                limits.append(None if roomy else valid[number])
        right_stride, lane_stride = views[0].strides
        return tuple(columns), right_stride, lane_stride, tuple(limits)


def together_of(product: Node) -> int:
    """How many k a step of a product takes: several where both sides are narrow numbers."""
    return TOGETHER[product.operands[1].dtype] if product.operands[0].dtype in NARROW else 1
