"""Every operator that is read, as random nodes: onnxruntime's numbers at two sizes of what is open, or a reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

onnx = pytest.importorskip("onnx")

from onnx_files import by_onnxruntime, ours  # noqa: E402
from onnx_nodes import GENERATORS, Case, random_case  # noqa: E402

pytestmark = pytest.mark.peers
EACH = 100


def outcome(case: Case, seed: int) -> str:
    """``passed``, what onnxruntime doesn't run, or why the node is refused."""
    model = case.model()
    calls = [case.feeds(seed), *([case.feeds(seed + 1, True)] if case.is_open else [])]
    try:
        wanted = [by_onnxruntime(model, feeds) for feeds in calls]
    except Exception as error:  # onnxruntime's are of several kinds
        return f"not run: {str(error)[:200]}"
    try:
        program = rg.read_onnx(model).program()
    except rg.NotReadableError as error:
        return "refused: " + "; ".join(error.problems).partition("): ")[2]
    for feeds, expected in zip(calls, wanted, strict=True):
        found = ours(program, feeds)
        for name, array in expected.items():
            have = found[name]
            assert have.shape == array.shape, (name, have.shape, array.shape)
            np.testing.assert_allclose(
                np.asarray(have, np.float64), np.asarray(array, np.float64), case.tolerance,
                case.tolerance * max(1.0, float(np.abs(array[np.isfinite(array)], dtype=np.float64).max(initial=0))) if array.dtype.kind == "f" else 0,
                err_msg=name,
            )  # fmt: skip
    return "passed"


def check(op: str, seeds: Any) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        case = random_case(op, seed)
        try:
            outcomes[outcome(case, seed)] += 1
        except Exception as error:
            raise AssertionError(f"{op}, seed {seed}: {case}") from error
    return outcomes


@pytest.mark.parametrize("op", GENERATORS)
def test_a_random_node_gives_the_numbers_of_onnxruntime(op: str) -> None:
    pytest.importorskip("onnxruntime")
    check(op, range(1))
