"""Control dependencies: the operations that run before Tensors are computed."""

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


class ControlDependencies:
    """Base class of ``Graph`` that records control dependencies.

    Attributes:
        after: Operations that must run before a node is computed, by node.
        collections: Collections by name. ``control_inputs`` has the operations of open blocks.
        steps: Scopes of the steps that are being traced, the innermost last.
        within: List that records owners of variables while a step of a loop is declared; None outside of loops.
        branch: Branch of ``tf.cond`` or ``tf.case`` whose function is declaring Tensors; None outside of branches.
    """

    def __init__(self) -> None:
        self.after: dict[Node, list[Any]] = {}
        self.collections: defaultdict[str, list[Any]] = defaultdict(list)
        self.steps: list[Any] = []
        self.within: list[Tensor] | None = None
        self.branch: Branch | None = None

    def branch_read(self) -> Branch | None:
        """Return the ``tf.cond`` branch that is being declared; None for none, or in a loop inside the branch."""
        branch = self.branch
        return branch if branch is not None and branch.depth == len(self.steps) else None

    def following(self, result: Any, operands: Iterable[Any], inner: bool = True) -> Any:
        """Make the operations of open ``tf.control_dependencies`` blocks run before a function's results are computed.

        Drivers, and nodes that read variables, between operands and results also depend on the operations.

        Args:
            result: Nest of the function's results.
            operands: Operands of the function.
            inner: True to search all nodes between operands and results for such nodes. False: only the results'
                operands, and below them chains of nodes with one operand.

        Returns:
            The nest. Operands, variables, placeholders, constants, and Tensors with control dependencies of their own
            are replaced by copies.
        """
        known = {tensor.node for tensor in _tensors_in(operands)}
        return _mapped(result, lambda tensor: self._following(tensor, known, inner))

    def _following(self, tensor: Tensor, operands: set[Node], inner: bool) -> Tensor:
        """Return a result Tensor, copied if necessary, that depends on the open control dependencies."""
        node = tensor.node
        if node in operands or node in self.after or node.op in ("parameter", "input", "constant"):
            tensor = build("reshape", tensor, shape=tensor.type.shape)
        first = self.collections["control_inputs"]
        self.require(tensor, first)
        pending, visited = list(tensor.node.operands), set[Node]()
        while pending:
            node = pending.pop()
            if node in operands or node in visited or node in self.after or not node.operands:
                continue
            visited.add(node)
            if node.op == "driver" or any(operand.op == "parameter" for operand in node.operands):
                self.after[node] = first
            if node.op != "driver" and (inner or len(node.operands) == 1):
                pending += node.operands
        return tensor

    @contextmanager
    def hidden_control_dependencies(self) -> Iterator[None]:
        """Hide open control dependencies within the block, a loop's step, because the whole loop depends on them."""
        outer = self.collections["control_inputs"]
        self.collections["control_inputs"] = []
        try:
            yield
        finally:
            self.collections["control_inputs"] = outer

    def require(self, tensor: Tensor, operations: Iterable[Any]) -> None:
        """Make a run that computes a Tensor run these operations first.

        Raises:
            NotOfferedError: The Tensor is declared in a step of a loop, or both it and an operation in branches.
        """
        required = list(operations)
        if (self.within is not None or self.steps or self.branch is not None) and any(
            self.within is not None or self.steps or item.branch is not None for item in required
        ):
            raise NotOfferedError(
                f"{required[0]!r} would run in a step of a loop, or in one branch, which is not offered; run it "
                f"in a session.run of its own, or after the loop ({GUIDE})",
                user_line(),
            )
        self.after[tensor.node] = [*dict.fromkeys((*self.after.get(tensor.node, ()), *required))]

    def required_by(self, nodes: Sequence[Node]) -> list[Any]:
        """Return the operations that must run before ``nodes`` are computed, or before gradients that they read."""
        if not self.after:
            return []
        required: dict[Any, None] = {}
        pending, done = list(nodes), set[Node]()
        while pending:
            order = topological(pending, known=done)
            done.update(order)
            required.update((item, None) for node in order for item in self.after.get(node, ()))
            derivatives = (node.get("gradient") for node in order if node.op == "input")
            losses = [item.loss.node for item in derivatives if item is not None]
            pending = [needed for loss in losses for needed in needed_by_gradients(loss)]
        return list(required)


PASSING = frozenset({"add", "sub", "neg", "mul", "div", "cast", "reshape", "broadcast", "transpose", "reduce_sum"})
"""Ops whose gradients TensorFlow computes without their operands, if sizes are known and factors are constants."""


BY_OPERANDS = PASSING | {"square", "log", "log1p", "abs", "sin", "cos", "matmul", "select", "concat", "slice"}
"""Ops whose gradients TensorFlow computes from their operands rather than from their result."""


def needed_by_gradients(loss: Node) -> list[Node]:
    """Nodes that TensorFlow reads to compute a loss's gradients, often not the loss. Ancestors may be missing."""
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
    """Yield the Tensors of nests of lists, tuples and dicts."""
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
    """Return a nest with a function applied to its Tensors."""
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, dict):
        return {key: _mapped(item, function) for key, item in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(_mapped(item, function) for item in nest))
    return type(nest)(_mapped(item, function) for item in nest) if type(nest) in (list, tuple) else nest
