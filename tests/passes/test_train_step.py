"""The graph of a training step: the parts of the original graph that it keeps, and the values that it adds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.text.parser import parse
from rnngraph.ir.verifier import verify
from rnngraph.passes.optimization import optimization
from rnngraph.passes.pipeline import run
from rnngraph.passes.train_step import NEW, NORM, NUMBER, SLOT, SUM, AddGradients, TrainStep, update_graph

TEXT = """
graph training
  x = input : f32[B,3]
  w = parameter {label='w'} : f32[3]
  d = parameter {label='d'} : f64[]
  y = mul x, w : f32[B,3]
  two = constant 2.0 : f64[]
  d2 = mul d, two : f64[]
  g = reduce_sum x {axes=(0,), keepdims=False} : f32[3]
  output 'y' = y
  output 'loss' = d2
  output 'gradient/w' = g
  output 'gradient/d' = d2
"""


def graph() -> Graph:
    return verify(parse(TEXT), "reading")


def feeds() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "x": generator.normal(size=(4, 3)).astype(np.float32),
        "w": generator.normal(size=3).astype(np.float32),
        "d": np.asarray(0.75),
        f"{NUMBER}rate": np.asarray(0.5),
        f"{SLOT}last/w": np.full(3, 2, np.float32),
        f"{SLOT}last/d": np.asarray(3.0),
    }


def lagging(parameter: Any, gradient: Any, slots: Any, numbers: Any) -> tuple[Any, Any]:
    """Update by the previous gradient, and store the current one."""
    step = make("mul", slots["last"], numbers["rate"])
    return make("sub", parameter, step), {"last": gradient}


def stepped(**clip: float) -> tuple[Graph, dict[str, np.ndarray]]:
    made = verify(TrainStep(lagging, ("last",), ("rate",), **clip)(graph()), "train_step")
    return made, interpret(made, feeds())


def test_new_values_replace_gradients_in_memory() -> None:
    made, found = stepped()
    before, given = interpret(graph(), feeds()), feeds()
    assert list(found) == ["y", "loss", NORM, f"{NEW}w", f"{SLOT}last/w", f"{NEW}d", f"{SLOT}last/d"]
    for name in ("y", "loss"):
        assert_array_equal(found[name], before[name])
    assert_array_equal(found[f"{NEW}w"], given["w"] - np.float32(2 * 0.5))
    assert found[f"{NEW}d"] == 0.75 - 3 * 0.5
    for name in ("w", "d"):
        assert_array_equal(found[f"{SLOT}last/{name}"], before[f"gradient/{name}"])
        assert found[f"{SLOT}last/{name}"].dtype == found[NEW + name].dtype == given[name].dtype
    norm = math.hypot(*before["gradient/w"], float(before["gradient/d"]))
    assert found[NORM].dtype == np.float64
    assert_allclose(found[NORM], norm, rtol=1e-6)
    labels = [str(node["label"]) for node in made.inputs]
    assert labels == ["x", "w", "d", f"{NUMBER}rate", f"{SLOT}last/w", f"{SLOT}last/d"]


@pytest.mark.parametrize("size", [1e-3, 1e18, 2e19, 1e30, 3e38])
def test_a_norm_whose_squares_overflow(size: float) -> None:
    """The norm is exact up to the limits of float32, and has the bits of the plain sum if that does not overflow."""
    given = feeds()
    given["x"] = np.abs(given["x"]) / np.abs(given["x"]).sum(0).max() * np.float32(size)
    before, found = interpret(graph(), given), interpret(TrainStep(lagging, ("last",), ("rate",), 2.0)(graph()), given)
    g = before["gradient/w"].astype(np.float64)
    norm = math.sqrt((g**2).sum() + float(before["gradient/d"]) ** 2)
    assert_allclose(found[NORM], norm, rtol=1e-6)
    assert_allclose(found[f"{SLOT}last/w"], g * min(1, 2 / norm), rtol=2e-6)
    with np.errstate(over="ignore"):
        plain = np.sum(before["gradient/w"] ** 2)
    if np.isfinite(plain):
        assert found[NORM] == math.sqrt(float(plain) + float(before["gradient/d"]) ** 2)


@pytest.mark.parametrize("limit", [0.25, 1.0, 1e6])
def test_clip_norm_bounds_all_gradients_together(limit: float) -> None:
    before, (_, found) = interpret(graph(), feeds()), stepped(clip_norm=limit)
    norm = math.hypot(*before["gradient/w"], float(before["gradient/d"]))
    for name in ("w", "d"):
        expected = before[f"gradient/{name}"] * (limit / max(norm, limit))
        assert_allclose(found[f"{SLOT}last/{name}"], expected, rtol=1e-6)
    assert_allclose(found[NORM], norm, rtol=1e-6)  # the norm before clipping


def test_clip_value_bounds_each_element_before_the_norm() -> None:
    before, (_, found) = interpret(graph(), feeds()), stepped(clip_value=0.25, clip_norm=0.3)
    clipped = {name: np.clip(before[f"gradient/{name}"], -0.25, 0.25) for name in ("w", "d")}
    norm = math.hypot(*clipped["w"], float(clipped["d"]))
    assert_allclose(found[NORM], norm, rtol=1e-6)
    for name, g in clipped.items():
        assert_allclose(found[f"{SLOT}last/{name}"], g * (0.3 / norm), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_norm_shows_non_finite_gradients(bad: float) -> None:
    given = feeds()
    given["x"][1, 2] = bad
    for clip in ({}, {"clip_norm": 1.0}):
        made = TrainStep(lagging, ("last",), ("rate",), **clip)(graph())
        with np.errstate(invalid="ignore"):
            assert not np.isfinite(interpret(made, given)[NORM])


def test_sums_and_their_average() -> None:
    """An update with gradients that are accumulated over calls equals an update with their mean."""
    added = verify(AddGradients()(graph()), "add_gradients")
    given, total = feeds(), {f"{SUM}w": np.zeros(3, np.float32), f"{SUM}d": np.zeros(())}
    gradients = []
    for number in range(3):
        given["x"] = np.full((2, 3), number, np.float32)
        found = interpret(added, given | total)
        assert list(found) == ["y", "loss", NORM, f"{SUM}w", f"{SUM}d"]
        total = {name: found[name] for name in total}
        gradients.append(interpret(graph(), given)["gradient/w"])
    kinds = {str(node["label"]): node.tensor for node in graph().inputs if node.op == "parameter"}
    update = verify(TrainStep(lagging, ("last",), ("rate",))(verify(update_graph(kinds), "update")), "train_step")
    numbers = {f"{NUMBER}share": np.asarray(1 / 3)}
    found = interpret(update, {name: value for name, value in (given | total | numbers).items() if name != "x"})
    assert_allclose(found[f"{SLOT}last/w"], np.mean(gradients, axis=0), rtol=1e-6)
    assert_allclose(found[f"{SLOT}last/d"], 1.5)


def test_text_is_read_back_and_passes_keep_the_values() -> None:
    made, found = stepped(clip_norm=0.5)
    again = parse(str(made))
    assert str(again) == str(made)
    after = interpret(run(made, optimization()), feeds())
    for name, array in found.items():
        assert_allclose(after[name], array, rtol=1e-6, err_msg=name)


def test_a_number_may_be_an_output_of_the_graph() -> None:
    given = verify(parse(f"{TEXT.rstrip()}\n  output '{NUMBER}rate' = two\n"), "reading")
    made = verify(TrainStep(lagging, ("last",), ("rate",))(given), "train_step")
    fed = feeds()
    del fed[f"{NUMBER}rate"]
    assert not any(
        name.startswith(NUMBER) for name in (*(str(node["label"]) for node in made.inputs), *dict(made.outputs))
    )
    found = interpret(made, fed)
    assert_array_equal(found[f"{NEW}w"], fed["w"] - 4)
    assert_array_equal(found[f"{NEW}d"], fed["d"] - 6)
