"""Integer powers of any size equal products, also for negative bases."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg


@pytest.mark.parametrize("exponent", [65, 100, -71, 128.0, np.int64(1001), 10**6 + 1])
def test_large_exponents(exponent: float) -> None:
    x = rg.placeholder("x", (None,), "float64")
    base = np.array([-1.0, -0.9, 1.0, 0.99, -1.0001, 1.3])
    result = rg.compile(x**exponent).inference(x=base)
    with np.errstate(over="ignore"):
        wanted = base**exponent
    np.testing.assert_allclose(result, wanted, rtol=1e-9)


def test_powers_of_ints() -> None:
    n = rg.placeholder("n", (None,), "int64")
    assert rg.compile(n**70).inference(n=[-1, 0, 1]).tolist() == [1, 0, 1]
