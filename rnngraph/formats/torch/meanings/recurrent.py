"""torch's recurrent modules: ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` become drivers over stacks of cells, and the
modules of one step drivers over one, until equal steps are rolled up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

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
from ..tracing.kinds import Operand
from ..tracing.registry import UnreadableError, module
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Packed, Sorted, Stacked, dtype_of, shape_of
from .products import same_dtype
from .shapes import reshaped

Given: TypeAlias = Operand | Sequence[Operand]
"""States as torch takes them: h, or (h, c)."""
State: TypeAlias = Value | tuple[Value, Value]
"""A cell's state: h, or (c, h)."""
Final: TypeAlias = Stacked | Sorted | tuple[Stacked | Sorted, ...]
"""h_n, or (h_n, c_n)."""


_COPIED = "the net that is read has a copy, which trains by itself; to train both alike, give each use its own weights"


@module(nn.RNN, nn.LSTM, nn.GRU)
def _layers(
    tracer: Tracer, found: nn.RNNBase, x: Operand | PackedSequence, hx: Given | None = None
) -> tuple[Any, Final]:
    return _Reading(tracer, found).of(x, hx)


class _Reading:
    """One use of a recurrent module."""

    def __init__(self, tracer: Tracer, found: nn.RNNBase) -> None:
        self.tracer, self.found = tracer, found
        self.directions = 2 if found.bidirectional else 1
        self.is_lstm = isinstance(found, nn.LSTM)
        self.is_shared = tracer.use(found)
        path = tracer.paths.get(id(found), "").replace(".", "/")
        self.scope = tracer.script.scope(path or type(found).__name__.lower())

    def of(self, x: Operand | PackedSequence, hx: Given | None) -> tuple[Any, Final]:
        """(outputs, states) as torch gives them."""
        tracer, packed = self.tracer, x if isinstance(x, PackedSequence) else None
        options: dict[str, Any] = {}
        time_major = not self.found.batch_first
        if packed is not None:
            data = packed.data.value
            if not isinstance(data, Packed):
                raise UnreadableError("what it is given was not packed in the module")
            x, time_major = data.of, not data.batch_first
            options["sequence_length"] = data.lengths
        x = tracer.value(x)
        has_batch = len(shape_of(x)) == 3
        if not has_batch:
            x = tracer.call(basic.expand_dims, x, 1 if time_major else 0)
        time, batch, width = shape_of(x) if time_major else (shape_of(x)[1], shape_of(x)[0], shape_of(x)[2])
        tracer.sizes.meet(width, self.found.input_size)
        same_dtype(x, self.found.weight_ih_l0)
        tracer.on_time(time)
        if time_major:
            options["time_major"] = True
        initial = self._initial(hx, has_batch, batch)
        outputs, states = self._driven(x, initial, options)
        if not has_batch:
            outputs = tracer.call(basic.squeeze, outputs, 1 if time_major else 0)
        final = self._final(states, has_batch)
        if packed is None:
            return outputs, final
        data = packed.data.value
        shape = (data.shape[0], *shape_of(outputs)[2:])
        steps = Packed(outputs, data.lengths, data.batch_first, data.is_sorted, shape, dtype_of(outputs), True)
        result = tracer.traced(steps), packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
        if data.is_sorted and packed.sorted_indices is None:  # by the module's own code
            final = _sorted(final, data.lengths)
        return tuple.__new__(PackedSequence, result), final  # which would look at values

    # States ---------------------------------------------------------------------------------------

    def _initial(self, hx: Given | None, has_batch: bool, batch: Dim) -> list[State] | None:
        """A state of each layer and direction, layers first; None for zeros."""
        if hx is None:
            return None
        given = _leaves(hx, self.is_lstm)
        if all(isinstance(item, Filled) and item.number == 0 for item in given):
            return None
        count = self.found.num_layers * self.directions
        parts = []
        widths = (getattr(self.found, "proj_size", 0) or self.found.hidden_size, self.found.hidden_size)
        for item, width in zip(given, widths, strict=False):
            if has_batch:
                self.tracer.sizes.meet(_shape(item)[1], batch)
            self.tracer.sizes.meet(_shape(item)[0], count)
            self.tracer.sizes.meet(_shape(item)[-1], width)
            parts.append([self._one(item, number, has_batch) for number in range(count)])
        if not self.is_lstm:
            return [*parts[0]]
        return [(c, h) for h, c in zip(*parts, strict=True)]

    def _one(self, item: Operand, number: int, has_batch: bool) -> Value:
        tracer = self.tracer
        if isinstance(item, Stacked) and item.axis == 0 and len(item.items) > number:
            value = tracer.value(item.items[number])
        else:
            value = tracer.script.item(tracer.value(item), number)
        return value if has_batch else tracer.value(reshaped(tracer, value, [1, *shape_of(value)]))

    def _final(self, states: Sequence[Value], has_batch: bool) -> Final:
        """h_n, or (h_n, c_n)."""
        fields = ("h", "c") if self.is_lstm else (None,)
        found = []
        for name in fields:
            items = []
            for state in states:
                leaf = state if name is None else _field(state, name)
                items.append(leaf if has_batch else self.tracer.call(basic.squeeze, leaf, 0))
            found.append(Stacked(tuple(items), 0, (len(items), *shape_of(items[0])), dtype_of(items[0])))
        return tuple(found) if self.is_lstm else found[0]

    # Cells ----------------------------------------------------------------------------------------

    def _cell(self, layer: int, direction: int) -> tuple[Value, bool]:
        """A cell, and whether its parameters have no name yet."""
        key = "cell", id(self.found), layer, direction
        if key in self.tracer.cached:
            return self.tracer.cached[key], False
        cell = _kind_of(self.found).declare(self.tracer.script)
        if self.is_shared:
            cell = self.tracer.call(shared, cell, hint="cell")
            self.tracer.cached[key] = cell
        return cell, True

    def _arrays(self, layer: int, direction: int) -> dict[str, np.ndarray]:
        return _arrays_of(self.tracer, self.found, f"_l{layer}" + ("_reverse" if direction else ""))

    def _placed(self, layer: int, direction: int, place: str) -> Value:
        """A cell at its scope, with its parameters and the dropout behind it."""
        key = "placed", id(self.found), layer, direction
        if key in self.tracer.cached:
            return self.tracer.cached[key]
        cell = self._owned(layer, direction, place)
        if self.found.dropout and layer < self.found.num_layers - 1:
            cell = self.tracer.call(DropoutWrapper, cell, output_keep_prob=1 - self.found.dropout, hint="cell")
        if self.is_shared:
            self.tracer.cached[key] = cell
        return cell

    def _stack(self, cells: Sequence[Value]) -> Value:
        key = "stack", id(self.found)
        if key in self.tracer.cached:
            return self.tracer.cached[key]
        stack = stacked(self.tracer.script, cells)
        if self.is_shared:
            self.tracer.cached[key] = stack
        return stack

    def _owned(self, layer: int, direction: int, place: str) -> Value:
        cell, is_new = self._cell(layer, direction)
        if is_new:
            arrays = torch_layer(unshared(cell), self._arrays(layer, direction))
            own_cell_weights(self.tracer.script, place, cell, arrays)
        return cell

    def _driven(self, x: Value, initial: list[State] | None, options: dict[str, Any]) -> tuple[Value, list[Value]]:
        """(outputs, a state of each layer and direction)."""
        count = self.directions
        columns = [
            [self._placed(layer, direction, place) for layer, place in enumerate(places)]
            for direction, places in enumerate(places_in(self.scope, self.found.num_layers, count))
        ]
        states = [None if initial is None else initial[direction::count] for direction in range(count)]
        script = self.tracer.script
        driven = drive(script, columns, x, self.scope, states, stack=self._stack, **options)
        outputs = driven.outputs
        whole = outputs[0] if len(outputs) == 1 else self.tracer.call(basic.concat, outputs, hint="outputs")
        return whole, [state for row in zip(*driven.states, strict=True) for state in row]


