"""What the tests of saved programs share, and those of bound calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from saved_cases import small_program

import rnngraph as rg
from rnngraph.runtime.native import NativeEntry


@pytest.fixture(scope="module")
def small() -> rg.Program:
    return small_program()


@pytest.fixture
def saved(small: rg.Program, tmp_path: Path) -> Path:
    small.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def general_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each call that took the general way."""
    found: list[int] = []
    call = NativeEntry.call_with

    def counted(self: NativeEntry, *arguments: Any) -> None:
        found.append(1)
        call(self, *arguments)

    monkeypatch.setattr(NativeEntry, "call_with", counted)
    return found
