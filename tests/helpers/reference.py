"""Every cell, wrapper, stack and driver, in NumPy's float64, one equation a line.

A reference for tests, written for legibility and not for speed. A network is declared with the dataclasses below;
`run_cell` runs one step, `dynamic_rnn` and `bidirectional` run a sequence. Parameters are a mapping from TensorFlow's
variable names to arrays (`rnn/multi_rnn_cell/cell_0/basic_rnn_cell/kernel`). States are TensorFlow's: an array for RNN
and GRU, `LSTMStateTuple(c, h)` for LSTM, a tuple with one entry a layer for a stack; one concatenated array if
`state_is_tuple` is False.

Dropout applies masks, a mapping from site to 0/1 array; without masks there is none. A site is `<scope of the
wrapper>/input`, `.../state` or `.../output`; a name that an outer wrapper or an earlier part of the same state uses
gets `_1`, `_2`, .... A mask is [batch, steps, width] with a mask for each step, in the order in which the cell runs
them, or [batch, width] (or [1, width]) with one mask for all steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from reference_cells import Variant

Array = np.ndarray
State = Any
Arrays = Mapping[str, Array]


class LSTMStateTuple(NamedTuple):
    c: Any
    h: Any


# ----------------------------------------------------------------------------------------------- activations


def sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": sigmoid,
    "identity": lambda x: x,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0),
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0.0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0.0))),
}


# ---------------------------------------------------------------------------------------------- declarations


@dataclass(frozen=True)
class RNN:
    """BasicRNNCell."""

    units: int
    activation: str = "tanh"
    name: str = "basic_rnn_cell"


@dataclass(frozen=True)
class LSTM:
    """LSTMCell; with `name="basic_lstm_cell"` and no further options it is BasicLSTMCell."""

    units: int
    use_peepholes: bool = False
    cell_clip: float | None = None
    projection: int | None = None
    projection_clip: float | None = None
    forget_bias: float = 1.0
    state_is_tuple: bool = True
    activation: str = "tanh"
    name: str = "lstm_cell"


@dataclass(frozen=True)
class GRU:
    """GRUCell, with the reset gate before or after the candidate's matrix product."""

    units: int
    activation: str = "tanh"
    reset_after: bool = False
    name: str = "gru_cell"


@dataclass(frozen=True)
class Dropout:
    """DropoutWrapper. The shape of the masks determines whether it is variational."""

    cell: "Spec"
    input_keep_prob: float = 1.0
    output_keep_prob: float = 1.0
    state_keep_prob: float = 1.0


@dataclass(frozen=True)
class Residual:
    """ResidualWrapper."""

    cell: "Spec"


@dataclass(frozen=True)
class Highway:
    """HighwayWrapper."""

    cell: "Spec"
    couple_carry_transform_gates: bool = True


@dataclass(frozen=True)
class Zoneout:
    """ZoneoutWrapper; its masks are those of dropout sites named `zoneout`, one for each leaf of the state."""

    cell: "Spec"
    state_keep_prob: tuple[float, ...]


@dataclass(frozen=True)
class Stack:
    """MultiRNNCell."""

    cells: "tuple[Spec, ...]"
    state_is_tuple: bool = True
    name: str = "multi_rnn_cell"


@dataclass(frozen=True)
class Projection:
    """InputProjectionWrapper or OutputProjectionWrapper; the cell's scope lies within the wrapper's."""

    cell: "Spec"
    width: int
    of_input: bool
    activation: str = "identity"

    @property
    def name(self) -> str:
        return f"{'input' if self.of_input else 'output'}_projection_wrapper"


Spec = RNN | LSTM | GRU | Variant | Dropout | Residual | Highway | Zoneout | Projection | Stack


def output_width(spec: Spec) -> int:
    match spec:
        case RNN() | GRU():
            return spec.units
        case LSTM():
            return spec.units if spec.projection is None else spec.projection
        case Variant():
            return spec.output
        case Projection(of_input=False):
            return spec.width
        case Dropout() | Residual() | Highway() | Zoneout() | Projection():
            return output_width(spec.cell)
        case Stack():
            return output_width(spec.cells[-1])


