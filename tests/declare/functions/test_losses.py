"""Accuracy and elementwise losses against NumPy: weights, lengths, and shapes that fit or not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf

BATCH, TIME, CLASSES = 5, 7, 4


def arrays(dtype: str = "float32") -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {
        "y": generator.integers(0, CLASSES, size=(BATCH, TIME)),
        "logits": generator.normal(size=(BATCH, TIME, CLASSES)).astype(dtype),
        "n": np.array([7, 1, 3, 0, 5]),
        "w": generator.uniform(size=(BATCH, TIME)).astype(dtype),
    }


def evaluated(feeds: dict[str, np.ndarray], used: tuple[str, ...] = (), **fixed: Any) -> np.ndarray:
    """Return ``rg.accuracy`` of the feeds. Weights and lengths named in ``used`` are placeholders."""
    inputs = {
        name: rg.placeholder(name, (None,) * array.ndim if name != "logits" else (*array.shape[:-1], CLASSES), dtype)
        for name, array in feeds.items()
        if name in ("y", "logits") or name in used
        for dtype in [str(array.dtype)]
    }
    arguments = {"weights": inputs["w"]} if "w" in used else {}
    arguments |= {"lengths": inputs["n"]} if "n" in used else {}
    measure = rg.accuracy(inputs["y"], inputs["logits"], **arguments, **fixed)
    program = rg.compile({"accuracy": measure})
    return program.inference({name: feeds[name] for name in inputs})["accuracy"]


def expected(feeds: dict[str, np.ndarray], weights: Any = 1.0, lengths: Any = None) -> float:
    hit = feeds["logits"].argmax(-1) == feeds["y"]
    weights = np.broadcast_to(weights, hit.shape).astype(np.float64)
    if lengths is not None:
        weights = weights * (np.arange(TIME) < lengths[:, None])
    return float((hit * weights).sum() / weights.sum())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("used", [(), ("n",), ("w",), ("n", "w")])
def test_accuracy_of_steps(dtype: str, used: tuple[str, ...]) -> None:
    feeds = arrays(dtype)
    actual = evaluated(feeds, used)
    wanted = expected(feeds, feeds["w"] if "w" in used else 1.0, feeds["n"] if "n" in used else None)
    assert actual.dtype == dtype
    assert actual.shape == ()
    assert 0 < wanted < 1
    np.testing.assert_allclose(actual, wanted, rtol=1e-6)


def test_accuracy_of_rows() -> None:
    feeds = {"y": np.array([0, 2, 1], np.int32), "logits": np.eye(3, 4, dtype=np.float32)}
    np.testing.assert_allclose(evaluated(feeds), 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(evaluated(feeds, weights=0.5), 1 / 3, rtol=1e-6)


def test_values_beyond_a_length_do_not_count() -> None:
    feeds = arrays()
    past = np.arange(TIME) >= feeds["n"][:, None]
    spoiled = feeds | {
        "y": np.where(past, -7, feeds["y"]),
        "logits": np.where(past[..., None], np.float32(np.nan), feeds["logits"]),
    }
    assert evaluated(spoiled, ("n",)) == evaluated(feeds, ("n",))


def test_an_invalid_label_is_never_correct_and_no_real_step_gives_zero() -> None:
    feeds = arrays()
    assert evaluated(feeds | {"y": np.full((BATCH, TIME), -1)}) == 0
    assert evaluated(feeds | {"n": np.zeros(BATCH, np.int64)}, ("n",)) == 0


def test_arguments_that_do_not_fit_are_errors() -> None:
    y, logits = rg.placeholder("y", (None,), "int64"), rg.placeholder("logits", (None, 3))
    with pytest.raises(rg.DtypeError, match="labels must be a Tensor of int32 or int64"):
        rg.accuracy(logits[:, 0], logits)
    with pytest.raises(rg.DtypeError, match="logits must be a float Tensor"):
        rg.accuracy(y, y)
    with pytest.raises(rg.ShapeError, match="without the last axis"):
        rg.accuracy(y, rg.placeholder("l", (None, None, 3)))
    with pytest.raises(rg.ShapeError, match="lengths= needs losses"):
        rg.accuracy(y, logits, lengths=y)


OF_PREDICTIONS = [
    rg.mean_squared_error,
    rg.absolute_difference,
    rg.huber_loss,
    rg.sigmoid_cross_entropy,
    rg.softmax_cross_entropy,
    tf.losses.mean_squared_error,
    tf.losses.absolute_difference,
    tf.losses.huber_loss,
    tf.losses.log_loss,
    tf.losses.hinge_loss,
    lambda y, x: tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x),
]


@pytest.mark.parametrize("number", range(len(OF_PREDICTIONS)))
def test_neither_labels_nor_predictions_are_repeated(number: int) -> None:
    """Broadcasting [batch] with [batch, 1] would pair every label with every prediction."""
    loss, shapes = OF_PREDICTIONS[number], ((4,), (3,), (None, 1), (None, 3), (None, None, 3))
    for have, want in itertools.permutations(shapes, 2):
        with pytest.raises(rg.ShapeError, match=r"labels .* must have the same shape"):
            loss(rg.placeholder("y", have), rg.placeholder("x", want))


def test_a_call_finds_labels_that_would_be_repeated() -> None:
    x, y = rg.placeholder("x", (None, None, 3)), rg.placeholder("y", (None, 1), "int64")
    one, open_width = rg.placeholder("one", (None, 1)), rg.placeholder("open", (None, None))
    length = rg.placeholder("length", (1,), "int64")
    wide = {"x": np.ones((4, 5, 3)), "y": np.zeros((4, 1), int), "one": np.ones((4, 1)), "open": np.ones((4, 5))}
    narrow = {"x": np.ones((1, 1, 3)), "y": [[0]], "one": np.ones((4, 1)), "open": np.ones((4, 1))}
    for loss in (
        rg.sparse_softmax_cross_entropy(y, x),
        rg.accuracy(y, x),
        rg.mean_squared_error(open_width, one),
        rg.gather_last(x, length),
        rg.reverse_sequence(x, length),
        rg.accuracy(rg.argmax(x), x, lengths=length),
        rg.ctc_loss(rg.constant([[1, 1]]), x),
    ):
        program = rg.compile({"made": loss})
        with pytest.raises(rg.ShapeError, match="must be equal"):
            program.inference({name: (wide | {"length": [1]})[name] for name in program.inputs})
        program.inference({name: (narrow | {"length": [1]})[name] for name in program.inputs})


def test_one_number_is_a_label_for_all() -> None:
    x = rg.placeholder("x", (None, 3))
    array = np.random.default_rng(0).normal(size=(4, 3))
    result = rg.compile({"made": rg.mean_squared_error(1.0, x)}).inference(x=array)["made"]
    np.testing.assert_allclose(result, np.square(array - 1).mean(), rtol=1e-6)


SMOOTH: dict[str, Callable[[rg.Tensor], rg.Tensor]] = {
    "softplus": rg.softplus,
    "elu": rg.elu,
    "softsign": rg.softsign,
    "sigmoid_cross_entropy": lambda x: rg.sigmoid_cross_entropy(np.full((1, 3), 0.25), x, reduction="sum"),
    "tf.nn": lambda x: tf.nn.sigmoid_cross_entropy_with_logits(labels=np.full((1, 3), 0.25), logits=x),
    "huber_loss": lambda x: rg.huber_loss(np.zeros((1, 3)), x, reduction="sum"),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_slope_at_zero_is_that_of_the_function(name: str) -> None:
    """Smooth losses may be written with a maximum or an absolute value, which has a kink. Output layers start at 0."""
    x = rg.parameter("x", (1, 3), "zeros", dtype="float64")
    total = rg.reduce_sum(SMOOTH[name](x))
    program = rg.compile({"total": total}, loss=total)
    _, gradients = program.training.gradients(seed=0)
    ends = []
    for step in (1e-6, -1e-6):
        program.parameters["x"] = np.full((1, 3), step)
        ends.append(float(program.inference()["total"]))
    np.testing.assert_allclose(gradients["x"].sum(), (ends[0] - ends[1]) / 2e-6, atol=1e-5)


ERRORS = {
    "mean_squared_error": lambda y, z: (z - y) ** 2,
    "absolute_difference": lambda y, z: abs(z - y),
    "huber_loss": lambda y, z: np.where(abs(z - y) <= 1, 0.5 * (z - y) ** 2, abs(z - y) - 0.5),
    "sigmoid_cross_entropy": lambda y, z: np.logaddexp(0, z) - y * z,
}


def losses_of(y: np.ndarray, z: np.ndarray, names: Iterable[str], **options: Any) -> dict[str, np.ndarray]:
    labels, logits = (rg.placeholder(name, (None, 3), "float64") for name in ("y", "z"))
    program = rg.compile({name: getattr(rg, name)(labels, logits, **options) for name in names})
    return program.inference({"y": y, "z": z})


def test_losses_of_elements_are_not_averaged() -> None:
    generator = np.random.default_rng(2)
    y, z = generator.uniform(size=(4, 3)), generator.normal(size=(4, 3)) * 2
    each = losses_of(y, z, ERRORS, reduction="elements", weights=2.0)
    rows = losses_of(y, z, ERRORS, reduction="none")
    for name, function in ERRORS.items():
        np.testing.assert_allclose(each[name], 2 * function(y, z), rtol=1e-12)
        np.testing.assert_allclose(rows[name], function(y, z).mean(-1), rtol=1e-12)


def test_pos_weight_weighs_the_part_of_labels_of_one() -> None:
    generator = np.random.default_rng(3)
    y, z = generator.uniform(size=(4, 3)), generator.normal(size=(4, 3)) * 2
    weight = np.array([0.5, 1.0, 7.0])
    actual = losses_of(y, z, ["sigmoid_cross_entropy"], reduction="elements", pos_weight=weight)
    wanted = weight * y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)
    np.testing.assert_allclose(actual["sigmoid_cross_entropy"], wanted, rtol=1e-12)


def test_losses_of_elements_take_no_lengths() -> None:
    x = rg.placeholder("x", (None, 3))
    with pytest.raises(rg.ArgumentError, match="takes no lengths"):
        rg.mean_squared_error(0.0, x, lengths=rg.placeholder("n", (None,), "int32"), reduction="elements")
