"""``dynamic_decode`` against its equations in NumPy and other drivers: calls, streams, exports, training."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from own_cells import Speller
from test_gradients import check_differences

import rnngraph as rg
from rnngraph.declare import tensor
from rnngraph.ir.graph import Graph
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.text.parser import parse
from rnngraph.passes.optimization import rounding
from rnngraph.passes.pipeline import run
from rnngraph.passes.unroll import Unroll

WORDS, UNITS, STEPS, STOP = 7, 5, 9, 3
Array = np.ndarray


def data(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def randomised(program: rg.Program, seed: int = 0) -> rg.Program:
    for number, (name, array) in enumerate(program.parameters.items()):
        program.parameters[name] = data(*array.shape, seed=number + seed)
    return program


def words(dtype: str, **options: Any) -> tuple[dict[str, Any], rg.Tensor]:
    """Declare an encoder, and a decoder that starts from the encoder's state and feeds each word back."""
    x = rg.placeholder("x", (None, None, 3), dtype)
    _, state = rg.dynamic_rnn(rg.GRUCell(UNITS), x)
    table = rg.parameter("table", (WORDS, 4), dtype=dtype)
    outputs, final, lengths = rg.dynamic_decode(
        Speller(rg.GRUCell(UNITS), WORDS),
        table[2],
        lambda output, _: rg.gather(table, rg.argmax(output)),
        STEPS,
        initial_state=state,
        stop=lambda output: rg.equal(rg.argmax(output), STOP),
        **options,
    )
    return {"outputs": outputs, "final": final, "lengths": lengths}, outputs


def spelled(parameters: Any, x: Array, steps: int = STEPS) -> tuple[Array, Array, Array]:
    """Return the results of ``words`` in NumPy."""
    _, h = reference.dynamic_rnn(reference.GRU(UNITS), parameters, x.astype(np.float64), None)
    table = np.asarray(parameters["table"], np.float64)
    fed, live, lengths = np.repeat(table[2:3], len(x), axis=0), np.ones(len(x), bool), np.zeros(len(x), np.int64)
    outputs = np.zeros((len(x), steps, WORDS))
    for step in range(steps):
        output, after = reference.gru_step(reference.GRU(UNITS), parameters, "decoder", fed, h)
        output = output @ np.asarray(parameters["decoder/scores"], np.float64)
        outputs[live, step], h, lengths = output[live], np.where(live[:, None], after, h), lengths + live
        live = live & (output.argmax(axis=1) != STOP)
        fed = table[output.argmax(axis=1)]
    return outputs, np.asarray(h), lengths


@pytest.mark.parametrize("batch", [1, 7, 25])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_words_are_fed_back_until_every_row_has_stopped(batch: int, dtype: str) -> None:
    outputs, _ = words(dtype)
    program = randomised(rg.compile(outputs), 5)
    x = data(batch, 4, 3).astype(dtype)
    result = program.inference(x=x)
    expected = spelled(program.parameters, x)
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(result["outputs"], expected[0], atol=tolerance)
    np.testing.assert_allclose(result["final"], expected[1], atol=tolerance)
    assert result["lengths"].dtype == np.int64
    np.testing.assert_array_equal(result["lengths"], expected[2])
    assert batch < 25 or result["lengths"].min() < STEPS == result["lengths"].max()
    assert all(not result["outputs"][row, length:].any() for row, length in enumerate(result["lengths"]))


def test_rows_do_not_depend_on_how_long_others_run() -> None:
    program = randomised(rg.compile(words("float32")[0]), 5)
    x = data(25, 4, 3).astype(np.float32)
    together = program.inference(x=x)
    for row in range(25):
        alone = program.inference(x=x[row : row + 1])
        for name in ("outputs", "final", "lengths"):
            np.testing.assert_array_equal(alone[name][0], together[name][row])
    seen: list[int | None] = []
    quick = int(together["lengths"].argmin())
    feeds = {"x": x[quick : quick + 1], **dict(program.parameters)}
    interpret(program.inference.graph, feeds, seen=lambda node, *_: seen.append(_[-1]) if node.op == "less" else None)
    assert max(step for step in seen if step is not None) == together["lengths"][quick] - 1 < STEPS - 1