def state_width(spec: Spec) -> State:
    """Return the nest of widths with the structure of the state."""
    match spec:
        case RNN() | GRU():
            return spec.units
        case LSTM():
            widths = LSTMStateTuple(spec.units, output_width(spec))
            return widths if spec.state_is_tuple else sum(widths)
        case Variant():
            return spec.widths(LSTMStateTuple)
        case Dropout() | Residual() | Highway() | Zoneout() | Projection():
            return state_width(spec.cell)
        case Stack():
            layers = tuple(state_width(cell) for cell in spec.cells)
            return layers if spec.state_is_tuple else sum(layers)


def map_state(function: Callable[..., Any], *states: State) -> State:
    """Apply a function to the corresponding arrays of states of equal structure."""
    if isinstance(states[0], LSTMStateTuple):
        return LSTMStateTuple(*(map_state(function, *parts) for parts in zip(*states, strict=True)))
    if isinstance(states[0], tuple):
        return tuple(map_state(function, *parts) for parts in zip(*states, strict=True))
    return function(*states)


def zero_state(spec: Spec, batch: int) -> State:
    return map_state(lambda width: np.zeros((batch, width)), state_width(spec))


# ------------------------------------------------------------------------------------------ cells, one step


def run_cell(
    spec: Spec,
    parameters: Arrays,
    prefix: str,
    x: Array,
    state: State,
    masks: Arrays | None = None,
    taken_sites: set[str] | None = None,
) -> tuple[Array, State]:
    """Run one step of a cell at a variable scope: return (output, new state).

    `masks` are those of this step, [batch, width] each. `taken_sites` are the site names of outer wrappers.
    """
    taken_sites = set() if taken_sites is None else taken_sites
    match spec:
        case RNN():
            return rnn_step(spec, parameters, prefix, x, state)
        case LSTM():
            return lstm_step(spec, parameters, prefix, x, state)
        case GRU():
            step = gru_reset_after_step if spec.reset_after else gru_step
            return step(spec, parameters, prefix, x, state)
        case Variant():
            scope = f"{prefix}/{spec.name}/"
            own = {name.removeprefix(scope): array for name, array in parameters.items() if name.startswith(scope)}
            output, new = spec.step(own, x, state, None if masks is None else masks.get("dropout"))
            return output, LSTMStateTuple(*new) if spec.memory else new
        case Dropout():
            return dropout_step(spec, parameters, prefix, x, state, masks, taken_sites)
        case Residual():
            output, state = run_cell(spec.cell, parameters, prefix, x, state, masks, taken_sites)
            return x + output, state
        case Highway():
            output, state = run_cell(spec.cell, parameters, prefix, x, state, masks, taken_sites)
            carry = gate(parameters, prefix, "carry", x)
            transform = 1.0 - carry if spec.couple_carry_transform_gates else gate(parameters, prefix, "transform", x)
            return carry * x + transform * output, state
        case Projection():
            return projection_step(spec, parameters, prefix, x, state, masks, taken_sites)
        case Zoneout():
            return zoneout_step(spec, parameters, prefix, x, state, masks, taken_sites)
        case Stack():
            return stack_step(spec, parameters, prefix, x, state, masks, taken_sites)


def rnn_step(spec: RNN, parameters: Arrays, prefix: str, x: Array, h: Array) -> tuple[Array, State]:
    kernel = parameters[f"{prefix}/{spec.name}/kernel"]
    bias = parameters[f"{prefix}/{spec.name}/bias"]
    activation = ACTIVATIONS[spec.activation]

    h = activation(beside(x, h) @ kernel + bias)
    return h, h


def lstm_step(spec: LSTM, parameters: Arrays, prefix: str, x: Array, state: State) -> tuple[Array, State]:
    scope = f"{prefix}/{spec.name}"
    kernel, bias = parameters[f"{scope}/kernel"], parameters[f"{scope}/bias"]
    w_f = w_i = w_o = np.zeros(spec.units)
    if spec.use_peepholes:
        w_f, w_i, w_o = (parameters[f"{scope}/w_{gate}_diag"] for gate in "fio")
    activation = ACTIVATIONS[spec.activation]
    c, h = state if spec.state_is_tuple else (state[:, : spec.units], state[:, spec.units :])

    i, j, f, o = np.split(beside(x, h) @ kernel + bias, 4, axis=1)
    c = c * sigmoid(f + spec.forget_bias + w_f * c) + sigmoid(i + w_i * c) * activation(j)
    if spec.cell_clip is not None:
        c = np.clip(c, -spec.cell_clip, spec.cell_clip)
    h = sigmoid(o + w_o * c) * activation(c)
    if spec.projection is not None:
        h = h @ parameters[f"{scope}/projection/kernel"]
        if spec.projection_clip is not None:
            h = np.clip(h, -spec.projection_clip, spec.projection_clip)
    return h, LSTMStateTuple(c, h) if spec.state_is_tuple else beside(c, h)


