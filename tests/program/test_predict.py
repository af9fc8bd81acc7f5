"""``Program.predict``: an example's result has the bits that it has alone, in any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training import INPUTS, compiled_once, network

import rnngraph as rg
from rnngraph.batching.row_mixing import mixes_rows
from rnngraph.ir.types import symbols_of

WIDTH = 5


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


@pytest.fixture(scope="module")
def ragged() -> rg.Program:
    return network(lengths=True, keep_prob=0.5)


def sequences(lengths: Any, width: int = INPUTS, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal((length, width)).astype(np.float32) for length in lengths]


def same(actual: Any, expected: list[Any]) -> None:
    """Compare one output with those of calls with one row: equal bits and shapes for each example."""
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape[1:])
        assert ours.tobytes() == theirs.tobytes()


def same_as_alone(program: rg.Program, actual: Any, x: list[np.ndarray]) -> None:
    alone = [program.inference(x=item[None], n=[len(item)]) for item in x]
    for name in ("shown", "states"):
        same(actual[name], [item[name] for item in alone])


# Forms and sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7, 8])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_ragged_sequences_are_as_if_each_were_alone(ragged: rg.Program, count: int, batch_size: int) -> None:
    x = sequences(([5, 2, 9, 1, 2, 5, 7, 9])[:count])
    actual = ragged.predict({"x": x}, lengths="n", batch_size=batch_size)
    assert type(actual) is rg.Result
    same_as_alone(ragged, actual, x)
    assert isinstance(actual["states"], np.ndarray)
    assert isinstance(actual["shown"], list if count > 1 else np.ndarray)
    assert all(item.base is None and item.flags.c_contiguous for item in actual["shown"] if count > 1)


def test_every_form_of_examples_gives_the_same_results(ragged: rg.Program) -> None:
    x = sequences([4, 2, 6, 6, 1, 3])
    labels = {"y": [np.zeros((len(item), 2)) for item in x]}
    padded = np.stack([np.pad(item, ((0, 8 - len(item)), (0, 0)), constant_values=np.nan) for item in x])
    lengths = [len(item) for item in x]
    forms: dict[str, Callable[[], Any]] = {
        "by name": lambda: ragged.predict({"x": x}),
        "with labels, which inference does not take": lambda: ragged.predict({"x": x, **labels}),
        "one input": lambda: ragged.predict(x),
        "(x, y)": lambda: ragged.predict((x, labels["y"])),
        "padded": lambda: ragged.predict({"x": padded, "n": lengths}),
        "padded, lengths apart": lambda: ragged.predict(padded, lengths=lengths),
        "batches": lambda: ragged.predict([{"x": x[:4]}, {"x": x[4:]}]),
        "a generator": lambda: ragged.predict({"x": x[start : start + 4]} for start in (0, 4)),
        "batches of pairs": lambda: ragged.predict(iter([(x[:1], labels["y"][:1]), (x[1:], labels["y"][1:])])),
        "batches of one input": lambda: ragged.predict(iter([x[:5], x[5:]])),
    }
    for name, form in forms.items():
        actual = form()
        assert type(actual) is rg.Result, name
        same_as_alone(ragged, actual, x)


def test_placeholders_themselves_are_keys() -> None:
    x, n = rg.placeholder("x", (None, None, 2)), rg.placeholder("n", (None,), "int64")
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(3), x, n)[0])
    items = sequences([3, 1, 2], 2)
    same(program.predict({x: items}, lengths=n), [program.inference({x: item[None], n: [len(item)]}) for item in items])


def test_equal_lengths_give_arrays(ragged: rg.Program) -> None:
    x = np.stack(sequences([4, 4, 4]))
    for examples in (x, list(x)):
        actual = ragged.predict({"x": examples})
        assert isinstance(actual["shown"], np.ndarray)
        assert actual["shown"].tobytes() == ragged.inference(x=x, n=[4] * 3)["shown"].tobytes()


@pytest.mark.parametrize(
    "examples", [[], np.zeros((0, 5, INPUTS)), iter(()), {"x": [], "y": []}], ids=["list", "array", "iterator", "dict"]
)
def test_no_example_gives_empty_arrays(ragged: rg.Program, examples: Any) -> None:
    actual = ragged.predict(examples)
    steps = 5 if isinstance(examples, np.ndarray) else 0
    assert {name: (array.shape, str(array.dtype)) for name, array in actual.items()} == {
        "shown": ((0, steps, 2), "float32"),
        "states": ((0, 4), "float32"),
    }


def test_an_example_may_have_no_step(ragged: rg.Program) -> None:
    x = sequences([3, 0, 2, 0])
    actual = ragged.predict(x)
    assert [item.shape for item in actual["shown"]] == [(3, 2), (0, 2), (2, 2), (0, 2)]
    same_as_alone(ragged, actual, x)


def test_a_saved_program_predicts_the_same(ragged: rg.Program, tmp_path: Path) -> None:
    x = sequences([4, 1, 2])
    ragged.save(tmp_path / "model")
    loaded = rg.load(tmp_path / "model")
    assert loaded.inputs == ragged.inputs
    for ours, theirs in zip(loaded.predict(x)["shown"], ragged.predict(x)["shown"], strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_results_have_examples_first_even_if_time_is_first_in_the_graph() -> None:
    x, n = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("n", (None,), "int32")
    outputs, state = rg.dynamic_rnn(rg.BasicLSTMCell(4), x, n, time_major=True)
    program = rg.compile({"outputs": outputs, "state": state})
    items = sequences([3, 5, 1], WIDTH)
    actual = program.predict({"x": items})
    each = [program.inference(x=item[:, None], n=[len(item)]) for item in items]
    for number, single in enumerate(each):
        assert actual["outputs"][number].tobytes() == np.ascontiguousarray(single["outputs"][:, 0]).tobytes()
        assert actual["state"].h[number].tobytes() == single["state"].h[0].tobytes()
    assert type(actual["state"]) is rg.LSTMStateTuple


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_declared_batch_is_filled_up(count: int) -> None:
    x, n = rg.placeholder("x", (4, None, 2)), rg.placeholder("n", (4,), "int64")
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(3), x, n)[0])
    items = sequences(([2, 5, 1, 5, 3, 2])[:count], 2)
    actual = program.predict({"x": items})
    assert len(actual) == count
    for item, result in zip(items, actual, strict=True):
        wanted = program.inference(x=np.stack([item] * 4), n=[len(item)] * 4)[0]
        assert result.tobytes() == wanted.tobytes()


# Nets in which padding would show -----------------------------------------------------------------


def network_of(case: str) -> tuple[rg.Program, dict[str, Any]]:
    x, n = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("n", (None,), "int64")
    y, m = rg.placeholder("y", (None, None, 2)), rg.placeholder("m", (None,), "int64")
    seen, state = rg.dynamic_rnn(rg.GRUCell(4), x, n)
    real = rg.sign(rg.abs(rg.reduce_sum(seen, 2, keepdims=True)))  # 1 at a row's steps, 0 beyond
    result = {
        "masked by a product": lambda: rg.reduce_sum(rg.log(rg.square(x)) * real, 1),
        "no lengths": lambda: rg.dynamic_rnn(rg.BasicRNNCell(4), x)[1],
        "both directions": lambda: rg.concat(rg.bidirectional_dynamic_rnn(rg.GRUCell(2), rg.GRUCell(3), x, n)[0], -1),
        "last": lambda: rg.gather_last(seen, n),
        "labels": lambda: rg.argmax(rg.dense(seen, 3)),
        "mean over padding": lambda: rg.reduce_mean(seen, 1),
        "mean over steps": lambda: rg.reduce_sum(seen, 1) / rg.expand_dims(rg.cast(n, "float32"), 1),
        "largest": lambda: rg.reduce_max(seen, 1),
        "reversed": lambda: seen[:, ::-1],
        "differences": lambda: seen[:, 1:] - seen[:, :-1],
        "the end": lambda: seen[:, -1],
        "two after another": lambda: rg.concat([seen, seen], 1),
        "the end at the end": lambda: rg.concat([seen, rg.expand_dims(state, 1)], 1),
        "the end at the beginning": lambda: rg.concat([rg.expand_dims(state, 1), seen], 1),
        "neighbours": lambda: rg.conv1d(seen, 3, 3, padding="same"),
        "neighbours twice": lambda: rg.conv1d(rg.conv1d(seen, 3, 3, padding="same"), 2, 3, padding="same"),
        "nothing recurs": lambda: rg.conv1d(x, 2, 3, padding="same"),
        "attention": lambda: rg.dynamic_rnn(rg.AttentionWrapper(rg.GRUCell(4), rg.LuongAttention(4, seen, n)), y, m)[0],
        "attention without lengths": lambda: rg.dynamic_rnn(
            rg.AttentionWrapper(rg.GRUCell(4), rg.BahdanauAttention(3, seen)), y, m
        )[0],
        "sums so far": lambda: rg.cumsum(seen, 1),
    }[case]()
    program = rg.compile({"result": result})
    counts, others = [4, 7, 4, 2, 7, 3], [3, 1, 1, 2, 2, 2]
    examples = {"x": sequences(counts, WIDTH), "y": sequences(others, 2), "n": counts, "m": others}
    return program, {name: value for name, value in examples.items() if name in program.inference.input_names()}


PADDED = (
    "both directions",
    "last",
    "labels",
    "mean over steps",
    "differences",
    "the end at the beginning",
    "neighbours",
    "attention",
    "sums so far",
)
NOT_PADDED = (
    "masked by a product",
    "no lengths",
    "mean over padding",
    "largest",
    "reversed",
    "the end",
    "two after another",
    "the end at the end",
    "neighbours twice",
    "nothing recurs",
    "attention without lengths",
)


@pytest.mark.parametrize("case", [*PADDED, *NOT_PADDED])
def test_padding_never_shows(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six examples of four lengths are one batch if padding is safe; otherwise each length has its own."""
    program, examples = network_of(case)
    feeds = {name: value for name, value in examples.items() if name not in ("n", "m")}
    if "m" in examples:  # with two placeholders of lengths, neither is filled in
        feeds = examples
    expected = [
        program.inference({name: np.asarray(value[number])[None] for name, value in examples.items()})["result"]
        for number in range(6)
    ]
    calls = []
    run = program.inference.values
    monkeypatch.setattr(program.inference, "values", lambda *arguments: calls.append(1) or run(*arguments))
    actual = program.predict(feeds, batch_size=6)["result"]
    same(actual, expected)
    assert len(calls) == (1 if case in PADDED else 4)


