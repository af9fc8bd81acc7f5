"""Gradients, computed in every way, against TensorFlow's and against central differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fixtures.tensorflow_cases import CASES, flatten
from test_reference import fixture, group
from test_tensorflow import namespace

import rnngraph as rg
from rnngraph.ir.derivatives import nothing
from rnngraph.ir.ops import OPS as ROWS

GRADIENT_CASES = [name for name, case in CASES.items() if case.gradients and not case.dropout]


def weighted(tensors: dict[str, rg.Tensor], weights: dict[str, np.ndarray]) -> rg.Tensor:
    """Return the scalar that the fixtures differentiate: the sum of all outputs times fixed random numbers."""
    terms = [rg.reduce_sum(tensor * rg.constant(weights[path])) for path, tensor in tensors.items()]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_gradients_are_tensorflows(name: str) -> None:
    case, arrays = CASES[name], fixture(name)
    outputs = case.declare(namespace(case))
    loss = weighted(dict(flatten(outputs)), group(arrays, "cotangent"))
    program = rg.compile(outputs, loss=loss)
    for key, array in group(arrays, "parameter").items():
        program.parameters[key] = array
    recorded = group(arrays, "gradient")
    feeds = group(arrays, "feed")
    wrt = [key.removeprefix("feed/") for key in recorded if key.startswith("feed/")]
    _, actual = program.training.gradients(feeds, wrt=wrt)
    close: dict[str, Any] = {"rtol": 2e-4, "atol": 2e-5} if case.dtype == "float32" else {"rtol": 1e-9, "atol": 1e-10}
    for key, expected in recorded.items():
        kind, _, label = key.partition("/")
        assert kind in ("parameter", "feed")
        assert actual[label].dtype == case.dtype
        np.testing.assert_allclose(actual[label], expected, **close, err_msg=key)


def check_differences(
    loss: rg.Tensor, feeds: dict[str, np.ndarray], wrt: list[str], seed: int = 3, tolerance: float = 1e-6
) -> rg.Program:
    """Compare gradients of all parameters and float feeds of a float64 program with finite differences."""
    generator = np.random.default_rng(seed)
    program = rg.compile({"out": loss * 1.0}, loss=loss, seed=seed)
    for name, array in program.parameters.items():
        program.parameters[name] = generator.normal(0, 0.5, array.shape)
    _, actual = program.training.gradients(feeds, seed=seed, wrt=wrt)

    def value() -> float:
        return float(program.training(feeds, seed=seed)["loss"])

    step = 1e-5
    for name, gradient in actual.items():
        for _ in range(2):
            direction = generator.normal(size=gradient.shape)
            values = []
            for sign in (1, -1):
                if name in feeds:
                    kept = feeds[name]
                    feeds[name] = kept + sign * step * direction
                    values.append(value())
                    feeds[name] = kept
                else:
                    kept = program.parameters[name]
                    program.parameters[name] = kept + sign * step * direction
                    values.append(value())
                    program.parameters[name] = kept
            numeric, analytic = (values[0] - values[1]) / (2 * step), float((gradient * direction).sum())
            assert abs(numeric - analytic) <= tolerance * max(1.0, abs(numeric), abs(analytic)), name
    return program


def positive(x: rg.Tensor) -> rg.Tensor:
    return rg.square(x) + 0.5


OPS: dict[str, Callable[[rg.Tensor, rg.Tensor], rg.Tensor]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / positive(b),
    "power": lambda a, b: positive(a) ** 3 + positive(b) ** 0.5 + positive(a) ** -2 + positive(b) ** 1.7,
    "powers of both": lambda a, b: positive(a) ** b + (a * 3) ** rg.constant([2.0, 3.0, -1.0, 1.0, 0.0], "float64"),
    "remainders": lambda a, b: rg.fmod(a, positive(b) * 0.4) * b + (a % -positive(b)) * (b // 0.5),
    "signs": lambda a, b: rg.copysign(a, b) * b,
    "hyperbolic": lambda a, b: rg.sinh(a) + rg.cosh(b * 0.3) + rg.asinh(a * 2) * rg.acosh(positive(b) + 0.6),
    "angles": lambda a, b: rg.tan(a * 0.3) + rg.atan2(a, b) + rg.asin(rg.tanh(a)) * rg.acos(rg.tanh(b)) + rg.sinc(a),
    "logarithms": lambda a, b: (
        rg.logaddexp(a, b)
        + rg.logaddexp2(a, b)
        + rg.log2(positive(a)) * rg.log10(positive(b))
        + rg.xlogy(a, positive(b))
    ),
    "bent": lambda a, b: (
        rg.hypot(a, b) + rg.exp2(a) + rg.atanh(rg.tanh(b) * 0.9) + rg.logit(rg.sigmoid(a)) + rg.entr(positive(b))
    ),
    "normal tails": lambda a, b: rg.erfc(a * 2) + rg.ndtr(b * 2) * rg.rsqrt(positive(a)) + rg.reciprocal(positive(b)),
    "more activations": lambda a, b: (
        rg.mish(a) + rg.celu(b, 1.3) + rg.log_sigmoid(a) + rg.hard_swish(b) + rg.tanh_shrink(a) + rg.soft_shrink(b, 0.2)
    ),
    "negate": lambda a, b: -a * b,
    "abs": lambda a, b: rg.abs(a) * b,
    "exp": lambda a, b: rg.exp(a * 0.3) + rg.expm1(b * 0.2),
    "log": lambda a, b: rg.log(positive(a)) + rg.log1p(positive(b)),
    "sqrt": lambda a, b: rg.sqrt(positive(a)) * b,
    "tanh": lambda a, b: rg.tanh(a) * rg.sigmoid(b),
    "sine": lambda a, b: rg.sin(a) * rg.cos(b),
    "arc tangent": lambda a, b: rg.atan(a) * rg.atan(b * 3),
    "erf": lambda a, b: rg.erf(a) * rg.gelu(b),
    "extremes": lambda a, b: rg.maximum(a, b) * rg.minimum(a * 2, b),
    "clip": lambda a, b: rg.clip(a, -0.5, 0.7) * b,
    "where": lambda a, b: rg.where(a > b, a * a, b),
    "activations": lambda a, b: rg.elu(a) + rg.selu(b) + rg.softplus(a) + rg.softsign(b) + rg.swish(a),
    "softmax": lambda a, b: rg.softmax(a) * b + rg.log_softmax(b, axis=1),
    "layer_norm": lambda a, b: rg.layer_norm(a) * b,
    "reductions": lambda a, b: a * rg.reduce_mean(b, axis=1, keepdims=True) + rg.reduce_max(a, axis=-1, keepdims=True),
    "smallest": lambda a, b: rg.reduce_min(a, axis=(0, 2), keepdims=True) * b,
    "slices": lambda a, b: a[:, 1:3] * b[:, :2] + a[:, -2:] * b[:, 2:4],
    "steps": lambda a, b: a[:, ::3] * b[:, 1::2],
    "reverse": lambda a, b: a[:, ::-1] * b[:, :, ::-1],
    "concat": lambda a, b: rg.square(rg.concat([a, b * 2, a], axis=1)),
    "split": lambda a, b: rg.split(a, [1, 2, 2], axis=2)[1] * rg.split(b, [2, 2, 1], axis=2)[0],
    "transpose": lambda a, b: rg.transpose(a, [2, 0, 1]) * rg.transpose(b, [2, 0, 1]),
    "reshape": lambda a, b: rg.reshape(a, [-1, 5]) * rg.reshape(b, [-1, 5]),
    "stack": lambda a, b: rg.square(rg.stack([a, b], axis=1)),
    "tile": lambda a, b: rg.tile(a, [1, 2, 1]) * rg.tile(b, [1, 2, 1]),
    "matmul": lambda a, b: (a @ rg.parameter("w", (5, 3), dtype="float64")) * b[:, :, :3],
    "computed weights": lambda a, b: a @ rg.tanh(rg.parameter("w", (5, 7), dtype="float64")) + rg.reduce_sum(b),
    "gather": lambda a, b: (
        rg.gather(rg.parameter("t", (3, 5), dtype="float64"), rg.constant([2, 0, 2])) * a[0, :3] * b[1, :3]
    ),
    "sums": lambda a, b: rg.cumsum(a, 1) * rg.cumsum(b, 2, exclusive=True) + rg.cumsum(b, 1, reverse=True),
    "convolution": lambda a, b: rg.conv1d(a, 5, 3, dilation=2, activation="tanh") * rg.conv1d(b, 5, 2, "same"),
    "short convolution": lambda a, b: rg.conv1d(a, 4, 2, "valid") * rg.conv1d(b, 4, 2, "valid", use_bias=False),
    "strided": lambda a, b: rg.conv1d(a, 6, 3, "same", strides=2) * rg.conv1d(b, 6, 2, "valid", strides=2),
    "groups": lambda a, b: (
        rg.conv1d(a, 10, 2, groups=5, strides=3) * rg.conv1d(b, 10, 2, "reflect", 2, groups=5)[:, :2]
    ),
    "depthwise": lambda a, b: rg.conv1d(a, 5, 3, groups=5) * rg.conv1d(b, 5, 3, (2, 0), groups=5, activation="tanh"),
    "pools": lambda a, b: rg.max_pool1d(a, 2) * rg.average_pool1d(b, 3, 2, "same") + rg.max_pool1d(b, 3, 2, "same"),
    "pads": lambda a, b: rg.pad(a, (1, 2), "reflect") * rg.pad(b, (1, 2), "edge") + rg.pad(b, (2, 1), value=0.5),
    "steps back": lambda a, b: a[:, ::-2] * b[:, 2::-2] * a[:, 1:3, 4:1:-2][:, :, :1],
    "rows turned": lambda a, b: rg.reverse_sequence(a, rg.constant([2, 4, 0])) * b,
    "dropout": lambda a, b: rg.dropout(a, 0.6) * rg.by_graph(training=b + rg.random_normal(b), inference=b),
    "highway": lambda a, b: rg.dynamic_rnn(rg.HighwayWrapper(rg.GRUCell(5), False), a)[0] * b,
    "zoneout": lambda a, b: rg.dynamic_rnn(rg.ZoneoutWrapper(rg.LSTMCell(5), state_keep_prob=0.6), a)[0] * b,
    "used twice": lambda a, b: (lambda c: c * c + rg.tanh(c) * b)(a * b),
}


@pytest.mark.parametrize("name", OPS)
def test_every_op_against_central_differences(name: str) -> None:
    generator = np.random.default_rng(len(name))
    a = rg.placeholder("a", (3, 4, 5), "float64")
    b = rg.placeholder("b", (3, 4, 5), "float64")
    value = OPS[name](a, b)
    weights = np.random.default_rng(1).normal(size=value.shape)
    feeds = {key: generator.normal(size=(3, 4, 5)) for key in ("a", "b")}
    check_differences(rg.reduce_sum(value * rg.constant(weights)), feeds, ["a", "b"])


def test_every_derivative_of_an_elementwise_op_is_compared() -> None:
    """Only casts, whose gradient is tested below, and multiply-add, which a pass creates, are left out."""
    a, b = (rg.placeholder(name, (3, 4, 5), "float64") for name in "ab")
    compared = {node.op for op in OPS.values() for node in rg.compile(op(a, b)).training.graph.walk()}
    derived = {name for name, row in ROWS.items() if row.kind == "elementwise" and row.derivative is not nothing}
    assert derived - compared - {"cast"} == {"fma"}


def test_the_derivative_of_a_cast_is_a_cast() -> None:
    a, b = (rg.placeholder(name, (3, 5), "float64") for name in "ab")
    program = rg.compile({"a": a}, loss=rg.reduce_sum(rg.cast(a, "float32") * rg.cast(b, "float32")))
    feeds = dict(zip("ab", np.random.default_rng(0).normal(size=(2, 3, 5)), strict=True))
    _, gradients = program.training.gradients(feeds, wrt=["a", "b"])
    for name, other in ("ab", "ba"):
        assert gradients[name].dtype == np.float64
        np.testing.assert_array_equal(gradients[name], feeds[other].astype(np.float32))


class Own(rg.Cell):
    """Cell with two successive products, a reduction over units, memory, an initial state, and outer weights."""

    def __init__(self, num_units: int, scale: rg.Tensor) -> None:
        self.num_units, self.scale = num_units, scale

    def state(self) -> Any:
        return {"m": rg.memory(self.num_units), "h": self.num_units}

    def initial_state(self, p: Any) -> Any:
        return [p.bias("m0", (self.num_units,)), p.bias("h0", (self.num_units,))]

    def step(self, p: Any, x: Any, state: Any) -> Any:
        n, h = self.num_units, state["h"]
        inner = rg.layer_norm(x @ p.kernel("w", (x.width, n)) + h @ p.kernel("u", (n, n)), epsilon=0.1)
        outer = rg.tanh(inner @ p.kernel("v", (n, n)) * self.scale)
        m = state["m"] * rg.sigmoid(outer) + rg.reduce_mean(inner * outer, -1, keepdims=True)
        return m * outer, {"m": m, "h": rg.softmax(outer) * m}


def stack() -> rg.Cell:
    drop = {"input_keep_prob": 0.6, "state_keep_prob": 0.7, "output_keep_prob": 0.8}
    cells = [rg.DropoutWrapper(rg.BasicLSTMCell(5), **drop), rg.ResidualWrapper(rg.GRUCell(5))]
    return rg.MultiRNNCell([*cells, rg.DropoutWrapper(rg.BasicRNNCell(3), variational_recurrent=True, **drop)])


CELLS: dict[str, Callable[[], rg.Cell]] = {
    "rnn": lambda: rg.BasicRNNCell(7),
    "rnn of one unit": lambda: rg.BasicRNNCell(1),
    "lstm": lambda: rg.BasicLSTMCell(5),
    "lstm, every option": lambda: rg.LSTMCell(5, use_peepholes=True, cell_clip=0.4, num_proj=3, proj_clip=0.3),
    "gru": lambda: rg.GRUCell(5),
    "gru, reset after": lambda: rg.GRUCell(5, reset_after=True),
    "stack with dropout": stack,
    "one tensor for all states": lambda: rg.MultiRNNCell(
        [rg.BasicLSTMCell(3, state_is_tuple=False)] * 2, state_is_tuple=False
    ),
    "shared": lambda: (lambda cell: rg.MultiRNNCell([cell, cell]))(rg.shared(rg.GRUCell(3))),
    "own": lambda: Own(5, rg.parameter("scale", (5,), 1.0, dtype="float64")),
}


@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_against_central_differences(name: str, lengths: bool) -> None:
    generator = np.random.default_rng(5)
    x = rg.placeholder("x", (None, None, 3), "float64")
    length = rg.placeholder("length", (None,), "int32")
    labels = rg.placeholder("labels", (None,), "int64")
    outputs, states = rg.dynamic_rnn(CELLS[name](), x, length if lengths else None)
    last = states
    while isinstance(last, tuple):
        last = last[-1]
    loss = rg.sparse_softmax_cross_entropy(labels, rg.dense(outputs[:, -1], 4)) + rg.reduce_mean(rg.square(outputs))
    feeds: dict[str, Any] = {"x": generator.normal(size=(3, 6, 3)), "labels": np.array([0, 3, 1])}
    if lengths:
        feeds["length"] = np.array([6, 2, 0], np.int32)
    check_differences(loss + rg.reduce_sum(last), feeds, ["x"])


def test_several_drivers_and_both_directions() -> None:
    generator = np.random.default_rng(6)
    x = rg.placeholder("x", (None, None, 3), "float64")
    length, h0 = rg.placeholder("length", (None,), "int64"), rg.placeholder("h0", (None, 5), "float64")
    (forward, backward), (state, _) = rg.bidirectional_dynamic_rnn(
        rg.GRUCell(5), rg.BasicLSTMCell(4), x, length, initial_state_fw=h0
    )
    outputs, final = rg.dynamic_rnn(rg.BasicRNNCell(5), rg.concat([forward, backward], -1), initial_state=state)
    loss = rg.reduce_mean(rg.square(outputs)) + rg.reduce_sum(rg.square(final))
    feeds = {"x": generator.normal(size=(3, 7, 3)), "length": np.array([7, 3, 1]), "h0": generator.normal(size=(3, 5))}
    check_differences(loss, feeds, ["x", "h0"])


LOSSES: dict[str, Callable[[rg.Tensor, rg.Tensor], rg.Tensor]] = {
    "softmax": lambda labels, logits: rg.softmax_cross_entropy(
        rg.softmax(labels), logits, lengths=rg.constant([4, 2, 0])
    ),
    "sigmoid": lambda labels, logits: rg.sigmoid_cross_entropy(rg.sigmoid(labels), logits),
    "squared": lambda labels, logits: rg.mean_squared_error(labels, logits, weights=2.0, reduction="sum"),
    "absolute": lambda labels, logits: rg.absolute_difference(labels, logits, lengths=rg.constant([4, 2, 1])),
    "huber": lambda labels, logits: rg.huber_loss(labels, logits, delta=0.5),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_against_central_differences(name: str) -> None:
    generator = np.random.default_rng(7)
    labels, logits = (rg.placeholder(key, (3, 4, 5), "float64") for key in ("labels", "logits"))
    feeds = {key: generator.normal(size=(3, 4, 5)) for key in ("labels", "logits")}
    check_differences(LOSSES[name](labels, logits), feeds, ["labels", "logits"])


def small_net(unroll: int | str | None = None, steps: int | None = None, target: str | None = None) -> rg.Program:
    x = rg.placeholder("x", (None, steps, 5))
    cells = [rg.DropoutWrapper(rg.BasicLSTMCell(9), input_keep_prob=0.7), rg.GRUCell(6)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    loss = rg.reduce_mean(rg.square(rg.dense(outputs, 3)))
    return rg.compile({"outputs": outputs}, loss=loss, unroll=unroll, target=target)


@pytest.mark.parametrize("unroll", [2, 3, "full"])
def test_gradients_of_the_unrolled_graph_are_the_same(unroll: int | str) -> None:
    x = np.random.default_rng(8).normal(size=(4, 7, 5)).astype(np.float32)
    loss, expected = small_net(steps=7).training.gradients(x=x, seed=1, wrt=["x"])
    other_loss, actual = small_net(unroll, 7).training.gradients(x=x, seed=1, wrt=["x"])
    whole = unroll == "full"  # fully unrolled sums over steps have another order
    np.testing.assert_allclose(other_loss, loss, rtol=1e-6 if whole else 0)
    for name, gradient in expected.items():
        if whole:
            np.testing.assert_allclose(actual[name], gradient, rtol=1e-5, atol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(actual[name], gradient, err_msg=name)


def test_the_same_call_gives_the_same_bits() -> None:
    program = small_net()
    x = np.random.default_rng(9).normal(size=(4, 300, 5)).astype(np.float32)
    loss, first = program.training.gradients(x=x, seed=1)
    _, second = program.training.gradients(x=x, seed=1)
    np.testing.assert_allclose(loss, program.training(x=x, seed=1)["loss"], rtol=1e-6)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    _, other = program.training.gradients(x=x, seed=2)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_a_parameter_that_the_loss_does_not_reach_has_gradient_zero_and_a_warning() -> None:
    x = rg.placeholder("x", (2, 3))
    used, idle = rg.dense(x, 4, name="used"), rg.dense(x, 4, name="idle")
    program = rg.compile({"used": used, "idle": idle}, loss=rg.reduce_sum(used + 0.0 * rg.stop_gradient(idle)))
    with pytest.warns(UserWarning, match=r"test_gradients.py:\d+: .*idle/kernel"):
        _, actual = program.training.gradients(x=np.ones((2, 3)))
    assert not actual["idle/kernel"].any()
    assert actual["used/kernel"].any()


def test_frozen_parameters_are_left_out() -> None:
    x = rg.placeholder("x", (2, 3))
    frozen = rg.parameter("frozen", (3, 3), trainable=False)
    program = rg.compile({"y": x @ frozen}, loss=rg.reduce_sum(rg.dense(x @ frozen, 1)))
    assert "frozen" not in program.training.gradients(x=np.ones((2, 3)))[1]


def test_errors() -> None:
    x = rg.placeholder("x", (2, 3))
    program = rg.compile(rg.dense(x, 2))
    with pytest.raises(rg.GraphError, match=r"test_gradients.py:\d+: .*loss"):
        program.training.gradients(x=np.ones((2, 3)))
    program = rg.compile(rg.dense(x, 2), loss=rg.reduce_sum(x))
    with pytest.raises(rg.ArgumentError, match="not a float placeholder"):
        program.training.gradients(x=np.ones((2, 3)), wrt=["z"])


def test_values_after_a_rows_end_have_no_effect_on_gradients() -> None:
    x, n = rg.placeholder("x", (None, None, 5)), rg.placeholder("n", (None,), "int64")
    cells = rg.BasicLSTMCell(4), rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=0.7)
    (forward, backward), _ = rg.bidirectional_dynamic_rnn(*cells, x, sequence_length=n)
    program = rg.compile(forward, loss=rg.reduce_sum(rg.square(forward)) + rg.reduce_sum(backward))
    lengths = np.array([7, 3, 0])
    past = np.arange(7)[None, :, None] >= lengths[:, None, None]
    values = np.random.default_rng(0).standard_normal((3, 7, 5))
    loss, expected = program.training.gradients(x=np.where(past, 0, values), n=lengths, wrt=[x], seed=1)
    for rubbish in (np.nan, np.inf, 1e30):
        other, actual = program.training.gradients(x=np.where(past, rubbish, values), n=lengths, wrt=[x], seed=1)
        assert other == loss
        for name, gradient in actual.items():
            np.testing.assert_array_equal(gradient, expected[name])
