"""Masks and reversed drivers against the equations in NumPy: calls, streams, gradients, training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import reference_cells as cells
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.declare.nest import flatten
from rnngraph.ir.interpreter import interpret

BATCH, STEPS, WIDTH = 7, 9, 3
Nest = tuple[Callable[[], rg.Cell], reference.Spec]

NESTS: dict[str, Nest] = {
    "gru": (lambda: rg.GRUCell(5, reset_after=True), reference.GRU(5, reset_after=True)),
    "lstm_in_one_tensor": (
        lambda: rg.LSTMCell(7, use_peepholes=True, num_proj=3, state_is_tuple=False),
        reference.LSTM(7, use_peepholes=True, projection=3, state_is_tuple=False),
    ),
    "output_is_no_state": (
        lambda: rg.OutputProjectionWrapper(rg.SRUCell(5), 2),
        reference.Projection(cells.SRU(5), 2, False),
    ),
    "stack": (
        lambda: rg.MultiRNNCell(
            [
                rg.DropoutWrapper(rg.LSTMCell(5), input_keep_prob=0.7, state_keep_prob=0.8, output_keep_prob=0.6),
                rg.ResidualWrapper(rg.GRUCell(5)),
            ]
        ),
        reference.Stack(
            (
                reference.Dropout(reference.LSTM(5), 0.7, 0.6, 0.8),
                reference.Residual(reference.GRU(5)),
            )
        ),
    ),
    "zoneout": (
        lambda: rg.ZoneoutWrapper(rg.BasicRNNCell(7), state_keep_prob=0.6),
        reference.Zoneout(reference.RNN(7), (0.6,)),
    ),
}


def feeds(batch: int = BATCH, steps: int = STEPS, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    runs = generator.random((batch, steps)) < 0.5
    runs[:1], runs[1:2] = False, True
    return {
        "x": generator.normal(size=(batch, steps, WIDTH)),
        "m": runs,
        "n": generator.integers(0, steps + 1, batch),
    }


def placeholders() -> tuple[rg.Tensor, rg.Tensor, rg.Tensor]:
    return (
        rg.placeholder("x", (None, None, WIDTH), "float64"),
        rg.placeholder("m", (None, None), "bool"),
        rg.placeholder("n", (None,), "int64"),
    )


def with_weights(outputs: Any, **options: Any) -> rg.Program:
    program = rg.compile(outputs, **options)
    generator = np.random.default_rng(2)
    for name, array in program.parameters.items():
        program.parameters[name] = generator.normal(0.0, 0.4, array.shape)
    return program


@pytest.mark.parametrize("name", NESTS)
def test_equations(name: str) -> None:
    """Both graphs match the equations, with and without lengths, with repeated and with zeroed outputs."""
    check_equations(name, reverse=list(NESTS).index(name) % 2 == 1, every=name in ("gru", "output_is_no_state"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("batch", [1, 3, 17])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", NESTS)
def test_every_equation(name: str, reverse: bool, batch: int) -> None:
    check_equations(name, reverse, True, batch)


def check_equations(name: str, reverse: bool, every: bool, batch: int = BATCH) -> None:
    """Check the equations; ``every`` checks all combinations of options."""
    build, spec = NESTS[name]
    x, m, n = placeholders()
    cases = {f"{zero}{lengths}": (zero, lengths) for zero in (False, True) for lengths in (False, True)}
    cases = cases if every else {"FalseTrue": cases["FalseTrue"]}
    outputs = {
        key: rg.dynamic_rnn(
            build(), x, n if lengths else None, mask=m, zero_output_for_mask=zero, reverse=reverse, scope=key
        )
        for key, (zero, lengths) in cases.items()
    }
    program = with_weights(outputs)
    for steps in (STEPS, 1, 17):
        fed = feeds(batch, steps)
        masks = program.training.dropout_masks(fed, seed=3)
        for result, applied in ((program.inference(fed), None), (program.training(fed, seed=3), masks)):
            for key, (zero, lengths) in cases.items():
                wanted, final = reference.dynamic_rnn(
                    spec,
                    program.parameters,
                    fed["x"],
                    fed["n"] if lengths else None,
                    scope=key,
                    masks=applied,
                    runs=fed["m"],
                    zero_output_for_mask=zero,
                    backwards=reverse,
                )
                assert_allclose(result[key][0], wanted, rtol=1e-11, atol=1e-12)
                for actual, expected in zip(flatten(result[key][1]), flatten(final), strict=True):
                    assert_allclose(actual, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("time_major", [pytest.param(False, marks=pytest.mark.exhaustive), True])
def test_other_drivers(time_major: bool) -> None:
    """Masks of ``bidirectional_dynamic_rnn``, of its stack, and of ``static_rnn``."""
    x, m, n = placeholders()
    options = {"sequence_length": n, "mask": m, "time_major": time_major}
    both, last = rg.bidirectional_dynamic_rnn(rg.GRUCell(5), rg.LSTMCell(3), x, **options)
    layers = rg.stack_bidirectional_dynamic_rnn(
        [rg.GRUCell(2), rg.GRUCell(3)], [rg.GRUCell(3), rg.GRUCell(1)], x, zero_output_for_mask=True, **options
    )
    program = with_weights({"both": both, "last": last, "layers": layers})
    fed = feeds()
    layout_feeds = {**fed, "x": fed["x"].swapaxes(0, 1), "m": fed["m"].T} if time_major else fed
    result = program.inference(layout_feeds)

    def wanted(spec: Any, sequence: Any, scope: str, backwards: bool, zero: bool = False) -> tuple[Any, Any]:
        return reference.dynamic_rnn(
            spec,
            program.parameters,
            sequence,
            fed["n"],
            scope=scope,
            runs=fed["m"],
            zero_output_for_mask=zero,
            backwards=backwards,
        )

    def turned(array: np.ndarray) -> np.ndarray:
        return array.swapaxes(0, 1) if time_major else array

    for direction, spec in enumerate((reference.GRU(5), reference.LSTM(3))):
        outputs, final = wanted(spec, fed["x"], f"bidirectional_rnn/{('fw', 'bw')[direction]}", direction == 1)
        assert_allclose(turned(result["both"][direction]), outputs, rtol=1e-11, atol=1e-12)
        for actual, expected in zip(flatten(result["last"][direction]), flatten(final), strict=True):
            assert_allclose(actual, expected, rtol=1e-11, atol=1e-12)
    sequence = fed["x"]
    for layer, units in enumerate(((2, 3), (3, 1))):
        actual = [
            wanted(
                reference.GRU(count),
                sequence,
                f"stack_bidirectional_rnn/cell_{layer}/bidirectional_rnn/{suffix}",
                suffix == "bw",
                True,
            )[0]
            for count, suffix in zip(units, ("fw", "bw"), strict=True)
        ]
        sequence = np.concatenate(actual, axis=2)
    assert_allclose(turned(result["layers"][0]), sequence, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.exhaustive), True])
def test_static_rnn_takes_masks_as_a_list_too(reverse: bool) -> None:
    steps = [rg.placeholder(f"x{step}", (None, WIDTH), "float64") for step in range(4)]
    masks = [rg.placeholder(f"m{step}", (None,), "bool") for step in range(4)]
    whole = rg.placeholder("m", (None, 4), "bool")
    listed = rg.static_rnn(rg.GRUCell(5), steps, mask=masks, reverse=reverse, scope="same")
    program = with_weights({"listed": listed})
    other = rg.compile({"whole": rg.static_rnn(rg.GRUCell(5), steps, mask=whole, reverse=reverse, scope="same")})
    other.parameters.load(dict(program.parameters))
    fed = feeds(steps=4)
    step_feeds = {f"x{step}": fed["x"][:, step] for step in range(4)}
    result = program.inference(step_feeds | {f"m{step}": fed["m"][:, step] for step in range(4)})["listed"]
    wanted, final = reference.dynamic_rnn(
        reference.GRU(5), program.parameters, fed["x"], scope="same", runs=fed["m"], backwards=reverse
    )
    assert_allclose(np.stack(result[0], axis=1), wanted, rtol=1e-11, atol=1e-12)
    assert_allclose(result[1], final, rtol=1e-11, atol=1e-12)
    with_one_mask = other.inference(step_feeds, m=fed["m"])["whole"]
    for one, two in zip(flatten(result), flatten(with_one_mask), strict=True):
        assert_array_equal(one, two)


def test_outputs_before_the_first_unmasked_step_are_zero_for_any_initial_state() -> None:
    x, m, _ = placeholders()
    begin = rg.placeholder("begin", (None, 5), "float64")
    outputs, state = rg.dynamic_rnn(rg.GRUCell(5), x, initial_state=begin, mask=m)
    program = with_weights({"outputs": outputs, "state": state})
    fed, first = feeds(), np.random.default_rng(4).normal(size=(BATCH, 5))
    wanted, final = reference.dynamic_rnn(
        reference.GRU(5), program.parameters, fed["x"], initial_state=first, runs=fed["m"]
    )
    result = program.inference(x=fed["x"], m=fed["m"], begin=first)
    assert_allclose(result["outputs"], wanted, rtol=1e-11, atol=1e-12)
    assert_allclose(result["state"], final, rtol=1e-11, atol=1e-12)
    assert not result["outputs"][0].any()
    assert_array_equal(result["state"][0], first[0])


@pytest.mark.parametrize("name", ["gru", "output_is_no_state"])
def test_streams(name: str) -> None:
    """Steps and chunks with masked rows match the whole. The last output is stored if it is not part of the state."""
    x, m, _ = placeholders()
    outputs, state = rg.dynamic_rnn(NESTS[name][0](), x, mask=m)
    program = with_weights({"outputs": outputs, "state": state})
    fed = feeds()
    whole = program.inference(x=fed["x"], m=fed["m"])
    stream = program.inference.stream(batch=BATCH)
    stream.state = stream.state
    actual = [stream.step(x=fed["x"][:, step], m=fed["m"][:, step])["outputs"] for step in range(4)]
    kept = stream.state_bytes()
    stream.step(x=fed["x"][:, 0], m=fed["m"][:, 0])
    stream.load_state_bytes(kept)
    chunk = stream.process(x=fed["x"][:, 4:], m=fed["m"][:, 4:])
    assert_array_equal(np.concatenate([np.stack(actual, axis=1), chunk["outputs"]], axis=1), whole["outputs"])
    for one, two in zip(flatten(chunk["state"]), flatten(whole["state"]), strict=True):
        assert_array_equal(one, two)
    if name == "output_is_no_state":
        assert_array_equal(stream.state.output, whole["outputs"][:, -1])
        assert_array_equal(stream.state.state, whole["state"])


def test_all_ways_of_computing_are_equal(tmp_path: Any) -> None:
    x, m, n = placeholders()
    outputs, state = rg.dynamic_rnn(NESTS["stack"][0](), x, n, mask=m)
    program = with_weights({"outputs": outputs, "state": state}, loss=rg.reduce_sum(rg.square(outputs)))
    fed = feeds()
    result = program.inference(fed)
    graph = program.inference.graph
    values = {item["label"]: fed[item["label"]] for item in graph.inputs if item["label"] in fed}
    values |= {item["label"]: program.parameters[item["label"]] for item in graph.inputs if item["label"] not in fed}
    assert_allclose(interpret(graph, values)["outputs"], result["outputs"], rtol=1e-11, atol=1e-12)
    program.save(tmp_path / "saved")
    reloaded = rg.load(tmp_path / "saved").inference(fed)
    assert_array_equal(reloaded["outputs"], result["outputs"])
    order = [4, 2, 6, 0, 1, 3, 5]
    other = program.inference({name: array[order] for name, array in fed.items()})
    assert_array_equal(other["outputs"], result["outputs"][order])


@pytest.mark.parametrize("reverse", [pytest.param(False, marks=pytest.mark.exhaustive), True])
def test_gradients_are_those_of_finite_differences(reverse: bool) -> None:
    """Gradients pass through skipped steps to states, outputs and initial states. Masked inputs have none."""

    class Begun(rg.Wrapper):
        def initial_state(self, p: rg.Scope) -> Any:
            return {"h": p.parameter("begin", (5,))}

    x, m, n = placeholders()
    outputs, state = rg.dynamic_rnn(Begun(rg.GRUCell(5)), x, n, mask=m, reverse=reverse)
    weights = np.random.default_rng(5).normal(size=(STEPS, 5))
    loss = rg.reduce_sum(rg.sin(outputs) * weights) + rg.reduce_sum(rg.square(state))
    program = with_weights({"outputs": outputs}, loss=loss)
    fed = feeds()
    _, gradients = program.training.gradients(fed, seed=1, wrt=["x"])
    idle = ~fed["m"] | (np.arange(STEPS) >= fed["n"][:, None])
    assert not gradients["x"][idle].any()

    def total() -> float:
        return float(program.training(fed, seed=1)["loss"])

    generator, small = np.random.default_rng(6), 1e-6
    for name, gradient in gradients.items():
        array = fed["x"] if name == "x" else program.parameters[name].copy()
        for _ in range(3):
            place = tuple(generator.integers(0, size) for size in array.shape)
            before, totals = array[place], []
            for moved in (before + small, before - small):
                array[place] = moved
                if name != "x":
                    program.parameters[name] = array
                totals.append(total())
            array[place] = before
            if name != "x":
                program.parameters[name] = array
            assert_allclose(gradient[place], (totals[0] - totals[1]) / (2 * small), rtol=1e-5, atol=1e-7, err_msg=name)


def test_masked_values_are_never_read() -> None:
    """NaN in masked inputs affects no result and no gradient."""
    x, m, _ = placeholders()
    cell = rg.MultiRNNCell([rg.LSTMCell(5), rg.ResidualWrapper(rg.GRUCell(5))])
    outputs, state = rg.dynamic_rnn(cell, x, mask=m)
    loss = rg.reduce_sum(rg.square(outputs)) + rg.reduce_sum(state[0].c)
    program = with_weights({"outputs": outputs, "state": state}, loss=loss)
    fed = feeds()
    del fed["n"]
    broken = {**fed, "x": np.where(fed["m"][:, :, None], fed["x"], np.nan)}
    for graphs, options in ((program.inference, {}), (program.training, {"seed": 1})):
        for one, two in zip(flatten(graphs(fed, **options)), flatten(graphs(broken, **options)), strict=True):
            assert_array_equal(one, two)
    _, wanted = program.training.gradients(fed, seed=1)
    _, gradients = program.training.gradients(broken, seed=1)
    for name, gradient in wanted.items():
        assert_array_equal(gradients[name], gradient, err_msg=name)


def test_training_on_in_windows_keeps_the_last_output() -> None:
    x, m, _ = placeholders()
    cell = rg.OutputProjectionWrapper(rg.SRUCell(5), 2)
    outputs, _ = rg.dynamic_rnn(cell, x, mask=m)
    program = with_weights({"outputs": outputs}, loss=rg.reduce_sum(rg.square(outputs)))
    fed = feeds()
    trainer = rg.Trainer(program, rg.SGD(1e-300))
    first = trainer.step(x=fed["x"][:, :4], m=fed["m"][:, :4])
    second = trainer.step(x=fed["x"][:, 4:], m=fed["m"][:, 4:], carry=True)
    whole = np.square(program.inference(x=fed["x"], m=fed["m"])["outputs"])
    assert_allclose(first, whole[:, :4].sum(), rtol=1e-12)
    assert_allclose(second, whole[:, 4:].sum(), rtol=1e-12)


@pytest.mark.parametrize("lengths", [False, True])
def test_predictions_and_fits_of_examples_of_several_lengths(lengths: bool) -> None:
    """Each example in a padded batch has the results that it has in a batch of its own."""
    x, m, n = placeholders()
    (forward, backward), _ = rg.bidirectional_dynamic_rnn(
        rg.GRUCell(5), rg.GRUCell(2), x, n if lengths else None, mask=m
    )
    outputs = rg.concat([forward, backward], -1)
    program = with_weights({"outputs": outputs}, loss=rg.reduce_sum(rg.square(outputs)))
    generator = np.random.default_rng(8)
    sizes = (5, 1, 9, 3, 9)
    examples = {
        "x": [generator.normal(size=(size, WIDTH)) for size in sizes],
        "m": [generator.random(size) < 0.6 for size in sizes],
    }
    options = {"lengths": n} if lengths else {}
    actual = program.predict(examples, batch_size=3, **options)["outputs"]
    for sequence, runs, result in zip(examples["x"], examples["m"], actual, strict=True):
        more = {"n": [len(runs)]} if lengths else {}
        alone = program.inference(x=sequence[None], m=runs[None], **more)["outputs"][0]
        assert_allclose(result, alone, rtol=1e-12, atol=1e-14)
    if lengths:
        trainer = rg.Trainer(program, rg.Adam(1e-3))
        history = trainer.fit(examples, lengths=n, epochs=3, batch_size=len(sizes), progress=False)
        assert_allclose(history["loss"][0], sum(np.square(result).sum() for result in actual), rtol=1e-12)
        assert history["loss"][-1] < history["loss"][0]


def test_a_mask_of_the_inputs_as_keras_masking_computes_it() -> None:
    x, _, _ = placeholders()
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(5), x, mask=rg.reduce_any(rg.not_equal(x, 0), axis=2))
    program = with_weights({"outputs": outputs})
    fed = feeds()
    zeroed = np.where(fed["m"][:, :, None], fed["x"], 0.0)
    wanted, _ = reference.dynamic_rnn(reference.GRU(5), program.parameters, zeroed, runs=fed["m"])
    assert_allclose(program.inference(x=zeroed)["outputs"], wanted, rtol=1e-11, atol=1e-12)
    stream = program.inference.stream(batch=BATCH)
    steps = [stream.step(x=zeroed[:, step])["outputs"] for step in range(STEPS)]
    assert_array_equal(np.stack(steps, axis=1), program.inference(x=zeroed)["outputs"])


def test_reduce_any_and_all() -> None:
    m = rg.placeholder("m", (None, None, 3), "bool")
    cases = {f"{axis}{keep}": (axis, keep) for axis in (None, 0, 1, -1, (0, 2)) for keep in (False, True)}
    outputs = {
        f"{name}{key}": function(m, axis, keep)
        for key, (axis, keep) in cases.items()
        for name, function in (("any", rg.reduce_any), ("all", rg.reduce_all))
    }
    nothing = rg.constant(np.zeros((3, 0), bool))
    outputs |= {"none": (rg.reduce_any(nothing, 1), rg.reduce_all(nothing, 1))}
    program = rg.compile(outputs)
    for shape in ((4, 7, 3), (1, 1, 3), (25, 1, 3)):
        array = np.random.default_rng(1).random(shape) < 0.4
        result = program.inference(m=array)
        for key, (axis, keep) in cases.items():
            assert_array_equal(result[f"any{key}"], np.any(array, axis, keepdims=keep))
            assert_array_equal(result[f"all{key}"], np.all(array, axis, keepdims=keep))
        assert_array_equal(result["none"], [[False] * 3, [True] * 3])


WRONG: dict[str, tuple[Callable[[Any], Any], type[rg.RnnGraphError], str]] = {
    "true": (lambda x: {"mask": x != 0}, rg.DtypeError, "rg.not_equal"),
    "floats": (lambda x: {"mask": x[:, :, 0]}, rg.DtypeError, "rg.not_equal"),
    "three axes": (lambda x: {"mask": rg.not_equal(x, 0)}, rg.DtypeError, "batch, time"),
    "sizes": (lambda x: {"mask": np.ones((BATCH, STEPS + 1), bool)}, rg.ShapeError, "does not fit"),
    "turned": (lambda x: {"mask": np.ones((STEPS, BATCH), bool)}, rg.ShapeError, "batch, time"),
    "a number": (lambda x: {"mask": 3}, rg.DtypeError, "bool"),
    "a word": (lambda x: {"mask": "yes"}, rg.DtypeError, "not text"),
    "zero": (lambda x: {"mask": None, "zero_output_for_mask": 2}, rg.DtypeError, "zero_output_for_mask"),
    "reverse": (lambda x: {"reverse": "yes"}, rg.DtypeError, "reverse"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(case: str) -> None:
    options, error, text = WRONG[case]
    x = rg.placeholder("x", (BATCH, STEPS, WIDTH))
    with pytest.raises(error, match=text) as caught:
        rg.dynamic_rnn(rg.GRUCell(5), x, **options(x))
    assert "test_masks.py" in str(caught.value)


def test_a_mask_of_a_wrong_size_is_an_error_of_the_call() -> None:
    x, m, _ = placeholders()
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(5), x, mask=m)[0])
    with pytest.raises(rg.ShapeError, match="m"):
        program.inference(x=np.zeros((2, 5, WIDTH)), m=np.ones((2, 4), bool))
    with pytest.raises(rg.DtypeError):
        program.inference(x=np.zeros((2, 5, WIDTH)), m=np.ones((2, 5)))
    with pytest.raises(rg.GraphError, match="backward recurrence"):
        rg.compile(rg.dynamic_rnn(rg.GRUCell(5), x, mask=m, reverse=True)[0]).inference.stream()
    with pytest.raises(rg.DtypeError, match=r"rg\.not_equal"):
        rg.reduce_any(x != 0, axis=2)
