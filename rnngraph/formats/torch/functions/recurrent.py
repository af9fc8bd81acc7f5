"""Handlers of recurrent modules.

``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` become drivers of stacked cells: calls such as ``rg.dynamic_rnn``, which run a
cell over time. A call of ``nn.LSTMCell`` and similar modules becomes a driver over one step. ``formats.rolling`` later
merges the drivers of all steps into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from ....declare.cell import shared
from ....declare.cells.basic import LSTMStateTuple
from ....declare.cells.wrappers import DropoutWrapper
from ....declare.functions import basic
from ....declare.running.drivers import static_rnn
from ....ir.types import Dim
from ...layers import (
    CellKind,
    drive,
    gru_cell,
    lstm_cell,
    own_cell_weights,
    places_in,
    rnn_cell,
    stacked,
    unshared,
)
from ...steps import Value
from ...weights import torch_layer
from ..tracing.calls import array_of
from ..tracing.kinds import Keywords, Operand
from ..tracing.registry import UnreadableError, reads_module
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Packed, Sorted, Stacked, dtype_of, expanded_of, shape_of
from .products import same_dtype
from .shapes import reshaped

TorchState: TypeAlias = Operand | Sequence[Operand]
"""Initial state in torch's order: h, or (h, c)."""
State: TypeAlias = Value | tuple[Value, Value]
"""State in the order of rnngraph's cells: h, or (c, h)."""
Outputs: TypeAlias = Value | PackedSequence
Final: TypeAlias = Stacked | Sorted | tuple[Stacked | Sorted, ...]
"""Final state in torch's order: h_n, or (h_n, c_n)."""


_COPIED = (
    "the net that was read has a copy, which trains separately; to train both alike, give each use its own weights"
)


@reads_module(nn.RNN, nn.LSTM, nn.GRU)
def _layers(
    tracer: Tracer, module: nn.RNNBase, x: Operand | PackedSequence, hx: TorchState | None = None
) -> tuple[Outputs, Final]:
    return _LayerCall(tracer, module).results(x, hx)


