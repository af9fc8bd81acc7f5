"""Sizes whose equality is only known as products, and checked at each call."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from declaration_checks import check_all
from declarations import Declaration, Feed

import rnngraph as rg
from rnngraph.codegen.machine.target import host
from rnngraph.ir.graph import Graph
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import evaluate
from rnngraph.ir.verifier import verify_stored
from rnngraph.runtime.native.compile_options import CompileOptions
from rnngraph.runtime.native.compiled_graph import CompiledGraph

B, T, CLASSES = 3, 4, 7
A, STEPS = Feed(("B", "T", 5), "float64"), Feed(("B", "T", 3, 5), "float64")

GRU = "o, s = rg.dynamic_rnn(rg.GRUCell(5), a)"
LOGITS = "logits = outputs['logits'] = rg.reshape(rg.dense(o, 7), [-1, 7])"
SQUARED = "outputs['f'], loss = f, rg.reduce_sum(f * f)"


def labels(*axes: Any) -> Feed:
    return Feed(axes, "int32", CLASSES - 1)


CASES: dict[str, tuple[dict[str, Feed], list[str]]] = {
    "labels and weights": (
        {"a": A, "y": labels("B", "T"), "m": Feed(("B", "T"), "float64")},
        [
            GRU,
            LOGITS,
            "y, m = rg.reshape(y, [-1]), rg.reshape(m * m + 1, [-1])",
            "loss = rg.sparse_softmax_cross_entropy(y, logits, weights=m)",
        ],
    ),
    "labels by time": (
        {"y": labels("T", "B"), "a": A},
        [GRU, LOGITS, "loss = rg.sparse_softmax_cross_entropy(rg.reshape(rg.transpose(y), [-1]), logits)"],
    ),
    "labels of declared steps": (
        {"a": A, "y": labels("B", T)},
        [GRU, LOGITS, "loss = rg.sparse_softmax_cross_entropy(rg.reshape(y, [-1]), logits)"],
    ),
    "labels of one axis": (
        {"y": labels("B*T"), "a": A},
        [GRU, LOGITS, "loss = rg.sparse_softmax_cross_entropy(y, logits)"],
    ),
    "other factors": (
        {"a": Feed(("B", "T", 6), "float64"), "y": Feed(("2*B", "T", 3), "float64")},
        [
            "o, s = rg.dynamic_rnn(rg.GRUCell(6), a)",
            "loss = outputs['loss_'] = rg.mean_squared_error(rg.reshape(y, [-1]), rg.reshape(o, [-1]))",
        ],
    ),
    "a number": ({"a": A}, [GRU, f"f = rg.reshape(o, [-1, 5]) * np.arange({B * T}.0).reshape(-1, 1)", SQUARED]),
    "reshape to declared axes": ({"a": A}, [GRU, f"f = rg.reshape(o, [{B * T // 2}, 10])", SQUARED]),
    "add": (
        {"a": A, "c": Feed(("B", "T", 1), "float64")},
        ["f = rg.dense(rg.reshape(a, [-1, 5]), 3) + rg.reshape(c, [-1, 1])", SQUARED],
    ),
    "select": (
        {"a": A, "c": Feed(("B", "T"), "bool"), "e": Feed(("B", "T", 3), "float64")},
        ["f = rg.where(rg.reshape(c, [-1, 1]), rg.dense(rg.reshape(a, [-1, 5]), 3), rg.reshape(e, [-1, 3]))", SQUARED],
    ),
    "columns": (
        {"a": A, "c": A},
        ["f = rg.dense(rg.concat([rg.reshape(a, [-1, 5]), rg.reshape(c, [-1, 5])], 1), 3)", SQUARED],
    ),
    "rows": (
        dict.fromkeys("abcd", A),
        [
            "f, g = (rg.concat([rg.reshape(x, [-1, 5]), rg.reshape(y, [-1, 5])], 0) for x, y in ((a, b), (c, d)))",
            "f = rg.dense(f, 5) * g",
            SQUARED,
        ],
    ),
    "product": (
        {"a": A, "c": A},
        ["f = rg.matmul(rg.transpose(rg.dense(rg.reshape(a, [-1, 5]), 3)), rg.reshape(c, [-1, 5]))", SQUARED],
    ),
    "rows of a recurrence": (
        {"a": STEPS, "c": Feed(("B", "T", 4), "float64"), "n": Feed(("B", "T"), "int32", 3)},
        [
            "c, n = rg.reshape(c, [-1, 4]), rg.reshape(n, [-1])",
            "f, s = rg.dynamic_rnn(rg.GRUCell(4), rg.reshape(a, [-1, 3, 5]), n, initial_state=c)",
            SQUARED,
        ],
    ),
    "beside a step": (
        {"a": STEPS, "c": Feed(("B", "T", 4), "float64")},
        ["f, s = rg.dynamic_rnn(own.BesideCell(4, rg.reshape(c, [-1, 4])), rg.reshape(a, [-1, 3, 5]))", SQUARED],
    ),
    "steps of a recurrence": (
        {"a": STEPS, "c": Feed(("B", "T", 3, 4), "float64")},
        [
            "a, c = rg.reshape(a, [-1, 3, 5]), rg.reshape(c, [-1, 3, 4])",
            "o, s = rg.dynamic_rnn(rg.GRUCell(4), a, time_major=True)",
            "f, s = rg.dynamic_rnn(rg.GRUCell(4), rg.concat([o * c, c], 2), time_major=True)",
            SQUARED,
        ],
    ),
    "two lengths": (
        {"a": A, "c": A},
        [
            GRU,
            "q, s = rg.dynamic_rnn(rg.BasicRNNCell(5), c)",
            "f = rg.reshape(o, [-1, 5]) * rg.reshape(q, [-1, 5])",
            SQUARED,
        ],
    ),
    "rows of a table": (
        {"a": A, "i": Feed(("B", "T"), "int32", 8)},
        [
            "e = rg.gather(rg.parameter('table', (9, 5), dtype='float64'), rg.reshape(i, [-1]))",
            "f = e * rg.reshape(a, [-1, 5])",
            SQUARED,
        ],
    ),
}


def declaration(name: str) -> Declaration:
    """Return the case with a separate open size for every axis."""
    feeds, lines = CASES[name]
    places = []
    for label, feed in feeds.items():
        shape = ", ".join("None" if isinstance(axis, str) else str(axis) for axis in feed.axes)
        places.append(f'{label} = rg.placeholder("{label}", ({shape},), "{feed.dtype}")')
    return Declaration(1, (*places, *lines), feeds, {}, B, T, "float64", streams=False)


QUICK = ("labels and weights", "beside a step")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.exhaustive) for name in CASES]
)
def test_every_way_of_computing_agrees(name: str) -> None:
    check_all(declaration(name))


def tutorial(
    x_sizes: tuple[Any, Any] = (None, None), y_sizes: tuple[Any, Any] = (None, None), first: str = "x", **options: Any
) -> rg.Program:
    """Return flattened logits with flattened labels."""
    if first == "y":
        y = rg.placeholder("y", y_sizes, "int64")
    x = rg.placeholder("x", (*x_sizes, 5))
    if first != "y":
        y = rg.placeholder("y", y_sizes, "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(6), x)
    logits = rg.reshape(rg.dense(outputs, CLASSES), [-1, CLASSES])
    loss = rg.sparse_softmax_cross_entropy(rg.reshape(y, [-1]), logits)
    return rg.compile({"logits": logits}, loss=loss, seed=0, **options)


def fed(rows: int, steps: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, steps, 5)).astype(np.float32)
    return {"x": x, "y": generator.integers(0, CLASSES, (rows, steps))}


def loss_of(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the loss in float64, without rnngraph."""
    logits = logits.astype(np.float64)
    return float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), labels.reshape(-1)]))


