"""Loop of ``raw_rnn`` and ``dynamic_decode``, which ends when every row of a batch is finished."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions.statistics import reduce_all
from ...declare.nest import flatten, map_leaves, pack
from ...declare.tensor import Tensor, as_tensor, build, constant
from ...ir.graph import Node, topological
from ...ir.types import INTEGERS, Dim, TensorType
from ...support.errors import DtypeError, NotOfferedError, ShapeError, shown
from ..core.sizes import anchored, known_size
from ..flow.counting import Counts
from ..flow.loop import Loop, in_order_of, nodes_of_step, substitute
from ..table.missing import GUIDE

Body = Callable[[Tensor, Tensor, Any], tuple[Any, Tensor, Sequence[Tensor]]]
"""Function of (step number, mask of finished rows, nest of carried values) that computes a step.

It returns (next nest of carried values, next mask of finished rows, results of the step).
"""


class Stepping:
    """Loop over time steps, until all rows of a batch are finished.

    Attributes:
        what: Name of the loop in errors.
        loop: Loop under construction.
        initial: Nest of the initial carried values.
        finished: Initial mask of finished rows: bool [batch], or [batch, beams].
    """

    def __init__(self, what: str, initial: Any, finished: Any) -> None:
        self.what = what
        self.loop = Loop(what, "steps")
        self.initial = pack(initial, [self._tensor(leaf) for leaf in flatten(initial)])
        self.finished = as_tensor(finished)
        if self.finished.dtype != "bool" or self.finished.rank not in (1, 2):
            raise DtypeError(
                f"{what}: finished must be a bool Tensor [batch], or [batch, beams], not {shown(finished)}"
            )

    def _tensor(self, leaf: Any) -> Tensor:
        """Return a carried value as a Tensor. Raise ``DtypeError`` for anything else."""
        if leaf is None or not isinstance(leaf, Tensor | int | float | np.ndarray | np.generic):
            raise DtypeError(f"{self.what}: states must be Tensors, not {shown(leaf)} ({GUIDE})")
        return as_tensor(leaf)

    def run(self, body: Body, maximum: Any = None) -> tuple[Any, list[Tensor]]:
        """Declare the loop. Return (nest of final carried values, list of the steps' results, each [steps, …]).

        The size ``steps`` is the maximum. Results after all rows are finished are 0.

        Args:
            body: Function that computes a step.
            maximum: Maximum number of steps. None: steps must read the entries of a TensorArray in order, or rows must
                finish when the step number reaches a bound.
        """
        loop = self.loop
        time = loop.param("time", TensorType("int32", ()))
        done = loop.param("finished", self.finished.type)
        leaves = flatten(self.initial)
        params = [loop.param(f"variable_{number}", leaf.type) for number, leaf in enumerate(leaves)]
        with loop.step():
            after, finished, emits = body(time, done, pack(self.initial, params))
        results = flatten(in_order_of(self.initial, after))
        if len(results) != len(leaves):
            raise ShapeError(
                f"{self.what}: the state has {len(leaves)} Tensors, but a step returns {len(results)}; return the same "
                "structure"
            )
        pairs = enumerate(zip(results, params, strict=True))
        following = [loop.following(value, param, number) for number, (value, param) in pairs]
        finished = loop.following(finished, done, "of finished rows")
        first = self.finished
        counts, inside = (
            Counts({time.node: 0}),
            nodes_of_step([finished.node], [time.node, *(item.node for item in params)]),
        )
        limits = [limit for end in _ends(finished.node, counts, inside) if (limit := end.limit()) is not None]
        bounds: list[Dim] = [size for limit in limits if (size := known_size(limit.node)) is not None]
        if maximum is not None:
            bound, size = _maximum_steps(maximum, self.what)
            bounds += [] if size is None else [size]
            first = functions.logical_or(first, bound <= 0)
            finished = functions.logical_or(finished, bound <= time + 1)
        roots = [item.node for item in (*following, finished, *emits)]
        roots, length = self._with_length(roots, time, [*params, done], bounds, limits, maximum)
        *following, finished = map(Tensor, roots[: len(leaves) + 1])
        for param, value, begins in zip((*params, done), (*following, finished), (*leaves, self.finished), strict=True):
            loop.carry(param, value, begins)
        runs = loop.param("runs", TensorType("bool", ()))
        loop.carry(runs, *(functions.logical_not(reduce_all(item)) for item in (finished, first)))
        loop.emits = roots[len(leaves) + 1 :]
        finals, emitted = loop.declared(length, when=runs.node)
        return pack(self.initial, finals[: len(leaves)]), emitted

    def _with_length(
        self,
        roots: list[Node],
        time: Tensor,
        params: Sequence[Tensor],
        bounds: Sequence[Dim],
        limits: Sequence[Tensor],
        maximum: Any,
    ) -> tuple[list[Node], Dim]:
        """Determine the number of steps, and let the driver's sequences supply entries at the step number.

        Args:
            roots: Values of a step.
            time: Step number.
            params: Other parameters of the step.
            bounds: Numbers of steps that are known at declaration.
            limits: Numbers of steps that only a run may know.
            maximum: The program's maximum number of steps, or None.

        Returns:
            (``roots`` that read entries of sequences in place of the step number and look-ups at it, number of steps).
        """
        counts = Counts({time.node: 0})
        inside = nodes_of_step(roots, [time.node, *(param.node for param in params)])
        reads = {
            node: first
            for node in topological(roots)
            if (first := counts.first_look_up(node)) in (0, 1) and node.operands[0] not in inside
        }
        length = _step_bound([*(node.operands[0].shape[0] for node in reads), *bounds])
        sources = [maximum]
        if length is None:
            sizes = {item: known_size(item.node, counted=True) for item in limits}
            length, sources = _step_bound([size for size in sizes.values() if size is not None]), [maximum, *limits]
        if length is None:
            raise NotOfferedError(
                f"{self.what}: the number of steps depends on the data; pass an int as maximum_iterations=, "
                f"compare the step number with a constant, or read a TensorArray at the step number ({GUIDE})"
            )
        numbers = anchored(functions.cast(build("iota", size=length), "int32"), sources)
        replaced = {time.node: self.loop.element(numbers).node}
        for node, first in reads.items():
            array = Tensor(node.operands[0])
            if array.type.shape[0] == length:
                replaced[node] = self.loop.element(_shifted(array, int(first))).node
        return substitute(roots, replaced), length


def _shifted(array: Tensor, first: int) -> Tensor:
    """Shift entries to the front: ``[1, 2, 3]`` becomes ``[2, 3, 0]`` if ``first`` is 1. Only skipped steps read 0."""
    if not first:
        return array
    return functions.concat([array[first:], zeros_like(array[:first])], 0)


class _End(NamedTuple):
    """Comparison that finishes rows once a counter reaches a bound that is known before the loop.

    Attributes:
        values: The bound, one for all rows or one for each row.
        first: Value of the counter at the first step.
    """

    values: Node
    first: int

    def limit(self) -> Tensor | None:
        """Return the number of steps until all rows are finished.

        None if the bound is a float that is not constant, or has no rows.
        """
        if self.values.op == "constant":
            array = self.values["value"]
            return constant(max(int(np.ceil(array.max())) - self.first + 1, 0)) if array.size else None
        if self.values.tensor.dtype not in INTEGERS:
            return None
        last = Tensor(self.values) if not self.values.shape else functions.reduce_max(Tensor(self.values))
        return functions.maximum(last - (self.first - 1), 0)


def _ends(finished: Node, counts: Counts, inside: Container[Node]) -> Iterator[_End]:
    """Yield the comparisons ``bound <= counter`` in a mask of finished rows, itself or among the operands of ``or``.

    Args:
        finished: Mask of finished rows.
        counts: Counters of the loop.
        inside: Nodes whose values differ between steps. They are no bounds.
    """
    node = _source(finished)
    if node.op == "or":
        for operand in node.operands:
            yield from _ends(operand, counts, inside)
    if node.op not in ("less_equal", "less"):
        return
    low, high = (_source(operand) for operand in node.operands)
    number = counts.number(high)
    if low not in inside and isinstance(number, int):
        yield _End(low, number - (1 if node.op == "less" else 0))


def _source(node: Node) -> Node:
    """Return the operand of nested casts, reshapes, broadcasts and selects by a constant False, or ``node`` itself."""
    while True:
        if node.op in ("broadcast", "reshape", "cast"):
            node = node.operands[0]
        elif node.op == "select" and node.operands[0].op == "constant" and not node.operands[0]["value"].any():
            node = node.operands[2]
        else:
            return node


def _maximum_steps(maximum: Any, what: str) -> tuple[Tensor, Dim | None]:
    """Return the maximum number of steps as (int32 scalar, size). The size is None if it is unknown before the loop."""
    bound = as_tensor(maximum)
    if bound.rank or bound.dtype not in INTEGERS:
        raise DtypeError(f"{what}: the maximum number of steps must be a scalar int, not {shown(maximum)}")
    return functions.cast(bound, "int32"), known_size(bound.node, counted=True)


def _step_bound(sizes: Sequence[Dim]) -> Dim | None:
    """Return the upper bound on the number of steps to use: the first symbolic size, else the smallest int.

    None if there are no bounds. Symbolic sizes can't be compared at declaration. If another bound is smaller, the mask
    of finished rows ends the loop there.
    """
    symbolic = [size for size in sizes if not isinstance(size, int)]
    fixed = [size for size in sizes if isinstance(size, int)]
    return symbolic[0] if symbolic else min(fixed, default=None)


def selected(finished: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Return ``old`` in finished rows and ``new`` in others. Return ``new`` if its rank is below that of the mask."""
    if new.rank < finished.rank:
        return new
    shape = (*finished.type.shape, *[1] * (new.rank - finished.rank))
    return functions.where(build("reshape", finished, shape=shape), old, new)


def selected_nest(finished: Tensor, old: Any, new: Any) -> Any:
    """Return a nest with the leaves of ``old`` in finished rows, and those of ``new`` in others."""
    pairs = zip(flatten(in_order_of(new, old)), flatten(new), strict=True)
    return pack(new, [selected(finished, a, b) for a, b in pairs])


def zeros_like(nest: Any) -> Any:
    """Return a nest of zeros with the shapes and dtypes of nested Tensors."""
    return map_leaves(lambda leaf: build("broadcast", constant(0, leaf.dtype), shape=leaf.type.shape), nest)
