"""Arrays of a recurrent layer by gate: the form through which all conversions between formats go.

Gates have the letters of TensorFlow 1.x. An LSTM has i, j (the candidate), f and o. A GRU has r, u (the update) and c
(the candidate). A plain RNN has h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..declare.cell import Cell
from ..declare.cells.basic import BasicLSTMCell, BasicRNNCell, GRUCell, LSTMCell
from ..support.arguments import array_of
from ..support.errors import DtypeError, NameLookupError, ShapeError, did_you_mean, shown

Arrays = dict[str, np.ndarray]

ORDERS: Mapping[str, Mapping[str, str]] = {
    "torch": {"rnn": "h", "lstm": "ifjo", "gru": "ruc"},
    "keras": {"rnn": "h", "lstm": "ifjo", "gru": "urc"},
    "onnx": {"rnn": "h", "lstm": "iofj", "gru": "urc"},
}
"""Order of the gates in each format's arrays, by format and kind of cell."""

ONNX_ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "RNN": ("Tanh",),
    "GRU": ("Sigmoid", "Tanh"),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
}
"""Default activations of ONNX's recurrent nodes, by operator."""

PEEPHOLES = {"i": "w_i_diag", "f": "w_f_diag", "o": "w_o_diag"}
"""Names of an ``LSTMCell``'s peephole weights, by gate."""


@dataclass
class Layer:
    """Arrays of one recurrent layer.

    ``hidden`` is the width of the output h: the number of units or, with a projection, the projected width.

    Attributes:
        inputs: Kernels [inputs, units] by gate.
        recurrent: Kernels [hidden, units] by gate.
        input_bias: [units] by gate.
        recurrent_bias: [units] by gate. The bias of a cell with one bias is ``input_bias + recurrent_bias``.
        peepholes: [units] by gate; empty without peepholes.
        projection: [units, hidden]; None without a projection.
    """

    inputs: Arrays
    recurrent: Arrays
    input_bias: Arrays
    recurrent_bias: Arrays
    peepholes: Arrays = field(default_factory=dict)
    projection: np.ndarray | None = None

    def bias(self, gate: str) -> np.ndarray:
        """Return the sum of a gate's biases."""
        return self.input_bias[gate] + self.recurrent_bias[gate]


def kind_of(cell: object) -> str:
    """Return the kind of a cell: ``"rnn"``, ``"lstm"`` or ``"gru"``. Raises ``DtypeError`` for other objects."""
    kinds = {BasicRNNCell: "rnn", BasicLSTMCell: "lstm", LSTMCell: "lstm", GRUCell: "gru"}
    kind = kinds.get(type(cell))
    if kind is None:
        raise DtypeError(
            f"weights of {shown(cell)} can't be converted; give a BasicRNNCell, BasicLSTMCell, LSTMCell or GRUCell, or "
            "the cells of a stack one by one"
        )
    return kind


# Concatenated gates -----------------------------------------------------------------------------------


def gates_of(array: np.ndarray, order: str, axis: int) -> Arrays:
    """Split an array of concatenated gates: {letter of ``order``: equal part along ``axis``}."""
    return dict(zip(order, np.split(array, len(order), axis), strict=True))


def joined(parts: Arrays, order: str, axis: int) -> np.ndarray:
    """Concatenate the arrays of gates along an axis, in the order of the letters in ``order``."""
    return np.concatenate([parts[gate] for gate in order], axis)


def zeros_like(parts: Arrays) -> Arrays:
    return {gate: np.zeros_like(part) for gate, part in parts.items()}


# rnngraph's cells ------------------------------------------------------------------------------------------


