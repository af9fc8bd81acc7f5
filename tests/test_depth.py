"""Declarations far deeper than Python's stack, because no walk over graphs, cells or nests is recursive.

The recursion limit is lowered, so that nets that compile quickly are too deep for any recursion.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.declare.nest import flatten, pack
from rnngraph.ir.interpreter import interpret

ROOM = 110
"""Stack frames of a test, which Python's and NumPy's own libraries need."""
DEEP = 120
LAYERS = 40  # each layer has several ops
LONG_NAME = "/".join(["a"] * 100)
"""Name of the most parts in the 200 characters of a name. Two of them have more parts than there is room."""


@contextlib.contextmanager
def little_room(room: int = ROOM) -> Iterator[None]:
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + room)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


class Chain(rg.Cell):
    """Cell with very many ops in a step."""

    def __init__(self, matmul: bool) -> None:
        self.matmul = matmul

    def state(self) -> Any:
        return {"h": 4}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        h, w = state["h"] + x * p.bias("b", (4,), "ones"), p.kernel("w", (4, 4), "orthogonal")
        for number in range(DEEP):
            h = h @ w if self.matmul else (rg.tanh(h) if number % 2 else h * 1.5)
        return h, {"h": h}


class Nested(rg.Cell):
    """User-defined cell around another, with a state of its own."""

    def __init__(self, cell: rg.Cell, name: str = "inner") -> None:
        self.inner, self.name = cell, name

    def state(self) -> Any:
        return {"inner": self.inner, "before": 4}

    def nested_step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
        output, inner = yield p.cell(self.name, self.inner), x, state["inner"]
        return output + state["before"] * 0.5, {"inner": inner, "before": output}


class Calling(rg.Cell):
    """User-defined cell that calls the step of its inner cell."""

    def __init__(self, cell: rg.Cell) -> None:
        self.inner = cell

    def state(self) -> Any:
        return {"inner": self.inner}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        output, inner = p.cell("inner", self.inner)(x, state["inner"])
        return output, {"inner": inner}


def inputs() -> rg.Tensor:
    return rg.placeholder("x", shape=(None, None, 4))


def run(cell: rg.Cell, x: rg.Tensor | None = None) -> tuple[Any, rg.Tensor]:
    outputs, state = rg.dynamic_rnn(cell, inputs() if x is None else x)
    return {"outputs": outputs, "state": state}, rg.reduce_mean(outputs * outputs)


def wrapped(wrap: Callable[[rg.Cell], rg.Cell], cell: rg.Cell | None = None, depth: int = DEEP) -> Any:
    cell = rg.BasicRNNCell(4) if cell is None else cell
    for _ in range(depth):
        cell = wrap(cell)
    return run(cell)


def chain(change: Callable[[rg.Tensor, rg.Tensor, int], rg.Tensor], depth: int = DEEP) -> Any:
    x, w = rg.placeholder("x", shape=(None, None, 4)), rg.parameter("w", (4, 4), "orthogonal")
    y = x @ w
    for number in range(depth):
        y = change(y, w, number)
    return {"y": y}, rg.reduce_mean(y * y)


def layers() -> Any:
    y = inputs()
    for _ in range(LAYERS):
        y, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), y)
    return {"y": y}, rg.reduce_mean(y * y)


def picks() -> Any:
    """Return a long chain of lookups and of arithmetic on indices."""
    x, table = inputs(), rg.parameter("w", (4, 4))
    index = rg.cast(x[:, 0, 0] * 0, "int64")
    following = rg.constant(np.array([1, 2, 3, 0]))
    for _ in range(DEEP // 2):
        index = rg.gather(following, rg.minimum(index, 3))
    y = rg.gather(table, index)
    return {"y": y}, rg.reduce_mean(y * y)


class Learned(rg.GRUCell):
    """Cell with a learned initial state."""

    def initial_state(self, p: rg.Scope) -> Any:
        return {"h": p.bias("start", (4,), "ones")}


class Starting(Nested):
    """User-defined cell that requests the initial state of its inner cell."""

    def nested_initial_state(self, p: rg.Scope) -> Any:
        return {"inner": (yield p.cell("inner", self.inner)), "before": p.bias("before", (4,), "ones")}


def attention(depth: int, own: bool) -> Any:
    """Return nested wrappers of each kind, which request the inner cell's width and initial state."""
    x = inputs()
    heeds = rg.LuongAttention(4, x)
    cell: rg.Cell = Learned(4) if own else rg.GRUCell(4)
    for _ in range(depth):
        cell = rg.AttentionWrapper(cell, heeds, output_attention=False)
        if own:
            cell = Starting(rg.MultiRNNCell([rg.InputProjectionWrapper(rg.ResidualWrapper(cell), 4)]))
    assert cell.output_size == 4
    return run(cell, x)


def nest() -> Any:
    y: Any = inputs() * 2.0
    for number in range(DEEP):
        y = {"a": y} if number % 3 == 0 else [y] if number % 3 == 1 else (y,)
    return {"y": y, "z": [rg.parameter("w", (4,)) * 1.0]}, None


