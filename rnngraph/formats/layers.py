"""Declares layers that several formats have, with a file's arrays.

Recurrent layers consist of cells, scopes of weights, and drivers of stacked cells in one or two directions. A driver is
a call such as ``rg.dynamic_rnn``, which runs a cell over time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, Union

import numpy as np

from ..declare.call_text import snake_case
from ..declare.cell import Cell, shared
from ..declare.cells.basic import BasicLSTMCell, BasicRNNCell, GRUCell, LSTMCell
from ..declare.cells.wrappers import MultiRNNCell
from ..declare.functions.layers import dense
from ..declare.functions.normalization import batch_normalization
from ..declare.parameters import parameter
from ..declare.running.drivers import bidirectional_dynamic_rnn, dynamic_rnn, stack_bidirectional_dynamic_rnn
from .gates import Layer, parameters_of
from .script import Script
from .steps import Function, Value

State: TypeAlias = Union[Value, "tuple[State, ...]"]
"""Initial state: one value, or one for each part of the state."""

# Layers without a state -------------------------------------------------------------------------------


def declare_dense(
    script: Script,
    x: Value,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    activation: str | None = None,
    base: str = "dense",
) -> Value:
    """Declare a dense layer, and return its output.

    Args:
        kernel: [width, units].
        bias: [units]; None for no bias.
        activation: rnngraph's name of the activation; None for none.
        base: Name of the layer's scope, to which a number is added if it is taken.
    """
    scope = script.scope(base)
    script.own(scope, {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias})
    options: dict[str, object] = {} if activation is None else {"activation": activation}
    if bias is None:
        options["use_bias"] = False
    return script.call(dense, x, kernel.shape[1], **options, name=scope)


def declare_affine(script: Script, x: Value, kernel: Value, bias: Value | None) -> Value:
    """Declare x @ kernel + bias for parameters that are shared with other calls, or computed."""
    product = script.operation("@", x, kernel)
    return product if bias is None else script.operation("+", product, bias)


def declare_parameter(script: Script, base: str, array: np.ndarray, hint: str, trainable: bool = True) -> Value:
    """Declare a parameter that belongs to no layer.

    Args:
        base: Name of the parameter, to which a number is added if it is taken.
        hint: Preferred name of the variable in the script.
    """
    name = script.scope(base)
    script.parameters[name] = np.ascontiguousarray(array)
    options: dict[str, object] = {} if array.dtype == np.float32 else {"dtype": str(array.dtype)}
    options |= {} if trainable else {"initializer": "zeros", "trainable": False}
    return script.call(parameter, name, array.shape, **options, hint=hint)


def declare_batch_normalization(
    script: Script,
    x: Value,
    arrays: Mapping[str, np.ndarray],
    scope: str,
    axis: int = -1,
    epsilon: float = 1e-3,
    momentum: float = 0.99,
) -> Value:
    """Declare batch normalization, and return its output.

    Args:
        arrays: ``moving_mean``, ``moving_variance``, and optionally ``gamma`` and ``beta``.
    """
    script.own(scope, arrays)
    options: dict[str, object] = {} if axis in (-1, x.tensor.rank - 1) else {"axis": axis}
    options |= {} if momentum == 0.99 else {"momentum": momentum}
    options |= {} if epsilon == 1e-3 else {"epsilon": epsilon}
    options |= {key: False for key, name in (("center", "beta"), ("scale", "gamma")) if name not in arrays}
    return script.call(batch_normalization, x, **options, name=scope)


# Cells --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CellKind:
    """Description of a cell before it is declared. Equal descriptions compare equal.

    Attributes:
        function: Class of the cell.
        units: Number of units, the first argument of the class.
        keywords: Further arguments of the class, as (name, value) pairs.
    """

    function: Function
    units: int
    keywords: tuple[tuple[str, object], ...] = ()

    def declare(self, script: Script) -> Value:
        return script.call(self.function, self.units, **dict(self.keywords), hint="cell")


def rnn_cell(units: int, activation: object = "tanh") -> CellKind:
    """Describe a plain recurrent cell."""
    return CellKind(BasicRNNCell, units, _unusual({"activation": activation}))


def gru_cell(
    units: int, reset_after: bool = True, recurrent_activation: object = "sigmoid", activation: object = "tanh"
) -> CellKind:
    """Describe a GRU.

    Args:
        reset_after: True if the reset gate multiplies h after the product with the kernel.
    """
    after = (("reset_after", True),) if reset_after else ()
    usual = {"recurrent_activation": recurrent_activation, "activation": activation}
    return CellKind(GRUCell, units, (*after, *_unusual(usual)))


def lstm_cell(
    units: int,
    recurrent_activation: object = "sigmoid",
    activation: object = "tanh",
    projection: int | None = None,
    has_peepholes: bool = False,
) -> CellKind:
    """Describe an LSTM with a forget bias of 0, because the file's bias includes it."""
    others = _unusual({"recurrent_activation": recurrent_activation, "activation": activation})
    if not projection and not has_peepholes:
        return CellKind(BasicLSTMCell, units, (("forget_bias", 0.0), *others))
    own: tuple[tuple[str, object], ...] = (("use_peepholes", True),) if has_peepholes else ()
    own += (("num_proj", projection),) if projection else ()
    return CellKind(LSTMCell, units, (*own, ("forget_bias", 0.0), *others))


