"""Every case of TensorFlow's recorded results, run by `rnngraph.tf1` and by both native graphs."""

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference
from fixtures.tensorflow_cases import CASES, Case, flatten
from test_reference import DROPOUT_CASES, compute, fixture, group, tolerance

import rnngraph as rg
from rnngraph import tf1

SEED = 7


def namespace(case: Case) -> Any:
    """Return `tf1`; cases that TensorFlow 1.x never had use rnngraph's cell."""
    if case.oracle != "keras":
        return tf1
    cells = SimpleNamespace(GRUCell=rg.GRUCell)
    nn = SimpleNamespace(dynamic_rnn=tf1.nn.dynamic_rnn, rnn_cell=cells)
    return SimpleNamespace(placeholder=tf1.placeholder, float32=tf1.float32, float64=tf1.float64, nn=nn)


@cache
def compiled(name: str) -> rg.Program:
    """Return the case's program, with TensorFlow's parameters."""
    program = rg.compile(CASES[name].declare(namespace(CASES[name])))
    for key, array in group(fixture(name), "parameter").items():
        program.parameters[key] = array
    return program


def check(case: Case, result: Any, expected: dict[str, np.ndarray]) -> None:
    actual = dict(flatten(dict(result)))
    assert list(actual) == list(expected)
    for path, array in expected.items():
        assert actual[path].dtype == case.dtype
        assert actual[path].shape == array.shape
        np.testing.assert_allclose(actual[path], array, **tolerance(case), err_msg=path)


@pytest.mark.parametrize("name", CASES)
def test_parameters_are_tensorflows(name: str) -> None:
    """Names, order and shapes agree, so that TensorFlow's variables load by name."""
    recorded = group(fixture(name), "parameter")
    parameters = rg.compile(CASES[name].declare(namespace(CASES[name]))).parameters
    assert list(parameters) == list(recorded)
    assert [array.shape for array in parameters.values()] == [array.shape for array in recorded.values()]
    assert {str(array.dtype) for array in parameters.values()} <= {CASES[name].dtype}


@pytest.mark.parametrize("name", CASES)
def test_inference_agrees_with_tensorflow(name: str) -> None:
    case, arrays = CASES[name], fixture(name)
    feeds = group(arrays, "feed")
    feeds.pop("keep_prob", None)  # the inference graph does not read keep_prob
    check(case, compiled(name).inference(feeds), group(arrays, "inference" if case.dropout else "output"))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.dropout])
def test_training_without_dropout_agrees_with_tensorflow(name: str) -> None:
    arrays = fixture(name)
    check(CASES[name], compiled(name).training(group(arrays, "feed")), group(arrays, "output"))


@pytest.mark.parametrize("name", DROPOUT_CASES)
def test_dropout_sites_are_tensorflows(name: str) -> None:
    """Names, order and shapes of masks agree; a variational mask here has a row for each row of the batch."""
    arrays = fixture(name)
    feeds, recorded = group(arrays, "feed"), group(arrays, "mask")
    masks = compiled(name).training.dropout_masks(feeds, seed=SEED)
    assert list(masks) == list(recorded)
    for site, mask in masks.items():
        assert mask.shape == (len(feeds["x"]), *recorded[site].shape[1:])
        assert set(np.unique(mask)) == {0, 1}
        assert np.any(mask != mask[:1])
        assert mask.ndim == 2 or np.any(mask != mask[:, :1])
    step_masks = [mask for mask in masks.values() if mask.ndim == 3]
    for number, mask in enumerate(step_masks):
        for other in step_masks[:number]:
            assert mask.shape != other.shape or np.any(mask != other)


@pytest.mark.parametrize("name", DROPOUT_CASES)
@pytest.mark.parametrize("seed", [SEED, 2**63 + 11])
def test_training_agrees_with_the_reference_under_its_masks(name: str, seed: int) -> None:
    case, arrays, program = CASES[name], fixture(name), compiled(name)
    feeds = group(arrays, "feed")
    masks = program.training.dropout_masks(feeds, seed=seed)
    for site, mask in masks.items():
        if "/bw/" in site and mask.ndim == 3:  # the reference numbers steps in the order of computation
            masks[site] = reference.reverse(mask, feeds.get("lengths"))
    expected = compute(case, feeds, group(arrays, "parameter"), masks)
    check(case, program.training(feeds, seed=seed), expected)
    assert any(
        not np.allclose(array, group(arrays, "inference")[path], **tolerance(case)) for path, array in expected.items()
    )