@pytest.fixture(scope="module")
def programs() -> dict[str, rg.Program]:
    """Return programs with named sizes, and with sizes that only a call can compare, declared in both orders."""
    return {"named": tutorial(("B", "T"), ("B", "T")), "open": tutorial(), "labels first": tutorial(first="y")}


@pytest.mark.parametrize("name", ["open", "labels first"])
def test_bits_and_code_are_those_of_named_sizes(programs: dict[str, rg.Program], name: str) -> None:
    actual, named = programs[name], programs["named"]
    for rows, steps in ((3, 4), (3, 9), (3, 3), (3, 1), (3, 6)):
        feeds = fed(rows, steps)
        loss, gradients = actual.training.gradients(feeds, seed=1)
        named_loss, expected = named.training.gradients(feeds, seed=1)
        assert loss.tobytes() == named_loss.tobytes() == actual.training(feeds, seed=1)["loss"].tobytes()
        assert all(array.tobytes() == expected[label].tobytes() for label, array in gradients.items())
        assert actual.evaluate(feeds)["loss"].tobytes() == named.evaluate(feeds)["loss"].tobytes()
        logits = actual.inference(x=feeds["x"])["logits"]
        np.testing.assert_allclose(loss, loss_of(logits, feeds["y"]), rtol=1e-5)
    entries = actual.training._gradients._graphs
    assert [len(compiled._entries) for compiled in entries.values()] == [1]  # one entry for all lengths


