"""Declares recurrent layers: cells, stacks and directions, with masks, initial states and dropout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...declare.cell import shared
from ...declare.cells.wrappers import DropoutWrapper
from ...declare.functions.arrays.moves import flip
from ...declare.functions.basic import concat, not_equal
from ..layers import State, drive, gru_cell, lstm_cell, own_cell_weights, places_in, rnn_cell, stacked
from ..steps import Value
from ..weights import from_cudnn, from_keras
from .activations import cell_activation, number
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable, signals
from .custom import state_parts
from .plain import keep_prob

CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells")
"""Classes of cells, which layers of class ``RNN`` contain."""
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU", "RNN")
_EQUAL_OPTIONS = ("units", "activation", "recurrent_activation", "dropout", "recurrent_dropout", "reset_after", "dtype")
"""Options in which all layers of a stack must agree."""


def problem_of(layer: Layer) -> str | None:
    """Return the reason why an ``RNN`` or ``Bidirectional`` layer is not supported; None for all other layers."""
    if layer.kind == "RNN" and not (layer.inner.get("cell") or layer.inner.get("cells")):
        return "the file does not describe its cell"
    if layer.kind == "Bidirectional":
        kinds = [inner.kind for key in ("layer", "backward_layer") for inner in layer.inner.get(key, [])]
        unsupported = next((kind for kind in kinds if kind not in RECURRENT), None)
        if len(kinds) != 2:
            return "it must have one layer for each direction"
        if unsupported:
            return f"its inner layer of class {unsupported!r} is not supported"
        if _goes_back(layer.inner["layer"][0]) == _goes_back(layer.inner["backward_layer"][0]):
            return "its two layers run in the same direction"
    return None


def _flag(layer: Layer, key: str) -> bool:
    return layer.config.flag(key, False)


def _goes_back(layer: Layer) -> bool:
    return _flag(layer, "go_backwards")


def cells_of(layer: Layer) -> list[Layer]:
    """Return the cells of a recurrent layer, the lowest first. An ``LSTM`` or similar layer is its own cell."""
    inner = layer.inner.get("cell", []) + layer.inner.get("cells", [])
    if not inner:
        return [layer]
    return [cell for part in inner for cell in cells_of(part)]


# Cells --------------------------------------------------------------------------------------------


def _is_lstm(layer: Layer) -> bool:
    return "LSTM" in layer.kind and not layer.is_custom


def _cell(b: Declaration, layer: Layer, width: int, at: str, drops_state: bool) -> Value:
    """Declare a cell, and record the file's arrays as its parameters.

    Args:
        layer: The cell, or the layer that is its own cell.
        width: Width of the cell's input.
        at: Scope of the cell.
        drops_state: True to apply recurrent dropout to the state, except in a GRU; False to ignore recurrent dropout.
    """
    if layer.is_custom and b.custom_cell is not None:
        return b.custom_cell(b, layer, at)
    units = layer.config.count("units", maximum=1 << 24)
    names: dict[str, Any] = {}
    gates = "hard_sigmoid" if b.version < 3 else "sigmoid"
    if "CuDNN" not in layer.kind:
        wanted = [("activation", "tanh"), ("recurrent_activation", gates)]
        names = {key: cell_activation(b, layer, key, default) for key, default in wanted}
    if _is_lstm(layer):
        kind = lstm_cell(units, **names)
    elif "GRU" in layer.kind:
        kind = gru_cell(units, "CuDNN" in layer.kind or _flag(layer, "reset_after"), **names)
    else:
        names.pop("recurrent_activation", None)
        kind = rnn_cell(units, **names)
    cell = kind.declare(b.script)
    b.array(layer, "kernel", width, None)
    convert = from_cudnn if "CuDNN" in layer.kind else from_keras
    own_cell_weights(b.script, at, cell, convert(cell.result, b.arrays(layer)))
    return _with_dropout(b, layer, cell, drops_state)


def _with_dropout(b: Declaration, layer: Layer, cell: Value, drops_state: bool) -> Value:
    """Wrap a cell in the layer's input dropout and recurrent dropout, with one mask for all steps as in Keras.

    Recurrent dropout of h before the products equals dropout of the state if no other operation reads h. In a GRU other
    operations read h, so its recurrent dropout is ignored.
    """
    rates = {"input_keep_prob": b.drops(number(layer.config, "dropout", 0.0))}
    recurrent = b.drops(number(layer.config, "recurrent_dropout", 0.0))
    if drops_state and "GRU" not in layer.kind:
        rates["state_keep_prob"] = recurrent
    options = {key: keep_prob(rate) for key, rate in rates.items() if 0 < rate < 1}
    return b.script.call(DropoutWrapper, cell, **options, variational_recurrent=True, hint="cell") if options else cell


def _stack(b: Declaration, layer: Layer, cells: Sequence[Layer], width: int, at: str) -> Value:
    """Declare the cells of a layer, stacked to one cell. Further calls of the layer get the same cell."""
    if layer in b.kept:
        kept_cell: Value = b.kept[layer]
        return kept_cell
    column, drops_state = [], not _flag(layer, "return_state")
    for cell, place in zip(cells, places_in(at, len(cells))[0], strict=True):
        column.append(_cell(b, cell, width, place, drops_state))
        width = column[-1].result.output_size if cell.is_custom else cell.config.count("units")
    whole = stacked(b.script, column)
    if b.is_shared(layer):
        whole = b.kept[layer] = b.script.call(shared, whole, hint="cell")
    return whole


# States: Keras lists them cell by cell from the lowest, h before c ------------------------------------------


def _states(state: Value, cells: Sequence[Layer]) -> Iterator[Value]:
    """Yield the parts of a driver's state in Keras' order: cell by cell from the lowest, h before c."""
    for cell, part in zip(cells, [state] if len(cells) == 1 else list(state), strict=True):
        if cell.is_custom:
            yield from state_parts(part)
        elif _is_lstm(cell):
            c, h = part
            yield from (h, c)
        else:
            yield part


def _initial(cells: Sequence[Layer], states: Sequence[Signal]) -> State:
    """Convert Keras' flat list of initial states to the nested form of a driver's ``initial_state``."""
    rest, parts = list(states), list[State]()
    if any(cell.is_custom for cell in cells):
        raise Unreadable("initial states of custom cells are not supported")
    for cell in cells:
        count = 2 if _is_lstm(cell) else 1
        own, rest = rest[:count], rest[count:]
        if len(own) < count:
            raise Unreadable("it is called with too few initial states; give one for each state of each cell")
        parts.append((own[1].value, own[0].value) if count == 2 else own[0].value)
    if rest:
        raise Unreadable("it is called with too many initial states, or with constants, which are not supported")
    return parts[0] if len(parts) == 1 else tuple(parts)


def _inputs(b: Declaration, layer: Layer, inputs: Inputs) -> tuple[Signal, list[Signal], Value | None]:
    """Return (sequence, initial states, mask of the outputs or None) of a recurrent layer's call.

    The sequence has the mask that the layer must apply. States follow the sequence in one list, or are the argument
    ``initial_state``. With that argument, Keras 3 applies only a mask that the call passes by ``mask=``.
    """
    if not inputs.several:
        raise Unreadable("it is called without an input; give it a sequence")
    x, *more = inputs.several
    named = [*signals(inputs.keyword("initial_state", 1))]
    if inputs.keywords.get("constants"):
        raise Unreadable("constants= is not supported")
    if x.rank != 3:
        raise Unreadable(f"its input has rank {x.rank}; it must have rank 3")
    if x.mask is None:
        return x, more + named, None
    if b.version >= 3 and named and not isinstance(inputs.keywords.get("mask"), Signal):
        return Signal(x.value), more + named, x.mask
    if x.mask.tensor.rank != 2:
        raise Unreadable(f"its mask has rank {x.mask.tensor.rank}; it must have rank 2")
    mask = x.mask if x.mask.tensor.dtype == "bool" else b.script.call(not_equal, x.mask, 0, hint="mask")
    return Signal(x.unzeroed or x.value, mask), more + named, mask


def _options(layer: Layer, x: Signal, zeroes: bool) -> dict[str, Any]:
    """Return the keyword arguments by which a driver applies the mask of x; none without a mask.

    Args:
        zeroes: True if outputs of masked steps are 0; False if they repeat the last output.
    """
    if x.mask is None:
        return {}
    if _flag(layer, "time_major"):
        raise Unreadable("a mask with time_major=True is not supported")
    return {"mask": x.mask, **({"zero_output_for_mask": True} if zeroes else {})}


# Layers -------------------------------------------------------------------------------------------


def _recurrent(b: Declaration, layer: Layer, inputs: Inputs) -> list[Signal]:
    """Declare a recurrent layer, or the stack of which it is the top. Return the output, then states if asked for."""
    x, states, mask = _inputs(b, layer, inputs)
    group = b.group(layer)
    cells = [cell for one in group for cell in cells_of(one)]
    cell = _stack(b, layer, cells, x.width, b.scope(group[0]))
    zeroes, back, major = (_flag(layer, key) for key in ("zero_output_for_mask", "go_backwards", "time_major"))
    options = _options(layer, x, zeroes) | ({"time_major": True} if major else {})
    initial = [[_initial(cells, states)] if states else None]
    driven = drive(b.script, [[cell]], x.value, b.driver_scope(group[0]), initial, back, **options)
    outputs, state = driven.outputs[0], driven.states[0][0]
    ends = list(_states(state, cells))
    if _flag(layer, "return_sequences"):
        y = _reversed(b, outputs, 0 if major else 1) if back else outputs
        output = Signal(y, mask)
    elif cells[-1].is_custom or (
        x.mask is not None and (states or zeroes)
    ):  # The final state is not the last output: a fully masked row outputs 0, and keeps its initial state.
        output = Signal(b.script.item(outputs, slice(None), 0 if back else -1))
    else:
        output = Signal(ends[-2] if _is_lstm(cells[-1]) else ends[-1])
    if not _flag(layer, "return_state"):
        return [output]
    own = list(_states(list(state)[-1], cells[-1:])) if len(group) > 1 else ends
    return [output, *(Signal(end) for end in own)]


def _reversed(b: Declaration, x: Value, axis: int) -> Value:
    return b.script.call(flip, x, axis)


def _bidirectional(b: Declaration, layer: Layer, inputs: Inputs) -> list[Signal]:
    """Declare a bidirectional layer, or the stack of which it is the top. Return outputs, then states if asked for."""
    x, states, passed_mask = _inputs(b, layer, inputs)
    group = b.group(layer)
    ahead, back = ([one.inner[key][0] for one in group] for key in ("layer", "backward_layer"))
    is_turned = _goes_back(ahead[0])  # the option ``layer`` runs backward, and ``backward_layer`` forward
    ahead, back = (back, ahead) if is_turned else (ahead, back)
    top = ahead[-1]
    if any(_flag(one, "time_major") for one in (*ahead, *back)):
        raise Unreadable("time_major=True is not supported")
    sequences = _flag(top, "return_sequences")
    options = _options(top, x, sequences)
    cells = [cells_of(one) for one in (ahead[-1], back[-1])]
    initial: list[list[State] | None] = [None, None]
    if states:
        halves = states[: len(states) // 2], states[len(states) // 2 :]
        pairs = zip(cells, halves[::-1] if is_turned else halves, strict=True)
        initial = [[_initial(own, half)] for own, half in pairs]
    both, ends = _both_ways(b, layer, x, (ahead, back), initial, options)
    flat = [list(_states(end, own)) for end, own in zip(ends, cells, strict=True)]
    if not sequences:
        if x.mask is not None and states:
            both = [b.script.item(both[0], slice(None), -1), b.script.item(both[1], slice(None), 0)]
        else:
            both = [end[-2] if _is_lstm(own[-1]) else end[-1] for end, own in zip(flat, cells, strict=True)]
    elif is_turned:
        both = [_reversed(b, one, 1) for one in both]
    if is_turned:
        both, flat = both[::-1], flat[::-1]
    mask = passed_mask if sequences else None
    merged = [Signal(one, mask) for one in _merged(b, layer, both)]
    return [*merged, *(Signal(end) for part in flat for end in part)] if _flag(top, "return_state") else merged


def _both_ways(
    b: Declaration,
    layer: Layer,
    x: Signal,
    columns: tuple[list[Layer], list[Layer]],
    initial: list[list[State] | None],
    options: dict[str, Any],
) -> tuple[list[Value], list[Value]]:
    """Declare a bidirectional layer or a stack of them. Return (outputs, final states of the top layer).

    A single layer has one output for each direction. A stack has one output, which concatenates both directions.

    Args:
        layer: The layer, or the top layer of the stack.
        x: The input.
        columns: (Layers that run forward, layers that run backward), bottom first.
        initial: Initial states by direction; None for zeros.
        options: Keyword arguments of the driver.
    """
    count, width = len(columns[0]), x.width
    at = b.scope(b.group(layer)[0])
    cells: list[list[Value]] = [[], []]
    for pair, places in zip(zip(*columns, strict=True), zip(*places_in(at, count, 2), strict=True), strict=True):
        for column, one, place in zip(cells, pair, places, strict=True):
            column.append(_stack(b, one, cells_of(one), width, place))
        width = sum(cells_of(one)[-1].config.count("units") for one in pair)
    scope = at if count > 1 else b.driver_scope(layer)
    driven = drive(b.script, cells, x.value, scope, initial, **options)
    return driven.outputs, [states[-1] for states in driven.states]


def _merged(b: Declaration, layer: Layer, both: list[Value]) -> list[Value]:
    """Merge the outputs of both directions by the option ``merge_mode``. With None, return both."""
    mode = layer.config.get("merge_mode", "concat")
    if len(both) == 1 or mode is None:
        return both
    of = b.script.operation
    match mode:
        case "concat":
            return [b.script.call(concat, both, -1)]
        case "sum":
            return [of("+", *both)]
        case "mul":
            return [of("*", *both)]
        case "ave":
            return [of("/", of("+", *both), 2.0)]
    raise layer.config.error(f"merge_mode of {layer} is {mode!r}; it must be concat, sum, mul, ave or None")


# Stacks -------------------------------------------------------------------------------------------


def is_stack(below: Layer, above: Layer) -> bool:
    """True if a recurrent layer and the layer that reads its output can be adjacent in one stack of cells."""
    if below.kind != above.kind or below.kind not in ("LSTM", "GRU", "SimpleRNN", "Bidirectional"):
        return False
    if below.kind == "Bidirectional":
        modes = [one.config.get("merge_mode", "concat") for one in (below, above)]
        keys = ("layer", "backward_layer")
        pairs = [(below.inner[key][0], above.inner[key][0]) for key in keys]
        if _goes_back(below.inner["layer"][0]) or _goes_back(above.inner["layer"][0]):
            return False
        return modes == ["concat"] * 2 and all(_are_equal(*pair, ("LSTM", "GRU", "SimpleRNN")) for pair in pairs)
    return not _goes_back(below) and not _goes_back(above) and _are_equal(below, above, (below.kind,))


def _are_equal(below: Layer, above: Layer, kinds: tuple[str, ...]) -> bool:
    """True if two layers have the same class, one of ``kinds``, agree in ``_EQUAL_OPTIONS``, and can be stacked."""
    if below.kind != above.kind or below.kind not in kinds or not _flag(below, "return_sequences"):
        return False
    if _flag(below, "return_state") or any(_flag(one, "time_major") for one in (below, above)):
        return False
    if any(_flag(one, "zero_output_for_mask") and kinds == (one.kind,) for one in (below, above)):
        return False
    return all(below.config.get(key, None) == above.config.get(key, None) for key in _EQUAL_OPTIONS)


LAYERS: Mapping[str, Handler] = {**dict.fromkeys(RECURRENT, _recurrent), "Bidirectional": _bidirectional}
