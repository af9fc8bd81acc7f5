"""Errors of readers whose package is not installed name the package."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import rnngraph as rg


def test_torch_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.nn", None)
    with pytest.raises(rg.MissingExtraError, match=r"pip install torch$"):
        rg.read_torch(object(), ())


def test_read_torch_explains_how_to_create_a_module() -> None:
    pytest.importorskip("torch")
    for source in ("net.pt", {"rnn.weight_ih_l0": np.zeros((4, 1))}):
        with pytest.raises(rg.DtypeError, match=r"make the module, and write module\.load_state_dict\("):
            rg.read_torch(source, ())
