"""Nodes of an ONNX graph in the making: of the whole one, or of a loop's body within it."""

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
    """A node of ONNX. attributes: of ONNX's names; a ``Body`` stands for a graph."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    about: str = ""


@dataclass
class Body:
    """A graph within a node: (name, type) of what it takes and gives, and its nodes."""

    name: str
    inputs: list[tuple[str, TensorType]]
    outputs: list[tuple[str, TensorType]]
    operators: list[Operator]


class Present(NamedTuple):
    """The state that a convolution with a past gives: the last steps of the past and what follows it."""

    past: Past
    name: str


@dataclass
class Model:
    """What a graph and its bodies share.

    opset: the version of ONNX's operators. initializers: constant tensors, by name.
    problems: what can't be written, with its line.
    turned: values by the names of their transposes, and the order of these, which is its own inverse.
    presents: states that convolutions give, by the past and what follows it, joined.
    """

    opset: int
    names: Namer = field(default_factory=Namer)
    initializers: dict[str, np.ndarray] = field(default_factory=dict)
    problems: list[tuple[Where | None, str]] = field(default_factory=list)
    turned: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    presents: dict[Node, Present] = field(default_factory=dict)
    _constants: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def initializer(self, array: np.ndarray, hint: str) -> str:
        """The name of a new constant tensor."""
        name = self.names(hint)
        self.initializers[name] = array
        return name

    def keep_present(self, past: Past, name: str) -> None:
        """Note the name of a state [batch, width, steps] that a convolution gives."""
        self.presents[past.joined] = Present(past, name)

    def constant(self, array: np.ndarray, hint: str) -> str:
        """The name of a constant tensor; equal ones are one."""
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self.initializer(array, hint)
        return self._constants[key]


class Scope:
    """A graph's nodes, and the names of its values. Bodies see the values of the scopes around them."""

    def __init__(self, model: Model, root: Scope | None = None) -> None:
        self.model = model
        self.root = root or self
        self.operators: list[Operator] = []
        self.values: dict[Node, str] = {}
        self.scans: dict[Node, list[str]] = {}  # names of what loops give, in their order

    def body(self) -> Scope:
        """The scope of a body."""
        inner = Scope(self.model, self.root)
        inner.values = dict(self.values)
        return inner

    def add(self, op: str, *inputs: str, hint: str = "", **attributes: Any) -> str:
        """A node of one output, whose name is given. hint: what it is to be called."""
        return self.add_many(op, inputs, [hint or op.lower()], **attributes)[0]

    def add_many(self, op: str, inputs: Sequence[str], hints: Sequence[str], **attributes: Any) -> list[str]:
        """A node and the names of its outputs. An empty hint leaves an output out."""
        outputs = [self.model.names(hint) if hint else "" for hint in hints]
        self.operators.append(Operator(op, list(inputs), outputs, attributes))
        return outputs

    def constant(self, value: Any, dtype: str, hint: str = "constant") -> str:
        return self.model.constant(np.asarray(value, dtype), hint)

    def integers(self, values: Sequence[int], hint: str) -> str:
        """An int64 vector, such as of axes."""
        return self.constant(list(values), "int64", hint)

    # Expressions of several nodes -----------------------------------------------------------------

    def reshape(self, x: str, shape: Sequence[int], hint: str = "") -> str:
        """``x`` in a shape of numbers: 0 stands for the size that the axis has, -1 for what is left."""
        return self.add("Reshape", x, self.integers(shape, "shape"), hint=hint)

    def squeeze(self, x: str, axis: int, hint: str = "") -> str:
        return self.add("Squeeze", x, self.integers([axis], "axes"), hint=hint)

    def unsqueeze(self, x: str, axis: int) -> str:
        return self.add("Unsqueeze", x, self.integers([axis], "axes"))

    def select(self, condition: str, yes: str, no: str, dtype: str, hint: str = "") -> str:
        """``yes`` where the condition holds, else ``no``. onnxruntime has no Where of truth values."""
        if dtype != "bool":
            return self.add("Where", condition, yes, no, hint=hint)
        rest = self.add("And", self.add("Not", condition), no)
        return self.add("Or", self.add("And", condition, yes), rest, hint=hint)
