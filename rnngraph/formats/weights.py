"""Weights alone (``rg.weights``): one layer's arrays of torch, Keras, ONNX or cuDNN as a cell's parameters, and back.

``from_torch(cell, arrays)`` gives {parameter's name under the cell: array}, so that

    scope = "rnn/gru_cell"
    program.parameters.load({f"{scope}/{name}": array for name, array in rg.weights.from_torch(cell, arrays).items()})

loads them. Cells are ``BasicRNNCell``, ``BasicLSTMCell``, ``LSTMCell`` and ``GRUCell``; a GRU of torch's or cuDNN's
resets after the product (``reset_after=True``). The cell's ``forget_bias``, which every step adds, is taken off the
bias of the forget gate.
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
    """A layer of ``nn.RNN``, ``nn.LSTM``, ``nn.GRU``, or of their ``…Cell``s.

    arrays: ``weight_ih`` [gates * units, inputs], ``weight_hh`` [gates * units, hidden], ``bias_ih`` and ``bias_hh``
    [gates * units] unless the layer has none, ``weight_hr`` [hidden, units] of a projection. They are of one layer and
    direction, whose suffix may stand behind each name (``weight_ih_l0_reverse``) and whose module before it
    (``encoder.weight_ih_l0``), as in a ``state_dict``; arrays of other modules are left out. What ``weight_norm`` or
    ``spectral_norm`` computes of a weight's parts is computed. Tensors may take part in gradients, and be of any
    floats.
    """
    return parameters_of(cell, torch_layer(cell, arrays))


def torch_layer(cell: Cell, arrays: Mapping[str, Any]) -> Layer:
    """A layer of torch's, as ``from_torch`` takes its arrays, checked against the cell."""
    order = ORDERS["torch"][_kind_that_resets_after(cell)]
    if hasattr(arrays, "state_dict"):
        raise StructureError(f"torch's arrays come as a mapping, not as {type(arrays).__name__}; give its state_dict()")
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
    return _checked(cell, layer)


@api
def to_torch(
    cell: Cell, parameters: Mapping[str, Any], layer: int | None = None, reverse: bool = False
) -> Arrays:  # fmt: skip
    """Return what ``from_torch`` takes: ``weight_ih``, ``weight_hh``, ``bias_ih``, ``bias_hh``, and ``weight_hr`` of a
    projection. Where the cell has one bias for two, ``bias_hh`` is 0.

    Args:
        cell: The cell.
        parameters: {name under the cell: array}.
        layer: Layer of an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``, whose names are ``weight_ih_l0`` for layer 0. None
            gives the names of ``nn.LSTMCell``.
        reverse: Whether the layer's direction is the backward one, as in ``weight_ih_l0_reverse``.
    """
    if layer is not None:
        suffix = f"_l{whole_number(layer, 'layer', 0)}{'_reverse' if flag(reverse, 'reverse') else ''}"
        return {name + suffix: array for name, array in to_torch(cell, parameters).items()}
    if flag(reverse, "reverse"):
        raise ArgumentError("reverse=True is a direction of a layer; give layer=, the layer's number")
    order, gates = ORDERS["torch"][_kind_that_resets_after(cell)], layer_of(cell, parameters)
    _no_peepholes(gates, "torch")
    found = {
        "weight_ih": joined(gates.inputs, order, 1).T, "weight_hh": joined(gates.recurrent, order, 1).T,
        "bias_ih": joined(gates.input_bias, order, 0), "bias_hh": joined(gates.recurrent_bias, order, 0),
    }  # fmt: skip
    return found if gates.projection is None else found | {"weight_hr": gates.projection.T}


# Keras -----------------------------------------------------------------------------------------------