def test_few_sizes_of_batches_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of 1 to 7 examples of one length are run in batches of 1, 2, 4 or 6 rows, where 6 is the maximum."""
    x = rg.placeholder("x", (None, None, 2))
    program = rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(3), x)[1])
    items = sequences([length for length in range(1, 8) for _ in range(length)], 2)
    sizes = set()
    run = program.inference.values
    monkeypatch.setattr(
        program.inference, "values", lambda feeds, *rest: sizes.add(len(feeds["x"])) or run(feeds, *rest)
    )
    same(program.predict(items, batch_size=6), [program.inference(x=item[None]) for item in items])
    assert sizes == {1, 2, 4, 6}


# Outputs that no example owns ---------------------------------------------------------------------


def test_outputs_independent_of_examples_are_returned_once() -> None:
    x, rate = rg.placeholder("x", (None, 3)), rg.placeholder("rate", ())
    table = rg.parameter("table", (2, 3))
    program = rg.compile({"rows": x * rate, "table": table * rate, "one": rg.constant(1.0)})
    actual = program.predict({"x": np.ones((5, 3)), "rate": 2.0}, batch_size=2)
    assert actual["rows"].tolist() == [[2.0] * 3] * 5
    assert actual["table"].tobytes() == (program.parameters["table"] * np.float32(2)).tobytes()
    assert actual["one"] == 1
    assert program.predict({"x": np.ones((0, 3)), "rate": 2.0})["table"].shape == (2, 3)


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        (lambda x, o: rg.reduce_mean(o), r"f32\[\]"),
        (lambda x, o: rg.reshape(o, [-1, 4]), r"f32\[B\*T,4\]"),
        (lambda x, o: rg.reduce_sum(o, 0), r"f32\[T,4\]"),
        (lambda x, o: x[:, 0] @ rg.transpose(x[:, 0], (1, 0)), r"f32\[x_0,x_0\]"),
    ],
)
def test_outputs_that_mix_examples_are_rejected_with_their_line(declared: Callable[..., Any], kind: str) -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x)
    program = rg.compile({"mixed": declared(x, outputs)})
    with pytest.raises(
        rg.GraphError,
        match=rf"test_predict\.py:\d+: output 'mixed' \(declared at .*test_predict\.py:\d+\) .*{kind}.* x;",
    ):
        program.predict({"x": sequences([3, 2], WIDTH)})


def test_examples_of_a_graph_that_mixes_rows_are_run_one_by_one() -> None:
    x = rg.placeholder("x", (None, 3))
    program = rg.compile({"y": x * 2 - rg.reduce_max(x, 0, keepdims=True)})
    rows = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    np.testing.assert_array_equal(program.predict(rows)["y"], rows)
    together = program.predict([{"x": rows[:2]}, {"x": rows[2:]}])["y"]
    np.testing.assert_array_equal(together[:2], program.inference(x=rows[:2])["y"])


def test_rows_that_meet_in_a_product_are_run_one_by_one_and_matrices_of_rows_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = rg.placeholder("x", (None, 4, 3))
    row = x[:, 0]
    program = rg.compile(
        {
            "met": row @ rg.transpose(row, (1, 0)) @ row,
            "apart": x @ rg.transpose(x, (0, 2, 1)) @ x,
        }
    )
    rows = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    actual = program.predict(rows, batch_size=2)
    for name in ("met", "apart"):
        same(actual[name], [program.inference(x=item[None])[name] for item in rows])
    alone, sizes = rg.compile({"apart": x @ rg.transpose(x, (0, 2, 1)) @ x}), set()
    run = alone.inference.values
    monkeypatch.setattr(alone.inference, "values", lambda feeds, *rest: sizes.add(len(feeds["x"])) or run(feeds, *rest))
    alone.predict(rows, batch_size=2)
    assert 2 in sizes


ROWS_THAT_MOVE: dict[str, Callable[[rg.Tensor], rg.Tensor]] = {
    "reversed": lambda x: x[::-1],
    "the first one": lambda x: x + x[:1],
    "neighbours": lambda x: x + rg.concat([x[1:], x[:1]], 0),
    "looked up": lambda x: rg.gather(x, rg.argmax(x[:, 0], -1)),
    "windows": lambda x: rg.transpose(rg.max_pool1d(rg.transpose(x, (1, 0, 2)), 3, 1, "same"), (1, 0, 2)),
}


@pytest.mark.parametrize("moved", ROWS_THAT_MOVE.values(), ids=ROWS_THAT_MOVE)
def test_rows_that_move_to_other_places_are_run_one_by_one(moved: Callable[[rg.Tensor], rg.Tensor]) -> None:
    program = rg.compile({"y": moved(rg.placeholder("x", (None, 4, 3)))})
    rows = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    same(program.predict(rows, batch_size=2)["y"], [program.inference(x=item[None])["y"] for item in rows])


def test_rows_that_are_reversed_each_by_itself_are_run_together() -> None:
    x, lengths = rg.placeholder("x", (None, None, 3)), rg.placeholder("lengths", (None,), "int64")
    graph = rg.compile({"y": rg.reverse_sequence(x, lengths)}).inference.compiled.pruned(("y",))
    (batch,) = (node.shape[0] for node in graph.inputs if node.op == "input" and node.shape[1:] == ())
    assert not mixes_rows(graph, symbols_of(batch))


def test_a_decoder_that_stops_when_all_rows_have_keeps_rows_separate(monkeypatch: pytest.MonkeyPatch) -> None:
    thought = rg.placeholder("thought", (None, 4))
    outputs, _, lengths = rg.dynamic_decode(
        rg.GRUCell(4),
        rg.parameter("go", (4,)),
        lambda output, _: output,
        6,
        initial_state=thought,
        stop=lambda output: rg.reduce_sum(output, -1) > 0.3,
    )
    program = rg.compile({"outputs": outputs, "lengths": lengths})
    rows = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    alone = [program.inference(thought=row[None]) for row in rows]
    assert len({int(item["lengths"][0]) for item in alone}) > 1
    monkeypatch.setattr(
        program.inference,
        "values",
        lambda feeds, *rest, run=program.inference.values: (
            run(feeds, *rest) if len(feeds["thought"]) == 5 else pytest.fail("not together")
        ),
    )
    actual = program.predict(rows)
    for name in ("outputs", "lengths"):
        same(actual[name], [item[name] for item in alone])


# Mistakes -----------------------------------------------------------------------------------------

GOOD = sequences([3, 2])
WRONG: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "no examples": (3, {}, rg.StructureError, "mapping"),
    "unknown": ({"x": GOOD, "z": GOOD}, {}, rg.NameLookupError, "the inference graph has no input 'z'; it takes"),
    "missing": ({"y": GOOD}, {}, rg.NameLookupError, "no examples of x; the inference graph takes"),
    "three": ((GOOD, GOOD, GOOD), {}, rg.StructureError, r"a tuple of examples must be \(x, y\), but this one has 3"),
    "features": ([GOOD[0], np.zeros((3, 2))], {}, rg.ShapeError, "example 1 of x"),
    "counts": ({"x": GOOD, "n": [3]}, {}, rg.ShapeError, "2 examples of x and 1 of n"),
    "lengths": (GOOD, {"lengths": "m"}, rg.NameLookupError, "lengths='m' is not an input of the inference graph"),
    "long lengths": (np.stack([GOOD[0]]), {"lengths": [4]}, rg.ShapeError, r"must be in 0\.\.3"),
    "batch_size": (GOOD, {"batch_size": 0}, rg.ArgumentError, "batch_size must be at least 1"),
    "batch of numbers": (iter([3]), {}, rg.DtypeError, "batch 1 of the iterator is int"),
    "wrong batch": (iter([GOOD, {"x": 1.0}]), {}, rg.ShapeError, "batch 2 of the iterator: examples of x"),
    "too many results": (
        np.broadcast_to(np.float32(0), (10**6, 10**5, INPUTS)),
        {"batch_size": 2},
        rg.OutOfMemoryError,
        "the output '",
    ),
    "lengths of batches": (iter([GOOD]), {"lengths": [3, 2]}, rg.ArgumentError, "give each batch its lengths"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_an_error_at_the_users_line(ragged: rg.Program, name: str) -> None:
    examples, options, kind, text = WRONG[name]
    with pytest.raises(kind, match=rf"test_predict\.py:\d+: .*{text}"):
        ragged.predict(examples, **options)


def test_several_inputs_are_named() -> None:
    a, b = rg.placeholder("a", (None, 2)), rg.placeholder("b", (None, 2))
    program = rg.compile({"sum": a + b})
    with pytest.raises(rg.StructureError, match="the examples could feed any of a, b; give a mapping"):
        program.predict(np.zeros((3, 2)))
    assert program.predict({"a": np.ones((3, 2)), b: np.ones((3, 2))})["sum"].tolist() == [[2.0, 2.0]] * 3


def test_a_declared_length_needs_lengths_or_all_of_its_steps() -> None:
    x = rg.placeholder("x", (None, 4, 2))
    program = rg.compile({"y": rg.dynamic_rnn(rg.GRUCell(3), x)[0]})
    assert program.predict({"x": sequences([4, 4], 2)})["y"].shape == (2, 4, 3)
    with pytest.raises(rg.ShapeError, match=r"example 0 of x has 3 steps, but x is declared .*, with 4"):
        program.predict({"x": sequences([3, 3], 2)})


# Inputs -------------------------------------------------------------------------------------------


def test_inputs_are_shapes_and_dtypes_as_declared() -> None:
    x, y = rg.placeholder("x", (None, "steps", 6)), rg.placeholder("y", (None,), "int64")
    keep = rg.placeholder("keep", ())
    cell = rg.DropoutWrapper(rg.GRUCell(3), output_keep_prob=keep)
    logits = rg.dense(rg.dynamic_rnn(cell, x)[0][:, -1], 2)
    program = rg.compile({"logits": logits}, loss=rg.sparse_softmax_cross_entropy(y, logits))
    assert program.inputs == {
        "x": ((None, "steps", 6), "float32"),
        "y": ((None,), "int64"),
        "keep": ((), "float32"),
    }
    assert program.inputs["x"].shape == (None, "steps", 6)
    assert program.inputs["y"].dtype == "int64"