def aligned(stop: bool, dtype: str = "float64") -> tuple[rg.Tensor, Any, rg.Tensor]:
    """Declare a decoder that reads an input together with its previous output, and stops at a large output."""
    inputs = rg.placeholder("inputs", (None, None, 2), dtype)
    first = rg.placeholder("first", (None, 3), dtype)
    cell = rg.MultiRNNCell([rg.ResidualWrapper(rg.BasicRNNCell(3)), rg.LSTMCell(4)])
    return rg.dynamic_decode(
        cell,
        first,
        lambda output, x_t: output[:, :3] * 0.5 + rg.concat([x_t, x_t[:, :1]]),
        None,
        inputs=inputs,
        stop=(lambda output: rg.reduce_max(output, axis=1) > 0.25) if stop else None,
    )


@pytest.mark.parametrize("stop", [False, True])
def test_inputs_are_joined_with_the_fed_back_output(stop: bool) -> None:
    outputs, final, lengths = aligned(stop)
    program = randomised(rg.compile({"outputs": outputs, "final": final, "lengths": lengths}))
    inputs, first = data(7, 11, 2), data(7, 3)
    result = program.inference(inputs=inputs, first=first)
    spec = reference.Stack((reference.Residual(reference.RNN(3)), reference.LSTM(4)))
    state, fed, live = reference.zero_state(spec, 7), first, np.ones(7, bool)
    for step in range(11):
        output, after = reference.run_cell(spec, program.parameters, "decoder", fed, state)
        np.testing.assert_allclose(result["outputs"][:, step], np.where(live[:, None], output, 0), atol=1e-12)
        state = reference.map_state(lambda new, old: np.where(live[:, None], new, old), after, state)  # noqa: B023
        fed = output[:, :3] * 0.5 + inputs[:, step, [0, 1, 0]]
        np.testing.assert_array_equal(live, step < result["lengths"])
        live = live & ~(stop & (output.max(axis=1) > 0.25))
    np.testing.assert_allclose(result["final"][0], state[0], atol=1e-12)
    np.testing.assert_allclose(result["final"][1].c, state[1][0], atol=1e-12)
    np.testing.assert_allclose(result["final"][1].h, state[1][1], atol=1e-12)
    assert (result["lengths"].min() < 11) == stop


def test_inputs_of_stopped_rows_have_no_effect() -> None:
    outputs, _, lengths = aligned(True)
    program = randomised(rg.compile({"outputs": outputs, "lengths": lengths}, loss=rg.reduce_sum(rg.square(outputs))))
    inputs, first = data(7, 11, 2), data(7, 3)
    clean, step_counts = program.inference(inputs=inputs, first=first).values()
    loss, gradients = program.training.gradients(inputs=inputs, first=first, wrt=["inputs"])
    for row, length in enumerate(step_counts):
        inputs[row, length:] = np.nan
    np.testing.assert_array_equal(program.inference(inputs=inputs, first=first)["outputs"], clean)
    loss_with_nan, others = program.training.gradients(inputs=inputs, first=first, wrt=["inputs"])
    assert loss_with_nan == loss
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(others[name], gradient)


def test_a_lone_decoder_has_the_rows_of_its_first_input() -> None:
    outputs, _, lengths = rg.dynamic_decode(rg.BasicRNNCell(3), rg.constant(data(1, 3)), lambda y, _: y * 2.0, 4)
    program = randomised(rg.compile({"outputs": outputs, "lengths": lengths}))
    result = program.inference()
    h, fed = np.zeros((1, 3)), data(1, 3)
    for step in range(4):
        _, h = reference.rnn_step(reference.RNN(3), program.parameters, "decoder", fed, h)
        np.testing.assert_allclose(result["outputs"][:, step], h, atol=1e-12)
        fed = h * 2
    assert result["lengths"].tolist() == [4]