def gru_step(spec: GRU, parameters: Arrays, prefix: str, x: Array, h: Array) -> tuple[Array, State]:
    scope = f"{prefix}/{spec.name}"
    gates_kernel, gates_bias = parameters[f"{scope}/gates/kernel"], parameters[f"{scope}/gates/bias"]
    kernel, bias = parameters[f"{scope}/candidate/kernel"], parameters[f"{scope}/candidate/bias"]
    activation = ACTIVATIONS[spec.activation]

    r, u = np.split(sigmoid(beside(x, h) @ gates_kernel + gates_bias), 2, axis=1)
    c = activation(beside(x, r * h) @ kernel + bias)
    h = u * h + (1.0 - u) * c
    return h, h


def gru_reset_after_step(spec: GRU, parameters: Arrays, prefix: str, x: Array, h: Array) -> tuple[Array, State]:
    scope = f"{prefix}/{spec.name}"
    gates_kernel, gates_bias = parameters[f"{scope}/gates/kernel"], parameters[f"{scope}/gates/bias"]
    x_kernel = parameters[f"{scope}/candidate/input_projection/kernel"]
    x_bias = parameters[f"{scope}/candidate/input_projection/bias"]
    h_kernel = parameters[f"{scope}/candidate/hidden_projection/kernel"]
    h_bias = parameters[f"{scope}/candidate/hidden_projection/bias"]
    activation = ACTIVATIONS[spec.activation]

    r, u = np.split(sigmoid(beside(x, h) @ gates_kernel + gates_bias), 2, axis=1)
    c = activation(x @ x_kernel + x_bias + r * (h @ h_kernel + h_bias))
    h = u * h + (1.0 - u) * c
    return h, h


def gate(parameters: Arrays, prefix: str, name: str, x: Array) -> Array:
    return sigmoid(x @ parameters[f"{prefix}/{name}_w"] + parameters[f"{prefix}/{name}_b"])


def projection_step(
    spec: Projection,
    parameters: Arrays,
    prefix: str,
    x: Array,
    state: State,
    masks: Arrays | None,
    taken_sites: set[str],
) -> tuple[Array, State]:
    scope = f"{prefix}/{spec.name}"
    kernel, bias = parameters[f"{scope}/kernel"], parameters[f"{scope}/bias"]
    if spec.of_input:
        x = ACTIVATIONS[spec.activation](x @ kernel + bias)
    output, state = run_cell(spec.cell, parameters, scope, x, state, masks, taken_sites)
    return (output if spec.of_input else ACTIVATIONS[spec.activation](output @ kernel + bias)), state


def zoneout_step(
    spec: Zoneout,
    parameters: Arrays,
    prefix: str,
    x: Array,
    state: State,
    masks: Arrays | None,
    taken_sites: set[str],
) -> tuple[Array, State]:
    sites = []
    for keep_prob in spec.state_keep_prob:
        name, number = f"{prefix}/zoneout", 0
        while name in taken_sites:
            number += 1
            name = f"{prefix}/zoneout_{number}"
        if keep_prob != 1.0:
            taken_sites.add(name)
        sites.append(name)
    output, new_state = run_cell(spec.cell, parameters, prefix, x, state, masks, taken_sites)
    remaining = zip(spec.state_keep_prob, sites, strict=True)
    carried = output_in_state(spec.cell)

    def zone_out(new: Array, old: Array) -> Array:
        keep_prob, site = next(remaining)
        if keep_prob == 1.0:
            return new
        if masks is None:
            return keep_prob * new + (1.0 - keep_prob) * old
        return np.where(masks[site] == 1, new, old)

    zoned = map_state(zone_out, new_state, state)
    return (last_hidden(spec.cell, zoned) if carried else output), zoned


