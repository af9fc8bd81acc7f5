"""Names, shapes, dtypes and collections of all variables, against a table recorded by TensorFlow 1.15.5."""

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
    results, expected = table(tf, PROGRAMS[name]), TABLE[name]
    assert results["counts"] == expected["counts"]
    if name in OTHER_ORDER:
        assert results["variables"] != expected["variables"], "the order is TensorFlow's now: take the program out"
        results, expected = ({"variables": sorted(map(repr, item["variables"]))} for item in (results, expected))
    assert results["variables"] == expected["variables"]
