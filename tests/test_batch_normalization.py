"""Batch normalization and ``with_update``: both forms against NumPy in float64, and the times of updates."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_gradients import check_differences
from training import compiled_once

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.training.steps.train_state import TrainState

MEAN, VARIANCE = "batch_normalization/moving_mean", "batch_normalization/moving_variance"


def normal(seed: int, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=shape) * 2 + 0.5).astype(dtype)


def statistics(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and biased variance over all other axes, in float64."""
    others = tuple(other for other in range(x.ndim) if other != axis % x.ndim)
    wide = x.astype(np.float64)
    return wide.mean(others), wide.var(others)


def along(vector: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    return vector.reshape([-1 if place == axis % x.ndim else 1 for place in range(x.ndim)])


def normalized(
    x: np.ndarray, axis: int, mean: np.ndarray, variance: np.ndarray, epsilon: float, gamma: Any, beta: Any
) -> np.ndarray:
    """Return the normalised values, as Keras defines them."""
    mean, variance, gamma, beta = (
        along(np.broadcast_to(np.asarray(item, np.float64), mean.shape), x, axis)
        for item in (mean, variance, gamma, beta)
    )
    return np.asarray(gamma * (x - mean) / np.sqrt(variance + epsilon) + beta)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((7, 3), -1),
        ((17, 1), 1),
        ((3, 25, 7), -1),
        ((2, 7, 25), 1),
        ((1, 63, 17), 2),
        ((2, 3, 7, 2), -3),
        ((25, 3), 0),
    ],
)
@pytest.mark.parametrize("options", [{}, {"center": False, "scale": False, "epsilon": 0.1}])
def test_both_forms(shape: tuple[int, ...], axis: int, options: dict[str, Any]) -> None:
    dtype = "float64" if shape[0] == 7 else "float32"
    declared = [size if place == axis % len(shape) else None for place, size in enumerate(shape)]
    x, fed = rg.placeholder("x", declared, dtype), normal(0, shape, dtype)
    program = rg.compile(rg.batch_normalization(x, axis, **options))
    names = [name for name, kept in (("gamma", "scale"), ("beta", "center")) if options.get(kept, True)]
    names += ["moving_mean", "moving_variance"]
    assert list(program.parameters) == [f"batch_normalization/{name}" for name in names]
    values: dict[str, Any] = {"gamma": 1.0, "beta": 0.0}
    for seed, (name, array) in enumerate(program.parameters.items()):
        assert (array == (1 if name.endswith(("gamma", "variance")) else 0)).all()
        values[name.rpartition("/")[2]] = program.parameters[name] = np.abs(normal(seed, array.shape, dtype)) + 0.3
    scale, epsilon = (values["gamma"], values["beta"]), options.get("epsilon", 1e-3)
    close: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-11} if dtype == "float64" else {"rtol": 2e-5, "atol": 3e-5}
    trained = normalized(fed, axis, *statistics(fed, axis), epsilon, *scale)
    inferred = normalized(fed, axis, values["moving_mean"], values["moving_variance"], epsilon, *scale)
    np.testing.assert_allclose(program.training(x=fed), trained, **close)
    np.testing.assert_allclose(program.inference(x=fed), inferred, **close)


@pytest.mark.parametrize("axis", [-1, 1])
def test_derivatives_pass_through_the_statistics(axis: int) -> None:
    x = rg.placeholder("x", (None, 4, 3), "float64")
    value = rg.batch_normalization(x, axis)
    weights = normal(1, (5, 4, 3), "float64")
    feeds = {"x": normal(2, (5, 4, 3), "float64")}
    check_differences(rg.reduce_sum(rg.tanh(value) * weights), feeds, ["x"])


def regression(momentum: float = 0.9, **options: Any) -> rg.Program:
    """Return a net [batch, time, 3] -> [batch, time, 2] with a normalization before a recurrence of five units."""
    x, y = (rg.placeholder(name, (None, None, width)) for name, width in (("x", 3), ("y", 2)))
    shown = rg.dense(rg.dynamic_rnn(rg.BasicRNNCell(5), rg.batch_normalization(x, momentum=momentum))[0], 2)
    return rg.compile({"output": shown}, loss=rg.mean_squared_error(y, shown), seed=3, **options)


def batch(seed: int, rows: int = 4, steps: int = 6) -> dict[str, np.ndarray]:
    return {"x": normal(seed, (rows, steps, 3)), "y": normal(seed + 50, (rows, steps, 2))}