@pytest.mark.parametrize("shape", [(12, 1), (1, 12), (2, 6), (4, 3)])
def test_labels_may_have_any_shape_of_as_many(programs: dict[str, rg.Program], shape: tuple[int, int]) -> None:
    feeds = fed(3, 4)
    loss, gradients = programs["named"].training.gradients(feeds, seed=1)
    other, actual = programs["open"].training.gradients(x=feeds["x"], y=feeds["y"].reshape(shape), seed=1)
    np.testing.assert_allclose(other, loss, rtol=1e-6)
    for name, array in gradients.items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-4, atol=1e-6)


def test_a_call_that_does_not_fit_names_both_feeds(programs: dict[str, rg.Program]) -> None:
    x, y = np.zeros((3, 4, 5)), np.zeros((3, 5), int)
    message = (
        r"y_0\*y_1 = 15 \(axes 0 and 1 of feed y \(3, 5\)\) does not match B\*T = 12 \(axes 0 and 1 of feed "
        r"x \(3, 4, 5\)\) \(declared at .*test_equal_sizes\.py:\d+\); both must be equal"
    )
    program = programs["open"]
    trainer = rg.Trainer(program, rg.SGD(0.1))
    for call in (program.training, program.training.gradients, program.evaluate, trainer.step, program.training.check):
        with pytest.raises(rg.ShapeError, match=message) as raised:
            call(x=x, y=y)
        assert raised.value.where is not None
        assert raised.value.where.file == __file__
    program.training(x=x, y=y[:, :4])


def test_range_of_labels_is_checked_through_the_equality(programs: dict[str, rg.Program]) -> None:
    feeds = fed(3, 4)
    with pytest.raises(rg.ShapeError, match=r"feed y holds 7; labels .* must be in 0\.\.6"):
        programs["open"].training(x=feeds["x"], y=feeds["y"] * 0 + CLASSES)


def test_training_and_workers_give_the_same_bits() -> None:
    results = []
    for sizes, threads in (((None, None), 1), (("B", "T"), 1), ((None, None), 2)):
        program = tutorial(sizes, sizes, threads=threads)
        trainer = rg.Trainer(program, rg.Adam(0.01), clip_norm=1.0)
        losses = [trainer.step(fed(16, steps, seed=steps)) for steps in (5, 8, 5)]
        results.append((losses, {name: array.tobytes() for name, array in program.parameters.items()}))
    assert results[0] == results[1] == results[2]


def test_fit_takes_labels_by_rows_and_steps() -> None:
    """``fit`` finds rows and steps of flattened labels by likely equalities, in arrays and in lists of sequences."""
    feeds = fed(10, 6)
    lists = {name: [array[row, : 3 + row % 4] for row in range(10)] for name, array in feeds.items()}
    for examples in (feeds, lists):
        losses = []
        for sizes in ((None, None), ("B", "T")):
            program = with_lengths(sizes) if examples is lists else tutorial(sizes, sizes)
            trainer = rg.Trainer(program, rg.Adam(0.01))
            history = trainer.fit(examples, epochs=2, batch_size=4, progress=False)
            losses.append(list(history["loss"]))
        assert losses[0] == losses[1]


