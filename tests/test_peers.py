"""Weights of torch, and ONNX's recurrent operators in onnxruntime, give equal results.

Gates are permuted and biases added by definition: ``b_ih + b_hh`` for RNN, LSTM and the gates r and z, never ``b_hn``
where the reset comes after the product. Neither framework adds a forget bias.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")]

Arrays = dict[str, np.ndarray]
INPUTS, STEPS = 5, 6
SIZES = (1, 3, 7, 17, 25, 63, 100)
CLOSE = {"float32": 1e-5, "float64": 1e-12}
CELL_SCOPES = {
    "rnn": "basic_rnn_cell",
    "relu": "basic_rnn_cell",
    "lstm": "lstm_cell",
    "peepholes": "lstm_cell",
    "projection": "lstm_cell",
    "gru": "gru_cell",
    "gru_before": "gru_cell",
}
# Positions of r and u among a GRU's first two gates, and of i, j, f, o among an LSTM's.
TORCH = {"gru": (0, 1), "lstm": (0, 2, 1, 3)}
ONNX = {"gru": (1, 0), "lstm": (0, 3, 2, 1)}


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def onnx() -> Any:
    pytest.importorskip("onnxruntime")
    return pytest.importorskip("onnx")


@dataclass(frozen=True)
class Net:
    """Network of the kinds that torch and ONNX have."""

    kind: str
    units: int
    layers: int = 1
    batch: int = 2
    bidirectional: bool = False
    lengths: bool = False
    dtype: str = "float32"
    activation: Any = "tanh"

    def __str__(self) -> str:
        parts = [self.kind, f"{self.layers}x{self.units}", f"batch{self.batch}"]
        parts += ["bidirectional"] * self.bidirectional + ["lengths"] * self.lengths
        return "-".join(parts)

    @property
    def directions(self) -> int:
        return 1 + self.bidirectional

    @property
    def hidden(self) -> int:
        """Width of h, and of the output."""
        return max(1, self.units // 2) if self.kind == "projection" else self.units

    @property
    def has_memory(self) -> bool:
        return CELL_SCOPES[self.kind] == "lstm_cell"

    def cell(self) -> rg.Cell:
        match self.kind:
            case "rnn":
                return rg.BasicRNNCell(self.units, activation=self.activation)
            case "relu":
                return rg.BasicRNNCell(self.units, activation="relu")
            case "gru" | "gru_before":
                return rg.GRUCell(self.units, activation=self.activation, reset_after=self.kind == "gru")
        return rg.LSTMCell(
            self.units,
            use_peepholes=self.kind == "peepholes",
            num_proj=self.hidden if self.kind == "projection" else None,
            forget_bias=0.0,
            activation=self.activation,
        )

    def feeds(self, time_major: bool) -> Arrays:
        """Return a sequence, positive lengths, and a state for every layer and direction, in torch's order."""
        generator = np.random.default_rng(self.units)
        shape = (STEPS, self.batch, INPUTS) if time_major else (self.batch, STEPS, INPUTS)
        feeds = {"x": generator.normal(size=shape).astype(self.dtype)}
        if self.lengths:
            feeds["lengths"] = generator.integers(1, STEPS + 1, self.batch)
        for number in range(self.layers * self.directions):
            for name, width in self.state_widths().items():
                feeds[f"{name}{number}"] = generator.normal(size=(self.batch, width)).astype(self.dtype)
        return feeds

    def state_widths(self) -> dict[str, int]:
        return {"c": self.units, "h": self.hidden} if self.has_memory else {"h": self.hidden}

    def compile(self, time_major: bool, cell: Callable[[], rg.Cell] | None = None) -> rg.Program:
        """Return a program with ``outputs`` and a final state for every layer and direction, in torch's order."""
        make = cell or self.cell
        x = rg.placeholder("x", (None, None, INPUTS), self.dtype)
        lengths = rg.placeholder("lengths", ("batch",), "int64") if self.lengths else None
        initial = [self._state(number) for number in range(self.layers * self.directions)]
        outputs, final = x, []
        if self.bidirectional:
            for layer in range(self.layers):
                halves, states = rg.bidirectional_dynamic_rnn(
                    make(),
                    make(),
                    outputs,
                    lengths,
                    *initial[2 * layer : 2 * layer + 2],
                    time_major=time_major,
                    scope=f"layer_{layer}",
                )
                outputs = rg.concat(list(halves))
                final += states
        else:
            stack = rg.MultiRNNCell([make() for _ in range(self.layers)])
            outputs, states = rg.dynamic_rnn(stack, x, lengths, tuple(initial), time_major=time_major)
            final += states
        named = {"outputs": outputs}
        for number, state in enumerate(final):
            named |= {f"{name}{number}": getattr(state, name, state) for name in self.state_widths()}
        return rg.compile(named)

    def _state(self, number: int) -> Any:
        tensors = {
            name: rg.placeholder(f"{name}{number}", (None, width), self.dtype)
            for name, width in self.state_widths().items()
        }
        return rg.LSTMStateTuple(**tensors) if self.has_memory else tensors["h"]

    def scopes(self) -> Iterator[str]:
        """Yield the scopes of every layer's and direction's parameters, in torch's order."""
        for layer in range(self.layers):
            if self.bidirectional:
                yield from (f"layer_{layer}/{side}/{CELL_SCOPES[self.kind]}" for side in ("fw", "bw"))
            else:
                yield f"rnn/multi_rnn_cell/cell_{layer}/{CELL_SCOPES[self.kind]}"