@api
def from_keras(cell: Cell, arrays: Sequence[Any] | Mapping[str, Any]) -> Arrays:
    """A ``SimpleRNN``, ``LSTM`` or ``GRU`` layer of Keras.

    arrays: what ``get_weights()`` gives, or the same by name: ``kernel`` [inputs, gates * units], ``recurrent_kernel``
    [units, gates * units] and, unless the layer has none, ``bias`` [gates * units]; of a GRU with ``reset_after``
    [2, gates * units].
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
            f"bias of Keras' arrays has {2 * size} entries where the kernel has {size} columns, as that of a CuDNNLSTM "
            "or CuDNNGRU; take these arrays through rg.weights.from_cudnn"
        )
    bias = take("bias", (2, size) if after else (size,)) if "bias" in take else np.zeros((2, size), kernel.dtype)
    take.check_all()
    rows = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    layer = Layer(gates_of(kernel, order, 1), gates_of(recurrent, order, 1), *_both(rows, order))
    return parameters_of(cell, _checked(cell, layer))


@api
def to_keras(cell: Cell, parameters: Mapping[str, Any]) -> list[np.ndarray]:
    """What ``set_weights`` of a Keras layer takes: [kernel, recurrent_kernel, bias].

    parameters: {name under the cell: array}.
    """
    order, layer = ORDERS["keras"][kind_of(cell)], layer_of(cell, parameters)
    _no_peepholes(layer, "Keras")
    if layer.projection is not None:
        raise ArgumentError(f"{cell!r} has a projection, which no layer of Keras has")
    after = isinstance(cell, GRUCell) and cell.reset_after
    rows = joined(layer.input_bias, order, 0), joined(layer.recurrent_bias, order, 0)
    bias = np.stack(rows) if after else rows[0] + rows[1]
    return [joined(layer.inputs, order, 1), joined(layer.recurrent, order, 1), bias]


# ONNX ------------------------------------------------------------------------------------------------


@api
def from_onnx(cell: Cell, arrays: Mapping[str, Any]) -> Arrays:
    """One direction of an ONNX ``RNN``, ``LSTM`` or ``GRU`` node.

    arrays: ``W`` [gates * units, inputs], ``R`` [gates * units, units], ``B`` [2 * gates * units] unless the node has
    none, ``P`` [3 * units] of peepholes; each may have the axis of directions, of size 1, in front. A GRU whose
    ``linear_before_reset`` is 1 is a cell with ``reset_after=True``.
    """
    kind = kind_of(cell)
    order = ORDERS["onnx"][kind]
    named = {name: _one_direction(name, value) for name, value in _mapping(arrays, "ONNX").items()}
    take = Taker(named, "ONNX's arrays")
    inputs, recurrent = take("W", (None, None)), take("R", (None, None))
    size = inputs.shape[0]
    _check_gates(size, order, "W")
    bias = take("B", (2 * size,)) if "B" in take else np.zeros(2 * size, inputs.dtype)
    layer = Layer(_transposed(inputs, order), _transposed(recurrent, order), *_both(np.split(bias, 2), order))
    if "P" in take:
        layer.peepholes = gates_of(take("P", (3 * (size // len(order)),)), "iof", 0)
    take.check_all()
    return parameters_of(cell, _checked(cell, layer))


@api
def to_onnx(cell: Cell, parameters: Mapping[str, Any]) -> Arrays:
    """What a node of ONNX takes for one direction: {``W``, ``R``, ``B``, and ``P`` of peepholes}, each with the axis of
    directions, of size 1, in front.

    parameters: {name under the cell: array}.
    """
    order, layer = ORDERS["onnx"][kind_of(cell)], layer_of(cell, parameters)
    if layer.projection is not None:
        raise ArgumentError(f"{cell!r} has a projection, which no node of ONNX has")
    found = {
        "W": joined(layer.inputs, order, 1).T, "R": joined(layer.recurrent, order, 1).T,
        "B": np.concatenate([joined(layer.input_bias, order, 0), joined(layer.recurrent_bias, order, 0)]),
    }  # fmt: skip
    if layer.peepholes:
        found["P"] = joined(layer.peepholes, "iof", 0)
    return {name: array[np.newaxis] for name, array in found.items()}


# cuDNN -----------------------------------------------------------------------------------------------


@api
def from_cudnn(cell: Cell, arrays: Sequence[Any] | Mapping[str, Any]) -> Arrays:
    """A ``CuDNNLSTM`` or ``CuDNNGRU`` layer of Keras, whose kernels lie transposed gate by gate, as cuDNN has them.

    arrays: what ``get_weights()`` gives, or the same by name: ``kernel`` [inputs, gates * units], ``recurrent_kernel``
    [units, gates * units], ``bias`` [2 * gates * units].
    """
    order = ORDERS["keras"][_kind_that_resets_after(cell)]
    take = Taker(_by_name(arrays, "cuDNN"), "cuDNN's arrays")
    kernel = take("kernel", (None, None))
    size = kernel.shape[1]
    _check_gates(size, order, "kernel")
    recurrent = take("recurrent_kernel", (size // len(order), size))
    biases = _both(np.split(take("bias", (2 * size,)), 2), order)
    take.check_all()
    inputs = {gate: part.reshape(part.shape[::-1]).T for gate, part in gates_of(kernel, order, 1).items()}
    hidden = {gate: part.T for gate, part in gates_of(recurrent, order, 1).items()}
    return parameters_of(cell, _checked(cell, Layer(inputs, hidden, *biases)))


# What all share --------------------------------------------------------------------------------------


def _mapping(arrays: Any, whose: str) -> Mapping[str, Any]:
    if not isinstance(arrays, Mapping):
        raise StructureError(f"{whose}'s arrays come as a mapping from name to array, not as {shown(arrays)}")
    return arrays


def _check_one_layer(given: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Raises where two arrays have one name, once what names their layer is left out."""
    if len(named) < len(given):
        raise StructureError(f"these are arrays of several layers: {', '.join(map(str, given))}; give those of one")


