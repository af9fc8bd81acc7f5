"""Files of Keras' functions against Keras' recorded values, and the records against Keras."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("h5py")

from hard_points.cases import Entry, names_of
from hard_points.doors import Recorded, changes, mixed
from hard_points.read_keras import read
from systems import not_on_windows

from rnngraph.formats.keras.read import _HANDLERS

RECORDED = Recorded("keras")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("entry", mixed(RECORDED.entries), ids=lambda entry: entry.key)
def test_a_function_has_the_values_that_keras_has(entry: Entry) -> None:
    RECORDED.check(entry, read)


@not_on_windows("torch's last bits are those of the C library")
@pytest.mark.peers
@pytest.mark.sampled(4)
@pytest.mark.parametrize("part", range(4))
def test_the_recorded_values_are_those_of_keras(part: int) -> None:
    pytest.importorskip("torch", exc_type=ImportError)
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    from hard_points.by_keras import values

    assert not changes("keras", mixed(RECORDED.every)[part::4], values)


def test_every_function_that_is_read_has_a_case_or_a_reason() -> None:
    assert names_of("keras") == {kind.removeprefix("ops.") for kind in _HANDLERS}
