"""Differences between the training and inference graphs: choices, dropout and noise outside of wrappers, zoneout."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference

import rnngraph as rg

ZONEOUT = {"c": 0.5, "h": 0.75}
BATCH, TIME, WIDTH = 3, 6, 4


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def sequence(dtype: str = "float64") -> rg.Tensor:
    return rg.placeholder("x", (None, None, WIDTH), dtype)


def randomised(program: rg.Program) -> rg.Program:
    for name, array in program.parameters.items():
        program.parameters[name] = data(*array.shape, seed=len(name))
    return program


# Zoneout --------------------------------------------------------------------------------------------


def zoned(outside: bool) -> tuple[rg.Cell, reference.Spec]:
    """Return a stack of an LSTM and a GRU with zoneout: inside of dropout if ``outside``, else around a residual."""
    lstm = rg.ZoneoutWrapper(rg.LSTMCell(5), state_keep_prob=rg.LSTMStateTuple(**ZONEOUT))
    gru = rg.ZoneoutWrapper(rg.GRUCell(5), state_keep_prob=0.5)
    specs = [reference.Zoneout(reference.LSTM(5), (0.5, 0.75)), reference.Zoneout(reference.GRU(5), (0.5,))]
    if outside:
        cell = rg.DropoutWrapper(rg.MultiRNNCell([lstm, gru]), output_keep_prob=0.5)
        return cell, reference.Dropout(reference.Stack(tuple(specs)), output_keep_prob=0.5)
    cell = rg.MultiRNNCell([lstm, rg.ZoneoutWrapper(rg.ResidualWrapper(rg.GRUCell(5)), state_keep_prob=0.5)])
    return cell, reference.Stack((specs[0], reference.Zoneout(reference.Residual(reference.GRU(5)), (0.5,))))


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("lengths", [None, [6, 0, 3]])
def test_zoneout_is_its_equations(outside: bool, lengths: list[int] | None) -> None:
    cell, spec = zoned(outside)
    row_lengths = None if lengths is None else np.array(lengths)
    outputs, state = rg.dynamic_rnn(cell, sequence(), sequence_length=row_lengths)
    program = randomised(rg.compile({"outputs": outputs, "state": state}))
    x = data(BATCH, TIME, WIDTH)
    masks = program.training.dropout_masks(x=x, seed=5)
    assert all(0 < mask.mean() < 1 for mask in masks.values())
    for result, drawn in ((program.inference(x=x), None), (program.training(x=x, seed=5), masks)):
        expected, final = reference.dynamic_rnn(spec, program.parameters, x, row_lengths, masks=drawn)
        np.testing.assert_allclose(result["outputs"], expected, rtol=1e-10, atol=1e-12)
        for part, other in zip(result["state"][0], final[0], strict=True):
            np.testing.assert_allclose(part, other, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(result["state"][1], final[1], rtol=1e-10, atol=1e-12)


def test_zoneout_leaves_a_unit_at_its_old_value_to_the_bit() -> None:
    x = rg.placeholder("x", (None, 1, 3))
    h = rg.placeholder("h", (None, 40))
    _, state = rg.dynamic_rnn(rg.ZoneoutWrapper(rg.GRUCell(40), state_keep_prob=0.3), x, initial_state=h)
    program = rg.compile(state)
    feeds = {"x": data(5, 1, 3).astype("f"), "h": data(5, 40, seed=1).astype("f")}
    (mask,) = program.training.dropout_masks(feeds, seed=2).values()
    new = program.training(feeds, seed=2)
    assert np.array_equal(new == feeds["h"], mask[:, 0] == 0)
    assert abs(mask.mean() - 0.3) < 0.1


def test_zoneout_streams_its_expectation() -> None:
    cell, _ = zoned(outside=True)
    program = rg.compile(rg.dynamic_rnn(cell, sequence())[0])
    x = data(BATCH, TIME, WIDTH)
    stream = program.inference.stream(batch=BATCH)
    steps = np.stack([stream.step(x=x[:, step]) for step in range(TIME)], 1)
    assert np.array_equal(steps, program.inference(x=x))
    assert "random_uniform" not in str(program.inference.graph)


def test_a_fed_zoneout_probability_is_of_both_graphs() -> None:
    keep = rg.placeholder("keep", ())
    x = sequence("float32")
    program = rg.compile(rg.dynamic_rnn(rg.ZoneoutWrapper(rg.GRUCell(5), state_keep_prob=keep), x)[1])
    fixed = rg.compile(rg.dynamic_rnn(rg.ZoneoutWrapper(rg.GRUCell(5), state_keep_prob=0.5), x)[1])
    feeds = {"x": data(BATCH, TIME, WIDTH)}
    half = {**feeds, "keep": 0.5}
    np.testing.assert_allclose(program.inference(half), fixed.inference(feeds), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(program.training(half, seed=4), fixed.training(feeds, seed=4), rtol=1e-6, atol=1e-6)
    with pytest.raises(rg.ArgumentError, match=r"test_randomness\.py:\d+: feed keep is 1.5, outside"):
        program.training(feeds, keep=1.5)


# Choices --------------------------------------------------------------------------------------------


def test_each_graph_has_only_its_own_alternative() -> None:
    x, y = sequence(), rg.placeholder("y", (None, None, WIDTH), "float64")
    chosen = rg.by_graph(training=rg.sin(x), inference=rg.cos(y))
    program = rg.compile({"chosen": chosen, "half": rg.by_graph(training=x, inference=0.5)}, loss=rg.reduce_sum(chosen))
    array = data(BATCH, TIME, WIDTH)
    result = program.inference(y=array)
    np.testing.assert_allclose(result["chosen"], np.cos(array))
    assert np.all(result["half"] == 0.5)
    np.testing.assert_allclose(program.training(x=array)["chosen"], np.sin(array))
    np.testing.assert_allclose(program.evaluate(y=array)["loss"], np.cos(array).sum())
    assert "sin" not in str(program.inference.graph)
    assert "cos" not in str(program.training.graph)
    np.testing.assert_allclose(program.training.gradients(x=array, wrt=["x"])[1]["x"], np.cos(array))


# Dropout --------------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[Any, ...]] = {
    "units": (7,),
    "rows": (None, 7),
    "steps": (None, None, 7),
    "blocks": (None, None, 3, 5),
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_is_mask_and_scale(kind: str, dtype: str) -> None:
    x = rg.placeholder("x", SHAPES[kind], dtype)
    dropped = rg.dropout(x, 0.7)
    program = rg.compile({"y": dropped}, loss=rg.reduce_sum(rg.square(dropped)))
    array = data(*(dim or 6 for dim in SHAPES[kind])).astype(dtype)
    assert np.array_equal(program.inference(x=array)["y"], array)
    masks = program.training.dropout_masks(x=array, seed=1)
    assert list(masks) == ["dropout"]
    mask = masks["dropout"]
    assert mask.shape == array.shape
    expected = mask * array / 0.7
    rounding = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(program.training(x=array, seed=1)["y"], expected, rtol=rounding)
    gradient = program.training.gradients(x=array, seed=1, wrt=["x"])[1]["x"]
    np.testing.assert_allclose(gradient, 2 * expected * mask / 0.7, rtol=4 * rounding)
    if kind in ("steps", "blocks"):
        assert np.any(mask != mask[:, :1])
    if kind != "units":
        assert np.any(mask != mask[:1])


def test_a_split_call_drops_the_same_units_as_the_whole_call() -> None:
    x = sequence()
    program = rg.compile(rg.dropout(x, 0.5))
    array = data(BATCH, TIME, WIDTH)
    whole = program.training(x=array, seed=3)
    assert np.array_equal(program.training(x=array[1:], seed=3, first_row=1), whole[1:])
    assert np.array_equal(program.training(x=array[:, 2:], seed=3, first_step=2), whole[:, 2:])


def test_a_dropped_parameter_is_the_same_in_any_part_of_a_call() -> None:
    kernel = rg.parameter("kernel", (WIDTH, 5), dtype="float64")
    program = rg.compile(sequence() @ rg.dropout(kernel, 0.5))
    array = data(BATCH, TIME, WIDTH)
    whole = program.training(x=array, seed=3)
    assert np.array_equal(program.training(x=array[1:], seed=3, first_row=1), whole[1:])


def test_no_two_places_share_masks() -> None:
    x = rg.placeholder("x", (None, 50))
    twice = rg.dropout(rg.dropout(x, 0.5), 0.5)
    program = rg.compile({"y": twice, "z": rg.dropout(x, 0.5, seed=9), "w": rg.dropout(x, 1.0)})
    masks = program.training.dropout_masks(x=data(8, 50), seed=3)
    assert list(masks) == ["dropout", "dropout_1", "dropout_2"]
    arrays = list(masks.values())
    for number, mask in enumerate(arrays):
        assert all(abs((mask == other).mean() - 0.5) < 0.2 for other in arrays[:number])


class DropCell(rg.Cell):
    """Cell with dropout and noise of its input and of a kernel, and with a dropped tensor from outside."""

    def __init__(self, outside: rg.Tensor) -> None:
        self.outside = outside

    def state(self) -> Any:
        return {"h": 5}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        kernel = rg.dropout(p.kernel("kernel", (x.width + 5, 5)), 0.6)
        h = rg.tanh(rg.concat([x, state["h"]]) @ kernel + self.outside)
        h = rg.by_graph(training=h + rg.random_normal(h), inference=h)
        return rg.dropout(h, 0.8), {"h": h}


def test_draws_within_a_step_change_and_draws_outside_stay() -> None:
    outside = rg.dropout(rg.placeholder("b", (None, 5), "float64"), 0.5)
    outputs, state = rg.dynamic_rnn(DropCell(outside), sequence())
    program = rg.compile({"outputs": outputs, "state": state}, loss=rg.reduce_sum(outputs))
    feeds = {"x": data(BATCH, TIME, WIDTH), "b": data(BATCH, 5)}
    masks = program.training.dropout_masks(feeds, seed=1)
    shapes = {site: mask.shape for site, mask in masks.items()}
    assert shapes == {"dropout": (BATCH, 5), "dropout_1": (WIDTH + 5, TIME, 5), "dropout_2": (BATCH, TIME, 5)}
    result = program.training(feeds, seed=1)
    assert np.array_equal(result["outputs"] == 0, masks["dropout_2"] == 0)
    x, b, kernel = feeds["x"], feeds["b"] * masks["dropout"] / 0.5, program.parameters["rnn/drop_cell/kernel"]
    plain, h = program.inference(feeds), np.zeros((BATCH, 5))
    for step in range(TIME):
        h = np.tanh(np.concatenate([x[:, step], h], 1) @ kernel + feeds["b"])
        np.testing.assert_allclose(plain["outputs"][:, step], h)
    first = np.tanh(x[:, 0] @ (kernel * masks["dropout_1"][:, 0] / 0.6)[:WIDTH] + b)
    kept = masks["dropout_2"][:, 0] == 1
    noise = (result["outputs"][:, 0] * 0.8 - first)[kept]
    assert 0.3 < noise.std() < 2
    stream = program.inference.stream(batch=BATCH)
    steps = np.stack([stream.step(x=x[:, step], b=feeds["b"])["outputs"] for step in range(TIME)], 1)
    assert np.array_equal(steps, plain["outputs"])


# Noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_has_its_distribution(dtype: str) -> None:
    x = rg.placeholder("x", (None, None, 50), dtype)
    noise = {"normal": rg.random_normal(x, 1.0, 2.0), "uniform": rg.random_uniform(x, -1.0, 3.0)}
    program = rg.compile({name: rg.by_graph(training=item, inference=x) for name, item in noise.items()})
    array = np.zeros((20, 30, 50), dtype)
    result = program.training(x=array, seed=3)
    for item in result.values():
        assert item.dtype == dtype
        assert len(np.unique(item)) > 0.95 * item.size
    normal, uniform = result["normal"].astype(float), result["uniform"].astype(float)
    assert abs(normal.mean() - 1) < 0.05
    assert abs(normal.std() - 2) < 0.05
    assert abs((np.abs(normal - 1) < 2).mean() - 0.6827) < 0.01
    assert abs(((normal - 1) ** 4).mean() / 16 - 3) < 0.2
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() < 3
    assert abs(uniform.mean() - 1) < 0.05
    assert abs(np.corrcoef(normal.ravel(), uniform.ravel())[0, 1]) < 0.02
    assert np.array_equal(program.training(x=array, seed=3)["normal"], result["normal"])
    assert np.array_equal(program.inference(x=array)["normal"], array)


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda x: rg.random_uniform(x), rg.GraphError, "inference graph depends on random numbers; .* rg.by_graph"),
        (lambda x: x + rg.random_normal(x), rg.GraphError, "inference graph depends on random numbers; .* rg.by_graph"),
        (lambda x: rg.by_graph(training=x, inference=x[0]), rg.ShapeError, "must have the same rank"),
        (lambda x: rg.by_graph(training=x, inference=rg.cast(x, "float64")), rg.DtypeError, "float32 and float64"),
        (lambda x: rg.dropout(x, 1.5), rg.ArgumentError, r"keep_prob=1.5 is outside \(0, 1\]"),
        (lambda x: rg.dropout(rg.cast(x, "int32"), 0.5), rg.DtypeError, "dropout needs a float Tensor"),
        (lambda x: rg.dropout(rg.reduce_sum(x), 0.5), rg.ShapeError, r"\[rows, …, units\]"),
        (
            lambda x: rg.ZoneoutWrapper(rg.GRUCell(3), state_keep_prob=0),
            rg.ArgumentError,
            "=0 is outside",
        ),
        (
            lambda x: rg.ZoneoutWrapper(rg.LSTMCell(3), state_keep_prob=(0.5, 0.5, 0.5)),
            rg.StructureError,
            r"state_keep_prob takes 2 entries \(c, h\), not 3",
        ),
    ],
)
def test_mistakes_name_the_line_and_the_remedy(
    declare: Callable[[rg.Tensor], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"test_randomness\.py:\d+: .*{message}"):
        rg.compile(declare(sequence("float32")))
