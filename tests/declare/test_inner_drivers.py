"""Drivers within a cell's step, against NumPy: states, masks, random numbers, taps and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.declare.nest import flatten
from rnngraph.ir.interpreter import interpret

BATCH, WORDS, LETTERS, WIDTH, UNITS = 7, 5, 3, 2, 4
Arrays = dict[str, np.ndarray]


class Words(rg.Cell):
    """Cell that reads the letters of a word with an inner cell, and then the word.

    Its input is the letters, one after another, and their number.
    """

    def __init__(self, inner: rg.Cell, **options: Any) -> None:
        self.inner, self.outer, self.options = inner, rg.GRUCell(UNITS), options

    def state(self) -> Any:
        return {"h": UNITS}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        letters = rg.reshape(x[:, :-1], (None, LETTERS, WIDTH))
        count = rg.cast(x[:, -1], "int64")
        outputs, last = rg.dynamic_rnn(self.inner, letters, count, **self.options)
        word = rg.concat([rg.reduce_sum(outputs, axis=1), flatten(last)[-1]])
        return p.cell("word", self.outer)(word, state["h"])


class Thinking(rg.Wrapper):
    """Wrapper that runs three steps of a cell from the outer state, and returns the last output."""

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        thrice = rg.tile(rg.expand_dims(x, 1), (1, 3, 1))
        outputs, after = rg.dynamic_rnn(self.cell, thrice, initial_state=state)
        return outputs[:, -1], after


def feeds(seed: int = 0, batch: int = BATCH, words: int = WORDS) -> Arrays:
    generator = np.random.default_rng(seed)
    letters = generator.normal(size=(batch, words, LETTERS * WIDTH))
    count = generator.integers(0, LETTERS + 1, (batch, words, 1)).astype(float)
    return {"x": np.concatenate([letters, count], axis=2)}


def compiled(cell: rg.Cell, width: int, loss: bool = False, **more: Any) -> rg.Program:
    x = rg.placeholder("x", (None, None, width), "float64")
    outputs, state = rg.dynamic_rnn(cell, x)
    total = rg.reduce_sum(rg.square(outputs)) if loss else None
    program = rg.compile({"outputs": outputs, "state": state} | more, loss=total)
    generator = np.random.default_rng(2)
    for name, array in program.parameters.items():
        program.parameters[name] = generator.normal(0.0, 0.5, array.shape)
    return program


def words_in_numpy(
    spec: reference.Spec, parameters: Any, x: np.ndarray, masks: Any = None, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the results of ``Words`` in NumPy. ``masks`` of the inner cell are [batch, words, letters, width]."""
    state, outputs = np.zeros((len(x), UNITS)), []
    for word in range(x.shape[1]):
        letters, count = x[:, word, :-1].reshape(len(x), LETTERS, WIDTH), x[:, word, -1].astype(int)
        applied = None if masks is None else {site: mask[:, word] for site, mask in masks.items()}
        letter_outputs, last = reference.dynamic_rnn(
            spec, parameters, letters, count, scope="rnn/rnn", masks=applied, **options
        )
        read = np.concatenate([letter_outputs.sum(axis=1), flatten(last)[-1]], axis=1)
        output, state = reference.run_cell(reference.GRU(UNITS), parameters, "rnn/words/word", read, state)
        outputs.append(output)
    return np.stack(outputs, axis=1), state


INNER: dict[str, tuple[Callable[[], rg.Cell], reference.Spec]] = {
    "lstm": (lambda: rg.LSTMCell(3), reference.LSTM(3)),
    "stack": (
        lambda: rg.MultiRNNCell([rg.GRUCell(3, reset_after=True), rg.ResidualWrapper(rg.BasicRNNCell(3))]),
        reference.Stack((reference.GRU(3, reset_after=True), reference.Residual(reference.RNN(3)))),
    ),
    "dropout": (
        lambda: rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=0.7, output_keep_prob=0.6, state_keep_prob=0.8),
        reference.Dropout(reference.GRU(3), 0.7, 0.6, 0.8),
    ),
}