def output_in_state(spec: Spec) -> bool:
    """Return True if a cell's output is its new (hidden) state, unchanged."""
    match spec:
        case RNN() | GRU() | LSTM():
            return True
        case Variant():
            return spec.output_is_state
        case Dropout():
            return output_in_state(spec.cell) and spec.output_keep_prob == 1.0 and spec.state_keep_prob == 1.0
        case Residual() | Highway() | Projection():
            return isinstance(spec, Projection) and spec.of_input and output_in_state(spec.cell)
        case Zoneout():
            return output_in_state(spec.cell)
        case Stack():
            return output_in_state(spec.cells[-1])


def last_hidden(spec: Spec, state: State) -> Array:
    """Return the hidden part of the last layer's state."""
    match spec:
        case LSTM() | Variant():
            width = output_width(spec)
            return state.h if isinstance(state, LSTMStateTuple) else state[:, -width:]
        case Dropout() | Zoneout() | Residual() | Highway() | Projection():
            return last_hidden(spec.cell, state)
        case Stack():
            return last_hidden(spec.cells[-1], stack_parts(spec, state)[-1])
        case _:
            return state


def dropout_step(
    spec: Dropout,
    parameters: Arrays,
    prefix: str,
    x: Array,
    state: State,
    masks: Arrays | None,
    taken_sites: set[str],
) -> tuple[Array, State]:
    sites = dropout_sites(spec, prefix, taken_sites)

    def drop(value: Array, keep_prob: float, site: str) -> Array:
        return value if masks is None else value * masks[site] / keep_prob

    for site in sites["input"]:
        x = drop(x, spec.input_keep_prob, site)
    output, state = run_cell(spec.cell, parameters, prefix, x, state, masks, taken_sites)
    if sites["state"]:
        remaining = iter(sites["state"])
        state = map_hidden(lambda h: drop(h, spec.state_keep_prob, next(remaining)), spec.cell, state)
    for site in sites["output"]:
        output = drop(output, spec.output_keep_prob, site)
    return output, state


def map_hidden(function: Callable[[Array], Array], spec: Spec, state: State) -> State:
    """Apply a function to every hidden part of a state, in order; an LSTM's memory c is not changed."""
    match spec:
        case RNN() | GRU():
            return function(state)
        case LSTM():
            if spec.state_is_tuple:
                return LSTMStateTuple(state.c, function(state.h))
            return beside(state[:, : spec.units], function(state[:, spec.units :]))
        case Variant():
            return LSTMStateTuple(state.c, function(state.h)) if spec.memory else function(state)
        case Dropout() | Residual() | Highway() | Zoneout() | Projection():
            return map_hidden(function, spec.cell, state)
        case Stack():
            parts = zip(spec.cells, stack_parts(spec, state), strict=True)
            new_parts = [map_hidden(function, cell, part) for cell, part in parts]
            return tuple(new_parts) if spec.state_is_tuple else beside(*new_parts)


def stack_step(
    spec: Stack,
    parameters: Arrays,
    prefix: str,
    x: Array,
    state: State,
    masks: Arrays | None,
    taken_sites: set[str],
) -> tuple[Array, State]:
    new_states = []
    for layer, (cell, part) in enumerate(zip(spec.cells, stack_parts(spec, state), strict=True)):
        scope = f"{prefix}/{spec.name}/cell_{layer}"
        x, new_state = run_cell(cell, parameters, scope, x, part, masks, taken_sites)
        new_states.append(new_state)
    return x, tuple(new_states) if spec.state_is_tuple else beside(*new_states)


def stack_parts(spec: Stack, state: State) -> list[State]:
    """Return a stack's state, layer by layer."""
    if spec.state_is_tuple:
        return list(state)
    ends = np.cumsum([state_width(cell) for cell in spec.cells])
    return np.split(state, ends[:-1], axis=1)


def dropout_sites(spec: Dropout, prefix: str, taken_sites: set[str]) -> dict[str, list[str]]:
    """Return the names of one wrapper's own sites, by kind, and reserve them."""
    parts = {
        "input": int(spec.input_keep_prob != 1.0),
        "state": hidden_parts(spec.cell) if spec.state_keep_prob != 1.0 else 0,
        "output": int(spec.output_keep_prob != 1.0),
    }
    sites: dict[str, list[str]] = {}
    for kind, count in parts.items():
        sites[kind] = []
        for _ in range(count):
            name, number = f"{prefix}/{kind}", 0
            while name in taken_sites:
                number += 1
                name = f"{prefix}/{kind}_{number}"
            taken_sites.add(name)
            sites[kind].append(name)
    return sites


