"""Reductions: sums, largest and smallest over some axes, folded in one fixed order."""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Node
from ..ir.types import FLOATS
from .evaluate import Coordinate, Coordinates, Evaluator, Run, Time
from .loops import Block, Index, Literal, Operand
from .nests import Region, fold, lanes_for, over_axes, runs
from .phases import pieces_of
from .views import View

LOWEST = {"float32": float("-inf"), "float64": float("-inf"), "int32": -(2**31), "int64": -(2**63)}
HIGHEST = {"float32": float("inf"), "float64": float("inf"), "int32": 2**31 - 1, "int64": 2**63 - 1}


def reduce(region: Region, block: Block, node: Node) -> None:
    """Folds a value over ``axes``; a mere join of columns is folded piece by piece."""
    pieces = pieces_of(node.operands[0], region.views)
    if len(pieces) == 1:
        _reduce(region, block, node, pieces[0], region.stores[node])
        return
    offset = 0
    for piece in pieces:
        width = int(str(piece.shape[-1]))
        start, stop = ((*(0 for _ in node.shape[:-1]), offset), (*node.shape[:-1], offset + width))
        views = [view.slice(start, stop, (1,) * node.tensor.rank) for view in region.stores[node]]
        _reduce(region, block, node, piece, [replace(view, room=None) for view in views])
        offset += width


def _reduce(region: Region, block: Block, node: Node, source: Node, stores: list[View]) -> None:
    """Outer axes in order, then the units, lane by lane and across the lanes."""
    shape, axes, last = source.shape, node["axes"], source.tensor.rank - 1
    kept = [axis for axis in range(last) if axis not in axes]
    reduced = [axis for axis in axes if axis != last]
    op = {"reduce_sum": "add", "reduce_max": "maximum", "reduce_min": "minimum"}[node.op]
    neutral = {"add": 0, "maximum": LOWEST[node.dtype], "minimum": HIGHEST[node.dtype]}[op]
    if node.dtype in FLOATS:
        neutral = float(neutral)

    def result_at(at: list[Coordinate]) -> Coordinates:
        if node["keepdims"]:
            return tuple(0 if axis in axes else at[axis] for axis in range(last + 1))
        return tuple(at[axis] for axis in range(last + 1) if axis not in axes)

    def folded(inner: Block, at: list[Coordinate], remaining: list[int], begin: Operand) -> Operand:
        """``begin`` combined with everything under ``remaining`` axes, in order."""
        if not remaining:
            if last in axes:
                return across_units(inner, at, begin)
            evaluator = Evaluator(inner, region.views)
            value = evaluator.spread(evaluator.value(source, tuple(at)), begin.lanes)
            return inner.let(op, [begin, value], node.dtype, begin.lanes)
        axis, rest = remaining[0], remaining[1:]
        is_time = region.is_time(shape, axis)

        def turn(nested: Block, index: Index, carried: Operand) -> Operand:
            if is_time and region.reverse:
                index = region.steps - 1 - index
            here: Coordinate = Time(index, region.start + index) if is_time else index
            return folded(nested, [*at[:axis], here, *at[axis + 1 :]], rest, carried)

        return fold(inner, begin, region.steps if is_time else shape[axis], 1, turn)

    def across_units(inner: Block, at: list[Coordinate], begin: Operand) -> Operand:
        width = shape[last]
        lanes = lanes_for(region.target, [node, source], width)
        full = width // lanes if isinstance(width, int) and lanes > 1 and width >= lanes else 0

        def element(nested: Block, run: Coordinate, carried: Operand) -> Operand:
            evaluator = Evaluator(nested, region.views)
            value = evaluator.spread(evaluator.value(source, (*at[:-1], run)), carried.lanes)
            return nested.let(op, [carried, value], node.dtype, carried.lanes)

        if full:
            start = Literal(neutral, node.dtype, lanes)
            lanewise = fold(inner, start, full * lanes, lanes, lambda n, i, c: element(n, Run(i, lanes), c))
            total = inner.let("across", [lanewise], node.dtype, 1, combine=op)
            begin = inner.let(op, [begin, total], node.dtype, 1)
        rest = full * lanes
        if isinstance(width, int) and rest == width:
            return begin
        return fold(inner, begin, width, 1, lambda n, i, c: element(n, i, c), start=rest)

    def begin_at(inner: Block, at: Coordinates, lanes: int) -> Operand:
        """Where folding starts: from what earlier chunks of time have summed, if there are any."""
        if not (region.is_time(shape, 0) and 0 in axes):
            return Literal(neutral, node.dtype, lanes)
        evaluator = Evaluator(inner, {node: stores[0]})
        return evaluator.spread(evaluator.value(node, at), lanes)

    def at_kept(inner: Block, at: list[Coordinate]) -> None:
        if last in axes or last < 0:
            value = folded(inner, at, reduced, begin_at(inner, result_at(at), 1))
            _store_all(region, inner, stores, value, result_at(at))
            return
        lanes = lanes_for(region.target, [node], shape[last])
        for nested, run in runs(inner, shape[last], lanes):
            here = [*at[:-1], run]
            value = folded(nested, here, reduced, begin_at(nested, result_at(here), run.lanes))
            _store_all(region, nested, stores, value, result_at(here))

    over_axes(region, block, shape, kept, [0] * (last + 1), at_kept)


def _store_all(region: Region, block: Block, stores: list[View], value: Operand, at: Coordinates) -> None:
    evaluator = Evaluator(block, region.views)
    for view in stores:
        evaluator.store(value, view, at)
