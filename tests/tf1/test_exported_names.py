"""What the modules that programs import say that they have: checkers of types look no further."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from wrong_arguments import MODULES

from rnngraph import tf1

DOORS = [tf1, *(module for name in MODULES if isinstance(module := getattr(tf1, name, None), ModuleType))]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_all_names_are_exported(door: ModuleType) -> None:
    if door.__name__.count(".tf1.") and not hasattr(door, "__all__"):
        pytest.skip("it is none of the modules that stand for TensorFlow's")
    exported = set(door.__all__)
    assert len(exported) == len(door.__all__)
    for name in exported:
        assert hasattr(door, name), name
    own = {
        name
        for name, value in vars(door).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("rnngraph.") and callable(value)
    }
    assert own - {"api", "DtypeError", "shown", "GraphKeys"} <= exported
    assert importlib.import_module(door.__name__) is door
