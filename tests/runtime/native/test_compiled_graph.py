"""Native entries: how many are cached, which sizes share one, and when they are freed."""

from __future__ import annotations

import gc
import threading
from weakref import ref

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.runtime.native import compiled_graph as compiled
from rnngraph.support.bounded_cache import BoundedCache

BATCHES = 40
X = np.random.default_rng(0).standard_normal((BATCHES, 5, 4)).astype(np.float32)


def declared() -> tuple[dict[str, rg.Tensor], rg.Tensor]:
    x = rg.placeholder("x", shape=(None, None, 4))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(6), rg.tanh(x))
    return {"y": rg.dense(outputs, 3), "state": state}, rg.reduce_mean(outputs)


@pytest.fixture
def program() -> rg.Program:
    outputs, loss = declared()
    return rg.compile(outputs, loss=loss, cache=False)


def entries(program: rg.Program) -> BoundedCache[compiled.EntryKey, compiled.NativeEntry]:
    return program.inference.compiled._entries


def test_ragged_batches_share_code_and_give_the_same_bits(program: rg.Program, monkeypatch: pytest.MonkeyPatch) -> None:
    actual = [program.inference(x=X[:rows]) for rows in range(1, BATCHES + 1)]
    assert len(entries(program)) == compiled.MAX_SPECIAL + 1
    monkeypatch.setattr(compiled, "MAX_SPECIAL", BATCHES)
    other = rg.compile(declared()[0], cache=False)
    other.parameters.load(dict(program.parameters))
    for rows in (5, 17, BATCHES):
        for name, array in other.inference(x=X[:rows]).items():
            assert np.array_equal(array, actual[rows - 1][name])
    assert len(entries(other)) == 3


@pytest.mark.filterwarnings("ignore:.*the loss does not depend:UserWarning")
def test_gradients_are_the_same_bits_where_code_is_shared(program: rg.Program, monkeypatch: pytest.MonkeyPatch) -> None:
    value, gradients = program.training.gradients(x=X[:7])
    monkeypatch.setattr(compiled, "MAX_SPECIAL", 0)
    other = rg.compile(*declared(), cache=False)
    other.parameters.load(dict(program.parameters))
    same, shared = other.training.gradients(x=X[:7])
    assert value == same
    assert all(np.array_equal(array, shared[name]) for name, array in gradients.items())


def test_the_order_of_a_sum_keeps_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of a sum over rows is specialised for their number, which determines the order of the sum."""
    x = rg.placeholder("x", shape=(None,))
    program = rg.compile({"sum": rg.reduce_sum(x), "twice": x * 2}, cache=False)
    numbers = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    actual = [program.inference(x=numbers[:count])["sum"] for count in range(60, 90)]
    monkeypatch.setattr(compiled, "MAX_SPECIAL", 1000)
    other = rg.compile({"sum": rg.reduce_sum(x)}, cache=False)
    assert [other.inference(x=numbers[:count])["sum"] for count in range(60, 90)] == actual


def test_entries_compiled_in_advance_have_code_of_their_own(program: rg.Program) -> None:
    program.inference.prepare(batch=[*range(1, 11)])
    assert len(entries(program)) == 10
    assert all(value is not None for key in entries(program) for _, value in key[1])


def test_the_least_recently_used_entry_is_dropped_with_its_code(program: rg.Program) -> None:
    program.inference.compiled._entries.limit = 3
    program.inference.prepare(batch=[1, 2, 3])
    first, second, third = (ref(entry) for entry in entries(program).values())
    code = ref(second()._code)  # type: ignore[union-attr]
    program.inference.prepare(batch=1)
    program.inference.prepare(batch=4)
    gc.collect()
    assert len(entries(program)) == 3
    assert second() is None
    assert code() is None
    assert first() is not None
    assert third() is not None


def test_a_dropped_entry_that_runs_is_not_freed(program: rg.Program) -> None:
    program.inference.compiled._entries.limit = 1
    expected = {rows: program.inference(x=X[:rows])["y"] for rows in (1, 2, 3)}
    stream = program.inference.stream(batch=2)
    first = stream.step(x=X[:2, 0])["y"]
    wrong: list[int] = []

    def work(rows: int) -> None:
        for _ in range(300):
            if not np.array_equal(program.inference(x=X[:rows])["y"], expected[rows]):
                wrong.append(rows)

    threads = [threading.Thread(target=work, args=(rows,)) for rows in expected]
    for thread in threads:
        thread.start()
    for rows in range(4, 12):
        program.inference.prepare(batch=rows)
        gc.collect(1)
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(entries(program)) == 1
    stream.reset()
    assert np.array_equal(stream.step(x=X[:2, 0])["y"], first)


def test_a_callable_keeps_its_code(program: rg.Program) -> None:
    program.inference(x=X[:1])
    (entry,) = entries(program).values()
    native, code = entry.single, ref(entry._code)
    entries(program).clear()
    del entry, program
    gc.collect()
    assert code() is not None
    del native
