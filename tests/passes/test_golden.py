"""All passes on small printed graphs: text and values of the result, and graphs that a pass does not change.

The pass is applied to ``golden/<pass>/<case>.in.txt``, and the result is compared with ``<case>.out.txt``, which
``--update-golden`` rewrites. In a case ``unchanged`` the pass has nothing to do.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden_files import Golden

from rnngraph.ir.graph import Graph
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.text.parser import parse
from rnngraph.ir.types import evaluate
from rnngraph.ir.verifier import INFERENCE_FORBIDS, verify
from rnngraph.passes.accumulate import Accumulate
from rnngraph.passes.axes.separate_axes import SeparateAxes
from rnngraph.passes.axes.slice_early import SliceEarly
from rnngraph.passes.fission import Fission
from rnngraph.passes.fuse_multiply_add import FuseMultiplyAdd
from rnngraph.passes.layout import Layout
from rnngraph.passes.optimization import pipeline
from rnngraph.passes.pipeline import Pass
from rnngraph.passes.quantization.reduced_weights import NarrowKind, ReducedWeights
from rnngraph.passes.quantization.round_factors import RoundFactors
from rnngraph.passes.recomputation.recompute import Recompute
from rnngraph.passes.samples import BETWEEN_SEEDS, Samples
from rnngraph.passes.simplify import Simplify
from rnngraph.passes.sink import Sink
from rnngraph.passes.sparse_products import SparseProducts
from rnngraph.passes.split import Split
from rnngraph.passes.split_concats import SplitConcats
from rnngraph.passes.squeeze import Squeeze
from rnngraph.passes.states.absorb import Absorb
from rnngraph.passes.states.large_transposes import LargeTransposes
from rnngraph.passes.states.narrow_loops import NarrowLoops
from rnngraph.passes.states.split_sums import SplitSums
from rnngraph.passes.states.state_axes import StateAxes
from rnngraph.passes.states.state_shapes import StateShapes
from rnngraph.passes.states.trailing_ones import TrailingOnes
from rnngraph.passes.states.vector_products import VectorProducts
from rnngraph.passes.unroll import Unroll
from rnngraph.passes.windows.padded_views import PaddedViews
from rnngraph.passes.windows.short_windows import ShortWindows

DIRECTORY = Path(__file__).parent / "golden"
PASSES: dict[str, Pass] = {
    "simplify": Simplify(),
    "separate_axes": SeparateAxes(),
    "padded_views": PaddedViews(),
    "short_windows": ShortWindows(),
    "layout": Layout(),
    "layout_between": Layout(between=True),
    "split_concats": SplitConcats(),
    "accumulate": Accumulate(),
    "vector_products": VectorProducts(),
    "large_transposes": LargeTransposes(),
    "split_sums": SplitSums(),
    "trailing_ones": TrailingOnes(),
    "state_shapes": StateShapes(),
    "state_axes": StateAxes(),
    "fission": Fission(),
    "slice_early": SliceEarly(),
    "absorb": Absorb(),
    "sink": Sink(),
    "narrow_loops": NarrowLoops(),
    "fuse_multiply_add": FuseMultiplyAdd(),
    "unroll_2": Unroll(2),
    "unroll_full": Unroll("full"),
    "squeeze": Squeeze(),
    "recompute": Recompute(2),
    "reduced_weights_int8": ReducedWeights(NarrowKind("int8", dots=True, min_depth=2, min_weights=9)),
    "reduced_weights_bytes": ReducedWeights(NarrowKind("int8", True, False, "uint8", min_depth=2, min_weights=9)),
    "reduced_weights_bfloat16": ReducedWeights(NarrowKind("bfloat16", dots=False, min_depth=2, min_weights=9)),
    "round_factors": RoundFactors(has_tiles=False),
    "sparse_products": SparseProducts(min_rows=3, min_columns=3),
    "samples": Samples(3),
    "split_training": Split(training=True),
    "split_inference": Split(training=False),
}
ANEW = ("samples",)
"""Passes that are not idempotent."""
FORBIDDEN = {"split_training": ("dropout",), "split_inference": INFERENCE_FORBIDS}
SIZES = {"B": 2, "T": 5}


def cases(suffix: str) -> list[str]:
    return sorted(path.relative_to(DIRECTORY).as_posix().removesuffix(suffix) for path in DIRECTORY.rglob(f"*{suffix}"))


CASES = cases(".in.txt")


def read(case: str) -> tuple[Pass, Graph]:
    """Return the pass of a case and its input graph, which is verified."""
    graph = parse((DIRECTORY / f"{case}.in.txt").read_text(encoding="utf-8"))
    return PASSES[case.partition("/")[0]], verify(graph, "reading")


def feeds_of(graph: Graph) -> dict[str, np.ndarray]:
    """Return random arrays for all inputs, with -0.0, NaN and infinity among the floats."""
    generator = np.random.default_rng(3)
    feeds: dict[str, np.ndarray] = {}
    for node in graph.inputs:
        label, kind = str(node["label"]), node.tensor
        shape = tuple(evaluate(dim, SIZES) for dim in kind.shape)
        if label == "keep_prob":
            feeds[label] = np.asarray(1.0, kind.dtype)
        elif kind.dtype == "bool":
            feeds[label] = generator.random(shape) < 0.5
        elif kind.dtype.startswith(("int", "uint")):
            feeds[label] = generator.integers(0, 5, shape).astype(kind.dtype)
        else:
            feeds[label] = generator.normal(size=shape).astype(kind.dtype)
            if feeds[label].size > 2:
                feeds[label].flat[:3] = (-0.0, np.nan, np.inf)
    return feeds


def assert_same_values(before: Graph, after: Graph) -> None:
    feeds = feeds_of(before)
    expected = interpret(before, feeds, wide=True)
    found = interpret(after, {str(node["label"]): feeds[str(node["label"])] for node in after.inputs}, wide=True)
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=1e-12, atol=1e-14, err_msg=name)


def test_every_pass_has_cases() -> None:
    assert {case.partition("/")[0] for case in CASES} == set(PASSES)
    unchanged = {case.partition("/")[0] for case in CASES if case.endswith("/unchanged")}
    assert unchanged == PASSES.keys() - set(ANEW)
    passes = {type(single) for kind in ("inference", "training") for single in pipeline(kind, 2)}
    assert passes - {type(single) for single in PASSES.values()} == set()


@pytest.mark.parametrize("case", CASES)
def test_expected_text(case: str, golden: Golden) -> None:
    single, graph = read(case)
    text = str(verify(single(graph), single.name, FORBIDDEN.get(case.partition("/")[0], ())))
    golden(DIRECTORY / f"{case}.out.txt", text)
    assert str(parse(text)).splitlines() == [line for line in text.splitlines() if not line.startswith("  #")]


def test_every_expected_text_has_its_input() -> None:
    assert cases(".out.txt") == CASES


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith(ANEW)])
def test_unchanged_is_the_same_object(case: str) -> None:
    """If a pass is applied again, it returns the same object."""
    single, graph = read(case)
    result = single(graph)
    assert (result is graph) == case.endswith("/unchanged")
    assert single(result) is result


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith(("split", "reduced", *ANEW))])
def test_values_stay(case: str) -> None:
    single, graph = read(case)
    assert_same_values(graph, single(graph))


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("samples")])
def test_draws_have_the_values_of_their_seeds(case: str) -> None:
    single, graph = read(case)
    feeds = feeds_of(graph)
    drawn = interpret(single(graph), feeds, wide=True)
    for draw in range(3):
        alone = interpret(graph, feeds | {"seed": feeds["seed"] + draw * BETWEEN_SEEDS}, wide=True)
        for name, array in alone.items():
            np.testing.assert_allclose(drawn[name][draw], array, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("case", [case.partition("/")[2] for case in CASES if case.startswith("split_training")])
def test_split_of_one_declaration(case: str) -> None:
    """The training graph has masks instead of dropout. The inference graph lists the removed ops in its comments."""
    (training, graph), (inference, _) = read(f"split_training/{case}"), read(f"split_inference/{case}")
    trained, inferred = training(graph), inference(graph)
    assert not any(node.op == "dropout" for node in (*trained.walk(), *inferred.walk()))
    masked = any(node.op == "random_uniform" for node in trained.walk())
    assert masked == any(node.op == "dropout" for node in graph.walk())
    assert len(inferred.comments) == sum(node.op == "dropout" for node in graph.walk())


def test_dropout_that_keeps_all_is_no_dropout() -> None:
    """With keep_prob 1 the training graph computes the inference graph."""
    (training, graph), (inference, _) = read("split_training/fed_keep_prob"), read("split_inference/fed_keep_prob")
    assert_same_values(training(graph), inference(graph))
