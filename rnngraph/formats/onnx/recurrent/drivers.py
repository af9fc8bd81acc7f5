"""Declares one recurrent node, or a stack of them, as a driver: a call such as ``rg.dynamic_rnn`` that runs cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....declare.functions.basic import broadcast_to
from ...gates import LAYOUTS, arrays_in, gates_of
from ...gates import Layer as Gates
from ...layers import drive, own_cell_weights, places_in, scope_of
from ...steps import Value
from ..core.known import Known, Operand, shape_of
from ..core.model import Node
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors
from .cells import FreeLSTMCell, RuntimeWeights
from .layer import Direction, Layer, layer_of
from .runtime_weights import runtime_weights


@dataclass
class Recurrence:
    """Node that was declared as a driver, with its input, and each direction's outputs at all steps."""

    node: Node
    layer: Layer
    x: Value
    time_major: bool
    outputs: list[Value]


@reads("RNN", "LSTM", "GRU")
def _recurrent(call: Call) -> Outputs:
    x = call.value(0)
    layer = layer_of(call, shape_of(x))
    return declared([call], [layer], x)[0]


def stack_of(calls: Sequence[Call]) -> list[list[Operand | None]]:
    """Declare nodes that are the layers of one stack, the lowest first, and return each node's outputs."""
    x = calls[0].value(0)
    layers = [layer_of(call, shape_of(x) if call is calls[0] else None) for call in calls]
    return declared(calls, layers, x)


def declared(calls: Sequence[Call], layers: Sequence[Layer], x: Value) -> list[list[Operand | None]]:
    """Declare the driver of one node or a stack. Return [Y, Y_h], or [Y, Y_h, Y_c] for an LSTM, of each node.

    Y is None except for the last node, because the driver does not return the outputs of lower layers.
    """
    tensors, first = calls[0].tensors, layers[0]
    batch, stated_lengths = 0 if first.is_batch_major else 1, first.lengths
    order = _order(tensors, layers, x, batch)
    if order is not None:
        x, stated_lengths = _unsorted(tensors, x), _unsorted(tensors, first.lengths)
    source = tensors.transpose_source(x)
    time_major = not first.is_batch_major
    if time_major and source is not None and source[1] == (1, 0, 2):
        x, time_major = source[0], False
    options: dict[str, Any] = {"time_major": True} if time_major else {}
    if stated_lengths is not None:
        options["sequence_length"] = tensors.value(stated_lengths)
    outputs, states = _run_driver(tensors, layers, x, options)
    tensors.recurrences.append(Recurrence(calls[0].node, first, x, time_major, outputs))
    if time_major is first.is_batch_major:
        outputs = [tensors.transposed(item, (1, 0, 2)) for item in outputs]
    if order is not None:
        outputs = [tensors.sorted(item, order, batch) for item in outputs]
        states = [[[tensors.sorted(leaf, order, 0) for leaf in leaves] for leaves in item] for item in states]
    whole = tensors.stack(outputs, 2 if first.is_batch_major else 1)
    results: list[list[Operand | None]] = []
    for number, (layer, of_layer) in enumerate(zip(layers, states, strict=True)):
        leaves = [tensors.stack(list(items), 1 if layer.is_batch_major else 0) for items in zip(*of_layer, strict=True)]
        results.append([whole if number == len(layers) - 1 else None, *reversed(leaves)])  # ONNX's order is h, c
    return results


def _order(tensors: Tensors, layers: Sequence[Layer], x: Value, axis: int) -> Value | None:
    """Return the order by which the rows of x and the lengths were sorted, so that the driver can run on unsorted rows.

    None if they were not sorted alike, or if an initial state is not zero. The results of a row do not depend on its
    position.
    """
    rows, lengths = tensors.sorted_from(x), layers[0].lengths
    sorted_lengths = None if lengths is None else tensors.sorted_from(lengths)
    states = [state for layer in layers for direction in layer.directions for state in direction.initial]
    if rows is None or sorted_lengths is None or any(state is not None for state in states):
        return None
    return rows[1] if rows[1] is sorted_lengths[1] and rows[2] == axis else None


def _unsorted(tensors: Tensors, x: Operand | None) -> Any:
    """Return the source of a value that was sorted."""
    source = None if x is None else tensors.sorted_from(x)
    assert source is not None
    return source[0]