def _unusual(activations: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    """Return those (option, activation) pairs whose activation is not the cell's default."""
    usual = {"recurrent_activation": "sigmoid", "activation": "tanh"}
    return tuple((name, item) for name, item in activations.items() if item != usual[name])


# Weights ------------------------------------------------------------------------------------------------


def scope_of(cell: Cell) -> str:
    """Return the name of the scope that a cell gives its parameters: its own scope's name, else its class's name."""
    return cell.scope_name or snake_case(type(cell).__name__)


def unshared(cell: Value) -> Any:
    """Return the cell that ``shared`` wraps, or the cell itself if it is not wrapped."""
    return cell.result.cell if isinstance(cell.result, shared) else cell.result


def own_cell_weights(script: Script, place: str, cell: Value, weights: Layer | Mapping[str, np.ndarray]) -> None:
    """Record the weights of a cell as parameters of the script.

    Args:
        place: The cell's scope in the driver, from ``places_in``.
        weights: Arrays by gate, or by name of the cell's parameter.
    """
    bare = unshared(cell)
    arrays = parameters_of(bare, weights) if isinstance(weights, Layer) else weights
    script.own(f"{place}/{scope_of(bare)}", arrays)


def places_in(scope: str, layers: int, directions: int = 1) -> list[list[str]]:
    """Return the scopes of a driver's cells: ``result[direction][layer]``.

    Args:
        scope: The driver's scope.
        layers: Number of stacked cells in each direction.
        directions: 1, or 2 for forward and backward.
    """
    if directions == 1:
        return [[f"{scope}/multi_rnn_cell/cell_{layer}" if layers > 1 else scope for layer in range(layers)]]
    inner = [f"{scope}/cell_{layer}/bidirectional_rnn" if layers > 1 else scope for layer in range(layers)]
    return [[f"{place}/{suffix}" for place in inner] for suffix in ("fw", "bw")]


# Drivers ------------------------------------------------------------------------------------------------


@dataclass
class Driven:
    """Results of a driver.

    Attributes:
        outputs: One sequence for each direction. A bidirectional stack has one sequence, which concatenates both.
        states: Final states, as ``states[direction][layer]``.
    """

    outputs: list[Value]
    states: list[list[Value]]


def stacked(script: Script, cells: Sequence[Value]) -> Value:
    """Stack cells, bottom first, to one cell. A single cell is returned unchanged."""
    return cells[0] if len(cells) == 1 else script.call(MultiRNNCell, list(cells), hint="cell")


def drive(
    script: Script,
    columns: Sequence[Sequence[Value]],
    x: Value,
    scope: str,
    initial: Sequence[Sequence[State] | None] = (None, None),
    is_reverse: bool = False,
    stack: Callable[[Sequence[Value]], Value] | None = None,
    **options: object,
) -> Driven:
    """Declare the driver of a recurrent layer, or of a stack of layers. Return its outputs and final states.

    Args:
        script: The script.
        columns: Cells, as ``columns[direction][layer]``. Two directions are forward, then backward.
        x: The input.
        scope: Scope of the driver.
        initial: Initial states, as ``initial[direction][layer]``. None for a direction stands for zeros.
        is_reverse: True if a single direction runs backward in time.
        stack: Function that stacks the cells of a single direction; None for ``stacked``.
        options: Options of the driver, such as ``time_major`` and ``sequence_length``.
    """
    is_stack = len(columns[0]) > 1
    if len(columns) == 1:
        whole = stacked(script, columns[0]) if stack is None else stack(columns[0])
        if initial[0] is not None:
            options["initial_state"] = tuple(initial[0]) if is_stack else initial[0][0]
        options |= {"reverse": True} if is_reverse else {}
        sequence, state = script.call(dynamic_rnn, whole, x, **options, scope=scope)
        return Driven([sequence], [list(state) if is_stack else [state]])
    name = "initial_states" if is_stack else "initial_state"
    for suffix, begin in zip(("fw", "bw"), initial, strict=True):
        if begin is not None:
            options[f"{name}_{suffix}"] = list(begin) if is_stack else begin[0]
    if is_stack:
        sides = [list(column) for column in columns]
        joint, *ends = script.call(stack_bidirectional_dynamic_rnn, *sides, x, **options, scope=scope)
        return Driven([joint], [list(end) for end in ends])
    cells = [column[0] for column in columns]
    sequences, states = script.call(bidirectional_dynamic_rnn, *cells, x, **options, scope=scope)
    return Driven(list(sequences), [[state] for state in states])


def declare_stack(
    script: Script,
    x: Value,
    cells: Sequence[Value],
    layers: Sequence[Layer],
    initial: Sequence[State] | None = None,
) -> Value:
    """Declare the driver of stacked cells with their arrays, and return the outputs.

    Args:
        layers: Arrays of each cell.
        initial: Initial state of each cell; None for zeros.
    """
    scope = script.scope("rnn")
    for place, cell, layer in zip(places_in(scope, len(cells))[0], cells, layers, strict=True):
        own_cell_weights(script, place, cell, layer)
    return drive(script, [cells], x, scope, [initial]).outputs[0]
