"""Operators of ONNX against onnxruntime's recorded values, and the records against onnxruntime."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

from hard_points.cases import Entry, names_of
from hard_points.doors import Recorded, changes, mixed
from hard_points.read_onnx import read
from systems import skip_module_on_windows

from rnngraph.formats.onnx import read as reader  # noqa: F401  # registers the readers of operators
from rnngraph.formats.onnx.core.table import OPS

skip_module_on_windows("some points are sines, whose last bits are those of the C library")
RECORDED = Recorded("onnx")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("entry", mixed(RECORDED.entries), ids=lambda entry: entry.key)
def test_an_operator_has_the_values_that_onnxruntime_has(entry: Entry) -> None:
    RECORDED.check(entry, read)


@pytest.mark.peers
@pytest.mark.sampled(4)
@pytest.mark.parametrize("part", range(4))
def test_the_recorded_values_are_those_of_onnxruntime(part: int) -> None:
    pytest.importorskip("onnxruntime")
    from hard_points.by_onnx import values

    assert not changes("onnx", mixed(RECORDED.every)[part::4], values)


def test_every_operator_that_is_read_has_a_case_or_a_reason() -> None:
    # TensorFlow's names are not those of files
    assert names_of("onnx") == {name for domain, name in OPS if domain != "tensorflow"}