@pytest.mark.parametrize("name", ["lstm", "dropout"])
def test_equations(name: str) -> None:
    """Both graphs match the equations. Dropout masks differ for each letter of each word."""
    check_equations(name, reverse=name == "dropout")


@pytest.mark.exhaustive
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch", [1, 3, BATCH, 63])
@pytest.mark.parametrize("name", INNER)
def test_every_equation(name: str, batch: int, reverse: bool) -> None:
    check_equations(name, reverse, batch)


def check_equations(name: str, reverse: bool, batch: int = BATCH) -> None:
    build, spec = INNER[name]
    program = compiled(Words(build(), reverse=reverse), LETTERS * WIDTH + 1)
    for fed in (feeds(0, batch), feeds(1, batch, 1)):
        masks = program.training.dropout_masks(fed, seed=3)
        for result, applied in ((program.inference(fed), None), (program.training(fed, seed=3), masks)):
            wanted, final = words_in_numpy(spec, program.parameters, fed["x"], applied, backwards=reverse)
            assert_allclose(result["outputs"], wanted, rtol=1e-11, atol=1e-12)
            assert_allclose(result["state"], final, rtol=1e-11, atol=1e-12)
        if name == "dropout":
            assert {mask.shape[:3] for mask in masks.values()} == {(*fed["x"].shape[:2], LETTERS)}
    if name == "dropout":
        for mask in program.training.dropout_masks(feeds(0, batch), seed=3).values() if batch > 3 else ():
            steps = mask.transpose(1, 2, 0, 3).reshape(WORDS * LETTERS, -1)
            # all steps, inner and outer, have different masks
            assert len({row.tobytes() for row in steps}) == len(steps)


def test_a_call_in_parts_draws_the_masks_of_the_whole() -> None:
    program, fed = compiled(Words(INNER["dropout"][0]()), LETTERS * WIDTH + 1), feeds()
    whole = program.training(fed, seed=5)["outputs"]
    moved = np.roll(fed["x"], -2, axis=0)
    rows = program.training(x=moved, seed=5, first_row=2)["outputs"]
    assert_array_equal(rows[:-2], whole[2:])
    tail = program.training(x=fed["x"][:, :1], seed=5)["outputs"]
    assert_array_equal(tail, whole[:, :1])


def test_steps_from_the_outer_state_on() -> None:
    """Three inner steps for each input equal every third step of a sequence that repeats each input three times."""
    program = compiled(Thinking(rg.LSTMCell(5)), 3, loss=True)
    x = np.random.default_rng(1).normal(size=(BATCH, 6, 3))
    parameters = {name.replace("rnn/rnn", "rnn"): array for name, array in program.parameters.items()}
    wanted, final = reference.dynamic_rnn(reference.LSTM(5), parameters, np.repeat(x, 3, axis=1))
    result = program.inference(x=x)
    assert_allclose(result["outputs"], wanted[:, 2::3], rtol=1e-11, atol=1e-12)
    for actual, expected in zip(flatten(result["state"]), flatten(final), strict=True):
        assert_allclose(actual, expected, rtol=1e-11, atol=1e-12)
    graph = program.inference.graph
    values = {item["label"]: program.parameters[item["label"]] for item in graph.inputs if item["label"] != "x"}
    assert_allclose(interpret(graph, {"x": x, **values})["outputs"], result["outputs"], rtol=1e-11, atol=1e-12)
    stream = program.inference.stream(batch=BATCH)
    steps = [stream.step(x=x[:, step])["outputs"] for step in range(6)]
    assert_array_equal(np.stack(steps, axis=1), result["outputs"])
    other = compiled(rg.LSTMCell(5), 3)
    other.parameters.load(parameters)
    assert_array_equal(other.inference(x=np.repeat(x, 3, axis=1))["outputs"][:, 2::3], result["outputs"])