def with_lengths(sizes: tuple[Any, Any]) -> rg.Program:
    """Return a program with a mask of steps within each row's length."""
    x, y = rg.placeholder("x", (*sizes, 5)), rg.placeholder("y", sizes, "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(6), x, rg.placeholder("n", (None,), "int32"))
    logits = rg.reshape(rg.dense(outputs, CLASSES), [-1, CLASSES])
    losses = rg.sparse_softmax_cross_entropy(rg.reshape(y, [-1]), logits, reduction="none")
    real = rg.reduce_sum(rg.abs(outputs), -1) > 0
    loss = rg.reduce_sum(losses * rg.cast(rg.reshape(real, [-1]), "float32"))
    return rg.compile({"logits": logits}, loss=loss, seed=0)


def test_inputs_that_are_not_fed_have_likely_sizes(programs: dict[str, rg.Program]) -> None:
    """Memory, ahead-of-time compilation and printed stages assume named sizes; others may be specified by name."""
    actual, named = programs["open"], programs["named"]
    assert actual.training.memory(batch=4, time=7) == named.training.memory(batch=4, time=7)
    assert actual.training.memory(4, 6, y_0=24, y_1=1).feeds == actual.training.memory(4, 6).feeds
    with pytest.raises(rg.ShapeError, match=r"y_0\*y_1 is 14 and B\*T is 28; they must be equal"):
        actual.training.memory(4, 7, y_0=2)
    actual.training.prepare(batch=[2, 5])
    known = len(actual.training.compiled._entries)
    actual.training(fed(5, 8), seed=0)
    assert len(actual.training.compiled._entries) == known
    assert "with B = 1, y_0 = 1, y_1 = T" in tutorial().training.show("loops")
    assert "with B = 1, y_0 = 1, T = 20" in tutorial(y_sizes=(None, 20)).training.show("loops")


def test_a_saved_program_checks_the_same(programs: dict[str, rg.Program], tmp_path: Path) -> None:
    program = programs["open"]
    program.save(tmp_path / "saved")
    loaded = rg.load(tmp_path / "saved")
    feeds = fed(3, 5)
    assert loaded.training(feeds, seed=1)["loss"].tobytes() == program.training(feeds, seed=1)["loss"].tobytes()
    with pytest.raises(rg.ShapeError, match=r"y_0\*y_1 = 12 .* does not match B\*T = 15"):
        loaded.training(x=feeds["x"], y=feeds["y"][:, :4])


def test_code_for_different_sizes_is_never_compiled(programs: dict[str, rg.Program]) -> None:
    """Sizes that should be equal and are not are refused by the compiler, too, not only by a call's check."""
    compiled = programs["open"].training.compiled
    with pytest.raises(rg.ShapeError, match="must be equal"):
        compiled.entry(("logits", "loss"), {"B": 3, "T": 4, "y_0": 3, "y_1": 5})


def forged(size: str) -> Graph:
    """Return a graph as from a forged file, which claims that ``size`` is 4."""
    lines = (
        "graph inference",
        "  x = input : f32[4]",
        "  z = input : f32[T]",
        f"  y = ensure_shape x {{shape=({size},)}} : f32[{size}]",
        f"  exp = exp y : f32[{size}]",
        "  output 'r' = exp",
    )
    return verify_stored(parse("\n".join(lines) + "\n"))


@pytest.mark.parametrize("size", ["T", "2*T-4"])
def test_code_of_a_forged_graph_assumes_no_equal_sizes(size: str) -> None:
    """A forged graph runs if the size that it claims is true, and is refused otherwise."""
    compiled = CompiledGraph(forged(size), "inference", CompileOptions(host()))
    entry = compiled.entry(("r",), {"T": 4})
    assert [evaluate(dim, {}) for dim in entry.outputs[0].shape] == [4]
    for wrong in (0, 3, 5, 1 << 40):
        with pytest.raises(rg.ShapeError, match="they must be equal"):
            compiled.entry(("r",), {"T": wrong})


def test_numbers_that_differ_are_no_graph() -> None:
    with pytest.raises(ValueError, match="size 4 does not match size 5"):
        forged("5")


def test_a_stream_names_sizes_that_it_can_not_compare() -> None:
    x, c, d = (rg.placeholder(name, (None, None, *more)) for name, more in (("x", ("T", 3)), ("c", (4,)), ("d", (4,))))
    x, c, d = rg.reshape(x, [-1, "T", 3]), rg.reshape(c, [-1, 4]), rg.reshape(d, [-1, 4])
    for start, add in ((c * d, 0), (None, rg.expand_dims(c, 1))):
        outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, initial_state=start)
        program = rg.compile(outputs + add)
        with pytest.raises(rg.GraphError, match="compared at each call; give their axes one name, declared at"):
            program.inference.stream(batch=4)


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "a product of the other": (
        lambda: _labels(rg.placeholder("x", ("B", None, 5)), rg.placeholder("y", ("B",), "int64")),
        r"size B does not match size B\*_\d+_1",
    ),
    "a divisor that is none": (
        lambda: rg.reshape(rg.placeholder("x", (None, 2)), [-1]) + rg.constant([1.0] * 13),
        "size 2.* does not match size 13",
    ),
    "a size that nothing has": (
        lambda: rg.reshape(rg.placeholder("x", (None, None, 5)), ["m", "n", 5]),
        "no placeholder has the size m, n",
    ),
}


