"""Dropout with shared masks, and alpha dropout: values of entries, and their mean."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.formats.operators.backend import TensorBackend
from rnngraph.formats.operators.dropouts import ALPHA, alpha_dropout, shared_dropout
from rnngraph.formats.operators.errors import UnreadableError


def both_graphs(name: str, x: np.ndarray, keep: float, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return (the training graph's values, the inference graph's values)."""
    function = {"shared": shared_dropout, "alpha": alpha_dropout}[name]
    y = function(TensorBackend(), rg.placeholder("x", (None, None, x.shape[2]), "float64"), keep, axes)
    program = rg.compile({"y": y}, loss=rg.reduce_mean(y))
    return program.training({"x": x})["y"], program.inference({"x": x})["y"]


def test_a_mask_is_the_same_along_its_axes() -> None:
    x = np.random.default_rng(1).normal(size=(200, 7, 5))
    trained, predicted = both_graphs("shared", x, 0.5, (1,))
    ratio = trained / x
    assert set(np.round(ratio.ravel(), 9)) == {0.0, 2.0}
    assert (ratio == ratio[:, :1]).all()
    assert abs((ratio[:, 0] != 0).mean() - 0.5) < 0.05
    np.testing.assert_array_equal(predicted, x)


def test_alpha_dropout_keeps_mean_and_deviation() -> None:
    x, keep = np.random.default_rng(2).normal(size=(300, 40, 5)), 0.7
    trained, predicted = both_graphs("alpha", x, keep, ())
    scale = (keep * (1 + (1 - keep) * ALPHA**2)) ** -0.5
    dropped = np.isclose(trained, -scale * ALPHA * keep)
    np.testing.assert_allclose(trained[~dropped], scale * (x[~dropped] + ALPHA * (1 - keep)), rtol=1e-9)
    assert abs(dropped.mean() - 0.3) < 0.01
    assert abs(trained.mean()) < 0.02
    assert abs(trained.std() - 1) < 0.02
    np.testing.assert_array_equal(predicted, x)


def test_alpha_dropout_of_every_entry_is_an_error() -> None:
    with pytest.raises(UnreadableError, match="must be below 1"):
        both_graphs("alpha", np.ones((1, 1, 2)), 0.0, ())