def close(actual: Any, expected: Any, what: str) -> None:
    expected = np.asarray(expected)
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype), what
    bound = CLOSE[str(expected.dtype)]
    np.testing.assert_allclose(actual, expected, rtol=bound, atol=bound, err_msg=what)


def gates(rows: np.ndarray, count: int, order: tuple[int, ...]) -> np.ndarray:
    """Return gates [count * units, width] as columns of a kernel in another order."""
    pieces = np.split(rows, count)
    return np.concatenate([pieces[gate] for gate in order]).T


def cell_parameters(
    net: Net, W: np.ndarray, R: np.ndarray, b: np.ndarray, b_R: np.ndarray, orders: dict[str, tuple[int, ...]]
) -> Arrays:
    """Return a cell's parameters from input and recurrent weights, [gates * units, width], and their two biases."""
    if CELL_SCOPES[net.kind] == "basic_rnn_cell":
        return {"kernel": np.concatenate([W.T, R.T]), "bias": b + b_R}
    if net.has_memory:
        order = orders["lstm"]
        kernel = np.concatenate([gates(W, 4, order), gates(R, 4, order)])
        return {"kernel": kernel, "bias": gates(b + b_R, 4, order)}
    order = orders["gru"]
    parameters = {
        "gates/kernel": np.concatenate([gates(W, 3, order), gates(R, 3, order)]),
        "gates/bias": gates(b + b_R, 3, order),
    }
    if net.kind == "gru_before":
        kernel = np.concatenate([gates(W, 3, (2,)), gates(R, 3, (2,))])
        return {**parameters, "candidate/kernel": kernel, "candidate/bias": gates(b + b_R, 3, (2,))}
    for name, rows, bias in (("input", W, b), ("hidden", R, b_R)):
        parameters[f"candidate/{name}_projection/kernel"] = gates(rows, 3, (2,))
        parameters[f"candidate/{name}_projection/bias"] = gates(bias, 3, (2,))
    return parameters


def loaded(program: rg.Program, scopes: Iterator[str], cells: list[Arrays]) -> rg.Program:
    """Load every cell's parameters, with none missing or left over, and return the program."""
    pairs = zip(scopes, cells, strict=True)
    program.parameters.load({f"{scope}/{name}": array for scope, cell in pairs for name, array in cell.items()})
    return program


# -------------------------------------------------------------------------------------------------- torch


def torch_nets() -> Iterator[Net]:
    """Yield every kind and size in one and both directions, with varying layers, batches and lengths."""
    for turn, kind in enumerate(("rnn", "relu", "lstm", "projection", "gru")):
        for number, units in enumerate(SIZES):
            if kind == "projection" and units == 1:
                continue  # torch requires a projection narrower than the cell
            for bidirectional in (False, True):
                count = turn + number + bidirectional
                yield Net(kind, units, 1 + count % 3, 1 + count % 5, bidirectional, (turn + number) % 2 == 0)