def _by_name(arrays: Any, whose: str) -> Mapping[str, Any]:
    if isinstance(arrays, Mapping):
        named = {str(name).rpartition("/")[2].removesuffix(":0"): value for name, value in arrays.items()}
        _check_one_layer(arrays, named)
        return named
    if not isinstance(arrays, list | tuple) or not 2 <= len(arrays) <= 3:
        raise StructureError(
            f"{whose}'s arrays are [kernel, recurrent_kernel, bias], or the same by name, not {shown(arrays)}"
        )
    return dict(zip(("kernel", "recurrent_kernel", "bias"), arrays, strict=False))


def _kind_that_resets_after(cell: Any) -> str:
    """The kind of a cell that, if it is a GRU, resets after the product."""
    if isinstance(cell, GRUCell) and not cell.reset_after:
        raise ArgumentError(
            f"{cell!r} resets before the product, and this format's GRU after it; give reset_after=True"
        )
    return kind_of(cell)


def _check_gates(size: int, order: str, name: str) -> None:
    if size % len(order):
        raise ShapeError(f"{name} has {size} entries for {len(order)} gates; they must divide evenly")


def _both(rows: Sequence[np.ndarray] | np.ndarray, order: str) -> tuple[Arrays, Arrays]:
    """The biases of inputs and of what recurs, by gate."""
    return gates_of(rows[0], order, 0), gates_of(rows[1], order, 0)


def _transposed(array: np.ndarray, order: str) -> Arrays:
    return {gate: part.T for gate, part in gates_of(array, order, 0).items()}


def _one_direction(name: str, value: Any) -> np.ndarray:
    array = as_floats(f"{name} of ONNX's arrays", value)
    if array.ndim == (3 if name in ("W", "R") else 2):
        if array.shape[0] != 1:
            raise ShapeError(f"{name} of ONNX's arrays has {array.shape[0]} directions; give one")
        array = array[0]
    return array


def _no_peepholes(layer: Layer, whose: str) -> None:
    if layer.peepholes:
        raise ArgumentError(f"the cell has peepholes, which no layer of {whose} has")


def _checked(cell: Any, layer: Layer) -> Layer:
    """The layer, where its sizes are those of the cell."""
    units = next(iter(layer.inputs.values())).shape[1]
    if units != cell.num_units:
        raise ShapeError(f"the arrays are of {units} units, and {cell!r} has {cell.num_units}")
    hidden = units if layer.projection is None else layer.projection.shape[1]
    if any(part.shape != (hidden, units) for part in layer.recurrent.values()):
        shape = list(next(iter(layer.recurrent.values())).shape)
        raise ShapeError(f"the recurrent kernel of a gate is {shape}; it must be [{hidden}, {units}]")
    wants = getattr(cell, "num_proj", None)
    if (layer.projection is None) != (wants is None) or (wants is not None and wants != hidden):
        raise ShapeError(f"the arrays give {hidden} outputs, and {cell!r} gives {cell.output_size}")
    if bool(layer.peepholes) != bool(getattr(cell, "use_peepholes", False)):
        raise ArgumentError("either the arrays have peepholes or the cell has (use_peepholes=True); both must agree")
    return layer