def _labels(x: rg.Tensor, y: rg.Tensor) -> rg.Tensor:
    return rg.sparse_softmax_cross_entropy(y, rg.reshape(x, [-1, 5]))


@pytest.mark.parametrize("name", MISTAKES)
def test_sizes_that_can_not_be_equal_are_errors_of_compile(name: str) -> None:
    declare, message = MISTAKES[name]
    with pytest.raises(rg.ShapeError, match=message) as raised:
        rg.compile(declare())
    assert raised.value.where is not None
    assert raised.value.where.file == __file__


def test_each_call_checks_that_the_size_for_minus_one_is_an_integer() -> None:
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(3), x)
    program = rg.compile({"whole": outputs, "halves": rg.reshape(outputs, (None, -1, 6))})
    for steps in (4, 6):
        result = program.inference(x=np.ones((2, steps, 3), np.float32))
        np.testing.assert_array_equal(result["halves"], result["whole"].reshape(2, steps // 2, 6))
    with pytest.raises(rg.ShapeError, match="must be equal"):
        program.inference(x=np.ones((2, 5, 3), np.float32))
    with pytest.raises(rg.ShapeError, match="can't infer the size"):
        rg.reshape(rg.placeholder("z", (None, 4)), (-1, "B", 3))


def pieces(size: int) -> rg.Program:
    """Return a net over pieces of ``size`` steps."""
    x = rg.placeholder("x", (None, None, 6))
    h, _ = rg.dynamic_rnn(rg.GRUCell(5), rg.reshape(x, (None, -1, 6 * size)))
    return rg.compile({"h": h, "joined": rg.reshape(rg.dense(h, 6 * size), (None, -1, 6)) + x}, seed=0)


def test_pieces_of_time_compile_once_for_all_lengths() -> None:
    program, draw = pieces(7), np.random.default_rng(0)
    wide = rg.placeholder("x", (None, None, 42))
    cut = rg.compile({"h": rg.dynamic_rnn(rg.GRUCell(5), wide)[0]}, seed=0)
    for count in (3, 1, 8):
        x = draw.standard_normal((2, 7 * count, 6), dtype=np.float32)
        np.testing.assert_array_equal(program.inference(x=x)["h"], cut.inference(x=x.reshape(2, count, 42))["h"])
    assert len(program.inference.compiled.native_entries()) == 1
    with pytest.raises(rg.ShapeError, match="both must be equal"):
        program.inference(x=np.zeros((2, 13, 6), np.float32))


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_pieces_of_time_are_exported_for_whole_sequences(tmp_path: Path) -> None:
    program = pieces(50)
    program.inference.export(tmp_path, "net", form="sequence")
    subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
    done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "ok, largest difference 0"
    sys.path.insert(0, str(tmp_path))
    net = importlib.import_module("net").Model()
    sys.path.remove(str(tmp_path))
    x = np.random.default_rng(1).standard_normal((2, 150, 6), dtype=np.float32)
    np.testing.assert_array_equal(net(x=x)["joined"], program.inference(x=x)["joined"])
    with pytest.raises(ValueError, match="149"):
        net(x=x[:, 1:])