CASES: dict[str, Callable[[], Any]] = {
    "stack": lambda: run(rg.MultiRNNCell([rg.BasicRNNCell(4) for _ in range(LAYERS)])),
    "layers": layers,
    "ops in a step": lambda: run(Chain(matmul=False)),
    "products in a step": lambda: run(Chain(matmul=True)),
    "ops": lambda: chain(lambda y, w, number: rg.tanh(y) if number % 2 else y * 1.5),
    "products": lambda: chain(lambda y, w, number: y @ w),
    "a sum": lambda: chain(lambda y, w, number: y + w[number % 4]),
    "a sum of products": lambda: chain(lambda y, w, number: y + rg.tanh(y[:1] * float(number)) @ w, DEEP // 2),
    "joins": lambda: chain(lambda y, w, number: rg.concat([y[..., :2], y[..., 2:] * 0.5], axis=-1), DEEP // 2),
    "views": lambda: chain(lambda y, w, number: rg.transpose(y[..., ::-1], (1, 0, 2))),
    "picks": picks,
    "dropout": lambda: wrapped(lambda cell: rg.DropoutWrapper(cell, output_keep_prob=0.9)),
    "residual": lambda: wrapped(rg.ResidualWrapper),
    "zoneout": lambda: wrapped(lambda cell: rg.ZoneoutWrapper(cell, state_keep_prob=0.9), depth=DEEP // 2),
    "shared": lambda: wrapped(rg.shared),
    "projections": lambda: wrapped(lambda cell: rg.OutputProjectionWrapper(cell, 4), depth=DEEP // 2),
    "stacks in stacks": lambda: wrapped(lambda cell: rg.MultiRNNCell([cell]), depth=DEEP // 3),
    "attention": lambda: attention(DEEP // 4, own=False),
    "learned initial states": lambda: attention(DEEP // 8, own=True),
    "cells in cells": lambda: wrapped(Nested, depth=DEEP // 2),
    "names": lambda: (
        {"y": rg.dynamic_rnn(Nested(rg.BasicRNNCell(4), LONG_NAME), inputs(), scope=LONG_NAME)[0]},
        None,
    ),
    "nests": nest,
}
X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)


def everything(declare: Callable[[], Any], folder: Path, whole: bool = True) -> None:
    """Run all functions of the package that walk over a declaration."""
    outputs, loss = declare()
    program = rg.compile(outputs, loss=loss, cache=False)
    graph = program.inference.graph
    feeds = {"x": X} if any(node.op == "input" for node in graph.inputs) else {}
    result = program.inference(**feeds)
    expected = interpret(graph, {**feeds, **program.parameters})
    actual = dict(zip(expected, leaves_of(result), strict=True))
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=2e-4, atol=2e-5)
    for stage in program.inference.stages[:-1]:
        program.inference.show(stage)
    program.summary(), program.declared, program.declared_text(), program.inference.memory()
    graph.networkx(), graph.dot(), program.inference.check(**feeds)
    if loss is not None:
        program.evaluate(**feeds), program.training(**feeds)
        value, gradients = program.training.gradients(**feeds, seed=1)
        assert np.isfinite(value)
        assert all(np.isfinite(array).all() for array in gradients.values())
        if whole:
            rg.Trainer(program).step(**feeds)
            for stage in program.training.stages[:-3]:
                program.training.show(stage)
    program.save(folder / "saved")
    again = rg.load(folder / "saved", cache=False).inference(**feeds)
    now = program.inference(**feeds)  # the trainer's step has changed the parameters
    assert all(np.array_equal(a, b) for a, b in zip(leaves_of(again), leaves_of(now), strict=True))


def leaves_of(result: Any) -> list[np.ndarray]:
    return flatten(dict(result))


@pytest.fixture(scope="module", autouse=True)
def _all_is_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import modules that are otherwise imported late, because imports need stack frames."""
    everything(lambda: run(rg.DropoutWrapper(rg.BasicRNNCell(4), input_keep_prob=0.5)), tmp_path_factory.mktemp("a"))


QUICK = ("stack", "a sum", "picks")
LONG = [pytest.param(name, marks=pytest.mark.exhaustive) for name in CASES if name not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *LONG])
def test_a_deep_declaration_does_all_that_others_do(name: str, tmp_path: Path) -> None:
    with little_room():
        everything(CASES[name], tmp_path, whole=name not in QUICK)


@pytest.mark.parametrize(("depth", "own"), [(DEEP // 2, False), (DEEP // 8, True)])
def test_initial_states_and_widths_of_deep_cells(depth: int, own: bool) -> None:
    with little_room():
        outputs, _ = attention(depth, own)
    assert outputs["outputs"].width == 4


def test_initial_states_that_call_initial_states_raise_an_error_with_the_line() -> None:
    class Asking(rg.ResidualWrapper):
        def initial_state(self, p: rg.Scope) -> Any:
            return p.cell(None, self.cell).initial_state()

    cell: rg.Cell = Learned(4)
    for _ in range(DEEP):
        cell = Asking(cell)
    with little_room(), pytest.raises(rg.StructureError, match="nested_initial_state"):
        rg.dynamic_rnn(cell, inputs())
    outputs, _ = rg.dynamic_rnn(Starting(Asking(Asking(Learned(4)))), inputs())
    program = rg.compile({"y": outputs}, cache=False)
    assert any(name.endswith("start") for name in program.parameters)


def test_a_stream_and_an_export_of_deep_cells(tmp_path: Path) -> None:
    outputs, _ = wrapped(rg.ResidualWrapper)
    with little_room():
        program = rg.compile(outputs, cache=False)
        stream = program.inference.stream(batch=2)
        steps = [stream.step(x=X[:, step])["outputs"] for step in range(3)]
        exported = program.inference.export(tmp_path, "deep", link=False)
    assert np.array_equal(np.stack(steps, 1), program.inference(x=X)["outputs"])
    assert exported.files["deep.h"].exists()


def test_results_of_deep_nests_are_written_to_the_given_arrays() -> None:
    outputs, _ = nest()
    program = rg.compile(outputs, cache=False)
    with little_room():
        expected = program.inference(x=X)
        for _ in range(3):  # calls are prepared from the second on
            mine = rg.Result(pack(expected, [np.empty_like(leaf) for leaf in leaves_of(expected)]))
            result = program.inference(x=X, out=mine)
            for a, b, c in zip(*map(leaves_of, (result, mine, expected)), strict=True):
                assert a is b
                assert np.array_equal(a, c)


def test_steps_that_call_steps_use_pythons_stack_and_then_raise_an_error_with_the_line() -> None:
    cell: rg.Cell = rg.BasicRNNCell(4)
    for _ in range(DEEP):
        cell = Calling(cell)
    with little_room(), pytest.raises(rg.StructureError, match="nested_step") as caught:
        rg.dynamic_rnn(cell, inputs())
    assert str(caught.value).startswith(f"{Path(__file__).name}:") or "test_depth.py:" in str(caught.value)
    with little_room(6 * DEEP):
        outputs, state = rg.dynamic_rnn(cell, inputs())
    assert set(rg.compile({"y": outputs, "s": state}, cache=False).inference(x=X)) == {"y", "s"}


class Itself(rg.Cell):
    """Cell that contains itself, in one of several ways."""

    def __init__(self, how: str) -> None:
        self.how = how

    def state(self) -> Any:
        return self.state_size if self.how == "size" else {"h": self} if self.how == "state" else {"h": 4}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        if self.how == "step":
            return p.cell("again", self)(x, state["h"])
        return self.step(p, x, state)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Disable the garbage collector, whose finalizers of other tests' objects would fail near the end of the stack."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(
    ("how", "what"),
    [("state", "contains itself"), ("size", "calls itself"), ("step", "never ends"), ("call", "must not call itself")],
)
def test_a_cell_inside_itself_is_an_error_with_its_line(how: str, what: str) -> None:
    with pytest.raises(rg.StructureError, match=what) as caught:
        rg.dynamic_rnn(Itself(how), inputs())
    assert "test_depth.py:" in str(caught.value)


def test_wrappers_around_each_other_are_an_error() -> None:
    outer = rg.ResidualWrapper(rg.ResidualWrapper(rg.BasicRNNCell(4)))
    outer.cell.cell = outer  # type: ignore[attr-defined]
    with pytest.raises(rg.StructureError, match="contains itself"):
        rg.dynamic_rnn(outer, inputs())


def test_a_nest_that_contains_itself_is_an_error() -> None:
    own: list[Any] = [inputs()]
    own.append(own)
    with pytest.raises(rg.StructureError, match="contains itself"):
        rg.compile({"y": own})


def test_a_cell_that_refers_to_its_container_is_described_once() -> None:
    cell = Nested(rg.BasicRNNCell(4))
    cell.inner.parent = cell  # type: ignore[attr-defined]
    outputs, _ = rg.dynamic_rnn(cell, inputs())
    assert rg.compile(outputs).declared_text().count("Nested(") == 1


def calls_of(action: Callable[[], Any]) -> int:
    """Return the number of function calls in Python and C, which measures work independently of the machine's load."""
    count = 0

    def see(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", [pytest.param("stack", marks=pytest.mark.exhaustive), "layers"])
def test_work_grows_with_the_depth_and_not_with_its_square(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(depth: int) -> int:
        monkeypatch.setitem(globals(), "LAYERS", depth)

        def plan() -> None:
            outputs, loss = CASES[name]()
            program = rg.compile(outputs, loss=loss, cache=False)
            program.training.memory(batch=2)
            str(program.training.graph), program.summary(), program.declared_text()

        return calls_of(plan)

    work(2)
    few, more, most = work(6), work(12), work(24)
    assert most - more < 2.6 * (more - few)  # linear work gives 2, quadratic work 4


def test_a_step_that_creates_cells_without_end_is_an_error() -> None:
    class Fresh(rg.Cell):
        def state(self) -> Any:
            return {"h": 3}

        def nested_step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> Any:
            return (yield p.cell("inner", Fresh()), x, state)

    with pytest.raises(rg.StructureError, match=r"runs other steps, 4000 levels deep, so the recursion never ends"):
        rg.dynamic_rnn(Fresh(), rg.placeholder("x", (None, None, 3)))
