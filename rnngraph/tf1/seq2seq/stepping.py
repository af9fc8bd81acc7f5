"""Steps that go on until every row of a batch is finished: what ``raw_rnn`` and ``dynamic_decode`` share."""

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
from ..flow.loop import Loop, inside_of, substituted
from ..table.missing import GUIDE

Body = Callable[[Tensor, Tensor, Any], tuple[Any, Tensor, Sequence[Tensor]]]
"""Of a step's number, of whether each row is finished and of what is carried: what is carried on, whether each row is
finished then, and what the step gives.
"""


class Stepping:
    """Steps of a batch. what: names them in errors. initial: a nest of what is carried; finished: bool [batch], or
    [batch, beams].
    """

    def __init__(self, what: str, initial: Any, finished: Any) -> None:
        self.what = what
        self.loop = Loop(what, "steps")
        self.initial = pack(initial, [self._tensor(leaf) for leaf in flatten(initial)])
        self.finished = as_tensor(finished)
        if self.finished.dtype != "bool" or self.finished.rank not in (1, 2):
            raise DtypeError(f"{what}: finished is a bool Tensor [batch], or [batch, beams], not {shown(finished)}")

    def _tensor(self, leaf: Any) -> Tensor:
        if leaf is None or not isinstance(leaf, Tensor | int | float | np.ndarray | np.generic):
            raise DtypeError(f"{self.what} carries Tensors from step to step, not {shown(leaf)} ({GUIDE})")
        return as_tensor(leaf)

    def run(self, body: Body, maximum: Any = None) -> tuple[Any, list[Tensor]]:
        """What is carried after the last step, and what steps gave, [steps, …] each, 0 past the last step.

        maximum: the most steps that there may be. Without it steps must read an entry of a TensorArray each, or be
        finished by their number.
        """
        loop = self.loop
        time = loop.formal("time", TensorType("int32", ()))
        done = loop.formal("finished", self.finished.type)
        leaves = flatten(self.initial)
        formals = [loop.formal(f"variable_{number}", leaf.type) for number, leaf in enumerate(leaves)]
        with loop.step():
            after, finished, emits = body(time, done, pack(self.initial, formals))
        given = flatten(after)
        if len(given) != len(leaves):
            raise ShapeError(f"{self.what}: a step makes {len(given)} Tensors of the {len(leaves)} that it carries")
        pairs = enumerate(zip(given, formals, strict=True))
        following = [loop.following(value, formal, number) for number, (value, formal) in pairs]
        finished = loop.following(finished, done, "of finished rows")
        first = self.finished
        counts, inside = (
            Counts({time.node: 0}),
            inside_of([finished.node], [time.node, *(item.node for item in formals)]),
        )
        limits = [limit for end in _ends(finished.node, counts, inside) if (limit := end.limit()) is not None]
        bounds: list[Dim] = [size for limit in limits if (size := known_size(limit.node)) is not None]
        if maximum is not None:
            most, size = _at_most(maximum, self.what)
            bounds += [] if size is None else [size]
            first = functions.logical_or(first, most <= 0)
            finished = functions.logical_or(finished, most <= time + 1)
        roots = [item.node for item in (*following, finished, *emits)]
        roots, length = self._settled(roots, time, [*formals, done], bounds, limits, maximum)
        *following, finished = map(Tensor, roots[: len(leaves) + 1])
        for formal, value, begins in zip(
            (*formals, done), (*following, finished), (*leaves, self.finished), strict=True
        ):
            loop.carry(formal, value, begins)
        runs = loop.formal("runs", TensorType("bool", ()))
        loop.carry(runs, *(functions.logical_not(reduce_all(item)) for item in (finished, first)))
        loop.emits = roots[len(leaves) + 1 :]
        finals, emitted = loop.declared(length, when=runs.node)
        return pack(self.initial, finals[: len(leaves)]), emitted

    def _settled(
        self, roots: list[Node], time: Tensor, formals: Sequence[Tensor], bounds: Sequence[Dim],
        limits: Sequence[Tensor], maximum: Any,
    ) -> tuple[list[Node], Dim]:  # fmt: skip
        """Return values of a step that reads sequences by its number, and how many steps there are.

        bounds: numbers of steps that are known while declaring; limits: those that a run can compute before the loop.
        """
        counts = Counts({time.node: 0})
        inside = inside_of(roots, [time.node, *(formal.node for formal in formals)])
        reads = {
            node: first
            for node in topological(roots)
            if (first := counts.chosen(node)) in (0, 1) and node.operands[0] not in inside
        }
        length = _least([*(node.operands[0].shape[0] for node in reads), *bounds])
        sources = [maximum]
        if length is None:
            sizes = {item: known_size(item.node, counted=True) for item in limits}
            length, sources = _least([size for size in sizes.values() if size is not None]), [maximum, *limits]
        if length is None:
            raise NotOfferedError(
                f"{self.what}: how many steps there are depends on values; give an int as the most that there may be, "
                f"compare the step's number with a constant, or read a TensorArray by it ({GUIDE})"
            )
        numbers = anchored(functions.cast(build("iota", size=length), "int32"), sources)
        named = {time.node: self.loop.element(numbers).node}
        for node, first in reads.items():
            array = Tensor(node.operands[0])
            if array.type.shape[0] == length:
                named[node] = self.loop.element(_from(array, int(first))).node
        return substituted(roots, named), length


