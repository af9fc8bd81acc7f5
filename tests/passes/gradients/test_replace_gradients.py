"""Gradients that a declaration transforms are replaced in the graph that computes them."""

from __future__ import annotations

import numpy as np

import rnngraph as rg
from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.types import TensorType
from rnngraph.passes.gradients.autodiff import Autodiff
from rnngraph.passes.gradients.replace_gradients import APPLIED, AT, ReplaceGradients


def test_updates_use_the_replaced_gradients() -> None:
    """The loss is sum(tanh(w)²). Half of the gradient by w is applied, and the gradient by tanh(w) is an output."""
    kind = TensorType("float32", (3,))
    w, of_w, of_y = (make("input", label=name, name=name, type=kind) for name in ("w", "of_w", "of_y"))
    y = make("tanh", w)
    loss = make("reduce_sum", make("mul", y, y), axes=(0,), keepdims=False)
    half = make("mul", of_w, make("constant", value=np.asarray(0.5, np.float32)))
    outputs = [("loss", loss), (f"{APPLIED}w", half), ("seen", of_y), (f"{AT}0", y)]
    graph = Autodiff(("w", f"{AT}0"))(Graph.of("step", outputs, [w, of_w, of_y]))
    changed = ReplaceGradients((("of_w", "w"), ("of_y", f"{AT}0")))(graph)
    assert [node["label"] for node in changed.inputs] == ["w"]
    assert [name for name, _ in changed.outputs] == ["loss", "gradient/w", "seen"]
    values = np.float32([0.5, -1.0, 2.0])
    found = interpret(changed, {"w": values}, {})
    tanh = np.tanh(values)
    np.testing.assert_allclose(found["seen"], 2 * tanh, rtol=1e-6)
    np.testing.assert_allclose(found["gradient/w"], tanh * (1 - tanh**2), rtol=1e-5)
    np.testing.assert_allclose(found["loss"], np.sum(tanh**2), rtol=1e-6)


def test_a_constant_derivative_is_one() -> None:
    """A parameter with a constant gradient is trained, unlike one that the loss does not read."""
    w, idle = rg.parameter("w", (3,), "zeros"), rg.parameter("idle", (2,))
    program = rg.compile({"idle": idle}, rg.reduce_sum(w * 2.0))
    trainer = rg.Trainer(program, rg.SGD(1.0), only="w")
    trainer.step()
    np.testing.assert_array_equal(program.parameters["w"], [-2, -2, -2])
    assert trainer.trained == ("w",)