def test_gradients_are_those_of_finite_differences() -> None:
    program, fed = compiled(Words(rg.GRUCell(3)), 7, loss=True), feeds()
    _, gradients = program.training.gradients(fed, seed=1, wrt=["x"])
    generator = np.random.default_rng(6)
    for name, gradient in gradients.items():
        array = fed["x"] if name == "x" else program.parameters[name].copy()
        place = tuple(
            generator.integers(0, size - (name == "x" and axis == 2)) for axis, size in enumerate(array.shape)
        )
        before, totals = array[place], []
        for moved in (before + 1e-6, before - 1e-6):
            array[place] = moved
            if name != "x":
                program.parameters[name] = array
            totals.append(np.square(program.inference(fed)["outputs"]).sum())
        array[place] = before
        if name != "x":
            program.parameters[name] = array
        assert_allclose(gradient[place], (totals[0] - totals[1]) / 2e-6, rtol=1e-5, atol=1e-7, err_msg=name)


def test_entries_after_the_end_of_a_word_are_never_read() -> None:
    program, fed = compiled(Words(rg.GRUCell(3)), 7), feeds()
    broken = fed["x"].copy()
    past = np.arange(LETTERS * WIDTH) // WIDTH >= broken[:, :, -1:]
    broken[:, :, :-1][past] = np.nan
    assert_array_equal(program.inference(x=broken)["outputs"], program.inference(fed)["outputs"])


class Masked(rg.Cell):
    """Cell that masks letters of zeros, in both directions, and then runs a driver within a driver's step."""

    def state(self) -> Any:
        return {"h": 2}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        letters = rg.reshape(x, (None, LETTERS, WIDTH))
        real = rg.reduce_any(rg.not_equal(letters, 0), axis=2)
        (ahead, back), _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(3), rg.GRUCell(2), letters, mask=real)
        deep, last = rg.dynamic_rnn(Thinking(rg.GRUCell(2)), rg.concat([ahead, back], -1), mask=real, scope="deep")
        summed = rg.reduce_sum(rg.cumsum(deep, axis=1), axis=1)
        return rg.tanh(summed + state["h"]), {"h": last}


def test_masks_both_directions_and_drivers_within_drivers() -> None:
    program = compiled(Masked(), LETTERS * WIDTH)
    generator = np.random.default_rng(4)
    letters = generator.normal(size=(BATCH, WORDS, LETTERS, WIDTH))
    letters[generator.random((BATCH, WORDS, LETTERS)) < 0.5] = 0.0
    result = program.inference(x=letters.reshape(BATCH, WORDS, -1))
    h, thrice = np.zeros((BATCH, 2)), {}
    for name, array in program.parameters.items():
        thrice[name.replace("rnn/deep/rnn", "deep")] = array
    for word in range(WORDS):
        runs = letters[:, word].any(axis=2)
        options = {"runs": runs}
        ahead, _ = reference.dynamic_rnn(
            reference.GRU(3), program.parameters, letters[:, word], scope="rnn/bidirectional_rnn/fw", **options
        )
        back, _ = reference.dynamic_rnn(
            reference.GRU(2),
            program.parameters,
            letters[:, word],
            scope="rnn/bidirectional_rnn/bw",
            backwards=True,
            **options,
        )
        both = np.repeat(np.concatenate([ahead, back], axis=2), 3, axis=1)
        deep, last = reference.dynamic_rnn(
            reference.GRU(2), thrice, both, scope="deep", runs=np.repeat(runs, 3, axis=1)
        )
        output = np.tanh(np.cumsum(deep[:, 2::3], axis=1).sum(axis=1) + h)
        assert_allclose(result["outputs"][:, word], output, rtol=1e-11, atol=1e-12)
        h = last
    assert_allclose(result["state"], h, rtol=1e-11, atol=1e-12)


