"""Which operations run before which Tensors: ``tf.control_dependencies``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...declare.tensor import Tensor, build
from ...ir.graph import Node, topological
from ...support.errors import NotOfferedError, user_line
from ..table.missing import GUIDE
from .branch import Branch


class Order:
    """Base of a graph: the operations that run before its Tensors, by node.

    collections: by name; ``control_inputs`` has the operations of the blocks that are open. steps: what parameters of
    the steps are made with that are being traced, the innermost last. within: while a step of a loop is declared, what
    owns variables in it. branch: of the function of ``tf.cond`` or ``tf.case`` that is declared.
    """

    def __init__(self) -> None:
        self.after: dict[Node, list[Any]] = {}
        self.collections: defaultdict[str, list[Any]] = defaultdict(list)
        self.steps: list[Any] = []
        self.within: list[Tensor] | None = None
        self.branch: Branch | None = None

    def branch_read(self) -> Branch | None:
        """The branch that is declared; None within a step of a loop of it."""
        found = self.branch
        return found if found is not None and found.depth == len(self.steps) else None

    def following(self, result: Any, given: Iterable[Any], inner: bool = True) -> Any:
        """The Tensors of a nest, before which the operations of ``tf.control_dependencies`` run.

        given: what it is made of. A Tensor that is given is replaced by another one of its value.
        inner: whether all that stands between the nest and what is given was declared behind the operations too.
        """
        known = {tensor.node for tensor in _tensors_in(given)}
        return _mapped(result, lambda tensor: self._following(tensor, known, inner))

    def _following(self, tensor: Tensor, given: set[Node], inner: bool) -> Tensor:
        node = tensor.node
        if node in given or node in self.after or node.op in ("parameter", "input", "constant"):
            tensor = build("reshape", tensor, shape=tensor.type.shape)
        first = self.collections["control_inputs"]
        self.require(tensor, first)
        pending = list(tensor.node.operands)
        while pending:
            node = pending.pop()
            if node in given or node in self.after or not node.operands:
                continue
            if node.op == "driver" or any(operand.op == "parameter" for operand in node.operands):
                self.after[node] = first
            if node.op != "driver" and (inner or len(node.operands) == 1):
                pending += node.operands
        return tensor

    @contextmanager
    def own_order(self) -> Iterator[None]:
        """While a step is declared, which runs as a whole behind the operations of ``tf.control_dependencies``."""
        outer = self.collections["control_inputs"]
        self.collections["control_inputs"] = []
        try:
            yield
        finally:
            self.collections["control_inputs"] = outer

    def require(self, tensor: Tensor, operations: Iterable[Any]) -> None:
        """Have operations run wherever a Tensor is computed. Refused in steps of loops and in branches."""
        found = list(operations)
        if (self.within is not None or self.steps or self.branch is not None) and any(
            self.within is not None or self.steps or item.branch is not None for item in found
        ):
            raise NotOfferedError(
                f"{found[0]!r} would run within a step of a loop, or in one branch only, which is not offered; run it "
                f"in a session.run of its own, or behind the loop ({GUIDE})",
                user_line(),
            )
        self.after[tensor.node] = [*dict.fromkeys((*self.after.get(tensor.node, ()), *found))]

    def required_by(self, nodes: Sequence[Node]) -> list[Any]:
        """Operations that run where Tensors are computed, and what gradients among these are made of."""
        if not self.after:
            return []
        found: dict[Any, None] = {}
        pending, done = list(nodes), set[Node]()
        while pending:
            order = topological(pending, known=done)
            done.update(order)
            found.update((item, None) for node in order for item in self.after.get(node, ()))
            derivatives = (node.get("gradient") for node in order if node.op == "input")
            losses = [item.loss.node for item in derivatives if item is not None]
            pending = [needed for loss in losses for needed in needed_by_gradients(loss)]
        return list(found)


PASSING = frozenset({"add", "sub", "neg", "mul", "div", "cast", "reshape", "broadcast", "transpose", "reduce_sum"})
"""Ops whose gradients TensorFlow makes without their values, where sizes are known and factors are constants."""


BY_OPERANDS = PASSING | {"square", "log", "log1p", "abs", "sin", "cos", "matmul", "select", "concat", "slice"}
"""Ops whose gradients TensorFlow makes of their operands, and not of their values."""


def needed_by_gradients(loss: Node) -> list[Node]:
    """Nodes whose values TensorFlow computes for the gradients of a loss. The loss itself is often none of them."""
    needed: list[Node] = []
    pending, seen = [loss], set[Node]()
    while pending:
        node = pending.pop()
        if node in seen or node.op == "stop_gradient":
            continue
        seen.add(node)
        others = [operand for operand in node.operands if operand.op != "constant"]
        is_scaled = node.op not in ("mul", "div") or (len(others) == 1 and others[0] is node.operands[0])
        sizes = [size for operand in node.operands for size in operand.shape] if node.op in PASSING else [None]
        if is_scaled and all(isinstance(size, int) for size in sizes):
            pending += others
        else:
            needed += [node, *node.operands] if node.op not in BY_OPERANDS else node.operands
    return needed


def _tensors_in(items: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors of nests of lists, tuples and dicts."""
    pending = [*items]
    while pending:
        item = pending.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, list | tuple):
            pending += item
        elif isinstance(item, dict):
            pending += item.values()


def _mapped(nest: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A nest with what a function makes of its Tensors."""
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, dict):
        return {key: _mapped(item, function) for key, item in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(_mapped(item, function) for item in nest))
    return type(nest)(_mapped(item, function) for item in nest) if type(nest) in (list, tuple) else nest