def _from(array: Tensor, first: int) -> Tensor:
    """Entries from ``first`` on, with zeros behind, which steps read once all rows are finished."""
    if not first:
        return array
    return functions.concat([array[first:], zeros_like(array[:first])], 0)


class _End(NamedTuple):
    """A comparison of the step's number with values that are known before the loop, by which all rows are finished.

    values: the numbers; first: the step's number at the first step, with what is added to it.
    """

    values: Node
    first: int

    def limit(self) -> Tensor | None:
        """Return the number of steps that there are at most; None if the values are no ints."""
        if self.values.op == "constant":
            array = self.values["value"]
            return constant(max(int(np.ceil(array.max())) - self.first + 1, 0)) if array.size else None
        if self.values.tensor.dtype not in INTEGERS:
            return None
        last = Tensor(self.values) if not self.values.shape else functions.reduce_max(Tensor(self.values))
        return functions.maximum(last - (self.first - 1), 0)


def _ends(finished: Node, counts: Counts, inside: Container[Node]) -> Iterator[_End]:
    """Yield the comparisons of the step's number that finish all rows. inside: nodes that depend on a step."""
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
    """What a value repeats."""
    while True:
        if node.op in ("broadcast", "reshape", "cast"):
            node = node.operands[0]
        elif node.op == "select" and node.operands[0].op == "constant" and not node.operands[0]["value"].any():
            node = node.operands[2]
        else:
            return node


def _at_most(maximum: Any, what: str) -> tuple[Tensor, Dim | None]:
    """The most steps as a scalar, and as a size where it is one."""
    found = as_tensor(maximum)
    if found.rank or found.dtype not in INTEGERS:
        raise DtypeError(f"{what}: the most steps that there may be are a scalar int, not {shown(maximum)}")
    return functions.cast(found, "int32"), known_size(found.node, counted=True)


def _least(sizes: Sequence[Dim]) -> Dim | None:
    """The least of ints; else the first open size, which the others are beside."""
    open_ones = [size for size in sizes if not isinstance(size, int)]
    fixed = [size for size in sizes if isinstance(size, int)]
    return open_ones[0] if open_ones else min(fixed, default=None)


def selected(finished: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """``old`` in rows that are finished; what has no rows is passed on."""
    if new.rank < finished.rank:
        return new
    shape = (*finished.type.shape, *[1] * (new.rank - finished.rank))
    return functions.where(build("reshape", finished, shape=shape), old, new)


def held(finished: Tensor, old: Any, new: Any) -> Any:
    """``selected`` for nests."""
    return pack(new, [selected(finished, a, b) for a, b in zip(flatten(old), flatten(new), strict=True)])


def zeros_like(nest: Any) -> Any:
    """Zeros in the shapes of a nest's Tensors."""
    return map_leaves(lambda leaf: build("broadcast", constant(0, leaf.dtype), shape=leaf.type.shape), nest)