def _kind_of(found: nn.RNNBase | nn.RNNCellBase) -> CellKind:
    if isinstance(found, nn.LSTM | nn.LSTMCell):
        return lstm_cell(found.hidden_size, projection=getattr(found, "proj_size", None))
    if isinstance(found, nn.GRU | nn.GRUCell):
        return gru_cell(found.hidden_size)
    return rnn_cell(found.hidden_size, found.nonlinearity)


def _leaves(hx: Given, is_lstm: bool) -> list[Operand]:
    """h alone, or h and c."""
    is_pair = not isinstance(hx, Value | Lazy | torch.Tensor)
    if is_pair is not is_lstm:
        raise UnreadableError("an LSTM's state is a tuple (h, c), and those of other layers are one tensor")
    return [hx] if isinstance(hx, Value | Lazy | torch.Tensor) else [*hx]


def _arrays_of(tracer: Tracer, found: nn.RNNBase | nn.RNNCellBase, suffix: str = "") -> dict[str, np.ndarray]:
    """A layer's arrays by torch's names, with a warning of those that other layers have, too."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    given = {name: array for name in names if (array := getattr(found, name + suffix, None)) is not None}
    key = "weights", id(found), suffix
    is_first = key not in tracer.cached  # a module that is called again uses no weight of another's
    tracer.cached[key] = True
    for name, array in given.items():
        if is_first and tracer.use(array):
            text = f"{name}{suffix} of {type(found).__name__} is used elsewhere, too; {_COPIED}"
            tracer.warnings[text, tracer.sizes.place(), UserWarning] = None
    return {name: array_of(array) for name, array in given.items()}


def _shape(item: Operand) -> tuple[Dim, ...]:
    return tuple(item.shape) if isinstance(item, torch.Tensor) else shape_of(item)


def _sorted(final: Final, lengths: Operand) -> Final:
    """States [layers, rows, width] of rows that the module has put in the order of their lengths."""
    if isinstance(final, tuple):
        return tuple(_sorted_rows(item, lengths) for item in final)
    return _sorted_rows(final, lengths)


def _sorted_rows(final: Stacked | Sorted, lengths: Operand) -> Sorted:
    return Sorted("rows", final, lengths, final.shape, final.dtype, 1)


def _field(state: Value, name: str) -> Value:
    """c or h of an LSTM's state."""
    assert isinstance(state.thing, LSTMStateTuple)
    return next(part for part in state if part.path[-1] == name)


