"""Functions of ``rnngraph.tf1``, against TensorFlow 1.15's recorded values."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hard_points.cases import Entry, names_of
from hard_points.doors import Recorded, mixed
from hard_points.read_tensorflow import read

from rnngraph import tf1

RECORDED = Recorded("tensorflow")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("entry", mixed(RECORDED.entries), ids=lambda entry: entry.key)
def test_a_function_has_the_values_that_tensorflow_has(entry: Entry) -> None:
    RECORDED.check(entry, read)


def _functions() -> dict[str, Any]:
    """Return the functions of tensors by name, such as ``nn.relu``."""
    rooms = {"": tf1, "nn.": tf1.nn, "losses.": tf1.losses, "math.": tf1.math, "linalg.": tf1.linalg}
    return {
        start + name: item
        for start, room in rooms.items()
        for name in dir(room)
        if not name.startswith("_") and inspect.isfunction(item := getattr(room, name))
    }


def test_every_function_has_a_case_or_a_reason() -> None:
    names, functions = names_of("tensorflow"), _functions()
    same = {id(functions[name]) for name in names if name in functions}
    assert {name for name, item in functions.items() if id(item) not in same} == set()
    assert names - functions.keys() == set()
