"""Zoneout and projections around all kinds of cells, stacks and wrappers, against the equations in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import reference_cells as cells
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph import tf1

Zoneout, Stack, Projection = reference.Zoneout, reference.Stack, reference.Projection
Spec = reference.Spec

NESTS: dict[str, tuple[Callable[[], rg.Cell], Spec]] = {
    "zoneout_rnn": (
        lambda: rg.ZoneoutWrapper(rg.BasicRNNCell(7), state_keep_prob=0.6),
        Zoneout(reference.RNN(7), (0.6,)),
    ),
    "zoneout_lstm": (
        lambda: rg.ZoneoutWrapper(rg.LSTMCell(7), state_keep_prob=rg.LSTMStateTuple(c=0.5, h=0.95)),
        Zoneout(reference.LSTM(7), (0.5, 0.95)),
    ),
    "zoneout_one_tensor": (
        lambda: rg.ZoneoutWrapper(rg.LSTMCell(7, num_proj=3, state_is_tuple=False), state_keep_prob=0.7),
        Zoneout(reference.LSTM(7, projection=3, state_is_tuple=False), (0.7,)),
    ),
    "zoneout_output_is_no_state": (
        lambda: rg.ZoneoutWrapper(rg.SRUCell(7), state_keep_prob=0.6),
        Zoneout(cells.SRU(7), (0.6,)),
    ),
    "zoneout_stack": (
        lambda: rg.ZoneoutWrapper(rg.MultiRNNCell([rg.GRUCell(5), rg.LSTMCell(3)]), state_keep_prob=0.8),
        Zoneout(Stack((reference.GRU(5), reference.LSTM(3))), (0.8, 0.8, 0.8)),
    ),
    "zoneout_residual": (
        lambda: rg.ZoneoutWrapper(rg.ResidualWrapper(rg.GRUCell(5)), state_keep_prob=0.6),
        Zoneout(reference.Residual(reference.GRU(5)), (0.6,)),
    ),
    "residual_zoneout": (
        lambda: rg.ResidualWrapper(rg.ZoneoutWrapper(rg.GRUCell(5), state_keep_prob=0.6)),
        reference.Residual(Zoneout(reference.GRU(5), (0.6,))),
    ),
    "zoneout_twice": (
        lambda: rg.ZoneoutWrapper(rg.ZoneoutWrapper(rg.UGRNNCell(7), state_keep_prob=0.6), state_keep_prob=0.7),
        Zoneout(Zoneout(cells.UGRNN(7), (0.6,)), (0.7,)),
    ),
    "dropout_zoneout": (
        lambda: rg.DropoutWrapper(
            rg.ZoneoutWrapper(rg.LSTMCell(7), state_keep_prob=0.6), output_keep_prob=0.7, state_keep_prob=0.8
        ),
        reference.Dropout(Zoneout(reference.LSTM(7), (0.6, 0.6)), 1.0, 0.7, 0.8),
    ),
    "input_projection": (lambda: rg.InputProjectionWrapper(rg.GRUCell(7), 3), Projection(reference.GRU(7), 3, True)),
    "output_projection": (
        lambda: rg.OutputProjectionWrapper(rg.LSTMCell(7), 3, activation="sigmoid"),
        Projection(reference.LSTM(7), 3, False, "sigmoid"),
    ),
    "projections_around_a_stack": (
        lambda: rg.InputProjectionWrapper(
            rg.OutputProjectionWrapper(rg.MultiRNNCell([rg.LSTMCell(7), rg.NASCell(3)]), 9), 4, "relu"
        ),
        Projection(Projection(Stack((reference.LSTM(7), cells.NAS(3))), 9, False), 4, True, "relu"),
    ),
    "projections_in_a_stack": (
        lambda: rg.MultiRNNCell(
            [
                rg.OutputProjectionWrapper(rg.GRUCell(7), 3),
                rg.ResidualWrapper(
                    rg.OutputProjectionWrapper(rg.DropoutWrapper(rg.CFNCell(7), input_keep_prob=0.6), 3)
                ),
            ]
        ),
        Stack(
            (
                Projection(reference.GRU(7), 3, False),
                reference.Residual(Projection(reference.Dropout(cells.CFN(7), 0.6), 3, False)),
            )
        ),
    ),
    "zoneout_of_projection": (
        lambda: rg.ZoneoutWrapper(rg.InputProjectionWrapper(rg.LSTMCell(7), 3), state_keep_prob=0.6),
        Zoneout(Projection(reference.LSTM(7), 3, True), (0.6, 0.6)),
    ),
}


@pytest.mark.parametrize("name", NESTS)
def test_equations(name: str) -> None:
    """Both graphs match the equations; the training graph is compared with its own masks."""
    build, spec = NESTS[name]
    x, n = rg.placeholder("x", (None, None, 5), "float64"), rg.placeholder("n", (None,), "int64")
    outputs, state = rg.dynamic_rnn(build(), x, sequence_length=n)
    program = rg.compile({"outputs": outputs, "state": state})
    generator = np.random.default_rng(2)
    for key, array in program.parameters.items():
        program.parameters[key] = generator.normal(0.0, 0.4, array.shape)
    feeds = {"x": generator.normal(size=(3, 6, 5)), "n": np.array([6, 0, 4])}
    masks = program.training.dropout_masks(feeds, seed=3)
    for result, applied in ((program.inference(feeds), None), (program.training(feeds, seed=3), masks)):
        wanted, final = reference.dynamic_rnn(spec, program.parameters, feeds["x"], feeds["n"], masks=applied)
        assert_allclose(result["outputs"], wanted, rtol=1e-11, atol=1e-12)
        actual = flat(result["state"])
        assert len(actual) == len(flat(final))
        for a, b in zip(actual, flat(final), strict=True):
            assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def flat(nest: Any) -> list[np.ndarray]:
    return [leaf for item in nest for leaf in flat(item)] if isinstance(nest, tuple) else [nest]


def test_zoneout_is_the_papers() -> None:
    """Zoneout has separate masks for c and h of an LSTM (Krueger et al. 2017, section 3).

    The new h is computed from the new memory before its zoneout, and the output is h after zoneout.
    """
    x = rg.placeholder("x", (None, None, 3), "float64")
    cell = rg.ZoneoutWrapper(rg.BasicLSTMCell(7), state_keep_prob=rg.LSTMStateTuple(c=0.5, h=0.9))
    outputs, state = rg.dynamic_rnn(cell, x)
    program = rg.compile({"outputs": outputs, "state": state})
    fed = np.random.default_rng(0).normal(size=(2, 5, 3))
    d_c, d_h = program.training.dropout_masks(x=fed, seed=1).values()
    kernel, bias = (np.asarray(array, np.float64) for array in program.parameters.values())
    c, h = np.zeros((2, 7)), np.zeros((2, 7))
    result = program.training(x=fed, seed=1)
    for t in range(5):
        i, j, f, o = np.split(np.hstack([fed[:, t], h]) @ kernel + bias, 4, axis=1)
        new = c / (1 + np.exp(-f - 1)) + np.tanh(j) / (1 + np.exp(-i))
        h = np.where(d_h[:, t] == 0, h, np.tanh(new) / (1 + np.exp(-o)))
        c = np.where(d_c[:, t] == 0, c, new)
        assert_allclose(result["outputs"][:, t], h, rtol=1e-12)
    assert_allclose(result["state"].c, c, rtol=1e-12)
    assert_array_equal(result["state"].h, result["outputs"][:, -1])


@pytest.mark.parametrize("name", ["zoneout_lstm", "projections_around_a_stack", "projections_in_a_stack"])
def test_streams_and_rows_alone(name: str) -> None:
    x = rg.placeholder("x", (None, None, 5))
    program = rg.compile(rg.dynamic_rnn(NESTS[name][0](), x)[0])
    fed = np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)
    whole = program.inference(x=fed)
    stream = program.inference.stream(batch=3)
    assert_array_equal(np.stack([stream.step(x=fed[:, t]) for t in range(6)], 1), whole)
    assert_array_equal(program.inference(x=fed[[1]]), whole[[1]])


def test_projections_have_tensorflows_names() -> None:
    x = rg.placeholder("x", (None, None, 5))
    cell = tf1.contrib.rnn.InputProjectionWrapper(
        tf1.contrib.rnn.OutputProjectionWrapper(rg.GRUCell(7), 3, tf1.nn.relu, None), 4, tf1.tanh, None, None
    )
    assert cell.output_size == 3
    assert cell.state_size == 7
    parameters = rg.compile(rg.dynamic_rnn(cell, x)[0]).parameters
    outer = "rnn/input_projection_wrapper"
    assert {key: array.shape for key, array in parameters.items()} == {
        f"{outer}/kernel": (5, 4),
        f"{outer}/bias": (4,),
        f"{outer}/output_projection_wrapper/gru_cell/gates/kernel": (11, 14),
        f"{outer}/output_projection_wrapper/gru_cell/gates/bias": (14,),
        f"{outer}/output_projection_wrapper/gru_cell/candidate/kernel": (11, 7),
        f"{outer}/output_projection_wrapper/gru_cell/candidate/bias": (7,),
        f"{outer}/output_projection_wrapper/kernel": (7, 3),
        f"{outer}/output_projection_wrapper/bias": (3,),
    }


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: rg.InputProjectionWrapper(rg.GRUCell(7), 0), rg.ArgumentError, "num_proj must be positive"),
        (lambda: rg.OutputProjectionWrapper(rg.GRUCell(7), "3"), rg.DtypeError, "output_size must be an int"),
        (lambda: rg.OutputProjectionWrapper(rg.GRUCell, 3), rg.DtypeError, "did you mean GRUCell"),
        (lambda: rg.ZoneoutWrapper(rg.GRUCell(7), state_keep_prob=0.5, seed="a"), rg.DtypeError, "seed must be an int"),
        (lambda: rg.HighwayWrapper(rg.GRUCell(7), carry_bias_init="a"), rg.DtypeError, "must be a number"),
    ],
)
def test_bad_arguments(build: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=r"test_wrappers\.py:\d+") as caught:
        build()
    assert words in str(caught.value)


# p.map ---------------------------------------------------------------------------------------------------------------


class Mapped(rg.Wrapper):
    """Wrapper that maps its cell's parameters through a function, and records their names."""

    def __init__(self, cell: rg.Cell, function: Any) -> None:
        super().__init__(cell)
        self.function = function
        self.names: list[str] = []

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        def noted(name: str, tensor: rg.Tensor) -> rg.Tensor:
            self.names.append(name)
            return self.function(p, name, tensor)

        return p.map(noted).cell(None, self.cell)(x, state)