# {kind of cell: the mapping that ``layout_of`` returns}
LAYOUTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "rnn": {"kernel": ("WR", "h"), "bias": ("B", "h")},
    "lstm": {"kernel": ("WR", "ijfo"), "bias": ("B", "ijfo")},
    "gru": {
        "gates/kernel": ("WR", "ru"),
        "gates/bias": ("B", "ru"),
        "candidate/kernel": ("WR", "c"),
        "candidate/bias": ("B", "c"),
    },
    "gru that resets after": {
        "gates/kernel": ("WR", "ru"),
        "gates/bias": ("B", "ru"),
        "candidate/input_projection/kernel": ("W", "c"),
        "candidate/input_projection/bias": ("b", "c"),
        "candidate/hidden_projection/kernel": ("R", "c"),
        "candidate/hidden_projection/bias": ("r", "c"),
    },
}


def layout_of(cell: Cell) -> Mapping[str, tuple[str, str]]:
    """Return {parameter of a cell: (code of the parameter's array, order of the gates)}.

    Codes of kernels are W (of the input), R (of h), and WR (both stacked). Codes of biases are b (of W), r (of R), and
    B (b + r).
    """
    return LAYOUTS["gru that resets after" if isinstance(cell, GRUCell) and cell.reset_after else kind_of(cell)]


def parameters_of(cell: Cell, layer: Layer) -> Arrays:
    """Convert a layer's arrays by gate to the parameters of a cell, by name: the inverse of ``layer_of``."""
    return {name: np.ascontiguousarray(array) for name, array in _parameters(cell, layer).items()}


def _parameters(cell: Cell, layer: Layer) -> Arrays:
    arrays = arrays_in(layout_of(cell), layer)
    if isinstance(cell, BasicLSTMCell | LSTMCell):
        forget = np.split(arrays["bias"], 4)[LAYOUTS["lstm"]["bias"][1].index("f")]
        forget -= np.asarray(cell.forget_bias, forget.dtype)  # the cell adds forget_bias at each step
    return arrays if layer.projection is None else arrays | {"projection/kernel": layer.projection}


def arrays_in(layout: Mapping[str, tuple[str, str]], layer: Layer) -> Arrays:
    """Return {name of a parameter: array} for all parameters in a layout, and for the layer's peepholes."""
    arrays = {name: _array_of(layer, what, order) for name, (what, order) in layout.items()}
    return arrays | {PEEPHOLES[gate]: array for gate, array in layer.peepholes.items()}


def _array_of(layer: Layer, what: str, order: str) -> np.ndarray:
    """Return the array that the code ``what`` of ``layout_of`` denotes, with the gates in the given order."""
    kernels = [parts for letter, parts in (("W", layer.inputs), ("R", layer.recurrent)) if letter in what]
    if kernels:
        return joined({gate: np.concatenate([parts[gate] for parts in kernels]) for gate in order}, order, 1)
    if what == "B":
        return joined({gate: layer.bias(gate) for gate in order}, order, 0)
    return joined(layer.input_bias if what == "b" else layer.recurrent_bias, order, 0)


def layer_of(cell: Cell, parameters: Mapping[str, object]) -> Layer:
    """Convert the parameters of a cell, by name, to a layer's arrays by gate: the inverse of ``parameters_of``."""
    kind = kind_of(cell)
    take = Taker(parameters, f"the parameters of {cell!r}")
    if isinstance(cell, GRUCell):
        layer = _gru_layer(cell, take)
        take.check_all()
        return layer
    order = {"rnn": "h", "lstm": "ijfo"}[kind]
    hidden = getattr(cell, "hidden", None) or cell.output_size
    kernel, bias = take("kernel", (None, None)), take("bias", (None,))
    both, biases = gates_of(kernel, order, 1), gates_of(bias, order, 0)
    if isinstance(cell, BasicLSTMCell | LSTMCell):
        biases["f"] = biases["f"] + np.asarray(cell.forget_bias, bias.dtype)
    layer = Layer(
        {gate: part[:-hidden] for gate, part in both.items()},
        {gate: part[-hidden:] for gate, part in both.items()},
        biases,
        zeros_like(biases),
    )
    if isinstance(cell, LSTMCell) and cell.use_peepholes:
        layer.peepholes = {gate: take(name, (None,)) for gate, name in PEEPHOLES.items()}
    if isinstance(cell, LSTMCell) and cell.num_proj is not None:
        layer.projection = take("projection/kernel", (None, None))
    take.check_all()
    return layer