class Decoding(rg.Cell):
    """Cell that runs a decoder of up to four steps, with a number of steps for each row."""

    def state(self) -> Any:
        return {"h": 3}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        outputs, last, count = rg.dynamic_decode(
            rg.GRUCell(3), x, lambda y, _: rg.tanh(y), 4, initial_state=state, stop=lambda y: y[:, 0] > 0.1
        )
        return rg.concat([rg.reduce_sum(outputs, 1), rg.cast(rg.expand_dims(count, 1), p.dtype)]), last

    @property
    def output_size(self) -> int:
        return 4


def test_a_decoder_within_a_step() -> None:
    program = compiled(Decoding(), 3)
    x = np.random.default_rng(5).normal(size=(BATCH, WORDS, 3))
    result, h = program.inference(x=x), np.zeros((BATCH, 3))
    counts = set()
    for step in range(WORDS):
        fed, total, live, step_counts = (
            x[:, step],
            np.zeros((BATCH, 3)),
            np.ones((BATCH, 1), bool),
            np.zeros((BATCH, 1)),
        )
        for _ in range(4):
            output, new = reference.run_cell(reference.GRU(3), program.parameters, "rnn/decoder", fed, h)
            total, h, step_counts = total + np.where(live, output, 0.0), np.where(live, new, h), step_counts + live
            live = live & ~(output[:, :1] > 0.1)
            fed = np.where(live, np.tanh(output), fed)
        counts |= set(step_counts[:, 0])
        assert_allclose(result["outputs"][:, step], np.hstack([total, step_counts]), rtol=1e-11, atol=1e-12)
    assert_allclose(result["state"], h, rtol=1e-11, atol=1e-12)
    assert len(counts) > 2


def test_taps_have_an_axis_of_inner_steps() -> None:
    class Seen(rg.Wrapper):
        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            output, state = p.cell(None, self.cell)(rg.tap("letter", x), state)
            return rg.tap("output", output), state

    program, fed = compiled(Words(Seen(rg.GRUCell(3))), 7, loss=True), feeds()
    actual = program.inference.taps(fed)
    letters = fed["x"][:, :, :-1].reshape(BATCH, WORDS, LETTERS, WIDTH)
    real = np.arange(LETTERS) < fed["x"][:, :, -1:]
    assert_array_equal(actual["letter"], np.where(real[..., None], letters, 0.0))
    assert actual["output"].shape == (BATCH, WORDS, LETTERS, 3)
    _, gradients = program.training.gradients(fed, seed=1, wrt=["x", "tap:letter", "tap:output"])
    assert gradients["tap:output"].shape == (BATCH, WORDS, LETTERS, 3)
    assert_allclose(
        gradients["tap:letter"].reshape(BATCH, WORDS, -1), gradients["x"][:, :, :-1], rtol=1e-12, atol=1e-14
    )


def test_names_are_in_the_scope_of_the_outer_driver() -> None:
    class Twice(rg.Cell):
        def state(self) -> Any:
            return {"h": 3}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            sequence = rg.reshape(x, (None, 2, 3))
            _, first = rg.dynamic_rnn(rg.GRUCell(3), sequence)
            _, second = rg.dynamic_rnn(rg.GRUCell(3), sequence, initial_state=first)
            _, third = rg.dynamic_rnn(rg.GRUCell(3), sequence, initial_state=second, scope="third")
            return third + state["h"], {"h": third}

    x = rg.placeholder("x", (None, None, 6))
    one, _ = rg.dynamic_rnn(Twice(), x)
    two, _ = rg.dynamic_rnn(Twice(), x)
    program = rg.compile({"one": one, "two": two})
    scopes = {name.partition("/gru_cell")[0] for name in program.parameters}
    inner = ("rnn", "rnn_1", "third")
    assert scopes == {f"{outer}/{name}" for outer in ("rnn", "rnn_1") for name in inner}


class Image(rg.Cell):
    """Cell whose step is a causal convolution over five positions, without further parameters."""

    def state(self) -> Any:
        return {"h": 10}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        places = rg.concat([rg.expand_dims(x, 2), rg.reshape(state["h"], (None, 5, 2))], 2)
        h = rg.reshape(rg.tanh(rg.conv1d(places, 2, 3)), (None, 10))
        return h, {"h": h}


