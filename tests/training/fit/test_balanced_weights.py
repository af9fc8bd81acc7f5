"""``class_weights="balanced"`` weighs by the labels of the training examples, as scikit-learn does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from training import compiled_once

import rnngraph as rg

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _compiled_once() -> Any:
    with compiled_once():
        yield


def fitted(program: rg.Program, examples: Any, **options: Any) -> dict[str, np.ndarray]:
    rg.Trainer(program, rg.Adam(1e-2)).fit(examples, batch_size=4, epochs=2, progress=False, **options)
    return {name: array.copy() for name, array in program.parameters.items()}


def classifier(form: str) -> rg.Program:
    x, width = rg.placeholder("x", (None, 3)), 3 if form == "classes" else 1
    kind = "int64" if form == "ints" else "float32"
    y = rg.placeholder("y", (None,) if form in ("ints", "truths") else (None, width), kind)
    if form == "ints":
        loss = rg.sparse_softmax_cross_entropy(labels=y, logits=rg.dense(x, 3))
    elif form == "classes":
        loss = rg.softmax_cross_entropy(labels=y, logits=rg.dense(x, 3))
    else:
        loss = rg.sigmoid_cross_entropy(labels=y, logits=rg.dense(x, 1)[:, 0])
    return rg.compile({"x": x * 1.0}, loss=loss)


@pytest.mark.parametrize("form", ["ints", "classes", "truths"])
def test_weights_are_those_of_scikit_learn(form: str) -> None:
    sklearn_weights = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    labels = np.array([0, 1, 1, 1, 0, 1, 1, 1]) if form == "truths" else np.array([0, 2, 2, 1, 2, 2, 2, 2])
    kinds = np.unique(labels)
    weights = dict(zip(kinds.tolist(), sklearn_weights("balanced", classes=kinds, y=labels).tolist(), strict=True))
    y = np.eye(3)[labels] if form == "classes" else labels
    examples = {"x": RNG.normal(size=(8, 3)), "y": y}
    actual = fitted(classifier(form), examples, class_weights="balanced")
    expected = fitted(classifier(form), examples, class_weights=weights)
    plain = fitted(classifier(form), examples)
    for name, array in actual.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6)
        assert (array != plain[name]).any()


def test_labels_past_the_ends_and_of_a_validation_are_not_counted() -> None:
    x, n = rg.placeholder("x", (None, None, 3)), rg.placeholder("n", (None,), "int32")
    y = rg.placeholder("y", (None, None), "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, sequence_length=n)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=rg.dense(outputs, 3), lengths=n)
    program = rg.compile({"outputs": outputs}, loss=loss)
    start = {name: array.copy() for name, array in program.parameters.items()}
    tags = [np.array([0, 1, 1]), np.array([1]), np.array([1, 1, 0, 1, 1]), np.array([1, 1])]
    sequences = [RNG.normal(size=(len(row), 3)) for row in tags]
    actual = fitted(program, {"x": sequences, "y": tags}, class_weights="balanced", validation=0.25)
    program.parameters.load(start)
    counts = np.array([2, 7])  # of the three examples that are not held out
    weights = {0: 9 / (2 * 2), 1: 9 / (2 * counts[1])}
    expected = fitted(program, {"x": sequences, "y": tags}, class_weights=weights, validation=0.25)
    for name, array in actual.items():
        assert_array_equal(array, expected[name])


def test_labels_that_can_not_be_counted_are_an_error() -> None:
    program = classifier("ints")
    examples = {"x": RNG.normal(size=(8, 3)), "y": np.arange(8) % 3}
    with pytest.raises(rg.ArgumentError, match=r"come in batches; give class_weights=\{label: weight\}"):
        rg.Trainer(program).fit([examples], class_weights="balanced", progress=False)
    with pytest.raises(rg.DtypeError, match=r'must be a mapping .* or "balanced", not .* of type str'):
        rg.Trainer(program).fit(examples, class_weights="even", progress=False)  # type: ignore[arg-type]
    with pytest.raises(rg.CallError, match=r'write class_weights=\{label: weight\}, or class_weights="balanced"'):
        rg.Trainer(program).fit(examples, class_weight="balanced", progress=False)  # type: ignore[call-arg]
