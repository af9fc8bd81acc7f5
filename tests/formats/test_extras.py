"""Readers whose package is not installed say what to install."""

from __future__ import annotations

import sys

import pytest

import rnngraph as rg


def test_torch_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.nn", None)
    with pytest.raises(rg.MissingExtraError, match=r"pip install 'rnngraph\[torch\]'"):
        rg.read_torch(object(), ())