def _gru_layer(cell: GRUCell, take: Taker) -> Layer:
    """Convert the parameters of a ``GRUCell`` to a layer's arrays by gate."""
    units = cell.num_units
    both = gates_of(take("gates/kernel", (None, 2 * units)), "ru", 1)
    biases = gates_of(take("gates/bias", (2 * units,)), "ru", 0)
    if cell.reset_after:
        inputs = take("candidate/input_projection/kernel", (None, units))
        recurrent = take("candidate/hidden_projection/kernel", (units, units))
        input_bias = take("candidate/input_projection/bias", (units,))
        recurrent_bias = take("candidate/hidden_projection/bias", (units,))
    else:
        kernel, input_bias = take("candidate/kernel", (None, units)), take("candidate/bias", (units,))
        inputs, recurrent, recurrent_bias = kernel[:-units], kernel[-units:], np.zeros_like(input_bias)
    return Layer(
        {gate: part[:-units] for gate, part in both.items()} | {"c": inputs},
        {gate: part[-units:] for gate, part in both.items()} | {"c": recurrent},
        biases | {"c": input_bias},
        zeros_like(biases) | {"c": recurrent_bias},
    )


# Arrays from callers ---------------------------------------------------------------------------------


class Taker:
    """Checked access to a caller's arrays.

    A converter requests each array by name and shape. Afterwards, ``check_all`` refuses arrays that were not requested.
    """

    def __init__(self, arrays: object, what: str) -> None:
        """Wrap a caller's arrays.

        Args:
            arrays: Mapping from name to array.
            what: Name of the mapping in errors.
        """
        if not isinstance(arrays, Mapping):
            raise DtypeError(f"{what} must be a mapping from name to array, not {shown(arrays)}")
        self._arrays: Mapping[str, object] = arrays
        self._what = what
        self._requested: set[str] = set()

    def __contains__(self, name: str) -> bool:
        self._requested.add(name)
        return name in self._arrays

    def check_all(self) -> None:
        """Raise ``NameLookupError`` for arrays that were not requested."""
        unknown = [str(name) for name in self._arrays if name not in self._requested]
        if unknown:
            hint = did_you_mean(unknown[0], self._requested - self._arrays.keys()) if len(unknown) == 1 else ""
            raise NameLookupError(
                f"{self._what} have {', '.join(unknown)}, which this layer does not have{hint}; it has "
                f"{', '.join(sorted(self._requested))}"
            )

    def __call__(self, name: str, shape: Sequence[int | None]) -> np.ndarray:
        """Return the array ``name`` as float32 or float64. Raises an error if it is missing or has another shape.

        Args:
            name: Name of the array.
            shape: Sizes that the array must have, with None for any size.
        """
        self._requested.add(name)
        if name not in self._arrays:
            listed = ", ".join(map(str, self._arrays)) or "none"
            raise NameLookupError(f"{self._what} have no {name}; there are {listed}")
        array = as_floats(f"{name} of {self._what}", self._arrays[name])
        fits = array.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=False)
        )
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ShapeError(f"{name} of {self._what} has shape {list(array.shape)}; it must be [{wanted}]")
        return array


def as_floats(what: str, value: object) -> np.ndarray:
    """Convert an array of NumPy or torch, or nested lists, to float32; float64 stays float64.

    Args:
        what: Name of the array in errors.
        value: The array.

    Raises:
        DtypeError: The array is not of floats or ints.
    """
    array = array_of(value, f"{what} is not an array")
    if array.dtype.kind not in "fiu":
        raise DtypeError(f"{what} has dtype {array.dtype}; give floats")
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