@pytest.mark.parametrize("limit", [None, 4])
def test_lengths_alone_have_the_rows_and_steps_that_are_fed(limit: int | None) -> None:
    inputs = rg.placeholder("inputs", (None, limit, 3))
    cell, first = rg.BasicRNNCell(3), rg.placeholder("first", (None, 3))
    _, _, lengths = rg.dynamic_decode(cell, first, lambda y, x: y + x, limit, inputs=inputs)
    program = rg.compile(lengths)
    for rows in (1, 7):
        result = program.inference(inputs=data(rows, 4, 3), first=data(rows, 3))
        np.testing.assert_array_equal(result, np.full(rows, 4))


# The training graph ---------------------------------------------------------------------------------


def taught(probability: Any) -> rg.Tensor:
    teacher = rg.placeholder("teacher", (None, STEPS, 3), "float64")
    first = rg.placeholder("first", (None, 3), "float64")
    outputs, _, _ = rg.dynamic_decode(
        rg.GRUCell(3), first, lambda y, _: y * 2.0, STEPS, teacher=teacher, teacher_prob=probability
    )
    return outputs


def test_a_teacher_who_always_speaks_is_an_input() -> None:
    outputs = taught(1.0)
    program = randomised(rg.compile({"outputs": outputs}, loss=rg.reduce_sum(rg.square(outputs))))
    inputs = rg.placeholder("x", (None, None, 3), "float64")
    plain = rg.compile({"outputs": rg.dynamic_rnn(rg.GRUCell(3), inputs, scope="decoder")[0]})
    plain.parameters.load(program.parameters)
    first_input, teacher = data(7, 3), data(7, STEPS, 3)
    sequence = np.concatenate([first_input[:, None], teacher[:, :-1]], axis=1)
    np.testing.assert_allclose(
        program.training(first=first_input, teacher=teacher)["outputs"],
        plain.inference(x=sequence)["outputs"],
        atol=1e-13,
    )
    assert "teacher" not in str(program.inference.graph)
    alone = program.inference(first=first_input)["outputs"]
    np.testing.assert_allclose(alone[:, 0], plain.inference(x=sequence)["outputs"][:, 0], atol=1e-13)
    assert not np.allclose(alone[:, 1:], plain.inference(x=sequence)["outputs"][:, 1:], atol=0.1)


@pytest.mark.parametrize("fed", [False, True])
def test_sampling_is_scheduled_by_row_and_step(fed: bool) -> None:
    probability = rg.placeholder("p", (), "float64") if fed else 0.5
    outputs = taught(probability)
    program = randomised(rg.compile({"outputs": outputs}))
    assert "random" not in str(program.inference.graph)
    feeds: dict[str, Any] = {"first": data(25, 3), "teacher": data(25, STEPS, 3)} | ({"p": 0.5} if fed else {})
    result = program.training(feeds, seed=4)["outputs"]
    assert np.array_equal(program.training(feeds, seed=4)["outputs"], result)
    h, x, chosen = np.zeros((25, 3)), feeds["first"], []
    for step in range(STEPS):
        h, _ = reference.gru_step(reference.GRU(3), program.parameters, "decoder", x, h)
        np.testing.assert_allclose(result[:, step], h, atol=1e-12)
        if step + 1 < STEPS:  # either choice must explain the next output
            options = [h * 2, feeds["teacher"][:, step]]
            outcomes = [
                reference.gru_step(reference.GRU(3), program.parameters, "decoder", option, h)[0] for option in options
            ]
            errors = [abs(outcome - result[:, step + 1]).max(axis=1) for outcome in outcomes]
            chosen.append(errors[1] < errors[0])
            x = np.where(chosen[-1][:, None], options[1], options[0])
    drawn = np.array(chosen)
    assert 0.35 < drawn.mean() < 0.65
    assert not (drawn == drawn[:1]).all()
    assert not (drawn == drawn[:, :1]).all()
    halves = [
        program.training(
            {**feeds, "first": feeds["first"][rows], "teacher": feeds["teacher"][rows]}, seed=4, first_row=rows.start
        )["outputs"]
        for rows in (slice(0, 12), slice(12, 25))
    ]
    np.testing.assert_array_equal(np.concatenate(halves), result)
    if fed:
        with pytest.raises(rg.NameLookupError, match="'p'"):
            program.inference(first=feeds["first"], p=0.5)
        never, always = (program.training({**feeds, "p": p}, seed=4)["outputs"] for p in (0.0, 1.0))
        np.testing.assert_array_equal(never, program.inference(first=feeds["first"])["outputs"])
        assert not np.allclose(never, always)


