"""Names, shapes, dtypes and collections of all variables, against a table that TensorFlow 1.15.5 wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.tensorflow_variables import PROGRAMS, table

from rnngraph import tf1 as tf

TABLE: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "tensorflow_variables.json").read_text()
)
OTHER_ORDER = {"cell/lstm_block_peepholes", "called/lstm_block_peepholes"}
"""Programs whose variables are created in another order (docs/tf1.md)."""


def test_the_table_is_whole() -> None:
    assert TABLE["tensorflow"] == "1.15.5"
    assert TABLE.keys() - {"tensorflow"} == PROGRAMS.keys()


@pytest.mark.parametrize("name", PROGRAMS)
def test_variables_are_tensorflows(name: str) -> None:
    found, wanted = table(tf, PROGRAMS[name]), TABLE[name]
    assert found["counts"] == wanted["counts"]
    if name in OTHER_ORDER:
        assert found["variables"] != wanted["variables"], "the order is TensorFlow's now: take the program out"
        found, wanted = ({"variables": sorted(map(repr, item["variables"]))} for item in (found, wanted))
    assert found["variables"] == wanted["variables"]