def torch_module(torch: Any, net: Net, bias: bool = True) -> Any:
    torch.manual_seed(net.units)
    options: dict[str, Any] = {
        "num_layers": net.layers,
        "batch_first": True,
        "bidirectional": net.bidirectional,
        "bias": bias,
        "dtype": getattr(torch, net.dtype),
    }
    if net.kind == "projection":
        options["proj_size"] = net.hidden
    if net.kind == "relu":
        options["nonlinearity"] = "relu"
    module = {"rnn": torch.nn.RNN, "relu": torch.nn.RNN, "gru": torch.nn.GRU}.get(net.kind, torch.nn.LSTM)
    return module(INPUTS, net.units, **options).eval()


def torch_parameters(net: Net, module: Any) -> list[Arrays]:
    arrays = {name: array.detach().numpy() for name, array in module.named_parameters()}
    cells = []
    for layer in range(net.layers):
        for suffix in ("", "_reverse")[: net.directions]:
            W, R = (arrays[f"weight_{side}_l{layer}{suffix}"] for side in ("ih", "hh"))
            none = np.zeros(len(W), W.dtype)
            b, b_R = (arrays.get(f"bias_{side}_l{layer}{suffix}", none) for side in ("ih", "hh"))
            cell = cell_parameters(net, W, R, b, b_R, TORCH)
            if net.kind == "projection":
                cell["projection/kernel"] = arrays[f"weight_hr_l{layer}{suffix}"].T
            cells.append(cell)
    return cells


def torch_results(torch: Any, net: Net, module: Any, feeds: Arrays) -> Arrays:
    """Return the module's results, by the names of ``Net.compile``."""
    tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}
    count = net.layers * net.directions
    names = ("h", "c") if net.has_memory else ("h",)
    states = [torch.stack([tensors[f"{name}{number}"] for number in range(count)]) for name in names]
    x = tensors["x"]
    if net.lengths:
        x = torch.nn.utils.rnn.pack_padded_sequence(x, tensors["lengths"], batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        outputs, final = module(x, tuple(states) if net.has_memory else states[0])
    if net.lengths:
        outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=STEPS)
    results = {"outputs": outputs.numpy()}
    for name, stacked in zip(names, final if net.has_memory else (final,), strict=True):
        results |= {f"{name}{number}": stacked[number].numpy() for number in range(count)}
    return results


def check_torch(torch: Any, net: Net, bias: bool = True) -> None:
    module = torch_module(torch, net, bias)
    program = loaded(net.compile(time_major=False), net.scopes(), torch_parameters(net, module))
    feeds = net.feeds(time_major=False)
    expected = torch_results(torch, net, module, feeds)
    result = program.inference(feeds)
    assert set(result) == set(expected)
    for name, array in expected.items():
        close(result[name], array, f"{net}: {name}")


@pytest.mark.parametrize("net", list(torch_nets()), ids=str)
def test_torch_weights(torch: Any, net: Net) -> None:
    check_torch(torch, net)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "projection", "gru"])
def test_torch_weights_in_float64(torch: Any, kind: str) -> None:
    check_torch(torch, Net(kind, 17, layers=2, batch=3, bidirectional=True, lengths=True, dtype="float64"))


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_torch_weights_without_biases(torch: Any, kind: str) -> None:
    check_torch(torch, Net(kind, 7, layers=2, batch=3), bias=False)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_streams_take_torchs_steps(torch: Any, kind: str) -> None:
    net = Net(kind, 25, layers=2, batch=3)
    module = torch_module(torch, net)
    x = rg.placeholder("x", (None, None, INPUTS))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([net.cell() for _ in range(net.layers)]), x)
    program = loaded(rg.compile({"outputs": outputs}), net.scopes(), torch_parameters(net, module))
    batch = net.feeds(time_major=False)["x"]
    stream, state = program.inference.stream(batch=net.batch), None
    for step in range(STEPS):
        with torch.no_grad():
            expected, state = module(torch.from_numpy(batch[:, step : step + 1]), state)
        close(stream.step(x=batch[:, step])["outputs"], expected[:, 0].numpy(), f"step {step}")