def _run_driver(
    tensors: Tensors, layers: Sequence[Layer], x: Value, options: dict[str, Any]
) -> tuple[list[Value], list[list[list[Value]]]]:
    """Declare the driver. Return (outputs[direction], final states[layer][direction][state of the cell])."""
    script, first = tensors.script, layers[0]
    directions = [[layer.directions[number] for layer in layers] for number in range(len(first.directions))]
    cells = [[_cell(tensors, direction) for direction in column] for column in directions]
    initial = [_initial_states(tensors, column) for column in directions]
    is_stack, is_both = len(layers) > 1, len(directions) == 2
    scope = script.scope(("stack_" if is_stack else "") + "bidirectional_rnn" if is_both else "rnn")
    for places, own, column in zip(places_in(scope, len(layers), len(directions)), cells, directions, strict=True):
        for place, cell, direction in zip(places, own, column, strict=True):
            _store_parameters(tensors, place, cell, direction)
    driven = drive(script, cells, x, scope, initial, first.is_reverse, **options)
    states = [[state.leaves for state in row] for row in zip(*driven.states, strict=True)]
    if not (is_stack and is_both):
        return driven.outputs, states
    joint, units = driven.outputs[0], first.directions[0].kind.units
    parts = (slice(0, units), slice(units, None))
    halves = [tensors.value(tensors.index(joint, [slice(None), slice(None), part])) for part in parts]
    tensors.note_concat(joint, halves, 2)
    return halves, states


def _initial_states(tensors: Tensors, column: Sequence[Direction]) -> list[Any] | None:
    """Return the initial states of a direction's layers, or None if all are zeros."""
    if all(item is None for direction in column for item in direction.initial):
        return None
    states: list[Any] = []
    for direction in column:
        leaves: list[Any] = []
        for item in direction.initial:
            if item is None:
                leaves.append(tensors.script.call(broadcast_to, 0.0, (direction.kind.units,)))
            else:
                leaves.append(tensors.value(item, "initial_state"))
        states.append(tuple(leaves) if len(leaves) > 1 else leaves[0])
    return states


# Cells and their weights -----------------------------------------------------------------------------------


def _cell(tensors: Tensors, direction: Direction) -> Value:
    """Declare a direction's cell, in ``RuntimeWeights`` if a weight is computed at run time."""
    cell = direction.kind.declare(tensors.script)
    if all(isinstance(array, Known) for array in direction.weights.values()):
        return cell
    weights = runtime_weights(tensors, cell.result, direction)
    return tensors.script.call(RuntimeWeights, cell, weights, hint="cell")


def _store_parameters(tensors: Tensors, position: str, cell: Value, direction: Direction) -> None:
    """Store the parameters of a cell in the script, or the names of those that Tensors replace."""
    if isinstance(cell.result, RuntimeWeights):
        place = f"{position}/{scope_of(cell.result.cell)}"
        tensors.script.replaced |= {f"{place}/{name}" for name in cell.result.weights}
        return
    arrays = {name: array.numbers(name) for name, array in direction.weights.items() if isinstance(array, Known)}
    gates = _gates(arrays, direction.order)
    is_free = isinstance(cell.result, FreeLSTMCell)
    own_cell_weights(tensors.script, position, cell, _parameters_of_free_cell(gates) if is_free else gates)


def _gates(arrays: Mapping[str, np.ndarray], order: str) -> Gates:
    """Convert the arrays of a direction to arrays by gate."""
    inputs, recurrent = (
        {gate: part.T for gate, part in gates_of(arrays[name], order, 0).items()} for name in ("W", "R")
    )
    bias = arrays.get("B", np.zeros(2 * len(order) * arrays["R"].shape[1], arrays["R"].dtype))
    halves = [gates_of(half, order, 0) for half in np.split(bias, 2)]
    gates = Gates(inputs, recurrent, halves[0], halves[1])
    if "P" in arrays:
        gates.peepholes = gates_of(arrays["P"], "iof", 0)
    return gates


def _parameters_of_free_cell(gates: Gates) -> dict[str, np.ndarray]:
    """Return the parameters of a ``FreeLSTMCell`` by name, from arrays by gate."""
    return arrays_in(LAYOUTS["lstm"], gates)