def hidden_parts(spec: Spec) -> int:
    """Return the number of parts of the state that state dropout applies to."""
    match spec:
        case RNN() | LSTM() | GRU() | Variant():
            return 1
        case Dropout() | Residual() | Highway() | Zoneout() | Projection():
            return hidden_parts(spec.cell)
        case Stack():
            return sum(hidden_parts(cell) for cell in spec.cells)


def beside(*arrays: Array) -> Array:
    return np.concatenate(arrays, axis=1)


# --------------------------------------------------------------------------------------------------- drivers


def dynamic_rnn(
    spec: Spec,
    parameters: Arrays,
    x: Array,
    lengths: Array | None = None,
    initial_state: State | None = None,
    scope: str = "rnn",
    masks: Arrays | None = None,
    time_major: bool = False,
    runs: Array | None = None,
    zero_output_for_mask: bool = False,
    backwards: bool = False,
) -> tuple[Array, State]:
    """Return (outputs of all steps, final state). Past a row's length, outputs are 0 and the state does not change.

    Args:
        runs: Keras' mask, [batch, steps]. Where it is false, the state does not change, and the output repeats that of
            the last step that ran; it is 0 before the first such step.
        zero_output_for_mask: Output 0 wherever the mask is false.
        backwards: Run the steps from the last to the first. Outputs stay aligned with their inputs.
    """
    parameters = {name: np.asarray(array, dtype=np.float64) for name, array in parameters.items()}
    x = np.asarray(x, dtype=np.float64)
    x = x.swapaxes(0, 1) if time_major else x
    batch, steps, _ = x.shape
    lengths = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    runs = np.ones((batch, steps), bool) if runs is None else runs.swapaxes(0, 1) if time_major else runs
    state = zero_state(spec, batch) if initial_state is None else initial_state
    state = map_state(lambda array: np.asarray(array, dtype=np.float64), state)

    outputs = np.zeros((batch, steps, output_width(spec)))
    last = outputs[:, 0]
    for step in range(steps)[:: -1 if backwards else 1]:
        output, new_state = run_cell(spec, parameters, scope, x[:, step], state, masks_of_step(masks, step))
        inside = (step < lengths)[:, np.newaxis]
        running = inside & runs[:, step, np.newaxis]
        last = np.where(running, output, last)
        outputs[:, step] = np.where(running | (inside & (not zero_output_for_mask)), last, 0.0)
        state = map_state(lambda new, old, running=running: np.where(running, new, old), new_state, state)
    return (outputs.swapaxes(0, 1) if time_major else outputs), state


def bidirectional(
    forward: Spec,
    backward: Spec,
    parameters: Arrays,
    x: Array,
    lengths: Array | None = None,
    initial_state_forward: State | None = None,
    initial_state_backward: State | None = None,
    scope: str = "bidirectional_rnn",
    masks: Arrays | None = None,
    time_major: bool = False,
) -> tuple[tuple[Array, Array], tuple[State, State]]:
    """Return ((outputs forward, outputs backward), (state forward, state backward)), without concatenation."""
    x = np.asarray(x, dtype=np.float64)
    x = x.swapaxes(0, 1) if time_major else x
    outputs_forward, state_forward = dynamic_rnn(
        forward, parameters, x, lengths, initial_state_forward, f"{scope}/fw", masks
    )
    reversed_outputs, state_backward = dynamic_rnn(
        backward, parameters, reverse(x, lengths), lengths, initial_state_backward, f"{scope}/bw", masks
    )
    outputs_backward = reverse(reversed_outputs, lengths)
    if time_major:
        outputs_forward, outputs_backward = outputs_forward.swapaxes(0, 1), outputs_backward.swapaxes(0, 1)
    return (outputs_forward, outputs_backward), (state_forward, state_backward)


