"""The loop IR as text, and the canonical text that identifies equal functions."""

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen.loop_ir.functions import Function
from rnngraph.codegen.loop_ir.nodes import Buffer, Let, Literal, Load, Store, Value
from rnngraph.codegen.loop_ir.printer import function_text
from rnngraph.codegen.loop_ir.renaming import work_of


def store_of(value: float, lanes: int) -> Function:
    target = Buffer("m0", "float32")
    return Function("f", (target,), (), (Store(Literal(value, "float32", lanes), target, 0),))


def tanh_of(name: str, comment: str) -> Function:
    source, target = Buffer("m0", "float32"), Buffer("m1", "float32")
    before, after = Value(f"{name}.0", "float32", 8), Value("tanh.0", "float32", 8)
    body = (Load(before, source, 0), Let(after, "tanh", (before,), (), comment), Store(after, target, 8))
    return Function(name, (source, target), (), body, comment)


def test_names_and_comments_do_not_distinguish_functions() -> None:
    assert work_of(tanh_of("h", "net.py:3")) == work_of(tanh_of("state_1", "net.py:7"))


def test_lanes_and_signs_distinguish_functions() -> None:
    texts = {work_of(store_of(value, lanes)) for value in (0.0, -0.0) for lanes in (1, 4, 8)}
    assert len(texts) == 6


def test_every_store_has_a_type() -> None:
    assert function_text(store_of(0.0, 8)) == "function f(m0: f32*)\n  store 0.0 -> m0[0] : f32x8\n"
    assert function_text(store_of(0.0, 1)) == "function f(m0: f32*)\n  store 0.0 -> m0[0] : f32\n"


@pytest.mark.parametrize("widths", [(1, 4), (4, 1), (3, 5)])
def test_states_of_several_widths_begin_at_zero(widths: tuple[int, int]) -> None:
    x = rg.placeholder("x", (None, None, 3))
    outputs = [
        rg.dynamic_rnn(rg.BasicRNNCell(width), x, scope=f"net_{number}")[0] for number, width in enumerate(widths)
    ]
    program = rg.compile(dict(zip("ab", outputs, strict=True)))
    batch = np.random.default_rng(0).standard_normal((1, 5, 3)).astype(np.float32)
    first = program.inference(x=batch)
    second = program.inference(x=batch)  # its arena still contains values of the first call
    for name in "ab":
        np.testing.assert_array_equal(first[name], second[name])


def test_long_lines_are_continued() -> None:
    x = rg.placeholder("x", (None, None, 28))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.BasicLSTMCell(100) for _ in range(3)]), x)
    text = rg.compile(outputs).inference.show("loops")
    code = [line.partition("  #")[0] for line in text.splitlines()]
    assert max(map(len, code)) <= 130
