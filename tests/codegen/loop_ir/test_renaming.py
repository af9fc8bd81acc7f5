"""Parameters of functions, and offsets that calls add to pointers."""

from __future__ import annotations

import rnngraph as rg
from rnngraph.codegen.loop_ir.nodes import Barrier, Buffer, Call, For, LetIndex, Literal, Load, Prefetch, Store, Value
from rnngraph.codegen.loop_ir.renaming import free, parameters, renamed
from rnngraph.ir.sizes.polynomial import floor_divide
from rnngraph.ir.types import size

A, B, C = (Buffer(name, "float32") for name in "abc")
N, START, T = size("n"), size("start"), size("t")
X = Value("x", "float32", 1)


def test_terms_that_all_indices_share_become_an_offset() -> None:
    place = START * 7 + floor_divide(N, 3) + T
    body = (Load(X, A, place), Prefetch(A, place + 8), Store(X, B, T + START), Store(X, B, T + N), Store(X, C, T))
    statements = (For("t", 0, 4, 1, body),)
    found = parameters(statements)
    assert found.buffers == {A: START * 7 + floor_divide(N, 3), B: 0, C: 0}
    assert found.sizes == ("start", "n")  # B needs both
    (loop,) = renamed(statements, None, {}, found.buffers)
    assert isinstance(loop, For)
    assert loop.body[:3] == (Load(X, A, T), Prefetch(A, T + 8), Store(X, B, T + START))


def test_offsets_have_no_numbers_and_no_bound_names() -> None:
    statements = (LetIndex("first", "min", N, 8), Store(X, A, size("first") + START + 3))
    found = parameters(statements)
    assert (found.buffers, found.sizes) == ({A: START}, ("n",))
    assert free(statements) == ((A,), ("n", "start"))


def test_products_of_bound_names_stay_in_the_function() -> None:
    statements = (For("t", 0, 4, 1, (Store(X, A, T * N + N * N),)),)
    assert parameters(statements).buffers == {A: N * N}


def test_calls_have_offsets_of_their_own() -> None:
    statements = (Call("f", ((A, START + 4), (B, 0)), (N,)),)
    found = parameters(statements)
    assert (found.buffers, found.sizes) == ({A: START, B: 0}, ("n",))
    assert renamed(statements, None, {}, found.buffers) == (Call("f", ((A, 4), (B, 0)), (N,)),)


def test_a_barrier_fixes_the_pointer_of_its_memory() -> None:
    statements = (Store(Literal(0.0, "float32", 1), A, START), Barrier(A, N, N))
    assert parameters(statements).buffers == {A: 0}


def test_layers_share_kernels_of_values_of_all_steps_and_of_one_chunk() -> None:
    """Derivatives of gates of the last layer overwrite values of all steps; those of other layers last for a chunk."""
    x, y = rg.placeholder("x", (None, None, 28)), rg.placeholder("y", (None,), "int64")
    cells = [rg.DropoutWrapper(rg.LSTMCell(100), input_keep_prob=0.5) for _ in range(3)]
    _, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=rg.dense(states[-1].h, 10))
    program = rg.compile(states[-1].h, loss=loss, cache=False, target="x86-64-v4", threads=1)
    functions = str(program.training.show("loops")).split("\n\n")
    kernels = [text for text in functions if "# fused select" in text and "tile 13 rows" in text]
    assert len(kernels) == 1
    sums = [text for text in functions if "# outer_sum outer_sum" in text and "by -112" in text]
    assert len(sums) == 1
