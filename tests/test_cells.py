"""The cells of TensorFlow 1.15's ``tf.contrib.rnn``, against their equations in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import reference_cells as cells
from declaration_checks import flat
from numpy.testing import assert_allclose, assert_array_equal
from recurrence_cells import CELLS

import rnngraph as rg
from rnngraph import tf1

Arrays = dict[str, np.ndarray]
Variants = dict[str, tuple[Callable[[int], rg.Cell], Callable[[int], cells.Variant]]]

VARIANTS: Variants = {
    "layer_norm": (rg.LayerNormBasicLSTMCell, cells.LayerNormLSTM),
    "layer_norm_options": (
        lambda n: rg.LayerNormBasicLSTMCell(n, forget_bias=0.3, activation="relu", norm_gain=0.7, norm_shift=0.2),
        lambda n: cells.LayerNormLSTM(n, 0.3, "relu"),
    ),
    "layer_norm_off": (
        lambda n: rg.LayerNormBasicLSTMCell(n, layer_norm=False),
        lambda n: cells.LayerNormLSTM(n, layer_norm=False),
    ),
    "coupled": (rg.CoupledInputForgetGateLSTMCell, cells.CoupledLSTM),
    "coupled_peepholes": (
        lambda n: rg.CoupledInputForgetGateLSTMCell(n, use_peepholes=True, num_proj=3, proj_clip=0.2, forget_bias=0.5),
        lambda n: cells.CoupledLSTM(n, True, 3, 0.2, 0.5),
    ),
    "coupled_norm": (
        lambda n: rg.CoupledInputForgetGateLSTMCell(
            n, use_peepholes=True, activation="softsign", layer_norm=True, norm_gain=0.9, norm_shift=0.1
        ),
        lambda n: cells.CoupledLSTM(n, True, activation="softsign", layer_norm=True),
    ),
    "nas": (rg.NASCell, cells.NAS),
    "nas_projection": (lambda n: rg.NASCell(n, num_proj=5, use_bias=True), lambda n: cells.NAS(n, 5, True)),
    "ugrnn": (rg.UGRNNCell, cells.UGRNN),
    "ugrnn_options": (
        lambda n: rg.UGRNNCell(n, forget_bias=-0.5, activation="relu"),
        lambda n: cells.UGRNN(n, -0.5, "relu"),
    ),
    "intersection": (lambda n: rg.IntersectionRNNCell(n, num_in_proj=n), cells.Intersection),
    "intersection_options": (
        lambda n: rg.IntersectionRNNCell(n, n, forget_bias=0.0, y_activation="sigmoid"),
        lambda n: cells.Intersection(n, 0.0, "sigmoid"),
    ),
    "independent": (rg.IndRNNCell, cells.IndRNN),
    "independent_relu": (lambda n: rg.IndRNNCell(n, activation="relu"), lambda n: cells.IndRNN(n, "relu")),
    "sru": (rg.SRUCell, cells.SRU),
    "sru_identity": (lambda n: rg.SRUCell(n, activation="identity"), lambda n: cells.SRU(n, "identity")),
    "minimal": (rg.MinimalRNNCell, cells.Minimal),
    "minimal_sigmoid": (lambda n: rg.MinimalRNNCell(n, activation="sigmoid"), lambda n: cells.Minimal(n, "sigmoid")),
    "cfn": (rg.CFNCell, cells.CFN),
    "cfn_softsign": (lambda n: rg.CFNCell(n, activation="softsign"), lambda n: cells.CFN(n, "softsign")),
}
IN_REFERENCE = {"BasicRNNCell", "BasicLSTMCell", "LSTMCell", "GRUCell", "MultiRNNCell"}
"""Cells that ``tests/test_reference.py`` compares."""


def test_every_cell_is_defined_again_in_tests() -> None:
    public = {name for name in rg.__all__ if name.endswith("Cell")} - {"Cell"}
    of_papers = {type(make()).__name__ for make in CELLS.values() if type(make()).__module__.startswith("rnngraph")}
    assert public == IN_REFERENCE | of_papers | {type(make(4)).__name__ for make, _ in VARIANTS.values()}


SHORT = [name for name in VARIANTS if "_" not in name or name == "layer_norm"]


def declared(cell: rg.Cell, width: int, dtype: str) -> dict[str, Any]:
    """Return outputs and state of a driver with lengths and a fed initial state."""
    x, n = rg.placeholder("x", (None, None, width), dtype), rg.placeholder("n", (None,), "int64")
    sizes = [size for _, size in leaves(cell.state_size)]
    first = [rg.placeholder(f"first{k}", (None, size), dtype) for k, size in enumerate(sizes)]
    initial = type(cell.state_size)(*first) if len(first) > 1 else first[0]
    outputs, state = rg.dynamic_rnn(cell, x, sequence_length=n, initial_state=initial)
    return {"outputs": outputs, "state": state}


def leaves(nest: Any) -> list[tuple[int, Any]]:
    return list(enumerate(nest)) if isinstance(nest, tuple) else [(0, nest)]


def compiled(name: str, n: int, width: int, dtype: str) -> rg.Program:
    """Return a program whose parameters, including biases and gains, have similar magnitudes."""
    program = rg.compile(declared(VARIANTS[name][0](n), width, dtype))
    generator = np.random.default_rng(n)
    for key, array in program.parameters.items():
        program.parameters[key] = generator.normal(0.0, 0.4, array.shape)
    return program


def feeds(name: str, n: int, width: int, dtype: str, batch: int = 3, time: int = 5) -> Arrays:
    generator = np.random.default_rng(100 * n + width)
    arrays: Arrays = {"x": generator.normal(size=(batch, time, width)).astype(dtype)}
    arrays["n"] = np.array([time, 0, *generator.integers(1, time + 1, batch - 2)])
    for k, size in leaves(VARIANTS[name][1](n).widths(cells.Pair)):
        arrays[f"first{k}"] = generator.normal(size=(batch, size)).astype(dtype)
    return arrays


def expected(name: str, n: int, parameters: Any, arrays: Arrays) -> tuple[np.ndarray, Any]:
    firsts = [array for key, array in arrays.items() if key.startswith("first")]
    first = reference.LSTMStateTuple(*firsts) if len(firsts) > 1 else firsts[0]
    return reference.dynamic_rnn(VARIANTS[name][1](n), parameters, arrays["x"], arrays["n"], first)


@pytest.mark.parametrize("name", VARIANTS)
def test_equations(name: str) -> None:
    """Outputs and states of both graphs agree, in both precisions."""
    check_equations(name, 7, 5, "float64", 1e-12)
    check_equations(name, 25, 17, "float32", 2e-5)


@pytest.mark.parametrize("name", SHORT)
def test_equations_of_one_unit(name: str) -> None:
    """Layer normalization of a single unit returns beta."""
    check_equations(name, 1, 3, "float64", 1e-12)
    check_equations(name, 17, 1, "float64", 1e-12)


def check_equations(name: str, n: int, width: int, dtype: str, bound: float) -> None:
    program, arrays = compiled(name, n, width, dtype), feeds(name, n, width, dtype)
    outputs, state = expected(name, n, program.parameters, arrays)
    for graph in (program.inference, program.training):
        result = graph(arrays)
        assert result["outputs"].dtype == dtype
        assert_allclose(result["outputs"], outputs, rtol=bound, atol=bound)
        for (_, actual), (_, wanted) in zip(leaves(result["state"]), leaves(state), strict=True):
            assert_allclose(actual, wanted, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_against_differences_of_the_equations(name: str) -> None:
    n, width = 7, 3
    program, arrays = compiled(name, n, width, "float64"), feeds(name, n, width, "float64")
    generator = np.random.default_rng(1)
    parameters = {key: np.array(array) for key, array in program.parameters.items()}
    outputs, state = expected(name, n, parameters, arrays)
    parts = {"outputs": outputs, **{f"state/{k}": array for k, array in leaves(state)}}
    weights = {key: generator.normal(size=array.shape) for key, array in parts.items()}
    output_gradients: dict[str, Any] = {"outputs": weights["outputs"]}
    state_weights = [weights[f"state/{k}"] for k, _ in leaves(state)]
    output_gradients["state"] = type(state)(*state_weights) if len(state_weights) > 1 else state_weights[0]
    wrt = [key for key in arrays if key != "n"]
    _, gradients = program.training.gradients(arrays, output_gradients=output_gradients, wrt=wrt)

    def total(parameters: Arrays, arrays: Arrays) -> float:
        outputs, state = expected(name, n, parameters, arrays)
        parts = {"outputs": outputs, **{f"state/{k}": array for k, array in leaves(state)}}
        return float(sum(np.sum(weights[key] * array) for key, array in parts.items()))

    step = 1e-6
    for table in (parameters, {key: arrays[key] for key in wrt}):
        for key, array in table.items():
            direction = generator.normal(size=array.shape)
            moved = []
            for sign in (step, -step):
                near = {**parameters, **arrays, key: array + sign * direction}
                moved.append(total({k: near[k] for k in parameters}, {k: near[k] for k in arrays}))
            slope = (moved[0] - moved[1]) / (2 * step)
            assert_allclose(np.sum(gradients[key] * direction), slope, rtol=2e-6, atol=2e-7, err_msg=key)


@pytest.mark.parametrize("name", SHORT)
def test_a_stream_and_a_row_alone_give_the_same_bits(name: str) -> None:
    cell = VARIANTS[name][0](25)
    x = rg.placeholder("x", (None, None, 17))
    outputs, state = rg.dynamic_rnn(cell, x)
    program = rg.compile({"outputs": outputs, "state": state})
    fed = np.random.default_rng(3).normal(size=(7, 9, 17)).astype(np.float32)
    whole = program.inference(x=fed)
    stream = program.inference.stream(batch=7)
    steps = [stream.step(x=fed[:, t])["outputs"] for t in range(4)]
    rest = stream.process(x=fed[:, 4:])
    assert_array_equal(np.concatenate([np.stack(steps, 1), rest["outputs"]], 1), whole["outputs"])
    for key, array in flat(program.inference(x=fed[[2]])).items():
        assert_array_equal(array, flat(whole)[key][[2]], key)


NAMES = {
    "layer_norm": {"kernel": (12, 28)}
    | {
        f"{part}/{which}": (7,)
        for part in ("input", "transform", "forget", "output", "state")
        for which in ("gamma", "beta")
    },
    "layer_norm_off": {"kernel": (12, 28), "bias": (28,)},
    "coupled": {"W_0": (12, 21), "B": (21,)},
    "coupled_peepholes": {"W_0": (8, 21), "B": (21,), "W_F_diag": (7,), "W_O_diag": (7,), "W_P_0": (7, 3)},
    "nas": {"recurrent_kernel": (7, 56), "kernel": (5, 56)},
    "nas_projection": {
        "recurrent_kernel": (5, 56),
        "kernel": (5, 56),
        "bias": (56,),
        "projection_weights": (7, 5),
    },
    "ugrnn": {"kernel": (12, 14), "bias": (14,)},
    "intersection": {
        "in_projection/kernel": (5, 7),
        "in_projection/bias": (7,),
        "kernel": (14, 28),
        "bias": (28,),
    },
    "independent": {"kernel_w": (5, 7), "kernel_u": (1, 7), "bias": (7,)},
    "sru": {"kernel": (5, 28), "bias": (14,)},
    "minimal": {"kernel": (19, 7), "bias": (7,)},
    "cfn": {"kernel": (5, 21), "recurrent_kernel": (7, 14), "bias": (14,)},
}


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_tensorflows(name: str) -> None:
    scope = f"rnn/{VARIANTS[name][1](7).name}"
    parameters = rg.compile(declared(VARIANTS[name][0](7), 5, "float32")).parameters
    assert {key: array.shape for key, array in parameters.items()} == {
        f"{scope}/{key}": shape for key, shape in NAMES[name].items()
    }


def test_initial_values_are_tensorflows() -> None:
    def initial(cell: rg.Cell) -> Arrays:
        parameters = rg.compile(declared(cell, 63, "float32")).parameters
        return {key.rpartition("cell/")[2]: np.asarray(array) for key, array in parameters.items()}

    norm = initial(rg.LayerNormBasicLSTMCell(100, norm_gain=0.5, norm_shift=0.25))
    assert np.all(norm["state/gamma"] == 0.5)
    assert np.all(norm["input/beta"] == 0.25)
    limit = (6 / (163 + 400)) ** 0.5
    assert 0.95 * limit < np.abs(norm["kernel"]).max() <= limit
    assert np.abs(initial(rg.LayerNormBasicLSTMCell(100, layer_norm=False))["bias"]).max() > 0.05
    assert np.all(initial(rg.CoupledInputForgetGateLSTMCell(100))["B"] == 0)
    assert np.all(initial(rg.CoupledInputForgetGateLSTMCell(7, initializer="ones"))["W_0"] == 1)
    recurrent = initial(rg.IndRNNCell(1000))["kernel_u"]
    assert -1 <= recurrent.min() < -0.98
    assert 0.98 < recurrent.max() < 1
    for cell in (rg.MinimalRNNCell(7), rg.CFNCell(7)):
        assert np.all(initial(cell)["bias"] == 1)
    minimal = initial(rg.MinimalRNNCell(7, kernel_initializer="zeros", bias_initializer=2.0))
    assert np.all(minimal["kernel"] == 0)
    assert np.all(minimal["bias"] == 2)
    assert np.all(initial(rg.UGRNNCell(7, "ones"))["kernel"] == 1)
    assert np.all(initial(rg.SRUCell(7))["bias"] == 0)
    assert np.all(initial(rg.IntersectionRNNCell(7, 7, "ones"))["in_projection/kernel"] == 1)


def test_recurrent_dropout_is_of_the_candidate_alone() -> None:
    cell = rg.LayerNormBasicLSTMCell(25, dropout_keep_prob=0.6, dropout_prob_seed=5)
    x = rg.placeholder("x", (None, None, 7), "float64")
    outputs, state = rg.dynamic_rnn(cell, x)
    program = rg.compile({"outputs": outputs, "state": state})
    fed = np.random.default_rng(0).normal(size=(3, 6, 7))
    masks = program.training.dropout_masks(x=fed, seed=4)
    assert [mask.shape for mask in masks.values()] == [(3, 6, 25)]
    (mask,) = masks.values()
    assert 0.4 < mask.mean() < 0.8
    assert np.any(mask[:, 0] != mask[:, 1])
    spec = cells.LayerNormLSTM(25)
    wanted, _ = reference.dynamic_rnn(spec, program.parameters, fed, masks={"dropout": mask.astype(float) / 0.6})
    assert_allclose(program.training(x=fed, seed=4)["outputs"], wanted, rtol=1e-10, atol=1e-12)
    kept, _ = reference.dynamic_rnn(spec, program.parameters, fed)
    assert_allclose(program.inference(x=fed)["outputs"], kept, rtol=1e-10, atol=1e-12)
    text = "\n".join(line.partition("#")[0] for line in str(program.inference.graph).splitlines())
    assert "random" not in text
    assert "dropout" not in text


@pytest.mark.parametrize("name", SHORT)
def test_dropout_around_and_memory_is_kept(name: str) -> None:
    """State dropout does not change an LSTM's c."""
    cell = rg.DropoutWrapper(VARIANTS[name][0](9), input_keep_prob=0.8, output_keep_prob=0.7, state_keep_prob=0.6)
    x = rg.placeholder("x", (None, None, 7), "float64")
    outputs, state = rg.dynamic_rnn(rg.MultiRNNCell([cell, rg.GRUCell(3)]), x)
    program = rg.compile({"outputs": outputs, "state": state})
    fed = np.random.default_rng(0).normal(size=(3, 6, 7))
    masks = program.training.dropout_masks(x=fed, seed=4)
    assert len(masks) == 3
    spec = reference.Stack((reference.Dropout(VARIANTS[name][1](9), 0.8, 0.7, 0.6), reference.GRU(3)))
    wanted, _ = reference.dynamic_rnn(spec, program.parameters, fed, masks=masks)
    assert_allclose(program.training(x=fed, seed=4)["outputs"], wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SHORT)