class _LayerCall:
    """Declaration of a call of ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` as a driver."""

    def __init__(self, tracer: Tracer, module: nn.RNNBase) -> None:
        self.tracer, self.module = tracer, module
        self.directions = 2 if module.bidirectional else 1
        self.is_lstm = isinstance(module, nn.LSTM)
        self.is_shared = tracer.use(module)
        path = tracer.paths.get(id(module), "").replace(".", "/")
        self.scope = tracer.script.scope(path or type(module).__name__.lower())

    def results(self, x: Operand | PackedSequence, hx: TorchState | None) -> tuple[Outputs, Final]:
        """Declare the layers over a whole input, such as by ``dynamic_rnn``. Return torch's (outputs, final states)."""
        tracer, packed = self.tracer, x if isinstance(x, PackedSequence) else None
        options: Keywords = {}
        time_major = not self.module.batch_first
        if packed is not None:
            data = packed.data.value
            if not isinstance(data, Packed):
                raise UnreadableError("the module did not pack its input; pack it with pack_padded_sequence")
            x, time_major = data.of, not data.batch_first
            options["sequence_length"] = data.lengths
        x = tracer.value(x)
        has_batch = len(shape_of(x)) == 3
        if not has_batch:
            x = tracer.call(basic.expand_dims, x, 1 if time_major else 0)
        time, batch, width = shape_of(x) if time_major else (shape_of(x)[1], shape_of(x)[0], shape_of(x)[2])
        tracer.sizes.unify(width, self.module.input_size)
        same_dtype(x, self.module.weight_ih_l0)
        tracer.on_time(time)
        if time_major:
            options["time_major"] = True
        initial = self._initial(hx, has_batch, batch)
        outputs, states = self._run_driver(x, initial, options)
        if not has_batch:
            outputs = tracer.call(basic.squeeze, outputs, 1 if time_major else 0)
        final = self._final(states, has_batch)
        if packed is None:
            return outputs, final
        data = packed.data.value
        shape = (data.shape[0], *shape_of(outputs)[2:])
        steps = Packed(outputs, data.lengths, data.batch_first, data.is_sorted, shape, dtype_of(outputs), True)
        result = tracer.traced(steps), packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
        if data.is_sorted and packed.sorted_indices is None:  # The module's code sorted the rows, not torch.
            final = _sort_rows(final, data.lengths)
        return tuple.__new__(PackedSequence, result), final  # ``PackedSequence()`` would read values of tensors.

    # States ---------------------------------------------------------------------------------------

    def _initial(self, hx: TorchState | None, has_batch: bool, batch: Dim) -> list[State] | None:
        """Return the initial state of each layer and direction, in torch's order; None if all are zeros."""
        if hx is None:
            return None
        leaves = _leaves(hx, self.is_lstm)
        if all(isinstance(item, Filled) and item.number == 0 for item in leaves):
            return None
        count = self.module.num_layers * self.directions
        parts = []
        widths = (getattr(self.module, "proj_size", 0) or self.module.hidden_size, self.module.hidden_size)
        for item, width in zip(leaves, widths, strict=False):
            if has_batch:
                self.tracer.sizes.unify(_shape(item)[1], batch)
            self.tracer.sizes.unify(_shape(item)[0], count)
            self.tracer.sizes.unify(_shape(item)[-1], width)
            parts.append([self._state_of(item, number, has_batch) for number in range(count)])
        if not self.is_lstm:
            return [*parts[0]]
        return [(c, h) for h, c in zip(*parts, strict=True)]

    def _state_of(self, item: Operand, number: int, has_batch: bool) -> Value:
        """Return entry ``number`` of a state [layers, batch, width] or [layers, width] as [batch or 1, width]."""
        tracer = self.tracer
        if isinstance(item, Stacked) and item.axis == 0 and len(item.items) > number:
            value = tracer.value(item.items[number])
        elif (expanded := expanded_of(item)) is not None and expanded[1] == 0:
            value = expanded[0]
        else:
            value = tracer.script.item(tracer.value(item), number)
        return value if has_batch else tracer.value(reshaped(tracer, value, [1, *shape_of(value)]))

    def _final(self, states: Sequence[Value], has_batch: bool) -> Final:
        """Return torch's final states, h_n or (h_n, c_n), from the states of each layer and direction."""
        fields = ("h", "c") if self.is_lstm else (None,)
        stacks = []
        for name in fields:
            items = []
            for state in states:
                leaf = state if name is None else _field(state, name)
                items.append(leaf if has_batch else self.tracer.call(basic.squeeze, leaf, 0))
            stacks.append(Stacked(tuple(items), 0, (len(items), *shape_of(items[0])), dtype_of(items[0])))
        return tuple(stacks) if self.is_lstm else stacks[0]

    # Cells ----------------------------------------------------------------------------------------

    def _cell(self, layer: int, direction: int) -> tuple[Value, bool]:
        """Return (cell of a layer and direction, True if this call declared the cell)."""
        key = "cell", id(self.module), layer, direction
        if key in self.tracer.cached:
            return self.tracer.cached[key], False
        cell = _kind_of(self.module).declare(self.tracer.script)
        if self.is_shared:
            cell = self.tracer.call(shared, cell, hint="cell")
            self.tracer.cached[key] = cell
        return cell, True

    def _arrays(self, layer: int, direction: int) -> dict[str, np.ndarray]:
        return _arrays_of(self.tracer, self.module, f"_l{layer}" + ("_reverse" if direction else ""))

    def _cell_in_scope(self, layer: int, direction: int, place: str) -> Value:
        """Return a layer's cell, with dropout of its output unless the layer is the last one.

        Its parameters are recorded in the scope ``place``.
        """
        key = "placed", id(self.module), layer, direction
        if key in self.tracer.cached:
            return self.tracer.cached[key]
        cell = self._owned(layer, direction, place)
        if self.module.dropout and layer < self.module.num_layers - 1:
            cell = self.tracer.call(DropoutWrapper, cell, output_keep_prob=1 - self.module.dropout, hint="cell")
        if self.is_shared:
            self.tracer.cached[key] = cell
        return cell

    def _stack(self, cells: Sequence[Value]) -> Value:
        """Return one cell for a stack of cells, declared once for all calls of a shared module."""
        key = "stack", id(self.module)
        if key in self.tracer.cached:
            return self.tracer.cached[key]
        stack = stacked(self.tracer.script, cells)
        if self.is_shared:
            self.tracer.cached[key] = stack
        return stack

    def _owned(self, layer: int, direction: int, place: str) -> Value:
        """Return a layer's cell. Its parameters are recorded in the scope ``place`` if this call declares it."""
        cell, is_new = self._cell(layer, direction)
        if is_new:
            arrays = torch_layer(unshared(cell), self._arrays(layer, direction))
            own_cell_weights(self.tracer.script, place, cell, arrays)
        return cell

    def _run_driver(self, x: Value, initial: list[State] | None, options: Keywords) -> tuple[Value, list[Value]]:
        """Declare the call that runs cells over x's steps. Return (outputs, final state of each layer and direction).

        Args:
            x: The input.
            initial: Initial state of each layer and direction; None for zeros.
            options: Further options of the driver.
        """
        count = self.directions
        columns = [
            [self._cell_in_scope(layer, direction, place) for layer, place in enumerate(places)]
            for direction, places in enumerate(places_in(self.scope, self.module.num_layers, count))
        ]
        states = [None if initial is None else initial[direction::count] for direction in range(count)]
        script = self.tracer.script
        driven = drive(script, columns, x, self.scope, states, stack=self._stack, **options)
        outputs = driven.outputs
        whole = outputs[0] if len(outputs) == 1 else self.tracer.call(basic.concat, outputs, hint="outputs")
        return whole, [state for row in zip(*driven.states, strict=True) for state in row]


def _kind_of(module: nn.RNNBase | nn.RNNCellBase) -> CellKind:
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return lstm_cell(module.hidden_size, projection=getattr(module, "proj_size", None))
    if isinstance(module, nn.GRU | nn.GRUCell):
        return gru_cell(module.hidden_size)
    return rnn_cell(module.hidden_size, module.nonlinearity)