# One step -------------------------------------------------------------------------------------------


@module(nn.RNNCell, nn.LSTMCell, nn.GRUCell)
def _step(tracer: Tracer, found: nn.RNNCellBase, x: Operand, hx: Given | None = None) -> Value | tuple[Value, ...]:
    """A step: a driver over one, until equal steps are rolled up."""
    is_lstm = isinstance(found, nn.LSTMCell)
    x = tracer.value(x)
    has_batch = len(shape_of(x)) == 2
    rows = x if has_batch else tracer.value(reshaped(tracer, x, [1, *shape_of(x)]))
    tracer.sizes.meet(shape_of(rows)[1], found.input_size)
    same_dtype(rows, found.weight_ih)
    cell, scope = _cell_of(tracer, found)
    options: dict[str, Any] = {}
    given = [] if hx is None else _leaves(hx, is_lstm)
    if given and not all(tracer.is_number(item) and item.number == 0 for item in given):
        leaves = [tracer.value(item) for item in given]
        for leaf in leaves:
            tracer.sizes.meet(shape_of(leaf)[-1], found.hidden_size)
            if has_batch:
                tracer.sizes.meet(shape_of(leaf)[0], shape_of(rows)[0])
        if not has_batch:
            leaves = [tracer.value(reshaped(tracer, leaf, [1, *shape_of(leaf)])) for leaf in leaves]
        options["initial_state"] = (leaves[1], leaves[0]) if is_lstm else leaves[0]
    _, state = tracer.call(static_rnn, cell, [rows], **options, scope=scope)
    leaves = [_field(state, name) for name in ("h", "c")] if is_lstm else [state]
    leaves = leaves if has_batch else [tracer.call(basic.squeeze, leaf, 0) for leaf in leaves]
    return tuple(leaves) if is_lstm else leaves[0]


def _cell_of(tracer: Tracer, found: nn.RNNCellBase) -> tuple[Value, str]:
    is_shared, key = tracer.use(found), ("cell", id(found))
    path = tracer.paths.get(id(found), "").replace(".", "/") or "rnn"
    scope = tracer.script.scope(path)
    if key in tracer.cached:
        return tracer.cached[key], scope
    cell = _kind_of(found).declare(tracer.script)
    arrays = ("arrays", id(found))  # of one module, however often it steps
    if arrays not in tracer.cached:
        tracer.cached[arrays] = _arrays_of(tracer, found)
    own_cell_weights(tracer.script, scope, cell, torch_layer(cell.thing, tracer.cached[arrays]))
    if is_shared:
        cell = tracer.call(shared, cell, hint="cell")
        tracer.cached[key] = cell
    return cell, scope
