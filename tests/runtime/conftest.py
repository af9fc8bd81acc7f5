"""What the tests of saved programs share."""

from __future__ import annotations

from pathlib import Path

import pytest
from saved_cases import small_program

import rnngraph as rg


@pytest.fixture(scope="module")
def small() -> rg.Program:
    return small_program()


@pytest.fixture
def saved(small: rg.Program, tmp_path: Path) -> Path:
    small.save(tmp_path / "model")
    return tmp_path / "model"