@pytest.mark.parametrize("mistake", ["gates in torch's order", "forget bias of 1", "b_hn folded"])
def test_mistakes_of_the_same_shape_show(torch: Any, mistake: str) -> None:
    """Permuted gates, a doubled forget bias and a folded b_hn have valid shapes, and wrong results."""
    net = Net("gru" if "b_hn" in mistake else "lstm", 17, batch=3)
    module = torch_module(torch, net)
    (cell,) = torch_parameters(net, module)
    match mistake:
        case "gates in torch's order":
            cell["kernel"] = gates(cell["kernel"].T, 4, TORCH["lstm"])  # the permutation is its own inverse
            cell["bias"] = gates(cell["bias"], 4, TORCH["lstm"])
        case "forget bias of 1":
            cell["bias"] = cell["bias"] + np.repeat(np.float32([0, 0, 1, 0]), net.units)
        case "b_hn folded":
            cell["candidate/input_projection/bias"] = (
                cell["candidate/input_projection/bias"] + cell["candidate/hidden_projection/bias"]
            )
            cell["candidate/hidden_projection/bias"] = np.zeros(net.units, np.float32)
    program = loaded(net.compile(time_major=False), net.scopes(), [cell])
    feeds = net.feeds(time_major=False)
    difference = program.inference(feeds)["outputs"] - torch_results(torch, net, module, feeds)["outputs"]
    assert np.abs(difference).max() > 1e-2


# --------------------------------------------------------------------------------------------------- ONNX

OPERATORS = {"rnn": "RNN", "relu": "RNN", "lstm": "LSTM", "peepholes": "LSTM", "gru": "GRU", "gru_before": "GRU"}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


def onnx_nets() -> Iterator[Net]:
    for turn, kind in enumerate(("rnn", "lstm", "peepholes", "gru", "gru_before")):
        for number, units in enumerate(SIZES):
            for bidirectional in (False, True):
                batch = 1 + (turn + number + bidirectional) % 5
                yield Net(kind, units, 1, batch, bidirectional, lengths=(turn + number) % 2 == 0)


def onnx_weights(net: Net) -> Arrays:
    """Return W, R, B and P of ONNX's operators, [directions, ...]."""
    generator = np.random.default_rng(100 + net.units)
    count, bound = GATES[OPERATORS[net.kind]] * net.units, net.units**-0.5
    shapes = {"W": (count, INPUTS), "R": (count, net.units), "B": (2 * count,)}
    if net.kind == "peepholes":
        shapes["P"] = (3 * net.units,)
    return {
        name: generator.uniform(-bound, bound, (net.directions, *shape)).astype(net.dtype)
        for name, shape in shapes.items()
    }


def onnx_parameters(net: Net, weights: Arrays) -> list[Arrays]:
    cells = []
    for direction in range(net.directions):
        W, R = weights["W"][direction], weights["R"][direction]
        b, b_R = np.split(weights["B"][direction], 2)
        cell = cell_parameters(net, W, R, b, b_R, ONNX)
        if net.kind == "peepholes":
            diagonals = np.split(weights["P"][direction], 3)
            cell |= {f"w_{gate}_diag": diagonal for gate, diagonal in zip("iof", diagonals, strict=True)}
        cells.append(cell)
    return cells