def test_it_learns(name: str) -> None:
    """A net learns the cumulative sum of one of several noisy inputs."""
    x, y = rg.placeholder("x", (None, None, 3)), rg.placeholder("y", (None, None, 1))
    outputs, _ = rg.dynamic_rnn(VARIANTS[name][0](17), x)
    prediction = rg.dense(outputs, 1)
    program = rg.compile(prediction, loss=rg.mean_squared_error(y, prediction), seed=1)
    generator = np.random.default_rng(0)
    fed = generator.normal(size=(25, 7, 3)).astype(np.float32)
    target = np.cumsum(fed[:, :, :1], axis=1) * 0.3
    trainer = rg.Trainer(program, rg.Adam(1e-2), clip_norm=1.0)
    losses = [float(trainer.step(x=fed, y=target)) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]


TF_CALLS: dict[str, Callable[[], rg.Cell]] = {
    "layer_norm": lambda: tf1.contrib.rnn.LayerNormBasicLSTMCell(
        7, 1.0, None, tf1.tanh, True, 1.0, 0.0, 1.0, None, None
    ),
    "coupled": lambda: tf1.contrib.rnn.CoupledInputForgetGateLSTMCell(
        7, False, None, None, None, 1, 1, 1.0, True, tf1.tanh, None, False, 1.0, 0.0
    ),
    "nas": lambda: tf1.contrib.rnn.NASCell(7, None, False, None, name="nas_cell"),
    "ugrnn": lambda: tf1.contrib.rnn.UGRNNCell(7, None, 1.0, tf1.tanh, None),
    "intersection": lambda: tf1.contrib.rnn.IntersectionRNNCell(7, 7, None, 1.0, tf1.nn.relu, None),
    "independent": lambda: tf1.contrib.rnn.IndRNNCell(7, None, None, None, tf1.float32),
    "sru": lambda: tf1.contrib.rnn.SRUCell(7, None, None, None),
    "minimal": lambda: tf1.contrib.rnn.MinimalRNNCell(7, "tanh", "glorot_uniform", "ones", None, tf1.float32),
    "cfn": lambda: tf1.contrib.rnn.CFNCell(7, "tanh", "glorot_uniform", "ones", None, tf1.float32),
}


