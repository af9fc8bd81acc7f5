"""Decomposes the operand of a gate's activation into products with the step's input and the state, and biases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from .....ir.graph import Node
from .....ir.types import Dim
from .constants import Constants


class NoSumError(ValueError):
    """Error for a value that is not the operand of a gate of ONNX."""


@dataclass
class Sum:
    """Operand of a gate as a sum.

    Attributes:
        units: Number of units.
        inputs: (sequence, kernel [width, units]) pairs.
        recurrent: Matrix [units, units] that multiplies the state h, or r * h in a GRU's candidate.
        bias: [units].
        recurrent_bias: [units], which is added to the product of h before r multiplies the sum (``reset_after``).
        peephole: [units] that multiplies the state c.
        reset: The reset gate r of a GRU's candidate; None for other gates.
        reset_after: True if r multiplies after the product of h, False if before.
        labels: Names of the parameters in the sum.
    """

    units: int
    inputs: list[tuple[Node, np.ndarray]] = field(default_factory=list)
    recurrent: np.ndarray | None = None
    bias: np.ndarray | None = None
    recurrent_bias: np.ndarray | None = None
    peephole: np.ndarray | None = None
    reset: Node | None = None
    reset_after: bool = False
    labels: list[str] = field(default_factory=list)

    def negated(self) -> Sum:
        """Return the negated sum of a gate without reset and peepholes."""
        result = Sum(self.units, [(node, -matrix) for node, matrix in self.inputs], labels=self.labels)
        result.recurrent = None if self.recurrent is None else -self.recurrent
        result.bias = None if self.bias is None else -self.bias
        return result


@dataclass(frozen=True)
class Step:
    """Inputs of a step, from which its gates' sums are built.

    Attributes:
        h: State h in the body.
        c: State c in the body; None for cells without.
        sequences: Sequences outside of the loop, by the inputs of its body.
        invariants: Loop invariants outside of the loop, by the inputs of its body.
    """

    h: Node
    c: Node | None
    sequences: Mapping[Node, Node]
    invariants: Mapping[Node, Node]
    constants: Constants

    @property
    def units(self) -> int:
        units = self.h.shape[-1]
        assert isinstance(units, int)
        return units

    def sum_of(self, node: Node) -> Sum:
        """Decompose a value into a ``Sum``. Raises ``NoSumError`` if it is not a gate's operand."""
        total = Sum(self.units)
        for term, sign in _signed_terms(node):
            self._add(total, term, sign)
        return total

    def _add(self, total: Sum, term: Node, sign: int) -> None:
        """Add a term of the sum: an input of the step, a bias, a product with the state, or a scaled state."""
        outside = self.sequences.get(term)
        if outside is not None:
            for piece, inner in _signed_terms(outside):
                self._add_outside(total, piece, sign * inner)
            return
        bias = self._constant(term)
        if bias is not None:
            total.bias = self._vector(total, bias, sign, total.bias)
            return
        match term.op:
            case "matmul":
                self._add_product(total, term, sign)
            case "mul":
                self._add_scaled(total, term, sign)
            case _:
                raise NoSumError(term.op)

    def _add_product(self, total: Sum, term: Node, sign: int) -> None:
        """Add a product of h, or of r * h, and a constant matrix. Its initial sum is added as further terms."""
        left, kernel, *start = term.operands
        for item in start:
            for piece, inner in _signed_terms(item):
                self._add(total, piece, sign * inner)
        matrix = self._constant(kernel)
        if matrix is None or kernel.shape != (self.units, self.units):
            raise NoSumError("the right operand of a product is not constant")
        if left is not self.h:
            total.reset = self._reset_of(total, left)
        elif total.reset is not None:
            raise NoSumError("the sum has products of h and of r * h")
        if total.reset_after:
            raise NoSumError("r multiplies both before and after the product")
        total.labels += self.constants.labels(matrix)
        value = sign * self.constants.value(matrix)
        total.recurrent = value if total.recurrent is None else total.recurrent + value

    def _reset_of(self, total: Sum, left: Node) -> Node:
        """Return the node r if the left operand of a product is r * h. Raises ``NoSumError`` for other operands."""
        if left.op != "mul" or self.h not in left.operands:
            raise NoSumError("the left operand of a product is neither h nor r * h")
        if total.reset is not None or total.recurrent is not None:
            raise NoSumError("the sum has several products of h, of which one is of r * h")
        one, other = left.operands
        return other if one is self.h else one

    def _add_scaled(self, total: Sum, term: Node, sign: int) -> None:
        """Add a term that is a product of two values: a peephole times c, or r times a product of h."""
        for one, other in (term.operands, term.operands[::-1]):
            vector = self._constant(one)
            if self.c is not None and other is self.c and vector is not None:
                total.peephole = self._vector(total, vector, sign, total.peephole)
                return
        for gate, product in (term.operands, term.operands[::-1]):
            inner = self._hidden_sum(product)
            if inner is not None and total.recurrent is None and total.reset is None:
                total.reset, total.reset_after = gate, True
                total.recurrent, total.labels = inner.recurrent, total.labels + inner.labels
                total.recurrent_bias = inner.bias
                if sign < 0:
                    break
                return
        raise NoSumError("a term multiplies two values that are not constant")

    def _hidden_sum(self, node: Node) -> Sum | None:
        """Return a value as a sum of a product with h, and biases; None if it has other terms."""
        try:
            result = self.sum_of(node)
        except NoSumError:
            return None
        is_plain = (
            not result.inputs and result.recurrent is not None and result.reset is None and result.peephole is None
        )
        return result if is_plain else None

    def _add_outside(self, total: Sum, term: Node, sign: int) -> None:
        """Add a term that does not depend on the state: a constant, or a sequence of its values at all steps."""
        if self.constants.has(term):
            total.bias = self._vector(total, term, sign, total.bias)
            return
        if term.op == "broadcast" and self.constants.has(term.operands[0]):
            total.bias = self._vector(total, term.operands[0], sign, total.bias)
            return
        if term.op == "matmul" and term.tensor.rank == 3 and self.constants.has(term.operands[1]):
            x, kernel, *start = term.operands
            total.labels += self.constants.labels(kernel)
            total.inputs.append((x, sign * self.constants.value(kernel)))
            for item in start:
                for piece, inner in _signed_terms(item):
                    self._add_outside(total, piece, sign * inner)
            return
        if term.tensor.rank != 3 or term.shape[-1] != self.units:
            raise NoSumError("a sequence does not have one entry per unit")
        total.inputs.append((term, sign * np.eye(self.units, dtype=term.dtype)))

    def _constant(self, node: Node) -> Node | None:
        """Return the node outside of the loop that has a value's constant; None if the value is not constant."""
        outside = self.invariants.get(node, node)
        is_param = outside is node and node.op == "input"
        return outside if not is_param and self.constants.has(outside) else None

    def _vector(self, total: Sum, node: Node, sign: int, before: np.ndarray | None) -> np.ndarray:
        """Return a constant [units] times ``sign``, plus the constant ``before`` unless it is None."""
        size: Dim = node.shape[-1] if node.tensor.rank else 1
        if size not in (1, self.units) or any(dim != 1 for dim in node.shape[:-1]):
            raise NoSumError("a bias does not have one entry per unit")
        total.labels += self.constants.labels(node)
        value = sign * np.broadcast_to(self.constants.value(node).reshape(-1), (self.units,))
        return value if before is None else before + value


def _signed_terms(node: Node) -> Iterator[tuple[Node, int]]:
    """Yield the terms of nested sums, differences and negations, each with its sign, 1 or -1."""
    pending = [(node, 1)]
    while pending:
        term, sign = pending.pop()
        match term.op:
            case "add":
                pending += [(item, sign) for item in reversed(term.operands)]
            case "sub":
                pending += [(term.operands[1], -sign), (term.operands[0], sign)]
            case "neg":
                pending.append((term.operands[0], -sign))
            case _:
                yield term, sign
