"""Parses RNN, LSTM and GRU nodes: cells by direction, weights, initial states, lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....ir.types import Dim
from ...gates import ONNX_ACTIVATIONS, ORDERS
from ...layers import CellKind, gru_cell, lstm_cell, rnn_cell
from ..core.known import Expanded, Operand, all_are, dtype_of, is_zero, shape_of
from ..core.sizes import UnreadableError
from ..core.table import Call
from ..core.values import shortest
from .activations import Activation, activations_of
from .cells import FreeLSTMCell

INITIAL = (5, 6)
"""Positions of a node's inputs ``initial_h`` and, for an LSTM, ``initial_c``."""
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@dataclass
class Direction:
    """One direction of a node.

    Attributes:
        kind: Description of the cell.
        order: Letters of the gates, in the order of the weights.
        weights: W [gates * units, inputs], R [gates * units, units], optionally B [2 * gates * units] and P [3 *
            units].
        initial: Initial states in the cell's order; None for zeros.
    """

    kind: CellKind
    order: str
    weights: Mapping[str, Operand]
    initial: list[Operand | None]


@dataclass
class Layer:
    """Parsed RNN, LSTM or GRU node.

    Attributes:
        is_reverse: True if the first direction reads the last step first.
        lengths: Number of steps of each row [batch]; None if all rows have all steps.
    """

    op: str
    directions: list[Direction]
    is_reverse: bool
    lengths: Operand | None
    is_batch_major: bool

    def is_like(self, other: Layer) -> bool:
        """True if another node has the same options and lengths, so that both can be layers of one stack."""
        kinds, others = ([direction.kind for direction in layer.directions] for layer in (self, other))
        equal = kinds == others and self.is_reverse == other.is_reverse and self.is_batch_major == other.is_batch_major
        return equal and self.lengths is other.lengths


def layer_of(call: Call, x: tuple[Dim, ...] | None) -> Layer:
    """Parse a node's options and weights. ``x`` is the shape of the node's input; None for an unknown shape."""
    weights = {"W": call.input(1), "R": call.input(2)}
    weights |= {name: operand for name, number in (("B", 3), ("P", 7)) if (operand := call.maybe(number)) is not None}
    return layer_with(call, call.op, weights, x)


def layer_with(call: Call, op: str, weights: Mapping[str, Operand], x: tuple[Dim, ...] | None) -> Layer:
    """Parse a node's options, with ``weights`` (W, R, B, P) in place of the node's, and check the shapes."""
    reversals = _DIRECTIONS.get(call.text("direction", "forward"))
    if reversals is None:
        raise UnreadableError(
            f"direction {call.text('direction', '')!r} is unknown; supported are {', '.join(_DIRECTIONS)}"
        )
    count, is_batch_major = len(reversals), call.whole("layout", 0) == 1
    order = ORDERS["onnx"][op.lower()]
    units = (*shape_of(weights["R"]), None)[2]
    if not isinstance(units, int) or not units or call.whole("hidden_size", units) != units:
        raise UnreadableError(
            f"R {_sizes(weights['R'])} must be [directions, gates * hidden_size, hidden_size], where hidden_size is "
            f"{call.whole('hidden_size', 0) or 'a number'}"
        )
    gates = len(order) * units
    shapes: dict[str, tuple[int | None, ...]] = {
        "W": (count, gates, None),
        "R": (count, gates, units),
        "B": (count, 2 * gates),
        "P": (count, 3 * units),
    }
    for name, array in weights.items():
        _check_sizes(name, shape_of(array), shapes[name])
    if x is not None and (len(x) != 3 or x[2] != shape_of(weights["W"])[2]):
        raise UnreadableError(
            f"X has rank {len(x)} and width {x[-1] if x else 1}, and W is {_sizes(weights['W'])}; give X three axes, "
            "the last as wide as that of W"
        )
    names = call.entries("activations") or [*ONNX_ACTIVATIONS[op]] * count
    if len(names) != count * len(ONNX_ACTIVATIONS[op]):
        raise UnreadableError(
            f"it has {len(names)} activations and {count} directions; give {len(ONNX_ACTIVATIONS[op])} for each"
        )
    activations = activations_of(
        names, call.entries("activation_alpha", []) or [], call.entries("activation_beta", []) or []
    )
    share = len(activations) // count
    directions = []
    for number in range(count):
        own = activations[number * share : (number + 1) * share]
        of_one = {name: call.tensors.index(array, _at(shape_of(array), 0, number)) for name, array in weights.items()}
        states = INITIAL[::-1] if op == "LSTM" else INITIAL[:1]
        initial = [_initial(call, place, number, count, units) for place in states]
        directions.append(Direction(_cell_of_direction(call, op, units, own, "P" in weights), order, of_one, initial))
    time = None if x is None else x[1 if is_batch_major else 0]
    return Layer(op, directions, reversals[0], _lengths(call, time), is_batch_major)


