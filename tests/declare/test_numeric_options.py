"""Numeric options of public functions and cells: values out of range are errors with the line and the range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

ZEROS, ONES = np.zeros(8, np.float32), np.ones(8, np.float32)


def x() -> rg.Tensor:
    return rg.placeholder("x", (None, 4, 8))


OPTIONS: dict[str, tuple[Callable[[Any], Any], tuple[Any, ...], tuple[Any, ...]]] = {
    "layer_norm: epsilon": (lambda n: rg.layer_norm(x(), epsilon=n), (-1, -1e-9), (0, 1e-5, np.float32(1e-5))),
    "rms_norm: epsilon": (lambda n: rg.rms_norm(x(), epsilon=n), (-1, -1e-9), (0, 1e-5)),
    "group_norm: epsilon": (lambda n: rg.group_norm(x(), 2, epsilon=n), (-1,), (0, 1e-5)),
    "normalize: epsilon": (lambda n: rg.normalize(x(), epsilon=n), (-1,), (0, 1e-5)),
    "standardize: epsilon": (lambda n: rg.standardize(x(), ZEROS, ONES, epsilon=n), (-1,), (0, 1e-5)),
    "batch_normalization: epsilon": (lambda n: rg.batch_normalization(x(), epsilon=n), (-1, 0), (1e-5,)),
    "batch_normalization: momentum": (lambda n: rg.batch_normalization(x(), momentum=n), (-1, 1.5), (0, 1)),
    "logit: epsilon": (lambda n: rg.logit(x(), n), (-1, 0.6), (0, 0.1, None)),
    "huber_loss: delta": (lambda n: rg.huber_loss(x(), x(), delta=n), (-1, 0), (0.5,)),
    "soft_shrink: threshold": (lambda n: rg.soft_shrink(x(), n), (-1,), (0, 1)),
    "hard_shrink: threshold": (lambda n: rg.hard_shrink(x(), n), (), (-1, 0, 1)),
    "celu: alpha": (lambda n: rg.celu(x(), n), (0,), (-1, 2)),
    "GatedLinearAttentionCell: temperature": (
        lambda n: rg.GatedLinearAttentionCell(2, 4, temperature=n),
        (-1, 0),
        (1, 16.0),
    ),
    "RGLRUCell: decay_scale": (lambda n: rg.RGLRUCell(8, decay_scale=n), (-1, 0), (8,)),
    "LRUCell: max_phase": (lambda n: rg.LRUCell(8, max_phase=n), (-1, 0), (3.1,)),
    "sample: temperature": (lambda n: rg.sample(x()[:, 0], n), (-1,), (0, 1, 2.5)),
    "sample: top_k": (lambda n: rg.sample(x()[:, 0], top_k=n), (-1, 0, 9), (1, 8, None)),
    "sample: top_p": (lambda n: rg.sample(x()[:, 0], top_p=n), (-1, 0, 1.5), (0.5, 1, None)),
    "dropout: keep_prob": (lambda n: rg.dropout(x(), n), (-1, 0, 1.5), (0.5, 1)),
    "Adam: learning rate": (lambda n: rg.Adam(n), (-1,), (0, 0.1)),
}
NOT_NUMBERS = (float("nan"), float("inf"), "1", True)


@pytest.mark.parametrize("name", OPTIONS)
def test_values_out_of_range_are_errors_with_the_line(name: str) -> None:
    declare, bad, good = OPTIONS[name]
    for value in (*bad, *NOT_NUMBERS):
        with pytest.raises((rg.ArgumentError, rg.DtypeError)) as caught:
            declare(value)
        text = str(caught.value)
        assert Path(__file__).name in text.split(": ")[0], (value, text)
        assert name.partition(": ")[2] in text, text
    for value in good:
        declare(value)