@pytest.mark.parametrize("name", TF_CALLS)
def test_tensorflows_arguments_by_position(name: str) -> None:
    """``tf1`` has the same cell, with equal names and equal bits."""
    ours = rg.compile(declared(VARIANTS[name][0](7), 5, "float32"))
    theirs = rg.compile(declared(TF_CALLS[name](), 5, "float32"))
    assert list(ours.parameters) == list(theirs.parameters)
    arrays = feeds(name, 7, 5, "float32")
    assert_array_equal(ours.inference(arrays)["outputs"], theirs.inference(arrays)["outputs"])


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: rg.NASCell(0), rg.ArgumentError, "num_units must be positive"),
        (lambda: rg.NASCell(7, num_proj=2.5), rg.DtypeError, "num_proj must be an int"),
        (lambda: rg.UGRNNCell("7"), rg.DtypeError, "num_units must be an int"),
        (lambda: rg.UGRNNCell(7, forget_bias="one"), rg.DtypeError, "forget_bias must be a number"),
        (lambda: rg.UGRNNCell(7, activation="tan"), rg.ArgumentError, "unknown activation 'tan'"),
        (lambda: rg.UGRNNCell(7, initializer="xavier"), rg.RnnGraphError, "xavier"),
        (lambda: rg.MinimalRNNCell(-1), rg.ArgumentError, "units must be positive"),
        (lambda: rg.CFNCell(None), rg.DtypeError, "units must be an int"),
        (lambda: rg.IntersectionRNNCell(7, num_in_proj=5), rg.ArgumentError, "give num_in_proj=7"),
        (lambda: rg.LayerNormBasicLSTMCell(7, dropout_keep_prob=0), rg.ArgumentError, "outside (0, 1]"),
        (lambda: rg.LayerNormBasicLSTMCell(7, norm_gain=None), rg.DtypeError, "norm_gain must be a number"),
        (lambda: rg.LayerNormBasicLSTMCell(7, dropout_prob_seed="a"), rg.DtypeError, "seed must be an int"),
        (lambda: rg.CoupledInputForgetGateLSTMCell(7, proj_clip=-1.0), rg.ArgumentError, "proj_clip must be positive"),
        (lambda: tf1.contrib.rnn.CoupledInputForgetGateLSTMCell(7, num_unit_shards=2), rg.RnnGraphError, "one array"),
        (lambda: tf1.contrib.rnn.SRUCell(7, reuse=True), rg.RnnGraphError, "rg.shared"),
    ],
)
def test_bad_arguments(build: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        build()
    assert words in str(caught.value)
    assert "test_cells.py:" in str(caught.value)


def test_intersection_errors_name_the_required_width() -> None:
    with pytest.raises(rg.ShapeError, match=r"needs inputs of width 7, not 5; write num_in_proj=7"):
        declared(rg.IntersectionRNNCell(7), 5, "float32")