def _sizes(x: Operand) -> str:
    return str([str(dim) for dim in shape_of(x)])


def _check_sizes(name: str, shape: tuple[Dim, ...], sizes: Sequence[int | None]) -> None:
    fits = len(shape) == len(sizes) and all(
        isinstance(have, int) and have and want in (None, have) for have, want in zip(shape, sizes, strict=True)
    )
    if not fits:
        raise UnreadableError(f"{name} must have shape {list(sizes)}, not {[str(dim) for dim in shape]}")


def _at(shape: Sequence[Any], axis: int, number: int) -> list[Any]:
    """Return the index that selects entry ``number`` of an axis from an array of this shape."""
    index: list[Any] = [slice(None)] * len(shape)
    index[axis] = number
    return index


def _initial(call: Call, place: int, number: int, count: int, units: int) -> Operand | None:
    """Return the initial state of direction ``number``: [batch, units], or [units] for all rows; None for zeros."""
    state = call.maybe(place)
    if state is None or is_zero(state):
        return None
    shape, axis = shape_of(state), 1 if call.whole("layout", 0) == 1 else 0
    if len(shape) != 3 or shape[axis] != count or shape[2] != units:
        raise UnreadableError(
            f"an initial state of shape {_sizes(state)} does not fit {count} directions of {units} units; give "
            f"{f'[batch, {count}, {units}]' if axis else f'[{count}, batch, {units}]'}"
        )
    if isinstance(state, Expanded):
        source = state.source
        own = (*(1,) * (3 - len(shape_of(source))), *shape_of(source))
        if own[1 - axis] == 1 and own[axis] == count and own[2] == units:  # one state for all rows, broadcast
            whole = call.tensors.reshape(source, (count, units))
            return call.tensors.index(whole, [number])
    return call.tensors.index(state, _at(shape, axis, number))


def _lengths(call: Call, time: Dim | None) -> Operand | None:
    """Return ``sequence_lens`` [batch]; None if the node has none, or if all lengths equal the number of steps."""
    lengths = call.maybe(4)
    if lengths is None:
        return None
    if time is not None and all_are(lengths, time):
        return None
    if dtype_of(lengths) not in ("int32", "int64"):
        raise UnreadableError(f"sequence_lens must be int32 or int64, not {dtype_of(lengths)}")
    return lengths


def _cell_of_direction(call: Call, op: str, units: int, own: Sequence[Activation], has_peepholes: bool) -> CellKind:
    """Return the description of a direction's cell: a built-in cell if one has the options, else ``FreeLSTMCell``."""
    limit = shortest(call.number("clip", 0.0)) or None
    if limit is not None and not limit > 0:
        raise UnreadableError(f"clip must be positive, not {limit}")
    usual = ("activation",) if op == "RNN" else ("recurrent_activation", "activation")
    names = {name: one.argument(limit) for name, one in zip(usual, own, strict=False)}
    if op == "RNN":
        return rnn_cell(units, **names)
    if op == "GRU":
        return gru_cell(units, bool(call.whole("linear_before_reset", 0)), **names)
    coupled = bool(call.whole("input_forget", 0))
    if coupled or limit is not None or own[1] != own[2]:
        plain = {"gate": "sigmoid", "candidate": "tanh", "output": "tanh"}
        pairs = zip(plain, own, strict=True)
        options: dict[str, Any] = {name: one.function() for name, one in pairs if one.plain != plain[name]}
        options |= {} if limit is None else {"limit": limit}
        options |= {"use_peepholes": True} if has_peepholes else {}
        options |= {"coupled": True} if coupled else {}
        return CellKind(FreeLSTMCell, units, tuple(options.items()))
    return lstm_cell(units, **names, has_peepholes=has_peepholes)