def dropped(p: Any, name: str, w: rg.Tensor) -> rg.Tensor:
    return rg.dropout(w, 0.6) if name.endswith("kernel") else w


def normed(p: Any, name: str, w: rg.Tensor) -> rg.Tensor:
    """Apply weight normalization: a separate length for each column."""
    if not name.endswith("kernel"):
        return w
    length = p.parameter(f"{name.replace('/', '_')}_g", (w.width,), "ones")
    return w / rg.sqrt(rg.reduce_sum(rg.square(w), 0, keepdims=True)) * length


def program_of(cell: rg.Cell, dtype: str = "float64") -> rg.Program:
    x = rg.placeholder("x", (None, None, 5), dtype)
    outputs, _ = rg.dynamic_rnn(cell, x)
    return rg.compile({"outputs": outputs}, loss=rg.reduce_sum(rg.square(outputs)), seed=3)


FED = np.random.default_rng(0).normal(size=(3, 6, 5))


def test_weight_drop_is_one_mask_for_a_call() -> None:
    cell = Mapped(rg.MultiRNNCell([rg.GRUCell(7), rg.LSTMCell(3)]), dropped)
    program = program_of(cell)
    assert cell.names == ["gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias", "kernel", "bias"]
    masks = program.training.dropout_masks(x=FED, seed=8)
    assert [mask.shape for mask in masks.values()] == [(12, 14), (12, 7), (10, 12)]
    kernels = [name for name in program.parameters if name.endswith("kernel")]
    parameters = {name: np.array(array) for name, array in program.parameters.items()}
    for name, mask in zip(kernels, masks.values(), strict=True):
        parameters[name] = parameters[name] * mask / 0.6
    spec = Stack((reference.GRU(7), reference.LSTM(3)))
    wanted, _ = reference.dynamic_rnn(spec, parameters, FED)
    assert_allclose(program.training(x=FED, seed=8)["outputs"], wanted, rtol=1e-12, atol=1e-13)
    plain, _ = reference.dynamic_rnn(spec, program.parameters, FED)
    assert_allclose(program.inference(x=FED)["outputs"], plain, rtol=1e-12, atol=1e-13)
    _, gradients = program.training.gradients(x=FED, seed=8)
    for name, mask in zip(kernels, masks.values(), strict=True):
        assert np.all(gradients[name][mask == 0] == 0)
        assert np.any(gradients[name][mask == 1] != 0)


