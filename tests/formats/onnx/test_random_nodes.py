"""Every operator that is read, as random nodes: onnxruntime's results with two values of open sizes, or a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

onnx = pytest.importorskip("onnx")

from onnx_files import assert_same, by_onnxruntime, ours  # noqa: E402  # after importorskip
from onnx_loops import random_loop, random_scan  # noqa: E402  # after importorskip
from onnx_nodes import GENERATORS, Case, random_case  # noqa: E402  # after importorskip

pytestmark = pytest.mark.peers
EACH = 100
"""Number of nodes of an operator that onnxruntime must run."""
LOOPS = {"Scan": random_scan, "Loop": random_loop}


@pytest.fixture(autouse=True)
def _onnxruntime() -> None:
    pytest.importorskip("onnxruntime").set_default_logger_severity(4)


def outcome(case: Case, seed: int) -> str:
    """Return ``passed``, onnxruntime's refusal, or why the node is refused."""
    model = case.model()
    calls = [case.feeds(seed), *([case.feeds(seed + 1, True)] if case.is_open else [])]
    try:
        target = [by_onnxruntime(model, feeds) for feeds in calls]
    except Exception as error:  # onnxruntime's errors have several classes
        return f"not run: {str(error)[:200]}"
    try:
        program = rg.read_onnx(model).program()
    except rg.NotReadableError as error:
        return "refused: " + "; ".join(error.problems).partition("): ")[2]
    for feeds, expected in zip(calls, target, strict=True):
        results = ours(program, feeds)
        for name, array in expected.items():
            assert results[name].shape == array.shape, (name, results[name].shape, array.shape)
            wide, is_float = array.astype(np.float64), array.dtype.kind == "f"
            scale = max(1.0, float(np.abs(wide[np.isfinite(wide)]).max(initial=0))) if is_float else 0.0
            near = case.tolerance * scale
            np.testing.assert_allclose(np.asarray(results[name], np.float64), wide, case.tolerance, near, err_msg=name)
    return "passed"


def outcomes_of(op: str, seeds: Iterable[int], enough: int) -> Counter[str]:
    """Count the outcomes of an operator's nodes, until enough of them were run or refused."""
    results: Counter[str] = Counter()
    for seed in seeds:
        case = random_case(op, seed)
        try:
            results[outcome(case, seed).partition(":")[0]] += 1
        except Exception as error:
            raise AssertionError(f"{op}, seed {seed}: {case}") from error
        if results["passed"] + results["refused"] >= enough:
            break
    return results


def test_a_random_node_of_each_operator_gives_the_numbers_of_onnxruntime() -> None:
    for op in GENERATORS:
        outcomes_of(op, range(1), 1)


@pytest.mark.exhaustive
def test_many_random_nodes_give_the_numbers_of_onnxruntime() -> None:
    for op in GENERATORS:
        results = outcomes_of(op, range(1000, 1000 + 4 * EACH), EACH)
        print(f"{op}: {dict(results)}")
        assert results["passed"] >= EACH // 4, op


def check_loop(op: str, seed: int) -> str:
    looped: Any = LOOPS[op](seed)
    calls = [looped.feeds(seed, 2, 5), looped.feeds(seed + 1, 1, 1), looped.feeds(seed + 2, 4, 3)]
    target = [by_onnxruntime(looped.model, feeds) for feeds in calls]
    try:
        program = rg.read_onnx(looped.model).program()
    except rg.NotReadableError:
        return "refused"
    for feeds, expected in zip(calls, target, strict=True):
        assert_same(ours(program, feeds), expected, 5e-5)
    return "passed"


@pytest.mark.parametrize("op", LOOPS)
def test_a_few_random_loops_give_the_numbers_of_onnxruntime(op: str) -> None:
    assert [check_loop(op, seed) for seed in range(4)] == ["passed"] * 4


@pytest.mark.exhaustive
@pytest.mark.parametrize("op", LOOPS)
def test_500_random_loops_give_the_numbers_of_onnxruntime(op: str) -> None:
    results = Counter(check_loop(op, seed) for seed in range(1000, 1500))
    print(f"{op}: {dict(results)}")
    assert results["passed"] >= 490
