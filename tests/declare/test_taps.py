"""Taps: values and gradients inside a declaration, without cost if they are not requested."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

Array = np.ndarray
Look = Callable[[str, rg.Tensor], rg.Tensor]
UNITS, WIDTH, BATCH, TIME = 5, 3, 7, 6


class Looked(rg.Cell):
    """RNN cell that taps its sum before the activation."""

    def __init__(self, num_units: int, look: Look = rg.tap) -> None:
        self.num_units, self.look = num_units, look

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.num_units
        kernel = p.kernel("kernel", (x.width + n, n))
        drive = self.look("drive", rg.concat([x, state["h"]]) @ kernel + p.bias("bias", (n,)))
        h = rg.tanh(drive)
        return h, {"h": h}


def data(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def randomised(program: rg.Program) -> rg.Program:
    for number, (name, array) in enumerate(program.parameters.items()):
        program.parameters[name] = data(*array.shape, seed=number)
    return program


def driven(parameters: Any, prefix: str, x: Array, lengths: Array, reverse: bool = False) -> tuple[Array, Array]:
    """Return (tapped sums, outputs) of ``Looked`` in NumPy."""
    kernel, bias = parameters[f"{prefix}/kernel"], parameters[f"{prefix}/bias"]
    h, drives = np.zeros((len(x), len(bias))), np.zeros((*x.shape[:2], len(bias)))
    outputs = np.zeros_like(drives)
    for step in reversed(range(x.shape[1])) if reverse else range(x.shape[1]):
        live = step < lengths
        drive = np.concatenate([x[:, step], h], axis=1) @ kernel + bias
        h = np.where(live[:, None], np.tanh(drive), h)
        drives[live, step], outputs[live, step] = drive[live], h[live]
    return drives, outputs


@pytest.mark.parametrize("time_major", [False, True])
def test_a_tap_inside_a_step_has_time(time_major: bool) -> None:
    x = rg.placeholder("x", (None, None, WIDTH), "float64")
    row_lengths = rg.placeholder("lengths", (None,), "int64")
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([Looked(UNITS)] * 2), x, row_lengths, time_major=time_major)
    program = randomised(rg.compile({"outputs": outputs}))
    batch, lengths = data(BATCH, TIME, WIDTH), np.array([6, 0, 3, 1, 6, 5, 2])
    turned: Callable[[Array], Array] = (lambda array: array.swapaxes(0, 1)) if time_major else (lambda array: array)
    taps = program.inference.taps(x=turned(batch), lengths=lengths)
    first, below = driven(program.parameters, "rnn/multi_rnn_cell/cell_0/looked", batch, lengths)
    second, _ = driven(program.parameters, "rnn/multi_rnn_cell/cell_1/looked", below, lengths)
    assert list(taps) == ["drive", "drive_1"]
    np.testing.assert_allclose(turned(taps["drive"]), first, atol=1e-12)
    np.testing.assert_allclose(turned(taps["drive_1"]), second, atol=1e-12)


def test_taps_of_both_directions_and_shared_cells() -> None:
    x = rg.placeholder("x", (None, None, WIDTH), "float64")
    cell = rg.shared(Looked(UNITS))
    row_lengths = rg.placeholder("lengths", (None,), "int64")
    both, _ = rg.bidirectional_dynamic_rnn(cell, cell, x, row_lengths)
    program = randomised(rg.compile({"outputs": rg.tap("both", rg.concat(both))}))
    array, lengths = data(BATCH, TIME, WIDTH), np.array([6, 0, 3, 1, 6, 5, 2])
    taps = program.inference.taps(x=array, lengths=lengths)
    prefix = next(iter(program.parameters)).rpartition("/")[0]
    assert list(taps) == ["drive", "drive_1", "both"]
    for name, reverse in (("drive", False), ("drive_1", True)):
        expected, outputs = driven(program.parameters, prefix, array, lengths, reverse)
        np.testing.assert_allclose(taps[name], expected, atol=1e-12)
        np.testing.assert_allclose(taps["both"][:, :, UNITS * reverse :][:, :, :UNITS], outputs, atol=1e-12)


def decoder(look: Look) -> tuple[dict[str, Any], rg.Tensor]:
    first = rg.placeholder("first", (None, UNITS))
    first_input = look("given", rg.tanh(first * 2.0))
    cell = rg.DropoutWrapper(Looked(UNITS, look), output_keep_prob=0.5)
    outputs, _, lengths = rg.dynamic_decode(
        cell, first_input, lambda y, _: look("fed", y * 2.0), TIME, stop=lambda y: rg.reduce_max(y, axis=1) > 0.9
    )
    error = look("error", rg.square(outputs - rg.placeholder("y", (None, 1, 1))))
    loss = rg.reduce_mean(error)
    return {"outputs": outputs, "lengths": lengths}, loss


def reader(look: Look) -> tuple[dict[str, Any], rg.Tensor]:
    x = rg.placeholder("x", (None, None, WIDTH))
    cell = rg.ResidualWrapper(
        rg.MultiRNNCell([Looked(UNITS, look), rg.DropoutWrapper(Looked(WIDTH, look), input_keep_prob=0.5)])
    )
    outputs, state = rg.dynamic_rnn(cell, look("inputs", x * 0.5), rg.placeholder("lengths", (None,), "int64"))
    last = look("last", outputs[:, -1])
    scores = rg.dense(look("again", look("last", rg.relu(last))), 4)
    loss = rg.sparse_softmax_cross_entropy(rg.placeholder("y", (None,), "int64"), scores)
    return {"scores": scores, "state": state}, look("loss", loss)


@pytest.mark.parametrize("declare", [decoder, reader])
def test_graphs_without_taps_are_unchanged(declare: Any) -> None:
    tapped, plain = (rg.compile(*declare(look)) for look in (rg.tap, lambda name, tensor: tensor))
    assert "tap" in tapped.inference.show("declared")
    for ours, theirs in ((tapped.inference, plain.inference), (tapped.training, plain.training)):
        for stage in ours.stages[1:]:
            assert ours.show(stage) == theirs.show(stage)
    tapped.training.taps(feeds_of(declare))
    assert str(tapped.training.graph) == str(plain.training.graph)


def feeds_of(declare: Any) -> dict[str, Array]:
    if declare is decoder:
        return {"first": data(BATCH, UNITS), "y": data(BATCH, 1, 1)}
    lengths = np.array([6, 0, 3, 1, 6, 5, 2])
    return {"x": data(BATCH, TIME, WIDTH), "lengths": lengths, "y": np.arange(BATCH) % 4}


def test_taps_of_a_decoder_end_with_the_row() -> None:
    program = randomised(rg.compile(*decoder(rg.tap)))
    feeds = {"first": data(BATCH, UNITS)}
    result, taps = program.inference(feeds), program.inference.taps(feeds)
    assert list(taps) == ["given", "drive", "fed"]
    live = np.arange(TIME) < result["lengths"][:, None]
    assert 0 < live.mean() < 1
    np.testing.assert_allclose(taps["given"], np.tanh(np.float32(feeds["first"]) * 2), atol=1e-6)
    np.testing.assert_allclose(np.tanh(taps["drive"]), result["outputs"], atol=1e-6)
    np.testing.assert_array_equal(taps["fed"], result["outputs"] * 2)
    assert not taps["drive"][~live].any()


@pytest.mark.parametrize("declare", [decoder, reader])
def test_training_taps_are_those_of_a_call_with_the_seed(declare: Any) -> None:
    program = randomised(rg.compile(*declare(rg.tap)))
    feeds = feeds_of(declare)
    taps = program.training.taps(feeds, seed=3)
    loss = program.training(feeds, seed=3)["loss"]
    if declare is decoder:
        assert list(taps) == ["given", "drive", "fed", "error"]
        np.testing.assert_allclose(taps["error"].mean(), loss, rtol=1e-6)
        assert list(program.training.taps(first=feeds["first"], seed=3)) == ["given", "drive", "fed"]
        np.testing.assert_array_equal(taps["fed"], program.training(feeds, seed=3)["outputs"] * 2)
        assert not np.array_equal(taps["fed"], program.training.taps(feeds, seed=4)["fed"])
    else:
        assert list(taps) == ["inputs", "drive", "drive_1", "last", "last_1", "again", "loss"]
        assert taps["loss"] == loss
        np.testing.assert_array_equal(taps["last_1"], np.maximum(taps["last"], 0))
        assert "loss" not in program.inference.taps({name: feeds[name] for name in ("x", "lengths")})


def test_gradients_of_taps_add_up_to_those_of_parameters() -> None:
    x = rg.placeholder("x", (None, None, WIDTH), "float64")
    row_lengths = rg.placeholder("lengths", (None,), "int64")
    outputs, _ = rg.dynamic_rnn(Looked(UNITS), rg.tap("inputs", x), row_lengths)
    scale = rg.parameter("scale", (UNITS,), dtype="float64")
    loss = rg.reduce_sum(rg.square(rg.tap("outputs", outputs * scale) - 1.0))
    program = randomised(rg.compile({"outputs": outputs}, loss=loss))
    feeds = {"x": data(BATCH, TIME, WIDTH), "lengths": np.array([6, 0, 3, 1, 6, 5, 2])}
    plain, gradients = program.training.gradients(feeds, wrt=["x"])
    loss_with_taps, actual = program.training.gradients(feeds, wrt=["x", "tap:drive", "tap:inputs", "tap:outputs"])
    np.testing.assert_allclose(loss_with_taps, plain, rtol=1e-13)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(actual[name], gradient, atol=1e-11)
    values = program.inference.taps(feeds)
    h = np.tanh(values["drive"])
    before = np.concatenate([np.zeros((BATCH, 1, UNITS)), h[:, :-1]], axis=1)
    read = np.concatenate([feeds["x"], before], axis=2)
    drive = actual["tap:drive"]
    np.testing.assert_allclose(actual["rnn/looked/bias"], drive.sum(axis=(0, 1)), atol=1e-11)
    np.testing.assert_allclose(actual["rnn/looked/kernel"], np.einsum("bti,btj->ij", read, drive), atol=1e-11)
    np.testing.assert_array_equal(actual["tap:inputs"], actual["x"])
    live = np.arange(TIME) < feeds["lengths"][:, None]
    assert not drive[~live].any()
    assert drive[live].all()
    expected = 2 * (program.inference(feeds)["outputs"] * program.parameters["scale"] - 1)
    np.testing.assert_allclose(actual["tap:outputs"], expected, atol=1e-12)
    only, _ = program.training.gradients(feeds, wrt=["tap:drive"])
    np.testing.assert_allclose(only, plain, rtol=1e-13)


def test_gradients_of_taps_by_differences_in_a_decoder() -> None:
    """A placeholder added at the tap gives the finite differences."""
    first = rg.placeholder("first", (BATCH, UNITS), "float64")
    moves = rg.placeholder("moves", (BATCH, TIME, UNITS), "float64")
    cell = Looked(UNITS)

    def declared(look: Callable[[rg.Tensor, Any], rg.Tensor]) -> rg.Tensor:
        outputs, _, _ = rg.dynamic_decode(
            cell,
            first,
            lambda y, move: look(y * 0.5, move),
            TIME,
            inputs=moves,
            stop=lambda y: rg.reduce_max(y, axis=1) > 0.9,
        )
        return rg.reduce_sum(rg.square(outputs))

    loss, other = declared(lambda y, move: rg.tap("fed", y + 0.0 * move)), declared(lambda y, move: y + move)
    program, moved = (
        randomised(rg.compile({"loss_": loss}, loss=loss)),
        randomised(rg.compile({"l": other}, loss=other)),
    )
    feeds = {"first": data(BATCH, UNITS), "moves": np.zeros((BATCH, TIME, UNITS))}
    ours = program.training.gradients(feeds, wrt=["tap:fed"])[1]["tap:fed"]
    theirs = moved.training.gradients(feeds, wrt=["moves"])[1]["moves"]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert ours.any()


def test_taps_that_a_graph_does_not_need_are_left_out() -> None:
    x = rg.placeholder("x", (None, 3))
    noisy = rg.tap("noisy", x + rg.random_normal(x))
    y = rg.by_graph(training=noisy, inference=rg.tap("calm", x * 1.5))
    rg.tap("unread", x)
    program = rg.compile({"y": y})
    array = data(4, 3)
    assert list(program.inference.taps(x=array)) == ["calm"]
    taps = program.training.taps(x=array, seed=2)
    assert list(taps) == ["noisy"]
    np.testing.assert_array_equal(taps["noisy"], program.training(x=array, seed=2)["y"])
    assert rg.compile({"y": x * 2.0}).inference.taps(x=array) == {}


def test_a_saved_program_has_its_taps(tmp_path: Path) -> None:
    program = randomised(rg.compile(*decoder(rg.tap)))
    program.save(tmp_path / "model")
    loaded = rg.load(tmp_path / "model")
    feeds = feeds_of(decoder)
    pairs = [(program.training.taps(feeds, seed=3), loaded.training.taps(feeds, seed=3))]
    pairs.append(tuple(p.inference.taps(first=feeds["first"]) for p in (program, loaded)))  # type: ignore[arg-type]
    wrt = ["tap:drive", "tap:given"]
    pairs.append(tuple(p.training.gradients(feeds, seed=3, wrt=wrt)[1] for p in (program, loaded)))  # type: ignore[arg-type]
    for ours, theirs in pairs:
        assert list(ours) == list(theirs)
        for name, value in ours.items():
            np.testing.assert_array_equal(theirs[name], value)


def test_mistakes() -> None:
    x = rg.placeholder("x", (None, 3))
    with pytest.raises(rg.ArgumentError, match="a tap needs a name"):
        rg.tap("", x)
    with pytest.raises(rg.DtypeError, match="tap 'a' needs a Tensor"):
        rg.tap("a", 3.0)  # type: ignore[arg-type]
    ids = rg.tap("ids", rg.argmax(rg.tap("a", x)))
    program = rg.compile({"ids": ids}, loss=rg.reduce_sum(x * rg.cast(ids[:, None], "float32")))
    assert program.inference.taps(x=np.eye(3))["ids"].tolist() == [0, 1, 2]
    with pytest.raises(
        rg.ArgumentError, match="wrt='tap:b' is not a float tap of the training graph; its float taps are"
    ):
        program.training.gradients(x=np.eye(3), wrt=["tap:b"])
    with pytest.raises(rg.ArgumentError, match="wrt='tap:ids' is not a float tap"):
        program.training.gradients(x=np.eye(3), wrt=["tap:ids"])
    with pytest.raises(rg.NameLookupError, match="needs x"):
        program.inference.taps()
    with pytest.raises(rg.StructureError, match="gradients or taps have"):
        rg.compile({"tap:x": x})
