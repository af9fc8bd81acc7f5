"""Products that continue each other's sums share a loop, with the bits of separate loops."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import rnngraph as rg

DEPTHS = (1, 47, 48, 63, 100, 129)


def arrays(rows: int, depths: tuple[int, ...], width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(sum(depths) + rows)
    found = {}
    for number, depth in enumerate(depths):
        found[f"x{number}"] = rng.standard_normal((rows, depth)).astype(np.float32)
        found[f"w{number}"] = rng.standard_normal((depth, width)).astype(np.float32)
    return found


def program_of(given: dict[str, np.ndarray], with_parts: bool = False) -> rg.Program:
    """Return a program that sums products of ``x`` and ``w``. ``with_parts`` adds the sum of the first two as an
    output.
    """
    feeds = {name: rg.placeholder(name, array.shape) for name, array in given.items() if name[0] == "x"}
    total = part = None
    weights = {name: rg.parameter(name, array.shape) for name, array in given.items() if name[0] == "w"}
    for x, w in zip(feeds.values(), weights.values(), strict=True):
        total = x @ w if total is None else total + x @ w
        part = total if x.name == "x1" else part
    assert total is not None
    program = rg.compile({"total": total, "part": part} if with_parts else {"total": total}, cache=False)
    for name, w in weights.items():
        program.parameters[w.name] = given[name]
    return program


def feeds(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in given.items() if name[0] == "x"}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("rows", "width"), [(1, 100), (3, 17), (25, 100)])
def test_one_loop_has_the_bits_of_one_for_each_product(depth: int, rows: int, width: int) -> None:
    given = arrays(rows, (depth,) * 4, width)
    found = program_of(given).inference(**feeds(given))["total"]
    apart = program_of(given, with_parts=True).inference(**feeds(given))
    np.testing.assert_array_equal(found, apart["total"])
    exact = [given[f"x{number}"].astype(float) @ given[f"w{number}"].astype(float) for number in range(4)]
    np.testing.assert_allclose(found, sum(exact), rtol=1e-5, atol=1e-6 * 4 * depth)
    np.testing.assert_allclose(apart["part"], exact[0] + exact[1], rtol=1e-5, atol=1e-6 * 4 * depth)


def loops_of_tiles(text: str) -> list[int]:
    """Return the number of products that each register tile of the loop IR accumulates."""
    return [len(re.findall(r"for k in", tile)) for tile in re.split(r"tile \d+ rows", text)[1:]]


def test_products_of_one_depth_are_one_tile() -> None:
    assert set(loops_of_tiles(program_of(arrays(6, (64,) * 3, 16)).inference.show("loops"))) == {3}


def test_products_of_other_depths_and_short_ones_stay_separate() -> None:
    assert set(loops_of_tiles(program_of(arrays(6, (64, 63, 62), 16)).inference.show("loops"))) == {1}
    assert set(loops_of_tiles(program_of(arrays(6, (8,) * 3, 16)).inference.show("loops"))) == {1}


def test_a_sum_that_other_kernels_read_ends_a_loop() -> None:
    program = program_of(arrays(7, (64,) * 4, 25), with_parts=True)
    assert set(loops_of_tiles(program.inference.show("loops"))) == {2}


@pytest.mark.parametrize("cell", [rg.BasicRNNCell, rg.BasicLSTMCell, rg.GRUCell])
def test_equal_layers_share_their_backward_loop(cell: Callable[[int], rg.Cell]) -> None:
    x = rg.placeholder("x", (None, None, 48))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([cell(48) for _ in range(3)]), x)
    program = rg.compile(outputs, loss=rg.reduce_mean(rg.square(outputs)), cache=False)
    *_, of_last, of_middle, of_first = re.findall(r"call (scan\d+)\(", program.training.show("loops"))
    assert of_middle == of_first != of_last