def test_gradients_through_fed_back_outputs_equal_differences() -> None:
    outputs, final, _ = aligned(True)
    loss = rg.reduce_sum(rg.square(outputs)) + rg.reduce_sum(final[1].c * final[0][:, :1])
    check_differences(loss, {"inputs": data(7, 11, 2), "first": data(7, 3)}, ["inputs", "first"])
    outputs = taught(rg.placeholder("p", (), "float64"))
    feeds = {"teacher": data(3, STEPS, 3), "first": data(3, 3), "p": np.float64(0.5)}
    check_differences(rg.reduce_sum(rg.square(outputs)), feeds, ["teacher", "first"])


def test_choices_have_no_gradient() -> None:
    """Only rows of the table that were read get a gradient, as if the chosen words were inputs."""
    results, outputs = words("float64")
    program = randomised(rg.compile(results, loss=rg.reduce_sum(rg.square(outputs))), 5)
    x = data(4, 4, 3)
    _, gradients = program.training.gradients(x=x)
    result = program.inference(x=x)
    ids, lengths = result["outputs"].argmax(axis=2), result["lengths"]
    table = rg.parameter("table", (WORDS, 4), dtype="float64")
    sequence = rg.placeholder("x", (None, None, 3), "float64")
    _, state = rg.dynamic_rnn(rg.GRUCell(UNITS), sequence)
    spoken = rg.gather(table, rg.placeholder("ids", (None, STEPS), "int64"))
    step_counts = rg.placeholder("lengths", (None,), "int64")
    forced, _ = rg.dynamic_rnn(
        Speller(rg.GRUCell(UNITS), WORDS), spoken, step_counts, initial_state=state, scope="decoder"
    )
    other = rg.compile({"outputs": forced}, loss=rg.reduce_sum(rg.square(forced)))
    other.parameters.load(program.parameters)
    shifted = np.concatenate([np.full((4, 1), 2), ids[:, :-1]], axis=1)
    _, expected = other.training.gradients(x=x, ids=shifted, lengths=lengths)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-11, err_msg=name)


def test_dropout_is_drawn_inside() -> None:
    first = rg.placeholder("first", (None, 3))
    cell = rg.DropoutWrapper(rg.BasicRNNCell(3), output_keep_prob=0.5)
    outputs, _, _ = rg.dynamic_decode(cell, first, lambda y, _: y, STEPS)
    program = randomised(rg.compile({"outputs": outputs}))
    first_input = data(7, 3)
    masks = program.training.dropout_masks(first=first_input, seed=6)
    result = program.training(first=first_input, seed=6)["outputs"]
    assert {site: mask.shape for site, mask in masks.items()} == {"decoder/output": (7, STEPS, 3)}
    np.testing.assert_array_equal(result != 0, masks["decoder/output"] != 0)


# The same bits --------------------------------------------------------------------------------------

CASES: dict[str, Callable[[], tuple[dict[str, Any], rg.Tensor, dict[str, Array]]]] = {
    "words": lambda: (*words("float32"), {"x": data(7, 4, 3)}),
    "aligned": lambda: (
        (three := aligned(True, "float32")) and {"outputs": three[0], "final": three[1], "lengths": three[2]},
        three[0],
        {"inputs": data(7, 11, 2), "first": data(7, 3)},
    ),
}


def _interpreted(graph: Graph, program: rg.Program, feeds: dict[str, Array], wide: bool) -> dict[str, Array]:
    return interpret(graph, {**{k: np.float32(v) for k, v in feeds.items()}, **program.parameters}, wide)


