"""``rg.weights``: converts the arrays of one layer between torch, Keras, ONNX or cuDNN and a cell's parameters.

``from_torch(cell, arrays)`` returns the cell's parameters by name. To load them, put the cell's scope before the
names::

    scope = "rnn/gru_cell"
    program.parameters.load({f"{scope}/{name}": array for name, array in rg.weights.from_torch(cell, arrays).items()})

Cells are ``BasicRNNCell``, ``BasicLSTMCell``, ``LSTMCell`` and ``GRUCell``. A GRU of torch or cuDNN resets after the
product (``reset_after=True``). The cell's ``forget_bias``, which every step adds, is subtracted from the forget gate's
bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..declare.cell import Cell
from ..declare.cells.basic import GRUCell
from ..support.api_guard import api
from ..support.arguments import flag, whole_number
from ..support.errors import ArgumentError, ShapeError, StructureError, shown
from .gates import (
    ORDERS,
    Arrays,
    Layer,
    Taker,
    as_floats,
    gates_of,
    joined,
    kind_of,
    layer_of,
    parameters_of,
)
from .state_dict import layer_arrays

# torch -----------------------------------------------------------------------------------------------


@api
def from_torch(cell: Cell, arrays: Mapping[str, Any]) -> Arrays:
    """Convert the arrays of a layer of ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` to a cell's parameters.

    Arrays of torch's cells, such as ``nn.LSTMCell``, are converted, too.

    Args:
        cell: The cell.
        arrays: ``weight_ih`` [gates * units, inputs], ``weight_hh`` [gates * units, hidden], ``bias_ih`` and
            ``bias_hh`` [gates * units], if any, and ``weight_hr`` [hidden, units] of a projection. Names may have a
            module's path, and the suffix of one layer and direction, as in ``encoder.weight_ih_l0_reverse`` of a
            ``state_dict``. Arrays of other modules are left out. Weights of ``weight_norm`` and ``spectral_norm`` are
            computed. Tensors may require gradients and have any float dtype.

    Returns:
        {name of a parameter under the cell: array}.
    """
    return parameters_of(cell, torch_layer(cell, arrays))


def torch_layer(cell: Cell, arrays: Mapping[str, Any]) -> Layer:
    """Convert torch's arrays of one recurrent layer to arrays by gate. Raises an error if they do not fit the cell."""
    order = ORDERS["torch"][_kind_that_resets_after(cell)]
    if hasattr(arrays, "state_dict"):
        raise StructureError(f"torch's arrays must be a mapping, not {type(arrays).__name__}; give its state_dict()")
    take = Taker(layer_arrays(_mapping(arrays, "torch")), "torch's arrays")
    inputs, recurrent = take("weight_ih", (None, None)), take("weight_hh", (None, None))
    _check_gates(inputs.shape[0], order, "weight_ih")
    size = inputs.shape[0]
    bias, recurrent_bias = (
        gates_of(take(name, (size,)) if name in take else np.zeros(size, inputs.dtype), order, 0)
        for name in ("bias_ih", "bias_hh")
    )
    layer = Layer(_transposed(inputs, order), _transposed(recurrent, order), bias, recurrent_bias)
    if "weight_hr" in take:
        layer.projection = take("weight_hr", (None, None)).T
    take.check_all()
    return _check_layer(cell, layer)


@api
def to_torch(cell: Cell, parameters: Mapping[str, Any], layer: int | None = None, reverse: bool = False) -> Arrays:
    """Convert a cell's parameters to torch's arrays: the inverse of ``from_torch``.

    Args:
        cell: The cell.
        parameters: {name under the cell: array}.
        layer: Index of a layer of ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, for names such as ``weight_ih_l0``. None
            returns names as in ``nn.LSTMCell``.
        reverse: True if the layer runs backward, as in ``weight_ih_l0_reverse``.

    Returns:
        ``weight_ih``, ``weight_hh``, ``bias_ih``, ``bias_hh``, and ``weight_hr`` of a projection. If the cell has one
        bias, ``bias_hh`` is 0.
    """
    if layer is not None:
        suffix = f"_l{whole_number(layer, 'layer', 0)}{'_reverse' if flag(reverse, 'reverse') else ''}"
        return {name + suffix: array for name, array in to_torch(cell, parameters).items()}
    if flag(reverse, "reverse"):
        raise ArgumentError("reverse=True needs layer=; give the index of the layer, such as layer=0")
    order, gates = ORDERS["torch"][_kind_that_resets_after(cell)], layer_of(cell, parameters)
    _no_peepholes(gates, "torch")
    arrays = {
        "weight_ih": joined(gates.inputs, order, 1).T,
        "weight_hh": joined(gates.recurrent, order, 1).T,
        "bias_ih": joined(gates.input_bias, order, 0),
        "bias_hh": joined(gates.recurrent_bias, order, 0),
    }
    return arrays if gates.projection is None else arrays | {"weight_hr": gates.projection.T}


# Keras -----------------------------------------------------------------------------------------------


@api
def from_keras(cell: Cell, arrays: Sequence[Any] | Mapping[str, Any]) -> Arrays:
    """Convert the arrays of a ``SimpleRNN``, ``LSTM`` or ``GRU`` layer of Keras to a cell's parameters.

    Args:
        cell: The cell.
        arrays: The layer's ``get_weights()``, or these arrays by name: ``kernel`` [inputs, gates * units],
            ``recurrent_kernel`` [units, gates * units], and ``bias``, which may be missing. A bias is [gates * units],
            or [2, gates * units] for a GRU with ``reset_after``.

    Returns:
        {name of a parameter under the cell: array}.
    """
    kind = kind_of(cell)
    order = ORDERS["keras"][kind]
    named = _by_name(arrays, "Keras")
    take = Taker(named, "Keras' arrays")
    kernel = take("kernel", (None, None))
    size = kernel.shape[1]
    _check_gates(size, order, "kernel")
    recurrent = take("recurrent_kernel", (size // len(order), size))
    after = isinstance(cell, GRUCell) and cell.reset_after
    if "bias" in named and np.shape(named["bias"]) == (2 * size,):
        raise ShapeError(
            f"bias of Keras' arrays has {2 * size} entries and the kernel {size} columns, like those of a CuDNNLSTM or "
            "CuDNNGRU; convert these arrays with rg.weights.from_cudnn"
        )
    bias = take("bias", (2, size) if after else (size,)) if "bias" in take else np.zeros((2, size), kernel.dtype)
    take.check_all()
    rows = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    layer = Layer(gates_of(kernel, order, 1), gates_of(recurrent, order, 1), *_split_biases(rows, order))
    return parameters_of(cell, _check_layer(cell, layer))


@api
def to_keras(cell: Cell, parameters: Mapping[str, Any]) -> list[np.ndarray]:
    """Convert a cell's parameters to the argument of ``set_weights`` of a Keras layer.

    Args:
        cell: The cell.
        parameters: {name under the cell: array}.

    Returns:
        [kernel, recurrent_kernel, bias].
    """
    order, layer = ORDERS["keras"][kind_of(cell)], layer_of(cell, parameters)
    _no_peepholes(layer, "Keras")
    if layer.projection is not None:
        raise ArgumentError(f"{cell!r} has a projection, which no layer of Keras has; use a cell without num_proj")
    after = isinstance(cell, GRUCell) and cell.reset_after
    rows = joined(layer.input_bias, order, 0), joined(layer.recurrent_bias, order, 0)
    bias = np.stack(rows) if after else rows[0] + rows[1]
    return [joined(layer.inputs, order, 1), joined(layer.recurrent, order, 1), bias]


# ONNX ------------------------------------------------------------------------------------------------


@api
def from_onnx(cell: Cell, arrays: Mapping[str, Any]) -> Arrays:
    """Convert the arrays of one direction of an ONNX ``RNN``, ``LSTM`` or ``GRU`` node to a cell's parameters.

    Args:
        cell: The cell. A GRU with ``linear_before_reset=1`` is a cell with ``reset_after=True``.
        arrays: ``W`` [gates * units, inputs] and ``R`` [gates * units, units]. The bias ``B`` [2 * gates * units] and
            the peepholes ``P`` [3 * units] may be missing. Each may have a leading axis of directions of size 1.

    Returns:
        {name of a parameter under the cell: array}.
    """
    kind = kind_of(cell)
    order = ORDERS["onnx"][kind]
    named = {name: _one_direction(name, value) for name, value in _mapping(arrays, "ONNX").items()}
    take = Taker(named, "ONNX's arrays")
    inputs, recurrent = take("W", (None, None)), take("R", (None, None))
    size = inputs.shape[0]
    _check_gates(size, order, "W")
    bias = take("B", (2 * size,)) if "B" in take else np.zeros(2 * size, inputs.dtype)
    layer = Layer(_transposed(inputs, order), _transposed(recurrent, order), *_split_biases(np.split(bias, 2), order))
    if "P" in take:
        layer.peepholes = gates_of(take("P", (3 * (size // len(order)),)), "iof", 0)
    take.check_all()
    return parameters_of(cell, _check_layer(cell, layer))


@api
def to_onnx(cell: Cell, parameters: Mapping[str, Any]) -> Arrays:
    """Convert a cell's parameters to the arrays of one direction of an ONNX node.

    Args:
        cell: The cell.
        parameters: {name under the cell: array}.

    Returns:
        ``W``, ``R``, ``B``, and ``P`` if the cell has peepholes, each with a leading axis of directions of size 1.
    """
    order, layer = ORDERS["onnx"][kind_of(cell)], layer_of(cell, parameters)
    if layer.projection is not None:
        raise ArgumentError(f"{cell!r} has a projection, which no node of ONNX has; use a cell without num_proj")
    arrays = {
        "W": joined(layer.inputs, order, 1).T,
        "R": joined(layer.recurrent, order, 1).T,
        "B": np.concatenate([joined(layer.input_bias, order, 0), joined(layer.recurrent_bias, order, 0)]),
    }
    if layer.peepholes:
        arrays["P"] = joined(layer.peepholes, "iof", 0)
    return {name: array[np.newaxis] for name, array in arrays.items()}


# cuDNN -----------------------------------------------------------------------------------------------


@api
def from_cudnn(cell: Cell, arrays: Sequence[Any] | Mapping[str, Any]) -> Arrays:
    """Convert the arrays of a ``CuDNNLSTM`` or ``CuDNNGRU`` layer of Keras to a cell's parameters.

    The kernels of each gate are transposed, because these layers store them in cuDNN's layout.

    Args:
        cell: The cell.
        arrays: The layer's ``get_weights()``, or these arrays by name: ``kernel`` [inputs, gates * units],
            ``recurrent_kernel`` [units, gates * units], ``bias`` [2 * gates * units].

    Returns:
        {name of a parameter under the cell: array}.
    """
    order = ORDERS["keras"][_kind_that_resets_after(cell)]
    take = Taker(_by_name(arrays, "cuDNN"), "cuDNN's arrays")
    kernel = take("kernel", (None, None))
    size = kernel.shape[1]
    _check_gates(size, order, "kernel")
    recurrent = take("recurrent_kernel", (size // len(order), size))
    biases = _split_biases(np.split(take("bias", (2 * size,)), 2), order)
    take.check_all()
    inputs = {gate: part.reshape(part.shape[::-1]).T for gate, part in gates_of(kernel, order, 1).items()}
    hidden = {gate: part.T for gate, part in gates_of(recurrent, order, 1).items()}
    return parameters_of(cell, _check_layer(cell, Layer(inputs, hidden, *biases)))


# Common parts ----------------------------------------------------------------------------------------


def _mapping(arrays: object, whose: str) -> Mapping[str, Any]:
    if not isinstance(arrays, Mapping):
        raise StructureError(f"{whose}'s arrays must be a mapping from name to array, not {shown(arrays)}")
    return arrays


def _by_name(arrays: object, whose: str) -> Mapping[str, Any]:
    """Return a Keras layer's arrays by names such as ``kernel``. Raises ``StructureError`` for several layers.

    Args:
        arrays: A mapping from name to array, or [kernel, recurrent_kernel, bias]. Names may have a path, as in
            ``lstm/lstm_cell/kernel:0``.
        whose: Name of the format in errors.
    """
    if isinstance(arrays, Mapping):
        named = {str(name).rpartition("/")[2].removesuffix(":0"): value for name, value in arrays.items()}
        if len(named) < len(arrays):
            listed = ", ".join(map(str, arrays))
            raise StructureError(f"the arrays are those of several layers: {listed}; give the arrays of one layer")
        return named
    if not isinstance(arrays, list | tuple) or not 2 <= len(arrays) <= 3:
        raise StructureError(
            f"{whose}'s arrays must be [kernel, recurrent_kernel, bias], or a mapping of these, not {shown(arrays)}"
        )
    return dict(zip(("kernel", "recurrent_kernel", "bias"), arrays, strict=False))


def _kind_that_resets_after(cell: Any) -> str:
    """Return ``"rnn"``, ``"lstm"`` or ``"gru"``. Raises ``ArgumentError`` for a GRU with ``reset_after=False``."""
    if isinstance(cell, GRUCell) and not cell.reset_after:
        raise ArgumentError(
            f"{cell!r} multiplies by the reset gate before the product, but a GRU of this format multiplies after it; "
            "use a GRUCell with reset_after=True"
        )
    return kind_of(cell)


def _check_gates(size: int, order: str, name: str) -> None:
    if size % len(order):
        raise ShapeError(f"{name} has {size} entries for {len(order)} gates; it must be a multiple of {len(order)}")


def _split_biases(rows: Sequence[np.ndarray] | np.ndarray, order: str) -> tuple[Arrays, Arrays]:
    """Split [input bias, recurrent bias] by gate. Return (input biases, recurrent biases)."""
    return gates_of(rows[0], order, 0), gates_of(rows[1], order, 0)


def _transposed(array: np.ndarray, order: str) -> Arrays:
    """Split an array of concatenated gates along axis 0, and transpose each part."""
    return {gate: part.T for gate, part in gates_of(array, order, 0).items()}


def _one_direction(name: str, value: Any) -> np.ndarray:
    """Return an array of ONNX without the axis of directions. Raises ``ShapeError`` for two directions."""
    array = as_floats(f"{name} of ONNX's arrays", value)
    if array.ndim == (3 if name in ("W", "R") else 2):
        if array.shape[0] != 1:
            raise ShapeError(
                f"{name} of ONNX's arrays has {array.shape[0]} directions; give the arrays of one direction"
            )
        array = array[0]
    return array


def _no_peepholes(layer: Layer, whose: str) -> None:
    if layer.peepholes:
        raise ArgumentError(f"the cell has peepholes, which no layer of {whose} has; use a cell without use_peepholes")


def _check_layer(cell: Any, layer: Layer) -> Layer:
    """Return ``layer`` unchanged. Raises ``ShapeError`` or ``ArgumentError`` if a cell cannot have its arrays."""
    units = next(iter(layer.inputs.values())).shape[1]
    if units != cell.num_units:
        what = f"the arrays have {units} units, but {cell!r} has {cell.num_units}"
        raise ShapeError(f"{what}; give a cell of {units} units")
    hidden = units if layer.projection is None else layer.projection.shape[1]
    if any(part.shape != (hidden, units) for part in layer.recurrent.values()):
        shape = list(next(iter(layer.recurrent.values())).shape)
        raise ShapeError(f"the recurrent kernel of a gate is {shape}; it must be [{hidden}, {units}]")
    wants = getattr(cell, "num_proj", None)
    if (layer.projection is None) != (wants is None) or (wants is not None and wants != hidden):
        fit = "without num_proj" if layer.projection is None else f"with num_proj={hidden}"
        raise ShapeError(f"the arrays have {hidden} outputs, but {cell!r} has {cell.output_size}; give a cell {fit}")
    if bool(layer.peepholes) != bool(getattr(cell, "use_peepholes", False)):
        has = bool(layer.peepholes)
        raise ArgumentError(
            f"the arrays {'have' if has else 'lack'} peepholes, unlike the cell; give a cell with use_peepholes={has}"
        )
    return layer