def averages(program: rg.Program) -> list[np.ndarray]:
    return [np.array(program.parameters[name]) for name in (MEAN, VARIANCE)]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Any:
    with compiled_once():
        yield


@pytest.mark.parametrize(("momentum", "accumulate", "threads"), [(0.9, 1, 1), (0.9, 1, 2), (0.9, 3, 1), (0.0, 1, 1)])
def test_steps_update_moving_averages(momentum: float, accumulate: int, threads: int) -> None:
    """Every step updates the averages, including steps that only accumulate gradients."""
    program = regression(momentum=momentum, threads=threads)
    trainer = rg.Trainer(program, rg.SGD(0.1), accumulate=accumulate)
    assert not set(trainer.trained) & {MEAN, VARIANCE}
    mean, variance = np.zeros(3), np.ones(3)
    for seed in range(5):
        fed = batch(seed)
        trainer.step(fed)
        for kept, new in zip((mean, variance), statistics(fed["x"], -1), strict=True):
            kept[...] = kept * momentum + new * (1 - momentum)
        for actual, expected in zip(averages(program), (mean, variance), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    before = averages(program)
    trainer.flush()  # applying accumulated gradients does not count as a step
    assert trainer.updates == (5 if accumulate == 1 else 2)
    np.testing.assert_array_equal(averages(program), before)


def test_only_training_steps_change_moving_averages() -> None:
    program = regression()
    trainer = rg.Trainer(program, rg.SGD(0.1))
    trainer.step(batch(0))
    before, fed = averages(program), batch(1)
    program.training(fed)
    program.training.gradients(fed)
    program.evaluate(fed)
    program.inference(x=fed["x"])
    trainer.evaluate(fed)
    np.testing.assert_array_equal(averages(program), before)
    fed["y"] = np.full_like(fed["y"], np.inf)
    assert not np.isfinite(trainer.step(fed))
    assert trainer.skipped == 1
    np.testing.assert_array_equal(averages(program), before)
    with pytest.raises(rg.ShapeError):
        trainer.step(x=fed["x"], y=fed["y"][:, :3])
    np.testing.assert_array_equal(averages(program), before)


@pytest.fixture
def raised_interrupts() -> Iterator[None]:
    """Let Ctrl-C raise ``KeyboardInterrupt``, because background jobs of a shell ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("raised_interrupts")
@pytest.mark.parametrize("ran", [False, True])
def test_an_interrupt_finds_steps_whole(ran: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Ctrl-C arrives before native code, or while its results are stored, a step counts whole or not at all."""
    name, armed = "count" if ran else "seed_of_step", False
    called = getattr(TrainState, name)

    def interrupted(*arguments: Any) -> Any:
        if armed:
            signal.raise_signal(signal.SIGINT)
        return called(*arguments)

    monkeypatch.setattr(TrainState, name, interrupted)
    program = regression()
    trainer, fed = rg.Trainer(program, rg.SGD(0.1)), batch(0)
    trainer.step(fed)
    before, armed = averages(program), True
    trainer.state.interrupt.watch()  # as ``fit`` does in each epoch
    with pytest.raises(KeyboardInterrupt):
        trainer.step(fed)
    trainer.state.interrupt.release()
    changed = [not np.array_equal(*pair) for pair in zip(averages(program), before, strict=True)]
    assert changed == [ran, ran]
    assert trainer.updates == 1 + ran


def test_an_array_with_other_references_is_not_written_to() -> None:
    program = regression()
    trainer = rg.Trainer(program, rg.SGD(0.1))
    seen = []
    for seed in range(4):
        seen.append((program.parameters[MEAN], np.array(program.parameters[MEAN])))
        trainer.step(batch(seed))
    for kept_value, copy in seen:
        np.testing.assert_array_equal(kept_value, copy)
    assert len({copy.tobytes() for _, copy in seen}) == 4


def test_moving_averages_are_saved_and_continue(tmp_path: Path) -> None:
    """Checkpoints contain the averages, and so do programs, whose new trainers continue them."""
    program = regression()
    trainer = rg.Trainer(program, rg.SGD(0.1))
    for seed in range(3):
        trainer.step(batch(seed))
    trainer.save(tmp_path / "t")
    program.save(tmp_path / "p")
    before = averages(program)
    trainer.step(batch(3))
    expected = {name: np.array(array) for name, array in program.parameters.items()}
    second = regression()
    restored = rg.Trainer.load(tmp_path / "t", second)
    np.testing.assert_array_equal(averages(second), before)
    loaded = rg.load(tmp_path / "p")
    np.testing.assert_array_equal(averages(loaded), before)
    actual = [copy.inference(x=batch(9)["x"])["output"] for copy in (loaded, second)]
    np.testing.assert_array_equal(*actual)
    restored.step(batch(3))
    for name, array in expected.items():
        np.testing.assert_array_equal(second.parameters[name], array, name)
    rg.Trainer(loaded, rg.SGD(0.1)).step(batch(3))
    np.testing.assert_array_equal(averages(loaded), [expected[MEAN], expected[VARIANCE]])


def test_the_best_epoch_keeps_its_averages() -> None:
    """The best epoch is restored completely, so that its validation loss is reproduced."""
    program = regression(momentum=0.5)
    examples = {"x": normal(0, (12, 6, 3)), "y": normal(1, (12, 6, 2))}
    trainer = rg.Trainer(program, rg.SGD(rg.PiecewiseConstant([9], [0.05, 4.0])))
    history = trainer.fit(examples, epochs=5, batch_size=4, validation=examples, keep_best=True, progress=False)
    best = history.best()
    assert best < 5
    measured = trainer.evaluate(examples, batch_size=4)["loss"]
    np.testing.assert_allclose(measured, history.row(best)["validation_loss"], rtol=1e-5)


def test_predictions_keep_rows_separate() -> None:
    """The inference graph uses averages, so that a row's bits do not depend on the batch."""
    program = regression()
    trainer = rg.Trainer(program, rg.SGD(0.1))
    trainer.step(batch(0))
    examples = [normal(seed, (1 + 2 * (seed % 2), 3)) for seed in range(6)]
    actual = program.predict({"x": examples}, batch_size=3)["output"]
    for row, example in zip(actual, examples, strict=True):
        np.testing.assert_array_equal(row, program.inference(x=example[None])["output"][0])


def test_channels_are_scaled_where_they_are_computed() -> None:
    """In the inference graph a normalization is a factor and an addend for each channel, computed when parameters
    change.
    """
    x = rg.placeholder("x", (None, 25))
    program = rg.compile(rg.relu(rg.batch_normalization(rg.dense(x, 33, use_bias=False))))
    plan = program.inference.show("plan")
    text = program.inference.show("loops")
    assert text.count("tile ") >= 1
    assert "sqrt" in text
    fed = normal(0, (17, 25))
    expected = np.maximum(fed.astype(float) @ program.parameters["dense/kernel"] / np.sqrt(1 + 1e-3), 0)
    np.testing.assert_allclose(program.inference(x=fed), expected, rtol=1e-4, atol=1e-5)
    at_each_call = [group for group in plan.split("\ngroup ")[1:] if "when parameters change" not in group]
    assert "".join(at_each_call).count("\n  kernel ") == 1


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(7, 3), (25, 17, 5), (2, 63, 1)])
def test_torchs_form(shape: tuple[int, ...]) -> None:
    """torch's values, gradients and averages agree, except that its running variance is unbiased."""
    torch = pytest.importorskip("torch")
    axis, width = len(shape) - 1, shape[-1]
    x = rg.placeholder("x", (None,) * axis + (width,))
    value = rg.batch_normalization(x, momentum=0.7, epsilon=1e-5)
    weights = normal(1, shape)
    program = rg.compile({"y": value}, loss=rg.reduce_sum(rg.tanh(value) * weights))
    theirs = torch.nn.BatchNorm1d(width, eps=1e-5, momentum=0.3)
    for name, tensor in zip(("gamma", "beta"), (theirs.weight, theirs.bias), strict=True):
        array = normal(2, (width,))
        program.parameters[f"batch_normalization/{name}"] = array
        tensor.data = torch.tensor(array)
    count, variance = int(np.prod(shape[:-1])), np.ones(width)
    trainer = rg.Trainer(program, rg.SGD(0.0))
    for seed in range(3):
        fed = normal(seed, shape)
        variance = variance * 0.7 + fed.reshape(-1, width).astype(float).var(0) * 0.3
        given = torch.tensor(fed, requires_grad=True)
        expected = theirs(given.reshape(-1, width)).reshape(given.shape)
        (torch.tanh(expected) * torch.tensor(weights)).sum().backward()
        np.testing.assert_allclose(program.training(x=fed)["y"], expected.detach().numpy(), rtol=1e-4, atol=1e-4)
        _, gradients = program.training.gradients({"x": fed}, wrt=["x"])
        np.testing.assert_allclose(gradients["x"], given.grad.numpy(), rtol=2e-3, atol=2e-4)
        trainer.step(x=fed)
    np.testing.assert_allclose(program.parameters[MEAN], theirs.running_mean.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(program.parameters[VARIANCE], variance, rtol=1e-4)
    unbiased = 0.7**3 + (variance - 0.7**3) * count / (count - 1)
    np.testing.assert_allclose(theirs.running_var.numpy(), unbiased, rtol=1e-4)


@pytest.mark.peers
@pytest.mark.parametrize(("shape", "axis"), [((7, 3), -1), ((5, 25, 4), 1), ((3, 17, 7), -1)])
def test_kerass_layer(shape: tuple[int, ...], axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras' layer agrees in training and in inference, and so do averages after several batches."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    declared = [size if place == axis % len(shape) else None for place, size in enumerate(shape)]
    x = rg.placeholder("x", declared)
    value = rg.batch_normalization(x, axis, momentum=0.6)
    program = rg.compile({"y": value}, loss=rg.reduce_sum(value))
    trainer = rg.Trainer(program, rg.SGD(0.0))
    layer = keras.layers.BatchNormalization(axis=axis, momentum=0.6)
    close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
    for seed in range(4):
        fed = normal(seed, shape)
        expected = keras.ops.convert_to_numpy(layer(fed, training=True))
        np.testing.assert_allclose(program.training(x=fed)["y"], expected, **close)
        trainer.step(x=fed)
        expected = keras.ops.convert_to_numpy(layer(fed, training=False))
        np.testing.assert_allclose(program.inference(x=fed)["y"], expected, **close)
    for actual, variable in zip(averages(program), (layer.moving_mean, layer.moving_variance), strict=True):
        np.testing.assert_allclose(actual, keras.ops.convert_to_numpy(variable), **close)


# with_update -----------------------------------------------------------------------------------------


def test_any_parameter_can_be_updated() -> None:
    """A counter of steps is updated by training; an update in the inference graph has no effect."""
    x = rg.placeholder("x", (None, 3))
    count = rg.parameter("count", (1,), "zeros", trainable=False, dtype="float64")
    never = rg.parameter("never", (3,), "zeros", trainable=False)
    y = rg.by_graph(training=x, inference=rg.with_update(x, never, never + 1.0))
    shown = rg.dense(rg.with_update(y, count, count + 1.0), 1)
    program = rg.compile({"shown": shown, "count": count * 1.0}, loss=rg.reduce_sum(rg.square(shown)))
    trainer = rg.Trainer(program, rg.SGD(1e-3))
    for number in range(3):
        assert program.inference(x=normal(0, (2, 3)))["count"] == program.parameters["count"] == number
        trainer.step(x=normal(number, (2, 3)))
    assert not program.parameters["never"].any()


def test_an_update_needs_no_gradient_of_its_own() -> None:
    """The updating value passes no gradient to its operands, even if these are trained."""
    x = rg.placeholder("x", (4, 3))
    w, kept = rg.parameter("w", (3,), "ones"), rg.parameter("kept", (3,), "zeros", trainable=False)
    value = rg.reduce_sum(x * w, 0)
    program = rg.compile(value, loss=rg.reduce_sum(rg.with_update(value, kept, rg.square(value))))
    fed = normal(0, (4, 3))
    _, gradients = program.training.gradients({"x": fed}, wrt=["x"])
    np.testing.assert_allclose(gradients["w"], fed.sum(0), rtol=1e-5)
    rg.Trainer(program, rg.SGD(0.1)).step(x=fed)
    np.testing.assert_allclose(program.parameters["kept"], fed.sum(0) ** 2, rtol=1e-4)


class Normalizes(rg.Cell):
    def state(self) -> Any:
        return 3

    def step(self, p: Any, x: Any, h: Any) -> Any:
        h = rg.batch_normalization(x + h)
        return h, h


def placed(*shape: Any, dtype: str = "float32") -> rg.Tensor:
    return rg.placeholder("x", shape, dtype)


MISTAKES = {
    "ints": (lambda: rg.batch_normalization(placed(None, 3, dtype="int32")), rg.DtypeError, "float"),
    "an array": (lambda: rg.batch_normalization(np.zeros((2, 3))), rg.DtypeError, "float Tensor"),
    "no batch": (lambda: rg.batch_normalization(placed(3)), rg.ShapeError, "batch"),
    "an open axis": (lambda: rg.batch_normalization(placed(None, None, 3), 1), rg.ShapeError, "fixed size along"),
    "no such axis": (lambda: rg.batch_normalization(placed(None, 3), 2), rg.ShapeError, "axis 2"),
    "several axes": (lambda: rg.batch_normalization(placed(None, 3), [1]), rg.ShapeError, "axis"),
    "momentum": (lambda: rg.batch_normalization(placed(None, 3), momentum=1.5), rg.ArgumentError, "momentum=1.5"),
    "no number": (lambda: rg.batch_normalization(placed(None, 3), momentum="a"), rg.DtypeError, "momentum"),
    "epsilon": (lambda: rg.batch_normalization(placed(None, 3), epsilon=0), rg.ArgumentError, "epsilon=0"),
    "center": (lambda: rg.batch_normalization(placed(None, 3), center=2), rg.DtypeError, "center"),
    "a cell": (lambda: rg.compile(rg.dynamic_rnn(Normalizes(), placed(None, None, 3))[0]), rg.GraphError, "layer_norm"),
    "a trained one": (
        lambda: rg.with_update(placed(2, 3), rg.parameter("w", (3,)), 0.0),
        rg.ArgumentError,
        "trainable=False",
    ),
    "no parameter": (lambda: rg.with_update(placed(2, 3), placed(3), 0.0), rg.ArgumentError, "rg.parameter"),
    "another shape": (
        lambda: rg.with_update(placed(2, 3), rg.parameter("w", (3,), trainable=False), placed(2)),
        rg.ShapeError,
        "can't become",
    ),
    "no tensor": (
        lambda: rg.with_update(1.0, rg.parameter("w", (3,), trainable=False), 0.0),
        rg.DtypeError,
        "with_update needs a Tensor",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    declare, kind, words = MISTAKES[name]
    with pytest.raises(kind, match=words) as error:
        declare()
    assert "test_batch_normalization.py" in str(error.value)


def test_one_parameter_is_updated_in_one_place() -> None:
    x, kept = placed(2, 3), rg.parameter("kept", (2, 3), "zeros", trainable=False)
    twice = rg.dense(rg.with_update(rg.with_update(x, kept, kept + 1.0), kept, kept + 2.0), 1)
    program = rg.compile(twice, loss=rg.reduce_sum(twice))
    with pytest.raises(rg.GraphError, match="kept is updated in two places"):
        rg.Trainer(program)


def test_a_file_can_not_update_trained_parameters(tmp_path: Path) -> None:
    x, w = placed(2, 3), rg.parameter("w", (2, 3), trainable=False)
    y = rg.with_update(x * w, w, w + 1.0)
    spec = w.node["slot"]
    object.__setattr__(spec, "trainable", True)
    with pytest.raises(rg.FileError, match="updated by with_update and trained"):  # the file has been parsed
        rg.compile(y, loss=rg.reduce_sum(y)).save(tmp_path / "p")


# TensorFlow 1.x --------------------------------------------------------------------------------------


def test_tensorflows_arguments() -> None:
    """With training=True, TensorFlow's function equals rnngraph's layer. With False, both graphs use fixed averages."""
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    y = tf.layers.batch_normalization(x, momentum=0.5, gamma_initializer=tf.constant_initializer(2.0), training=True)
    z = tf.layers.batch_normalization(x, name="frozen", moving_mean_initializer=tf.ones_initializer())
    fed = normal(0, (8, 3))
    program = rg.compile({"y": y, "z": z}, loss=tf.reduce_mean(tf.square(y)) + tf.reduce_mean(tf.square(z)))
    actual = program.training(x=fed)
    np.testing.assert_allclose(actual["y"], normalized(fed, -1, *statistics(fed, -1), 1e-3, 2.0, 0.0), atol=1e-5)
    np.testing.assert_allclose(actual["z"], (fed - 1) / np.sqrt(1.001), atol=1e-5)
    rg.Trainer(program, rg.SGD(0.1)).step(x=fed)
    np.testing.assert_allclose(program.parameters[MEAN], fed.mean(0) / 2, atol=1e-5)
    np.testing.assert_array_equal(program.parameters["frozen/moving_mean"], np.ones(3))
    assert not np.array_equal(program.parameters["frozen/beta"], np.zeros(3))


@pytest.mark.parametrize(
    "options",
    [
        {"renorm": True},
        {"virtual_batch_size": 2},
        {"trainable": False},
        {"reuse": True},
        {"gamma_regularizer": 1},
    ],
)
def test_tensorflows_arguments_that_are_not_offered(options: dict[str, Any]) -> None:
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with pytest.raises(rg.ArgumentError, match=next(iter(options))):
        tf.layers.batch_normalization(x, **options)
