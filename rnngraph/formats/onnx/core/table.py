"""Table of the readers of ops, and ``Call``, a reader's argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np

from ....ir.types import Dim
from ....support.errors import shown
from ...script import Script
from ...steps import Value
from .known import Deferred, Dequantized, Known, Listed, NonZeroIndices, Operand, Stacked, known, shape_of
from .model import MAIN_DOMAINS, Array, ArrayReader, Graph, Node
from .sizes import Undecided, UnreadableError, axis_of
from .tensors import Tensors

Outputs = Operand | Deferred | Sequence[Operand | Deferred | None]
OpReader = Callable[["Call"], Outputs]
Function = TypeVar("Function", bound=OpReader)

OPS: dict[tuple[str, str], OpReader] = {}
"""Readers of ops, by (domain, name)."""

MISSING: Any = object()
_CONSTANTS = {"value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64"}


def reads(*ops: str, domain: str = "") -> Callable[[Function], Function]:
    """Return a decorator that registers a function as the reader of ops."""

    def register(function: Function) -> Function:
        for op in ops:
            OPS[domain, op] = function
        return function

    return register


def reader_of(node: Node) -> OpReader | None:
    """Return the reader of a node's op; None if there is none."""
    return OPS.get(("" if node.domain in MAIN_DOMAINS else node.domain, node.op))


class Branches(Protocol):
    """Interface for reading the nested graphs of a node."""

    def branch(self, graph: Graph, inputs: Mapping[str, Operand], tensors: Tensors | None = None) -> list[Operand]:
        """Return the outputs of a nested graph, in order.

        Args:
            graph: The graph.
            inputs: Values of the graph's inputs, by name.
            tensors: Object that declares the graph's values, by default that of the enclosing graph.
        """

    def decide(self, node: Node, entry: Undecided) -> bool:
        """Return the assumed result of a comparison of sizes."""