def stack_bidirectional(
    forward: list[Spec],
    backward: list[Spec],
    parameters: Arrays,
    x: Array,
    lengths: Array | None = None,
    initial_states_forward: list[State] | None = None,
    initial_states_backward: list[State] | None = None,
    scope: str = "stack_bidirectional_rnn",
    time_major: bool = False,
) -> tuple[Array, tuple[State, ...], tuple[State, ...]]:
    """Return (outputs of the last layer, states forward, states backward). A layer reads both outputs below it."""
    layers = len(forward)
    first_forward = initial_states_forward or [None] * layers
    first_backward = initial_states_backward or [None] * layers
    states = []
    for layer in range(layers):
        outputs, final = bidirectional(
            forward[layer],
            backward[layer],
            parameters,
            x,
            lengths,
            first_forward[layer],
            first_backward[layer],
            f"{scope}/cell_{layer}/bidirectional_rnn",
            None,
            time_major,
        )
        x = np.concatenate(outputs, axis=2)
        states.append(final)
    return x, tuple(state for state, _ in states), tuple(state for _, state in states)


def cumsum(x: Array, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Array:
    x = np.asarray(x, dtype=np.float64)
    turned = np.flip(x, axis) if reverse else x
    sums = np.cumsum(turned, axis) - (turned if exclusive else 0.0)
    return np.flip(sums, axis) if reverse else sums


def conv1d(
    parameters: Arrays,
    scope: str,
    x: Array,
    padding: str | tuple[int, int] = "valid",
    dilation: int = 1,
    use_bias: bool = True,
    strides: int = 1,
    groups: int = 1,
) -> Array:
    """Return a convolution: loops over windows, taps of the kernel, and groups."""
    x, kernel = (np.asarray(array, dtype=np.float64) for array in (x, parameters[f"{scope}/kernel"]))
    x = padded_for_windows(x, len(kernel), dilation, strides, padding, 0.0)
    wide, high = kernel.shape[1], kernel.shape[2] // groups
    result = np.zeros((len(x), len(starts_of_windows(x, len(kernel), dilation, strides)), kernel.shape[2]))
    for step, start in enumerate(starts_of_windows(x, len(kernel), dilation, strides)):
        for tap, weights in enumerate(kernel):
            for group in range(groups):
                read = x[:, start + tap * dilation, group * wide : (group + 1) * wide]
                columns = slice(group * high, (group + 1) * high)
                result[:, step, columns] += read @ weights[:, columns]
    return result + np.asarray(parameters[f"{scope}/bias"], dtype=np.float64) if use_bias else result


def padded_for_windows(
    x: Array, size: int, dilation: int, strides: int, padding: str | tuple[int, int], fill: float
) -> Array:
    """Return x padded along time. TensorFlow defines "same"; "reflect" pads as many steps."""
    steps, reach = x.shape[1], dilation * (size - 1) + 1
    missing = max((-(-steps // strides) - 1) * strides + reach - steps, 0)
    even = (missing // 2, missing - missing // 2)
    known = {"valid": (0, 0), "causal": (reach - 1, 0), "same": even, "reflect": even}
    around = known[padding.lower()] if isinstance(padding, str) else padding
    options: dict[str, Any] = {"mode": "reflect"} if padding == "reflect" else {"constant_values": fill}
    return np.pad(x, ((0, 0), around, (0, 0)), **options)


def starts_of_windows(x: Array, size: int, dilation: int, strides: int) -> range:
    return range(0, max(0, x.shape[1] - dilation * (size - 1)), strides)


def pool1d(x: Array, size: int, strides: int, padding: str, kind: str) -> Array:
    """Return the maximum or the mean (``kind``) of the existing steps of each window."""
    x = padded_for_windows(np.asarray(x, dtype=np.float64), size, 1, strides, padding, np.nan)
    function = {"max": np.nanmax, "mean": np.nanmean}[kind]
    actual = [function(x[:, start : start + size], 1) for start in starts_of_windows(x, size, 1, strides)]
    return np.stack(actual, 1) if actual else np.zeros((len(x), 0, x.shape[2]))


def reverse(x: Array, lengths: Array | None) -> Array:
    """Reverse each row's steps within its length; padding is not moved."""
    result = x.copy()
    for row in range(x.shape[0]):
        length = x.shape[1] if lengths is None else int(lengths[row])
        result[row, :length] = x[row, :length][::-1]
    return result


def masks_of_step(masks: Arrays | None, step: int) -> Arrays | None:
    """Return every site's mask at one step, [batch, width]; None without masks."""
    if masks is None:
        return None
    return {site: mask[:, step] if mask.ndim == 3 else mask for site, mask in masks.items()}
