"""ONNX graph under construction: a model's main graph, or the body of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ....ir.graph import Node
from ....ir.node import Namer
from ....ir.types import TensorType
from ....support.errors import Where
from .recognition.convolutions import Past


@dataclass
class Operator:
    """Node of ONNX. ``attributes`` is {name: value}, where a ``Body`` is a nested graph."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    about: str = ""


@dataclass
class Body:
    """Nested graph: its nodes, and (name, type) of its inputs and outputs."""

    name: str
    inputs: list[tuple[str, TensorType]]
    outputs: list[tuple[str, TensorType]]
    operators: list[Operator]


class Present(NamedTuple):
    """State that a convolution with a past returns: the last steps of the past and the sequence, concatenated."""

    past: Past
    name: str


@dataclass
class Model:
    """Data that a graph and its bodies share.

    Attributes:
        opset: Version of ONNX's operators.
        initializers: Constant tensors by name.
        problems: Reasons why nodes cannot be written, with lines.
        transposes: {name of a transposed value: (name of the operand, order)}. The orders are their own inverses.
        presents: States that convolutions return, by the concatenation of the past and the sequence.
    """

    opset: int
    names: Namer = field(default_factory=Namer)
    initializers: dict[str, np.ndarray] = field(default_factory=dict)
    problems: list[tuple[Where | None, str]] = field(default_factory=list)
    transposes: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    presents: dict[Node, Present] = field(default_factory=dict)
    _constants: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def initializer(self, array: np.ndarray, hint: str) -> str:
        """Add a constant tensor, and return its name."""
        name = self.names(hint)
        self.initializers[name] = array
        return name

    def keep_present(self, past: Past, name: str) -> None:
        """Record the name of the state [batch, width, steps] that a convolution over a past returns."""
        self.presents[past.joined] = Present(past, name)

    def constant(self, array: np.ndarray, hint: str) -> str:
        """Return the name of a constant tensor. Equal tensors are stored once."""
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.initializer(array, hint)
        return self._constants[key]


class Scope:
    """Nodes of a graph under construction, and the names of values. A body can read the values of enclosing scopes."""

    def __init__(self, model: Model, root: Scope | None = None) -> None:
        self.model = model
        self.root = root or self
        self.operators: list[Operator] = []
        self.values: dict[Node, str] = {}
        self.scans: dict[Node, list[str]] = {}  # names of loops' results, in order

    def body(self) -> Scope:
        """Return a new scope for a loop body in this scope."""
        inner = Scope(self.model, self.root)
        inner.values = dict(self.values)
        return inner

    def add(self, op: str, *inputs: str, hint: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the output's name, which begins with ``hint``."""
        return self.add_many(op, inputs, [hint or op.lower()], **attributes)[0]

    def add_many(self, op: str, inputs: Sequence[str], hints: Sequence[str], **attributes: Any) -> list[str]:
        """Add a node, and return the names of its outputs. An empty hint omits an output."""
        outputs = [self.model.names(hint) if hint else "" for hint in hints]
        self.operators.append(Operator(op, list(inputs), outputs, attributes))
        return outputs

    def constant(self, value: Any, dtype: str, hint: str = "constant") -> str:
        return self.model.constant(np.asarray(value, dtype), hint)

    def integers(self, values: Sequence[int], hint: str) -> str:
        """Return the name of a constant int64 vector, such as a list of axes."""
        return self.constant(list(values), "int64", hint)

    # Expressions of several nodes -----------------------------------------------------------------

    def reshape(self, x: str, shape: Sequence[int], hint: str = "") -> str:
        """Write a reshape. A size of 0 copies the size of the operand's axis, and -1 is inferred."""
        return self.add("Reshape", x, self.integers(shape, "shape"), hint=hint)

    def squeeze(self, x: str, axis: int, hint: str = "") -> str:
        return self.add("Squeeze", x, self.integers([axis], "axes"), hint=hint)

    def unsqueeze(self, x: str, axis: int) -> str:
        return self.add("Unsqueeze", x, self.integers([axis], "axes"))

    def select(self, condition: str, yes: str, no: str, dtype: str, hint: str = "") -> str:
        """Write ``yes`` where the condition holds, else ``no``. Bools use And and Or: onnxruntime has no bool Where."""
        if dtype != "bool":
            return self.add("Where", condition, yes, no, hint=hint)
        rest = self.add("And", self.add("Not", condition), no)
        return self.add("Or", self.add("And", condition, yes), rest, hint=hint)
