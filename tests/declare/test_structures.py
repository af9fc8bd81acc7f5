"""``map_structure`` over states, dicts, Tensors and arrays; errors name the position of a difference."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

Pair = namedtuple("Pair", ["first", "second"])


def test_results_are_in_containers_of_the_first_nest() -> None:
    one = {"b": [1, (2, Pair(3, 4))], "a": rg.LSTMStateTuple(c=5, h=())}
    two = {"a": rg.LSTMStateTuple(c=50, h=()), "b": [10, (20, Pair(30, 40))]}
    calls: list[tuple[int, int]] = []

    def together(a: int, b: int) -> int:
        calls.append((a, b))
        return a + b

    actual = rg.map_structure(together, one, two)
    assert actual == {"b": [11, (22, Pair(33, 44))], "a": rg.LSTMStateTuple(c=55, h=())}
    assert list(actual) == ["b", "a"]
    assert type(actual["b"][1][1]) is Pair
    assert calls == [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]


def test_one_value_is_a_nest_and_none_is_a_leaf() -> None:
    assert rg.map_structure(lambda x: x + 1, 2) == 3
    assert rg.map_structure(lambda x: x is None, (None, 1)) == (True, False)
    array = np.ones((2, 3))
    assert rg.map_structure(np.shape, [array, {"x": array[0]}]) == [(2, 3), {"x": (3,)}]


def test_states_of_drivers_and_of_calls() -> None:
    """States of two directions are added in the declaration, and results are scaled afterwards."""
    x = rg.placeholder("x", (None, None, 3))
    stacks = [rg.MultiRNNCell([rg.LSTMCell(5), rg.GRUCell(2)]) for _ in range(2)]
    _, (forward, backward) = rg.bidirectional_dynamic_rnn(*stacks, x)
    total = rg.map_structure(lambda a, b: a + b, forward, backward)
    assert isinstance(total[0], rg.LSTMStateTuple)
    program = rg.compile({"total": total, "states": (forward, backward)})
    result = program.inference(x=np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32))
    wanted = rg.map_structure(np.add, *result["states"])
    rg.map_structure(np.testing.assert_array_equal, result["total"], wanted)
    stream_state = rg.map_structure(np.zeros_like, result["total"])
    assert stream_state[0].c.shape == (4, 5)


def test_nests_deeper_than_pythons_stack() -> None:
    nest: Any = 1
    for _ in range(5000):
        nest = [nest]
    actual = rg.map_structure(lambda a, b: a + b, nest, nest)
    for _ in range(5000):
        (actual,) = actual
    assert actual == 2


endless: list[Any] = []
endless.append(endless)
WRONG: dict[str, tuple[Callable[[], Any], type[rg.RnnGraphError], str]] = {
    "lengths": (lambda: rg.map_structure(max, (1, 2), (1, 2, 3)), rg.StructureError, "tuple of 3"),
    "place": (lambda: rg.map_structure(max, {"a": [1, (2,)]}, {"a": [1, 2]}), rg.StructureError, r"one value at a\.1"),
    "list and tuple": (lambda: rg.map_structure(max, [1], (1,)), rg.StructureError, "list of 1"),
    "keys": (lambda: rg.map_structure(max, {"a": 1, "b": 2}, {"a": 1, "c": 2}), rg.StructureError, "'b', 'c'"),
    "namedtuples": (lambda: rg.map_structure(max, Pair(1, 2), rg.LSTMStateTuple(1, 2)), rg.StructureError, "LSTMState"),
    "third": (lambda: rg.map_structure(max, 1, 2, [3]), rg.StructureError, "nest 3"),
    "no nest": (lambda: rg.map_structure(max), rg.StructureError, "one nest"),
    "no function": (lambda: rg.map_structure([1], [2]), rg.DtypeError, "function"),
    "arguments": (lambda: rg.map_structure(lambda a: a, 1, 2), rg.CallError, "leaf"),
    "endless": (lambda: rg.map_structure(max, endless), rg.StructureError, "contains itself"),
    "endless second": (lambda: rg.map_structure(max, [[1]], endless), rg.StructureError, "list of 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_differences_of_nests_are_named_with_their_paths(case: str) -> None:
    call, error, text = WRONG[case]
    with pytest.raises(error, match=text) as caught:
        call()
    assert "test_structures.py" in str(caught.value)


def test_errors_of_the_function_are_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        rg.map_structure(lambda x: 1 / x, [1, 0])