def _leaves(hx: TorchState, is_lstm: bool) -> list[Operand]:
    """Return a state in torch's order as a list: [h], or [h, c]. Raises ``UnreadableError`` for the wrong form."""
    is_pair = not isinstance(hx, Value | Lazy | torch.Tensor)
    if is_pair is not is_lstm:
        raise UnreadableError("the initial state of an LSTM must be a tuple (h, c), and of other layers one tensor")
    return [hx] if isinstance(hx, Value | Lazy | torch.Tensor) else [*hx]


def _arrays_of(tracer: Tracer, module: nn.RNNBase | nn.RNNCellBase, suffix: str = "") -> dict[str, np.ndarray]:
    """Return a layer's arrays by torch's names. Warn about arrays that are used elsewhere, as the net copies them."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    arrays = {name: array for name in names if (array := getattr(module, name + suffix, None)) is not None}
    key = id(module), suffix
    if key in tracer.layer_arrays:
        return tracer.layer_arrays[key]
    for name, array in arrays.items():
        if tracer.use(array):
            text = f"{name}{suffix} of {type(module).__name__} is used elsewhere, too; {_COPIED}"
            tracer.warnings[text, tracer.sizes.place(), UserWarning] = None
    tracer.layer_arrays[key] = {name: array_of(array) for name, array in arrays.items()}
    return tracer.layer_arrays[key]


def _shape(item: Operand) -> tuple[Dim, ...]:
    return tuple(item.shape) if isinstance(item, torch.Tensor) else shape_of(item)


def _sort_rows(final: Final, lengths: Operand) -> Final:
    """Return the final states [layers, rows, width] with rows sorted by length, as the module sorted them."""
    if isinstance(final, tuple):
        return tuple(_sorted_rows(item, lengths) for item in final)
    return _sorted_rows(final, lengths)


def _sorted_rows(final: Stacked | Sorted, lengths: Operand) -> Sorted:
    return Sorted("rows", final, lengths, final.shape, final.dtype, 1)


def _field(state: Value, name: str) -> Value:
    """Return the field ``name``, c or h, of an LSTM's state."""
    assert isinstance(state.result, LSTMStateTuple)
    return next(part for part in state if part.path[-1] == name)


# Modules of one step --------------------------------------------------------------------------------


@reads_module(nn.RNNCell, nn.LSTMCell, nn.GRUCell)
def _step(
    tracer: Tracer, module: nn.RNNCellBase, x: Operand, hx: TorchState | None = None
) -> Value | tuple[Value, ...]:
    """Declare one call of a cell module as a ``static_rnn`` of one step. Return the new h, or (h, c) of an LSTM."""
    is_lstm = isinstance(module, nn.LSTMCell)
    x = tracer.value(x)
    has_batch = len(shape_of(x)) == 2
    rows = x if has_batch else tracer.value(reshaped(tracer, x, [1, *shape_of(x)]))
    tracer.sizes.unify(shape_of(rows)[1], module.input_size)
    same_dtype(rows, module.weight_ih)
    cell, scope = _cell_of(tracer, module)
    options: dict[str, object] = {}
    initial = [] if hx is None else _leaves(hx, is_lstm)
    if initial and not all(tracer.is_number(item) and item.number == 0 for item in initial):
        leaves = [tracer.value(item) for item in initial]
        for leaf in leaves:
            tracer.sizes.unify(shape_of(leaf)[-1], module.hidden_size)
            if has_batch:
                tracer.sizes.unify(shape_of(leaf)[0], shape_of(rows)[0])
        if not has_batch:
            leaves = [tracer.value(reshaped(tracer, leaf, [1, *shape_of(leaf)])) for leaf in leaves]
        options["initial_state"] = (leaves[1], leaves[0]) if is_lstm else leaves[0]
    _, state = tracer.call(static_rnn, cell, [rows], **options, scope=scope)
    leaves = [_field(state, name) for name in ("h", "c")] if is_lstm else [state]
    leaves = leaves if has_batch else [tracer.call(basic.squeeze, leaf, 0) for leaf in leaves]
    return tuple(leaves) if is_lstm else leaves[0]


def _cell_of(tracer: Tracer, module: nn.RNNCellBase) -> tuple[Value, str]:
    """Return (declared cell of a module, scope of its parameters). All calls of the module share the cell."""
    is_shared, key = tracer.use(module), ("cell", id(module))
    path = tracer.paths.get(id(module), "").replace(".", "/") or "rnn"
    scope = tracer.script.scope(path)
    if key in tracer.cached:
        return tracer.cached[key], scope
    cell = _kind_of(module).declare(tracer.script)
    own_cell_weights(tracer.script, scope, cell, torch_layer(cell.result, _arrays_of(tracer, module)))
    if is_shared:
        cell = tracer.call(shared, cell, hint="cell")
        tracer.cached[key] = cell
    return cell, scope