@pytest.mark.parametrize("name", CASES)
def test_every_pass_preserves_the_results(name: str) -> None:
    results, outputs, feeds = CASES[name]()
    program = randomised(rg.compile(results, loss=rg.reduce_sum(rg.square(outputs))), 5)
    feeds = {key: np.float32(array) for key, array in feeds.items()}
    for graph_program in (program.inference, program.training):
        graph = graph_program.graph
        shown = str(dataclasses.replace(graph, comments=()))
        assert "when=" in shown
        assert [line.partition("#")[0].rstrip() for line in shown.splitlines()] == str(parse(shown)).splitlines()
        expected = _interpreted(graph, program, feeds, True)
        stage = graph
        for single in rounding():
            stage = run(stage, (single,))
            for key, value in _interpreted(stage, program, feeds, True).items():
                np.testing.assert_allclose(value, expected[key], rtol=1e-6, atol=1e-9, err_msg=f"{single.name} {key}")
    native = program.training.gradients(feeds)[1]
    for key, value in native.items():
        np.testing.assert_allclose(value, expected[f"gradient/{key}"], rtol=1e-4, atol=1e-4 * abs(value).max())


@pytest.mark.parametrize("unroll", [3, "full"])
def test_unrolled_steps_are_the_same(unroll: int | str) -> None:
    table = rg.parameter("table", (WORDS, 4))
    decoded = rg.dynamic_decode(
        Speller(rg.GRUCell(UNITS), WORDS),
        table[2],
        lambda y, _: rg.gather(table, rg.argmax(y)),
        STEPS,
        initial_state=rg.placeholder("state", (None, UNITS)),
        stop=lambda y: rg.equal(rg.argmax(y), STOP),
    )
    results, loss = (
        {"outputs": decoded[0], "final": decoded[1], "lengths": decoded[2]},
        rg.reduce_sum(rg.square(decoded[0])),
    )
    plain = randomised(rg.compile(results, loss=loss), 5)
    other = rg.compile(results, loss=loss, unroll=unroll, parameters=plain)
    assert ("scan" in str(Unroll(unroll)(plain.inference.graph))) == (unroll == 3)
    feeds = {"state": data(7, UNITS).astype(np.float32)}
    for ours, theirs in zip(leaves(plain.inference(feeds)), leaves(other.inference(feeds)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert plain.training(feeds)["loss"] == other.training(feeds)["loss"]
    for name, gradient in plain.training.gradients(feeds)[1].items():
        np.testing.assert_allclose(other.training.gradients(feeds)[1][name], gradient, rtol=1e-4, atol=1e-5)


def leaves(result: Any) -> list[Array]:
    return [result[name] for name in ("outputs", "final", "lengths")]


def test_a_saved_decoder_is_the_same(tmp_path: Path) -> None:
    results, outputs = words("float32")
    program = randomised(rg.compile(results, loss=rg.reduce_sum(rg.square(outputs))), 5)
    program.save(tmp_path / "model")
    loaded = rg.load(tmp_path / "model")
    x = data(7, 4, 3)
    for ours, theirs in zip(leaves(program.inference(x=x)), leaves(loaded.inference(x=x)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name, gradient in program.training.gradients(x=x)[1].items():
        np.testing.assert_array_equal(loaded.training.gradients(x=x)[1][name], gradient)


def test_a_decoder_is_trained() -> None:
    """The decoder learns to count down from its input to the stop."""
    first = rg.placeholder("first", (None, 6))
    teacher = rg.placeholder("teacher", (None, 6, 6))
    wanted = rg.placeholder("wanted", (None, 6), "int64")
    lengths = rg.placeholder("lengths", (None,), "int64")
    outputs, _, step_counts = rg.dynamic_decode(
        rg.GRUCell(6, activation="identity"),
        first,
        lambda y, _: rg.one_hot(rg.argmax(y), 6),
        6,
        teacher=teacher,
        stop=lambda y: rg.by_graph(training=False, inference=rg.equal(rg.argmax(y), 0)),
    )
    loss = rg.sparse_softmax_cross_entropy(wanted, outputs * 3.0, lengths=lengths)
    program = rg.compile({"words": rg.argmax(outputs), "taken": step_counts}, loss=loss, seed=1)
    eye, starts = np.eye(6, dtype=np.float32), np.arange(1, 6)
    targets = np.maximum(starts[:, None] - 1 - np.arange(6), 0)
    trainer = rg.Trainer(program, rg.Adam(0.05))
    for _ in range(150):
        last = trainer.step(first=eye[starts], teacher=eye[targets], wanted=targets, lengths=starts)
    assert last < 0.05
    result = program.inference(first=eye[starts])
    np.testing.assert_array_equal(result["taken"], starts)
    np.testing.assert_array_equal(result["words"] * (np.arange(6) < starts[:, None]), targets)


# Errors ---------------------------------------------------------------------------------------------


def declared(**changes: Any) -> Any:
    first = rg.placeholder("first", (None, 3))
    arguments: dict[str, Any] = {
        "cell": rg.BasicRNNCell(3),
        "first_input": first,
        "next_input": lambda y, _: y,
        "max_steps": 4,
    }
    return rg.dynamic_decode(**{**arguments, **changes})


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"cell": rg.BasicRNNCell}, rg.DtypeError, "needs a cell"),
    ({"first_input": 3.0}, rg.DtypeError, "first_input must be a float Tensor"),
    ({"first_input": rg.placeholder("i", (None, 3), "int64")}, rg.DtypeError, "first_input must be a float Tensor"),
    ({"first_input": rg.placeholder("i", (None, None))}, rg.ShapeError, "first_input must be .* fixed width"),
    ({"first_input": rg.placeholder("i", (2, 2, 3))}, rg.ShapeError, "first_input must be"),
    ({"next_input": None}, rg.DtypeError, "next_input must be a function"),
    ({"next_input": lambda y, _: 3.0}, rg.DtypeError, "next_input must return a Tensor of float32"),
    ({"next_input": lambda y, _: rg.cast(y, "int64")}, rg.DtypeError, "next_input must return a Tensor of float32"),
    ({"next_input": lambda y, _: y[:, :2]}, rg.ShapeError, r"next_input must return \[batch, 3\]"),
    ({"max_steps": 0}, rg.ArgumentError, "max_steps=0 must be positive"),
    ({"max_steps": 2.0}, rg.DtypeError, "max_steps must be an int"),
    ({"max_steps": True}, rg.DtypeError, "max_steps must be an int"),
    ({"max_steps": None}, rg.ArgumentError, "max_steps=None takes the length of inputs"),
    ({"inputs": np.zeros((2, 4, 3))}, rg.DtypeError, "inputs must be a Tensor"),
    ({"inputs": rg.placeholder("i", (None, 4))}, rg.ShapeError, "inputs must be"),
    ({"inputs": rg.placeholder("i", (None, 5, 2))}, rg.ShapeError, "inputs has 5 steps, but max_steps is 4"),
    ({"teacher": rg.placeholder("t", (None, 4, 2))}, rg.ShapeError, "teacher is .* width 3"),
    ({"teacher": rg.placeholder("t", (None, 4, 3), "float64")}, rg.ShapeError, "teacher is .* float32"),
    ({"teacher_prob": 1.5}, rg.ArgumentError, "teacher_prob=1.5 is outside"),
    ({"teacher_prob": "all"}, rg.DtypeError, "teacher_prob must be a float"),
    ({"teacher_prob": rg.placeholder("p", (None,))}, rg.DtypeError, "teacher_prob must be a scalar"),
    ({"stop": 3}, rg.DtypeError, "stop must be a function"),
    ({"stop": lambda y: y}, rg.DtypeError, "stop must return a bool for each row"),
    ({"stop": lambda y: y > 0.0}, rg.ShapeError, "stop must return one bool for each row"),
    (
        {"initial_state": (rg.constant(1.0),) * 2},
        rg.StructureError,
        "initial_state must be one array, not a tuple of 2",
    ),
    ({"initial_state": rg.placeholder("s", (None, 4))}, rg.ShapeError, "give initial_state a width of 3"),
    (
        {"first_input": rg.placeholder("i", (2, 3)), "inputs": rg.placeholder("j", (3, 4, 1))},
        rg.ShapeError,
        "arguments of 3 rows and of 2 rows",
    ),
    (
        {"inputs": rg.placeholder("j", (1, 4, 1)), "first_input": rg.placeholder("i", (2, 3))},
        rg.ShapeError,
        "inputs has 1 rows, but the batch has 2",
    ),
]


@pytest.mark.parametrize(("changes", "kind", "message"), WRONG)
def test_errors_name_the_users_line(changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as raised:
        rg.compile({"outputs": declared(**changes)[0]})
    assert "test_decode.py:" in str(raised.value)


def test_sizes_are_checked_at_the_call() -> None:
    inputs = rg.placeholder("inputs", (None, None, 2))
    outputs = declared(inputs=inputs, next_input=lambda y, x: y * x[:, :1], stop=lambda y: y[:, 0] > 0.5)[0]
    program = rg.compile({"outputs": outputs})
    assert program.inference(first=data(3, 3), inputs=data(3, 4, 2))["outputs"].shape == (3, 4, 3)
    for rows, steps in ((3, 5), (2, 4), (1, 4)):
        with pytest.raises(rg.ShapeError):
            program.inference(first=data(3, 3), inputs=data(rows, steps, 2))


@pytest.mark.parametrize("options", [{}, {"stop": lambda y: y[:, 0] > 0.5}, {"max_steps": None}])
def test_a_decoder_is_no_stream(options: dict[str, Any]) -> None:
    inputs = rg.placeholder("inputs", (None, None, 2))
    program = rg.compile({"outputs": declared(inputs=inputs, **options)[0]})
    with pytest.raises(rg.GraphError, match=r"can't be streamed.*test_decode\.py:\d+"):
        program.inference.stream(batch=2)


@pytest.mark.parametrize("units", [5, 96])
@pytest.mark.parametrize("batch", [1, 7, 33])
def test_threads_change_nothing(units: int, batch: int) -> None:
    first = rg.placeholder("first", (None, units))
    outputs, final, lengths = rg.dynamic_decode(
        rg.GRUCell(units), first, lambda y, _: y * 2.0, 40, stop=lambda y: rg.reduce_max(y, axis=1) > 0.9
    )
    results = {"outputs": outputs, "final": final, "lengths": lengths}
    program = randomised(rg.compile(results, loss=rg.reduce_sum(rg.square(outputs)), threads=2))
    fed = data(batch, units).astype(np.float32)
    several, (_, gradients) = program.inference(first=fed), program.training.gradients(first=fed)
    program.threads = 1
    for ours, theirs in zip(leaves(program.inference(first=fed)), leaves(several), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name, gradient in program.training.gradients(first=fed)[1].items():
        np.testing.assert_array_equal(gradients[name], gradient)


def attended(first: str, begins: str, rows: int | None, stops: bool) -> rg.Program:
    """Return a decoder over a memory. Only the memory has a batch axis, except for some cases of ``first``."""
    memory = rg.placeholder("memory", (rows, None, 6))
    _, state = rg.dynamic_rnn(rg.GRUCell(4), memory)
    options = {"own": {"initial_cell_state": state}}.get(begins, {})
    if begins == "no attention":
        cell: rg.Cell = rg.GRUCell(4)
    else:
        cell = rg.AttentionWrapper(rg.GRUCell(4), rg.LuongAttention(4, memory), 4, **options)
    one = rg.parameter("one", (3,))
    inputs = {"width": one, "one row": rg.reshape(one, (1, 3))}
    outputs, last, lengths = rg.dynamic_decode(
        cell,
        inputs[first] if first in inputs else rg.placeholder("first", (None, 3)),
        lambda output, _: output[:, :3] + memory[:, 0, :3],
        5,
        stop=(lambda output: rg.greater(rg.reduce_sum(output, 1), 0.2)) if stops else None,
    )
    return rg.compile({"outputs": outputs, "last": last, "lengths": lengths}, loss=rg.reduce_mean(rg.square(outputs)))


@pytest.mark.parametrize("back", [0, 5])
def test_a_declaration_compiles_however_much_was_declared_before(back: int) -> None:
    """Names of sizes contain a counter of declarations, which here gains a digit within the declaration."""
    here = next(tensor.declared)
    for _ in range(here + 1, 10 ** len(str(here + back + 1)) - back):
        next(tensor.declared)
    assert attended("width", "own", None, True).parameters


@pytest.mark.parametrize(
    ("begins", "rows", "stops"),
    [
        pytest.param(*case, marks=[] if case == ("own", None, True) else pytest.mark.exhaustive)
        for begins in ("zeros", "own", "no attention")
        for case in ((begins, None, True), (begins, 3, False))
    ],
)
def test_rows_that_only_a_step_reads(begins: str, rows: int | None, stops: bool) -> None:
    feeds, one = {"memory": data(3, 7, 6).astype(np.float32)}, data(3).astype(np.float32)
    programs = {first: attended(first, begins, rows, stops) for first in ("rows", "width", "one row")}
    actual, gradients = {}, {}
    for first, program in programs.items():
        for number, name in enumerate(sorted(program.parameters.keys() - {"one"})):
            program.parameters[name] = data(*program.parameters[name].shape, seed=number)
        if "one" in program.parameters:
            program.parameters["one"] = one
        fed = {**feeds, **({"first": np.tile(one, (3, 1))} if first == "rows" else {})}
        actual[first], gradients[first] = program.inference(fed), program.training.gradients(fed)[1]
    assert actual["rows"]["outputs"].shape == (3, 5, 4)
    for first in ("width", "one row"):
        np.testing.assert_array_equal(actual[first]["outputs"], actual["rows"]["outputs"])
        np.testing.assert_array_equal(actual[first]["lengths"], actual["rows"]["lengths"])
        for name in gradients["rows"]:
            np.testing.assert_allclose(gradients[first][name], gradients["rows"][name], rtol=1e-5, atol=1e-7)


def test_one_row_if_no_input_has_rows() -> None:
    first = rg.parameter("first", (4,))
    outputs, _, lengths = rg.dynamic_decode(rg.GRUCell(4), first, lambda output, _: output, 3)
    assert outputs.shape == (1, 3, 4)
    result = rg.compile({"outputs": outputs, "lengths": lengths}).inference()
    assert (result["outputs"].shape, result["lengths"].tolist()) == ((1, 3, 4), [3])
    x = rg.placeholder("x", (1, 3, 2))
    memory = rg.placeholder("memory", (None, 5, 4))
    cell = rg.AttentionWrapper(rg.GRUCell(4), rg.LuongAttention(4, memory))
    outputs, _, _ = rg.dynamic_decode(cell, first, lambda output, _: output, None, x)
    assert rg.compile(outputs).inference.input_types()["memory"].shape == (1, 5, 4)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(
    "dropout",
    [{"input_keep_prob": 0.8}, {"state_keep_prob": 0.5}, {"state_keep_prob": 0.5, "variational_recurrent": True}],
    ids=repr,
)
def test_a_fixed_number_of_rows_has_the_masks_of_an_open_one(rows: int, dropout: dict[str, Any]) -> None:
    """A single row, which broadcasts to any number of rows, is included."""
    results = []
    for declared in (rows, None):
        first = rg.placeholder("first", (declared, 7))
        cell = rg.DropoutWrapper(rg.BasicRNNCell(3), seed=4, **dropout)
        outputs, _, _ = rg.dynamic_decode(cell, first, lambda y, _: rg.concat([y] * 3, axis=1)[:, :7], 4)
        program = rg.compile(outputs, rg.reduce_mean(rg.square(outputs)), seed=2, cache=False)
        feeds = {"first": np.ones((rows, 7), np.float32)}
        results.append((program.inference(feeds), program.training(feeds, seed=5)["output"]))
    for fixed, open_ in zip(*results, strict=True):
        assert fixed.shape == (rows, 4, 3)
        np.testing.assert_array_equal(fixed, open_)
