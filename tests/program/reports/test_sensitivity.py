"""Sensitivity of results to narrow weights, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg


def net(**options: Any) -> rg.Program:
    x, y = rg.placeholder("x", (None, None, 64)), rg.placeholder("y", (None, None, 70))
    outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(64), x)
    logits = rg.dense(outputs, 70, name="head")
    return rg.compile({"logits": logits}, loss=rg.mean_squared_error(y, logits), seed=2, **options)


def test_it_is_the_change_that_one_layer_makes() -> None:
    rng = np.random.default_rng(3)
    feeds = {"x": rng.normal(size=(2, 5, 64)).astype("f"), "y": rng.normal(size=(2, 5, 70)).astype("f")}
    mixed = net(weights={"head/*": "int4", "*": "int8"}, activations="int8")
    summary = mixed.summary(sensitivity=feeds)
    exact = net().evaluate(feeds)
    for pattern, kind, row in (("rnn/*", "int8", summary.rows[0]), ("head/*", "int4", summary.rows[1])):
        activations = "int8" if kind == "int8" else "float32"
        alone = net(weights={pattern: kind}, activations=activations).evaluate(feeds)
        change = np.linalg.norm(alone["logits"] - exact["logits"]) / np.linalg.norm(exact["logits"])
        assert row[-2] == f"{100 * change:.3f} %"
        assert row[-1] == f"{float(alone['loss']) - float(exact['loss']):+.2e}"
    assert summary.head[-2:] == ("change of outputs", "change of loss")
    assert "change of loss" in str(summary)
    assert "change of loss" in summary._repr_html_()


def test_without_labels_there_is_no_loss() -> None:
    summary = net(weights="int8").summary(sensitivity={"x": np.ones((1, 3, 64), "f")})
    assert summary.head[-1] == "change of outputs"
    assert summary.rows[-1][-1] == ""


def test_it_needs_a_narrow_weight() -> None:
    with pytest.raises(rg.GraphError, match="and all are float32; compile with weights="):
        net().summary(sensitivity={"x": np.ones((1, 3, 64), "f")})