class Call:
    """Node that is being read, with the values of its inputs.

    Attributes:
        inputs: Values; None for absent inputs.
        opset: Operator-set version of the node's domain.
    """

    def __init__(
        self,
        node: Node,
        inputs: Sequence[Operand | Deferred | None],
        opset: int,
        tensors: Tensors,
        arrays: ArrayReader,
        branches: Branches,
    ) -> None:
        self.node, self.inputs, self.opset, self.tensors = node, inputs, opset, tensors
        self._arrays, self._branches = arrays, branches

    @property
    def op(self) -> str:
        return self.node.op

    @property
    def script(self) -> Script:
        return self.tensors.script

    def input(self, number: int) -> Operand:
        """Return a required input. Raises ``UnreadableError`` if it is missing, quantized or a sequence."""
        operand = self.maybe(number)
        if operand is None:
            raise UnreadableError(f"input {number} is missing, which {self.op} needs; give the node this input")
        return operand

    def maybe(self, number: int) -> Operand | None:
        """Return an optional input; None if it is absent. Raises ``UnreadableError`` if it is ``Deferred``."""
        operand = self.inputs[number] if number < len(self.inputs) else None
        if isinstance(operand, Dequantized):
            raise UnreadableError("it computes with values that are quantized at run time, which is not supported")
        if isinstance(operand, Listed | Stacked):
            raise UnreadableError("its input is a sequence; it must be an array")
        if isinstance(operand, NonZeroIndices):
            raise UnreadableError(
                "it reads the indices of NonZero, whose number depends on the data; only Transpose and ScatterND can"
            )
        return operand

    def nonzero_indices(self, number: int) -> NonZeroIndices | None:
        """Return an input if it is the indices of a mask's true entries; else None."""
        operand = self.inputs[number] if number < len(self.inputs) else None
        return operand if isinstance(operand, NonZeroIndices) else None

    def stacked(self, number: int) -> Operand | None:
        """Return an input as an array if it is a sequence stacked along a first axis; else None."""
        operand = self.inputs[number] if number < len(self.inputs) else None
        return operand.items if isinstance(operand, Stacked) else None

    def items(self, number: int) -> tuple[Operand, ...]:
        """Return the elements of a sequence. Raises ``UnreadableError`` if its length is unknown."""
        operand = self.inputs[number] if number < len(self.inputs) else None
        if not isinstance(operand, Listed):
            raise UnreadableError("its operand must be a sequence of known length")
        return operand.items

    def quantized(self, number: int) -> Operand | Dequantized:
        """Return a required input, which may be quantized."""
        operand = self.inputs[number] if number < len(self.inputs) else None
        return operand if isinstance(operand, Dequantized) else self.input(number)

    def of(self, op: str, inputs: Sequence[Operand | Deferred | None], opset: int = 13) -> Outputs:
        """Return the outputs of another ONNX op, read with ``inputs`` and this node's attributes, as of ``opset``."""
        node = replace(self.node, op=op, domain="")
        reader = reader_of(node)
        assert reader is not None, op
        return reader(Call(node, inputs, opset, self.tensors, self._arrays, self._branches))

    def value(self, number: int, base: str = "weight") -> Value:
        """Return an input as a value of the script."""
        return self.tensors.value(self.input(number), base)

    def array(self, number: int, what: str) -> np.ndarray:
        """Return an input that must be an array of the file. ``what`` is the input's name in errors."""
        operand = self.input(number)
        if not isinstance(operand, Known):
            raise UnreadableError(f"{what} is computed at run time; it must be in the file")
        return operand.numbers(what)

    def sizes(self, number: int, what: str) -> list[Any]:
        """Return an input as a flat list of ints and formulas. ``what`` is the input's name in errors."""
        operand = self.input(number)
        if not isinstance(operand, Known):
            raise UnreadableError(f"{what} are computed at run time; they may depend only on constants and sizes")
        if np.dtype(operand.dtype).kind not in "iu":
            raise UnreadableError(f"{what} have dtype {operand.dtype}; they must be integers")
        return [entry if operand.is_symbolic else entry.item() for entry in operand.array.reshape(-1)]

    def ints(self, number: int, what: str) -> list[int]:
        """Return an input as a flat list of ints. Raises ``UnreadableError`` if it depends on symbolic sizes."""
        return [int(entry) for entry in self.array(number, what).reshape(-1)]

    # Attributes --------------------------------------------------------------------------------------

    def attribute(self, name: str, default: Any = MISSING) -> Any:
        """Return an attribute, or its default. An int passes for a float.

        Raises:
            UnreadableError: The type differs from that of the default, or the attribute is missing and has no default.
        """
        value = self.node.attributes.get(name)
        if value is None:
            if default is MISSING:
                raise UnreadableError(
                    f"attribute {name} is missing, which {self.op} needs; give the node this attribute"
                )
            return default
        kind = type(default)
        if default is MISSING or default is None or isinstance(value, kind) or (kind is float and type(value) is int):
            return value
        raise UnreadableError(f"attribute {name} is {shown(value)}, but must be of type {kind.__name__}")

    def whole(self, name: str, default: int) -> int:
        """Return an int attribute."""
        value: int = self.attribute(name, default)
        return value

    def number(self, name: str, default: float) -> float:
        value: float = self.attribute(name, default)
        return value

    def text(self, name: str, default: str) -> str:
        value: str = self.attribute(name, default)
        return value

    def entries(self, name: str, default: Sequence[Any] | None = None) -> list[Any] | None:
        """Return a list attribute; ``default``, which may be None, if it is missing."""
        value = self.node.attributes.get(name)
        if value is not None and not isinstance(value, list):
            raise UnreadableError(f"attribute {name} is {shown(value)}, but must be a list")
        return list(default) if value is None and default is not None else value

    def known_attribute(self, name: str) -> Known | None:
        """Return an array attribute; None if it is missing."""
        value = self.node.attributes.get(name)
        if value is None:
            return None
        if not isinstance(value, Array):
            raise UnreadableError(f"attribute {name} must be an array")
        return known(self._arrays.array(value))

    def axes(self, number: int, default: Sequence[int] | None = None) -> list[int] | None:
        """Return ``axes``: an attribute in old opsets, the input ``number`` in new opsets; ``default`` if missing."""
        if self.maybe(number) is not None:
            return self.ints(number, "axes")
        return self.entries("axes", default)

    def axis(self, default: int, rank: int) -> int:
        """Return the attribute ``axis`` as a nonnegative axis of an array of this rank."""
        return axis_of(self.whole("axis", default), rank)

    def shape(self, number: int = 0) -> tuple[Dim, ...]:
        return shape_of(self.input(number))

    def rank(self, number: int = 0) -> int:
        return len(self.shape(number))

    def constant(self, node: Node) -> np.ndarray:
        """Return the array of a Constant node. The node may be in a nested graph."""
        for name, dtype in _CONSTANTS.items():
            if name in node.attributes:
                return np.asarray(node.attributes[name], dtype)
        value = node.attributes.get("value")
        if not isinstance(value, Array):
            raise UnreadableError("the value of a constant must be an array of numbers")
        return self._arrays.array(value)

    # Inner graphs ------------------------------------------------------------------------------------

    def graph(self, name: str) -> Graph:
        value = self.attribute(name)
        if not isinstance(value, Graph):
            raise UnreadableError(f"attribute {name} must be a graph")
        return value

    def branch(
        self, graph: Graph, inputs: Mapping[str, Operand] | None = None, tensors: Tensors | None = None
    ) -> list[Operand]:
        """Return the outputs of a nested graph, in order.

        Args:
            graph: The graph.
            inputs: Values of the graph's inputs, by name; by default none.
            tensors: Object that declares the graph's values, by default the node's.
        """
        return self._branches.branch(graph, inputs or {}, tensors)

    def decide(self, entry: Undecided) -> bool:
        """Return the assumed result of a comparison of sizes by this node."""
        return self._branches.decide(self.node, entry)