def test_weight_norm_of_any_cell() -> None:
    program = program_of(Mapped(rg.MultiRNNCell([rg.GRUCell(7), rg.LSTMCell(3)]), normed))
    generator = np.random.default_rng(5)
    for name, array in program.parameters.items():
        program.parameters[name] = generator.normal(size=array.shape)
    assert "rnn/gates_kernel_g" in program.parameters

    def loss(parameters: dict[str, np.ndarray]) -> float:
        changed = dict(parameters)
        for name in parameters:
            if name.endswith("/kernel"):
                own = {"gates/kernel": "gates_kernel", "didate/kernel": "candidate_kernel"}.get(name[-12:], "")
                own = own or {"candidate/kernel": "candidate_kernel"}.get(name[-16:], "kernel")
                length = np.sqrt((parameters[name] ** 2).sum(0, keepdims=True))
                changed[name] = parameters[name] / length * parameters[f"rnn/{own}_g"]
        outputs, _ = reference.dynamic_rnn(Stack((reference.GRU(7), reference.LSTM(3))), changed, FED)
        return float((outputs**2).sum())

    parameters = {name: np.array(array) for name, array in program.parameters.items()}
    value, gradients = program.training.gradients(x=FED)
    assert_allclose(value, loss(parameters), rtol=1e-12)
    for name, array in parameters.items():
        direction = generator.normal(size=array.shape)
        moved = [loss({**parameters, name: array + sign * 1e-6 * direction}) for sign in (1, -1)]
        slope = (moved[0] - moved[1]) / 2e-6
        assert_allclose((gradients[name] * direction).sum(), slope, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("function", [dropped, normed])
def test_results_of_p_map_are_computed_outside_of_the_loop(function: Any) -> None:
    program = program_of(Mapped(rg.LSTMCell(7), function), "float32")
    for graph in (program.inference, program.training):
        (scan,) = [node for node in graph.graph.nodes if node.op == "scan" and not node["reverse"]]
        inside = {node.op for node in scan["body"].nodes}
        assert not inside & {"dropout", "random_key", "random_uniform", "select", "sqrt", "reduce_sum"}


def test_p_map_streams_and_learns() -> None:
    program = program_of(Mapped(Mapped(rg.LSTMCell(7), dropped), normed), "float32")
    fed = FED.astype(np.float32)
    whole = program.inference(x=fed)["outputs"]
    stream = program.inference.stream(batch=3)
    steps = [stream.step(x=fed[:, t])["outputs"] for t in range(6)]
    assert_array_equal(np.stack(steps, 1), whole)
    trainer = rg.Trainer(program, rg.Adam(1e-2))
    losses = [float(trainer.step(x=fed)) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    assert not np.array_equal(stream.step(x=fed[:, 0])["outputs"], steps[0])


def test_recurrent_weights_with_a_fixed_mask() -> None:
    fixed = (np.random.default_rng(1).random((12, 7)) < 0.5).astype(np.float32)
    cell = Mapped(rg.BasicRNNCell(7), lambda p, name, w: w * fixed if name == "kernel" else w)
    program = program_of(cell, "float32")
    parameters = {name: np.array(array) for name, array in program.parameters.items()}
    parameters["rnn/basic_rnn_cell/kernel"] *= fixed
    wanted, _ = reference.dynamic_rnn(reference.RNN(7), parameters, FED)
    assert_allclose(program.inference(x=FED.astype(np.float32))["outputs"], wanted, rtol=1e-5, atol=1e-6)
    _, gradients = program.training.gradients(x=FED.astype(np.float32))
    assert np.all(gradients["rnn/basic_rnn_cell/kernel"][fixed == 0] == 0)


def test_recurrent_dropout_with_one_mask_a_gate() -> None:
    """Keras' recurrent_dropout has a mask shared by all rows of a call: units of h are dropped for each gate
    separately.
    """
    units, inputs = 7, 5

    def recurrent(p: Any, name: str, w: rg.Tensor) -> rg.Tensor:
        if name != "kernel":
            return w
        kept = rg.dropout(rg.constant(np.ones((units, 4))), 0.7)
        gates = rg.reshape(w[inputs:], (units, 4, units)) * rg.expand_dims(kept, 2)
        return rg.concat([w[:inputs], rg.reshape(gates, (units, 4 * units))], 0)

    program = program_of(Mapped(rg.LSTMCell(units), recurrent))
    (mask,) = program.training.dropout_masks(x=FED, seed=2).values()
    assert mask.shape == (7, 4)
    parameters = {name: np.array(array) for name, array in program.parameters.items()}
    parameters["rnn/lstm_cell/kernel"][inputs:] *= np.repeat(mask / np.float64(0.7), units, axis=1)
    wanted, _ = reference.dynamic_rnn(reference.LSTM(units), parameters, FED)
    assert_allclose(program.training(x=FED, seed=2)["outputs"], wanted, rtol=1e-12, atol=1e-13)


def test_a_shared_cell_is_mapped_once_in_a_map() -> None:
    cell = rg.shared(rg.GRUCell(5))
    mapped = Mapped(rg.MultiRNNCell([cell, cell]), dropped)
    program = program_of(mapped)
    assert len(program.parameters) == 4
    assert len(program.training.dropout_masks(x=FED, seed=2)) == 2


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda p, name, w: w[1:], "give a Tensor of the same shape"),
        (lambda p, name, w: None, "turns parameter kernel"),
        (lambda p, name, w: rg.cast(w, "float32"), "shape and dtype"),
    ],
)
def test_results_that_p_map_requires(function: Any, words: str) -> None:
    with pytest.raises(rg.ShapeError, match=r"test_wrappers\.py:\d+") as caught:
        program_of(Mapped(rg.BasicRNNCell(7), function))
    assert words in str(caught.value)


def test_p_map_needs_a_function() -> None:
    class Wrong(rg.Wrapper):
        def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            return p.map(0.5).cell(None, self.cell)(x, state)

    with pytest.raises(rg.DtypeError, match=r"p\.map needs a function"):
        program_of(Wrong(rg.BasicRNNCell(7)))
