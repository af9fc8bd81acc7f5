"""Readers of ops, and their arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np

from ....ir.types import Dim
from ...script import Script
from ...steps import Value
from .known import Deferred, Found, Known, Listed, Operand, Stacked, Unrounded, known, shape_of
from .model import MAIN_DOMAINS, Array, ArrayReader, Graph, Node
from .sizes import Undecided, UnreadableError, axis_of
from .tensors import Tensors

Outputs = Operand | Deferred | Sequence[Operand | Deferred | None]
OpReader = Callable[["Call"], Outputs]
Function = TypeVar("Function", bound=OpReader)

OPS: dict[tuple[str, str], OpReader] = {}
"""Readers of ops by domain and name."""

MISSING: Any = object()
_CONSTANTS = {"value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64"}


def reads(*ops: str, domain: str = "") -> Callable[[Function], Function]:
    """Register a function as the reader of ops."""

    def register(function: Function) -> Function:
        for op in ops:
            OPS[domain, op] = function
        return function

    return register


def reader_of(node: Node) -> OpReader | None:
    """Return the reader of a node, or None."""
    return OPS.get(("" if node.domain in MAIN_DOMAINS else node.domain, node.op))


class Branches(Protocol):
    """Reader of graphs within nodes."""

    def branch(self, graph: Graph, given: Mapping[str, Operand], tensors: Tensors | None = None) -> list[Operand]:
        """Return the outputs of a graph with inputs ``given``. ``tensors`` declares inside, if another one does."""

    def decide(self, node: Node, entry: Undecided) -> bool:
        """Return the assumed value of a condition that only a call determines."""


class Call:
    """One node with its inputs, of which absent ones are None. ``opset`` is the version of the node's domain."""

    def __init__(
        self, node: Node, inputs: Sequence[Operand | Deferred | None], opset: int, tensors: Tensors,
        arrays: ArrayReader, branches: Branches,
    ) -> None:  # fmt: skip
        self.node, self.inputs, self.opset, self.tensors = node, inputs, opset, tensors
        self._arrays, self._branches = arrays, branches

    @property
    def op(self) -> str:
        return self.node.op

    @property
    def script(self) -> Script:
        return self.tensors.script

    def input(self, number: int) -> Operand:
        """Return a required input."""
        found = self.maybe(number)
        if found is None:
            raise UnreadableError(f"it lacks input {number}")
        return found

    def maybe(self, number: int) -> Operand | None:
        """Return an optional input."""
        found = self.inputs[number] if number < len(self.inputs) else None
        if isinstance(found, Unrounded):
            raise UnreadableError("it computes with numbers that were quantized at run time")
        if isinstance(found, Listed | Stacked):
            raise UnreadableError("it computes with a sequence")
        if isinstance(found, Found):
            raise UnreadableError("it takes what NonZero gives, whose size depends on numbers at run time")
        return found

    def found(self, number: int) -> Found | None:
        """Return an input if it is the indices at which a mask is true."""
        given = self.inputs[number] if number < len(self.inputs) else None
        return given if isinstance(given, Found) else None

    def stacked(self, number: int) -> Operand | None:
        """Return the arrays of a sequence along a first axis, if its length is a size."""
        found = self.inputs[number] if number < len(self.inputs) else None
        return found.items if isinstance(found, Stacked) else None

    def items(self, number: int) -> tuple[Operand, ...]:
        """Return the arrays of a sequence."""
        found = self.inputs[number] if number < len(self.inputs) else None
        if not isinstance(found, Listed):
            raise UnreadableError("it reads no sequence that the file has made")
        return found.items

    def quantized(self, number: int) -> Operand | Unrounded:
        """Return an input of quantized numbers, in the file or at run time."""
        found = self.inputs[number] if number < len(self.inputs) else None
        return found if isinstance(found, Unrounded) else self.input(number)

    def of(self, op: str, inputs: Sequence[Operand | Deferred | None], opset: int = 13) -> Outputs:
        """Return the outputs of another op of ONNX with these inputs and this node's attributes."""
        node = replace(self.node, op=op, domain="")
        reader = reader_of(node)
        assert reader is not None, op
        return reader(Call(node, inputs, opset, self.tensors, self._arrays, self._branches))

    def value(self, number: int, base: str = "weight") -> Value:
        """Return an input as a value of the script."""
        return self.tensors.value(self.input(number), base)

    def array(self, number: int, what: str) -> np.ndarray:
        """Return an input that the file must have. ``what`` is its name in an error."""
        found = self.input(number)
        if not isinstance(found, Known):
            raise UnreadableError(f"{what} is computed at run time; it must be in the file")
        return found.numbers(what)

    def sizes(self, number: int, what: str) -> list[Any]:
        """Return an input of whole numbers or formulas as a flat list."""
        found = self.input(number)
        if not isinstance(found, Known):
            raise UnreadableError(f"{what} are computed at run time; they must follow from the file and from sizes")
        if np.dtype(found.dtype).kind not in "iu":
            raise UnreadableError(f"{what} are of {found.dtype}")
        return [entry if found.is_symbolic else entry.item() for entry in found.array.reshape(-1)]

    def ints(self, number: int, what: str) -> list[int]:
        """Return an input of numbers that the file must have, as a flat list."""
        return [int(entry) for entry in self.array(number, what).reshape(-1)]

    # Attributes --------------------------------------------------------------------------------------

    def attribute(self, name: str, default: Any = MISSING) -> Any:
        found = self.node.attributes.get(name)
        if found is None:
            if default is MISSING:
                raise UnreadableError(f"it lacks attribute {name}")
            return default
        wanted = type(default)
        if (
            default is MISSING
            or default is None
            or isinstance(found, wanted)
            or (wanted is float and type(found) is int)
        ):
            return found
        raise UnreadableError(f"attribute {name} is of the wrong kind")

    def whole(self, name: str, default: int) -> int:
        found: int = self.attribute(name, default)
        return found

    def number(self, name: str, default: float) -> float:
        found: float = self.attribute(name, default)
        return found

    def text(self, name: str, default: str) -> str:
        found: str = self.attribute(name, default)
        return found

    def entries(self, name: str, default: Sequence[Any] | None = None) -> list[Any] | None:
        """Return a list of numbers or texts, or None."""
        found = self.node.attributes.get(name)
        if found is not None and not isinstance(found, list):
            raise UnreadableError(f"attribute {name} is no list")
        return list(default) if found is None and default is not None else found

    def known_attribute(self, name: str) -> Known | None:
        """Return an array among the attributes."""
        found = self.node.attributes.get(name)
        if found is None:
            return None
        if not isinstance(found, Array):
            raise UnreadableError(f"attribute {name} is no array")
        return known(self._arrays.array(found))

    def axes(self, number: int, default: Sequence[int] | None = None) -> list[int] | None:
        """Return ``axes``, an attribute in old opsets and the input ``number`` in new ones."""
        if self.maybe(number) is not None:
            return self.ints(number, "axes")
        return self.entries("axes", default)

    def axis(self, default: int, rank: int) -> int:
        return axis_of(self.whole("axis", default), rank)

    def shape(self, number: int = 0) -> tuple[Dim, ...]:
        return shape_of(self.input(number))

    def rank(self, number: int = 0) -> int:
        return len(self.shape(number))

    def constant(self, node: Node) -> np.ndarray:
        """Return the array of a Constant node: this one, or one of a graph within."""
        for name, dtype in _CONSTANTS.items():
            if name in node.attributes:
                return np.asarray(node.attributes[name], dtype)
        found = node.attributes.get("value")
        if not isinstance(found, Array):
            raise UnreadableError("a constant holds no array of numbers")
        return self._arrays.array(found)

    # Graphs within -----------------------------------------------------------------------------------

    def graph(self, name: str) -> Graph:
        found = self.attribute(name)
        if not isinstance(found, Graph):
            raise UnreadableError(f"attribute {name} is no graph")
        return found

    def branch(
        self, graph: Graph, given: Mapping[str, Operand] | None = None, tensors: Tensors | None = None
    ) -> list[Operand]:
        """Return the outputs of a graph within, with inputs ``given``. ``tensors`` declares inside, if another one
        does.
        """
        return self._branches.branch(graph, given or {}, tensors)

    def decide(self, entry: Undecided) -> bool:
        """Return the assumed value of a condition that only a call determines."""
        return self._branches.decide(self.node, entry)
