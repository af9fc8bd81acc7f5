"""Translates a graph of TensorFlow 1.x to ONNX, node by node, with one list of nodes for each loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...support.errors import shown
from ..onnx.core import messages as onnx
from ..onnx.core.model import Attribute, Graph, number_of_dtype
from ..onnx.core.model import Node as OnnxNode
from ..operators.errors import UnreadableError
from .folding import folded
from .order import Frame
from .randomness import DRAWS, Drawn
from .source import Node, Ref, Source, array_of

Translate = Callable[["Translation", Node], Any]
TABLE: dict[str, Translate] = {}
"""{op: function that translates a node}. It returns the ONNX name of the node's output, or a list for several.

None in the list stands for an output without a value, such as a tensor array.
"""
DOMAIN = "tensorflow"
"""ONNX domain of ops that only TensorFlow has, which ``operators`` reads."""


def translates(*ops: str) -> Callable[[Translate], Translate]:
    """Return a decorator that registers a function as the translation of these ops."""

    def register(function: Translate) -> Translate:
        TABLE.update(dict.fromkeys(ops, function))
        return function

    return register


class Translation:
    """ONNX graphs under construction: the main graph, and one for each loop.

    Args:
        source: The graph of TensorFlow.
        frames: Loop of each Enter, Merge and Exit node, by name.
        fixed: Values of placeholders, by name.
        max_steps: Number of steps for which loops run whose end depends on the data; None to refuse such loops.
    """

    def __init__(
        self, source: Source, frames: Mapping[str, Frame], fixed: Mapping[str, np.ndarray], max_steps: int | None
    ) -> None:
        self.source, self.frames, self.fixed, self.max_steps = source, frames, fixed, max_steps
        self.graph = Graph()
        self.lists: dict[Frame | None, list[OnnxNode]] = {None: self.graph.nodes}
        """Nodes of each loop, and with the key None those of the main graph."""
        self.arrays: dict[str, np.ndarray] = {}
        """Constant arrays, by the names of their ONNX values."""
        self.names: dict[Ref, str] = {}
        """Name of the ONNX value of each output of a TensorFlow node."""
        self.homes: dict[str, Frame] = {}
        """Innermost loop that computes an ONNX value, by the value's name."""
        self.sequences: dict[Ref, str] = {}
        """Name of the ONNX value whose entries a tensor array contains, by the output that represents the array."""
        self.drawn: dict[Ref, Drawn] = {}
        """Random numbers, which have no value, by the output that represents them."""
        self.zeros: set[str] = set()
        """Names of ONNX values that are random numbers times 0."""
        loops = {id(frame): frame for frame in frames.values()}.values()
        self._carried = {name for frame in loops for merge in frame.merges for name, _ in merge.inputs}
        """Names of the nodes that initialize or update states of loops."""
        self._node: Node | None = None
        self._name_count = 0

    # Inputs -------------------------------------------------------------------------------------------

    def resolved(self, ref: Ref) -> Ref:
        """Trace an output back through Identity, Switch and similar nodes to the output whose value they pass on."""
        for _ in range(len(self.source.nodes) + 1):
            node = self.source.nodes[ref[0]]
            hands_on = node.op in PASSING or (node.op == "Enter" and node.name not in self._carried)
            if not hands_on or node.name in self.fixed or not node.inputs:
                return ref
            ref = node.inputs[0]
        raise UnreadableError("its input depends on itself outside of a loop; read a graph that tf.while_loop built")

    def name(self, ref: Ref) -> str:
        """Return the name of an output's ONNX value. Raises ``UnreadableError`` if it has none."""
        value = self.names.get(ref)
        if ref in self.drawn:
            raise UnreadableError(DRAWS)
        if value is None:
            raise UnreadableError(f"its input {shown(ref[0])} is not a numeric tensor")
        return value

    def input(self, node: Node, number: int) -> str:
        """Return the name of an input's ONNX value. Raises ``UnreadableError`` if the input is missing."""
        if number >= len(node.inputs):
            raise UnreadableError(f"its input {number} is missing")
        return self.name(node.inputs[number])

    def known(self, node: Node, number: int, what: str) -> np.ndarray:
        """Return the array of a node's input. Raises ``UnreadableError`` if the input is not constant.

        Args:
            node: The node.
            number: Index of the input.
            what: Name of the input in errors.
        """
        array = self.arrays.get(self.input(node, number))
        if array is None:
            raise UnreadableError(f"{what} is computed at run time; it must be in the file")
        return array

    def ints(self, node: Node, number: int, what: str) -> list[int]:
        """Return the entries of a node's constant input as ints. ``what`` is the input's name in errors."""
        return [int(entry) for entry in self.known(node, number, what).reshape(-1)]

    # Writing ------------------------------------------------------------------------------------------

    def constant(self, array: Any, dtype: str | None = None) -> str:
        """Add a constant array to the model, and return its name."""
        return self.keep(np.asarray(array, dtype), self._new("constant"))

    def keep(self, array: np.ndarray, name: str) -> str:
        """Add a constant array to the model under ``name``, and return ``name``."""
        array = np.array(array, order="C")
        proto = onnx.Tensor(
            np.array(array.shape, np.int64),
            number_of_dtype(str(array.dtype)),
            name=name,
            raw_data=memoryview(array.tobytes()),
        )
        self.arrays[name] = array
        self.graph.arrays[name] = proto
        return name

    def emit(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str] | None = None, domain: str = "", **attributes: Any
    ) -> str:
        """Write an ONNX node, and return the name of its first output.

        If all inputs are constant, and ``folding`` has the op, the result is computed. Then no node is written, and the
        name of a new constant is returned instead of a name in ``outputs``.

        Args:
            op: ONNX op.
            inputs: Names of ONNX values.
            outputs: Names of the results; None for one result with a new name.
            domain: ONNX domain of the op.
            attributes: Attributes of the node. Those that are None are left out.
        """
        if not domain and all(name in self.arrays for name in inputs):
            array = folded(op, [self.arrays[name] for name in inputs], attributes)
            if array is not None:
                return self.constant(array)
        names = tuple(outputs or [self._new(op)])
        present: dict[str, Attribute | None] = {key: item for key, item in attributes.items() if item is not None}
        of = self._node.name if self._node is not None else op
        self.write(OnnxNode(op, domain, of, tuple(inputs), names, present), self.home(inputs))
        return names[0]

    def write(self, node: OnnxNode, frame: Frame | None) -> None:
        """Append a node to the list of its loop, or to the main graph if ``frame`` is None."""
        self.lists.setdefault(frame, []).append(node)
        if frame is None:
            self.graph.makers |= dict.fromkeys(node.outputs, node)
        else:
            self.homes |= dict.fromkeys(node.outputs, frame)

    def home(self, names: Iterable[str]) -> Frame | None:
        """Return the innermost loop that computes one of these values; None for the main graph."""
        frames = [self.homes[name] for name in names if name in self.homes]
        return max(frames, key=lambda frame: frame.depth, default=None)

    def _new(self, base: str) -> str:
        """Return a new name for a value that the current node computes."""
        self._name_count += 1
        of = self._node.name if self._node is not None else "graph"
        return f"{of}/{base}~{self._name_count}"

    def cast(self, name: str, dtype: str) -> str:
        known = self.arrays.get(name)
        if known is not None:
            return self.constant(known.astype(dtype))
        return self.emit("Cast", [name], to=number_of_dtype(dtype))

    def int64(self, name: str) -> str:
        """Cast ints to int64, the dtype of ONNX's sizes and indices. Return the name of the result."""
        known = self.arrays.get(name)
        if known is not None and known.dtype == np.int64:
            return name
        return self.cast(name, "int64")

    # Translation of a node ----------------------------------------------------------------------------

    def translate(self, node: Node) -> None:
        """Translate a node, and record the names of its outputs. Raises ``UnreadableError`` for unsupported nodes."""
        self._node = node
        if node.name in self.fixed:
            self.names[node.name, 0] = self.keep(self.fixed[node.name], node.name)
            return
        result = TABLE[node.op](self, node)
        names = [result] if isinstance(result, str) else result or []
        for place, name in enumerate(names):
            if name is not None:
                self.names[node.name, place] = name

    def constant_of(self, node: Node) -> np.ndarray:
        return array_of(self.source.name, node)


PASSING = (
    "Identity",
    "StopGradient",
    "PreventGradient",
    "CheckNumerics",
    "EnsureShape",
    "Snapshot",
    "NextIteration",
    "RefNextIteration",
    "RefIdentity",
    "LoopCond",
    "ReadVariableOp",
    "Switch",
    "RefSwitch",
    "RefEnter",
    "IdentityN",
    "TensorArrayIdentity",
)
"""Ops whose outputs are their inputs, unchanged. Both outputs of a Switch are its first input."""