def test_a_layer_within_a_step_that_runs_as_a_driver() -> None:
    x = rg.placeholder("x", (None, None, 5), "float64")
    outputs, _ = rg.dynamic_rnn(Image(), x)
    later, _ = rg.dynamic_rnn(Image(), outputs[:, :, :5])
    program = rg.compile({"outputs": outputs, "behind": later})
    assert [*program.parameters] == ["conv1d/kernel", "conv1d/bias", "conv1d_1/kernel", "conv1d_1/bias"]
    kernel = program.parameters["conv1d/kernel"]
    fed, h = np.random.default_rng(0).normal(size=(3, 4, 5)), np.zeros((3, 5, 2))
    result = program.inference(x=fed)["outputs"]
    for t in range(4):
        before = np.pad(np.concatenate([fed[:, t, :, None], h], 2), ((0, 0), (2, 0), (0, 0)))
        h = np.tanh(sum(before[:, j : j + 5] @ kernel[j] for j in range(3)))
        assert_allclose(result[:, t], h.reshape(3, 10), rtol=1e-12, atol=1e-13)


def test_saved_and_loaded_and_trained_on(tmp_path: Any) -> None:
    program, fed = compiled(Words(rg.DropoutWrapper(rg.BasicRNNCell(3), output_keep_prob=0.6)), 7, loss=True), feeds()
    trainer = rg.Trainer(program, rg.Adam(1e-2))
    losses = [trainer.step(x=fed["x"], seed=1) for _ in range(5)]
    assert losses[-1] < losses[0]
    program.save(tmp_path / "saved")
    reloaded = rg.load(tmp_path / "saved")
    assert_array_equal(reloaded.training(fed, seed=4)["outputs"], program.training(fed, seed=4)["outputs"])


def test_random_numbers_for_other_rows_than_the_steps_are_refused_with_their_line() -> None:
    class Rows(rg.Cell):
        def state(self) -> Any:
            return {"h": 2}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            rows = rg.reshape(x, (-1, 2, 3))
            dropped = rg.DropoutWrapper(rg.GRUCell(2), output_keep_prob=0.5)
            _, last = rg.dynamic_rnn(dropped, rows)
            h = rg.reduce_sum(rg.reshape(last, (-1, 2, 2)), 1)
            return h, {"h": h}

    x = rg.placeholder("x", (None, None, 12))
    with pytest.raises(rg.GraphError, match="rows are not the step's") as caught:
        rg.compile(rg.dynamic_rnn(Rows(), x)[0])
    assert "test_inner_drivers.py" in str(caught.value)


def test_a_named_layer_of_a_step_is_in_the_scope_of_its_driver() -> None:
    class Projected(rg.Cell):
        def state(self) -> dict[str, int]:
            return {"h": 2}

        def step(self, p: Any, x: Any, state: Any) -> tuple[Any, Any]:
            h = rg.tanh(rg.dense(x, 2, name="inner") + rg.dense(state["h"], 2))
            return h, {"h": h}

    x = rg.placeholder("x", (None, None, 2))
    outputs = {scope: rg.dynamic_rnn(Projected(), x, scope=scope)[0] for scope in ("enc", "dec")}
    outputs["twice"], _ = rg.dynamic_rnn(rg.MultiRNNCell([Projected(), Projected()]), x)
    outputs["top"] = rg.dense(x, 2, name="inner")
    program = rg.compile(outputs)
    names = {name for name in program.parameters if name.endswith("kernel") and not name.startswith("dense")}
    assert names == {f"{scope}/kernel" for scope in ("enc/inner", "dec/inner", "rnn/inner", "rnn/inner_1", "inner")}
    where = {node.where.layer for node in program.inference.graph.nodes if node.where and "inner" in node.where.layer}
    assert "enc/inner" in where