def onnx_results(onnx: Any, net: Net, weights: Arrays, feeds: Arrays, **attributes: Any) -> Arrays:
    """Return onnxruntime's results for a model of one operator, by the names of ``Net.compile``."""
    import onnxruntime

    operator = OPERATORS[net.kind]
    arrays = {"X": feeds["x"], **weights}
    if net.lengths:
        arrays["lengths"] = feeds["lengths"].astype(np.int32)
    for name in net.state_widths():
        arrays[f"initial_{name}"] = np.stack([feeds[f"{name}{number}"] for number in range(net.directions)])
    order = ["X", "W", "R", "B", "lengths", "initial_h", *(["initial_c", "P"] if operator == "LSTM" else [])]
    names = [name if name in arrays else "" for name in order]
    outputs = ["Y", "Y_h", *(["Y_c"] if operator == "LSTM" else [])]
    if operator == "GRU":
        attributes["linear_before_reset"] = int(net.kind == "gru")
    node = onnx.helper.make_node(
        operator,
        names,
        outputs,
        hidden_size=net.units,
        direction="bidirectional" if net.bidirectional else "forward",
        **attributes,
    )
    value = onnx.helper.make_tensor_value_info
    kinds = {name: onnx.helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in arrays.items()}
    graph = onnx.helper.make_graph(
        [node],
        operator,
        [value(name, kinds[name], array.shape) for name, array in arrays.items()],
        [value(name, kinds["X"], [None] * (4 if name == "Y" else 3)) for name in outputs],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    Y, *states = session.run(None, arrays)
    results = {"outputs": np.concatenate([Y[:, direction] for direction in range(net.directions)], axis=-1)}
    for name, stacked in zip("hc", states, strict=False):
        results |= {f"{name}{direction}": stacked[direction] for direction in range(net.directions)}
    return results


def check_onnx(onnx: Any, net: Net, program: rg.Program | None = None, **attributes: Any) -> None:
    weights, feeds = onnx_weights(net), net.feeds(time_major=True)
    expected = onnx_results(onnx, net, weights, feeds, **attributes)
    program = program or loaded(net.compile(time_major=True), net.scopes(), onnx_parameters(net, weights))
    result = program.inference(feeds)
    assert set(result) == set(expected)
    for name, array in expected.items():
        close(result[name], array, f"{net}: {name}")


@pytest.mark.parametrize("net", list(onnx_nets()), ids=str)
def test_onnx_operators(onnx: Any, net: Net) -> None:
    check_onnx(onnx, net)


@pytest.mark.parametrize(
    ("theirs", "ours", "options"),
    [
        ("Relu", "relu", {}),
        ("Sigmoid", "sigmoid", {}),
        ("HardSigmoid", "hard_sigmoid", {"activation_alpha": [0.2], "activation_beta": [0.5]}),
        ("Softsign", "softsign", {}),
        ("Softplus", "softplus", {}),
        ("Elu", "elu", {"activation_alpha": [1.0]}),
        ("LeakyRelu", lambda x: rg.leaky_relu(x, 0.3), {"activation_alpha": [0.3]}),
    ],
)
def test_onnx_activations(onnx: Any, theirs: str, ours: Any, options: dict[str, Any]) -> None:
    check_onnx(onnx, Net("rnn", 17, batch=3, lengths=True, activation=ours), activations=[theirs], **options)


@pytest.mark.parametrize("kind", ["gru", "gru_before"])
def test_onnx_activation_of_a_gru(onnx: Any, kind: str) -> None:
    check_onnx(onnx, Net(kind, 17, batch=3, activation="softsign"), activations=["Sigmoid", "Softsign"])


def test_onnx_activation_of_an_lstm(onnx: Any) -> None:
    activations = ["Sigmoid", "Softsign", "Softsign"]
    check_onnx(onnx, Net("lstm", 17, batch=3, activation="softsign"), activations=activations)


CLIP = 0.4


def clipped_tanh(x: Any) -> rg.Tensor:
    return rg.tanh(rg.clip(x, -CLIP, CLIP))


def test_onnx_clip_bounds_the_inputs_of_activations(onnx: Any) -> None:
    """An RNN's clip applies to the argument of its activation."""
    check_onnx(onnx, Net("rnn", 17, batch=3, bidirectional=True, activation=clipped_tanh), clip=CLIP)


class ClippedLSTM(rg.LSTMCell):
    """LSTM whose four gates are clipped before their activations, as ONNX clips; its memory is not clipped."""

    scope_name = "lstm_cell"

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.num_units
        kernel, bias = p.kernel("kernel", (x.width + n, 4 * n)), p.bias("bias", (4 * n,))
        clipped = rg.clip(rg.concat([x, state["h"]]) @ kernel + bias, -CLIP, CLIP)
        i, j, f, o = rg.split(clipped, 4)
        c = rg.sigmoid(f) * state["c"] + rg.sigmoid(i) * rg.tanh(j)
        h = rg.sigmoid(o) * rg.tanh(c)
        return h, {"c": c, "h": h}


def test_onnx_clip_of_an_lstm_is_no_cell_clip(onnx: Any) -> None:
    net = Net("lstm", 17, batch=3, lengths=True)
    weights = onnx_weights(net)
    program = net.compile(time_major=True, cell=lambda: ClippedLSTM(net.units))
    check_onnx(onnx, net, loaded(program, net.scopes(), onnx_parameters(net, weights)), clip=CLIP)
