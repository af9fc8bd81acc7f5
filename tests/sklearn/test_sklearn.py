"""scikit-learn's estimators: learning, forms of X and y, and scikit-learn's own checks and tools."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.runtime.native.compiled_graph import CompiledGraph

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.ensemble import AdaBoostClassifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from rnngraph.sklearn import SequenceClassifier, SequenceRegressor

EXCUSED = ["check_sample_weight_equivalence_on_dense_data"]
"""scikit-learn's checks that fail as docs/sklearn.md explains, by name."""


@pytest.fixture(scope="module", autouse=True)
def kept_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cache code on disk, as users do, so that tests share compiled code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def waves(count: int = 64, ragged: bool = True, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Return sequences of two features, and labels: ``up`` if the first one rises, else ``down``. They are not
    standardised.
    """
    generator = np.random.default_rng(seed)
    lengths = generator.integers(3, 12, count) if ragged else np.full(count, 7)
    rises = generator.integers(0, 2, count)
    results = []
    for steps, up in zip(lengths, rises, strict=True):
        line = np.linspace(0, 2 * up - 1, steps) + 0.1 * generator.normal(size=steps)
        results.append(np.stack([line * 40 + 1000, generator.normal(size=steps)], axis=1))
    return results, np.where(rises, "up", "down")


def quick(**options: Any) -> SequenceClassifier:
    return SequenceClassifier(**{"units": 8, "epochs": 15, "learning_rate": 0.02, "random_state": 0, **options})


@pytest.fixture(scope="module")
def fitted() -> SequenceClassifier:
    return quick(epochs=1).fit(*waves(32))


# Learning --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        *(
            pytest.param(options, marks=pytest.mark.engines)
            for options in (
                {"cell": "lstm", "bidirectional": True, "layers": 2},
                {"cell": "rnn", "pooling": "mean"},
                {"cell": rg.UGRNNCell, "dropout": 0.2, "optimizer": "rmsprop"},
                {"bidirectional": True, "pooling": "mean", "optimizer": rg.Adam(0.02), "clip_norm": None},
            )
        ),
    ],
    ids=str,
)
def test_directions_are_distinguished(options: dict[str, Any]) -> None:
    model = quick(**options)
    assert model.fit(*waves()) is model
    assert model.score(*waves(seed=1)) > 0.9
    assert list(model.classes_) == ["down", "up"]


@pytest.mark.engines
def test_it_is_the_net_that_one_would_write() -> None:
    """The estimator's net has the bits of the same net declared and trained by hand."""
    X, labels = waves(40)
    model = quick(epochs=3, dropout=0.3, layers=2, batch_size=7, class_weight={"down": 2.0, "up": 0.5}).fit(X, labels)
    steps = np.concatenate(X).astype(np.float32).astype(np.float64)
    x, n = rg.placeholder("x", (None, None, 2)), rg.placeholder("lengths", (None,), "int64")
    mean, scale = steps.mean(0), steps.std(0)
    kept = [rg.parameter(name, (2,), value, trainable=False) for name, value in (("m", mean), ("s", scale))]
    cells = [rg.DropoutWrapper(rg.GRUCell(8), output_keep_prob=0.7) for _ in range(2)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), (x - kept[0]) / kept[1], sequence_length=n)
    logits = rg.dense(rg.gather_last(outputs, n), 2)
    y = rg.placeholder("y", (None,), "int64")
    loss = rg.sparse_softmax_cross_entropy(y, logits)
    program = rg.compile({"p": rg.softmax(logits)}, loss=loss, seed=model.program_.seed)
    actual = {name: model.program_.parameters[f"input/{whole}"] for name, whole in (("m", "mean"), ("s", "scale"))}
    assert_allclose(actual["m"], mean, rtol=1e-6)
    assert_allclose(actual["s"], scale, rtol=1e-6)
    program.parameters.load(actual, strict=False)
    trainer = rg.Trainer(program, rg.Adam(0.02), clip_norm=1.0)
    feeds = {"x": X, "y": (labels == "up").astype(np.int64)}
    history = trainer.fit(feeds, epochs=3, batch_size=7, class_weights={0: 2.0, 1: 0.5}, progress=False)
    assert_array_equal(model.history_["loss"], history["loss"])
    assert_allclose(model.predict_proba(X), program.predict({"x": X})["p"], rtol=1e-6)


@pytest.mark.engines
def test_numbers_are_learned_in_their_own_units() -> None:
    X, _ = waves(80, ragged=False)
    slope = np.array([x[-1, 0] - x[0, 0] for x in X])
    targets = np.stack([slope * 1e3 + 5e5, -slope], axis=1)
    model = SequenceRegressor(units=8, epochs=30, learning_rate=0.02, random_state=0)
    assert model.fit(X, targets).predict(X).shape == (80, 2)
    assert model.score(X, targets) > 0.9
    one = model.fit(X, slope).predict(X)
    assert one.shape == (80,)
    assert_array_equal(model.fit(X, slope[:, None]).predict(X), one[:, None])
    assert_array_equal(model.fit(np.stack(X), slope.tolist()).predict(np.stack(X)), one)
    with pytest.raises(rg.ShapeError, match="2 outputs"):
        model.set_params(warm_start=True).fit(X, targets)


@pytest.mark.engines
def test_rare_classes_weigh_more() -> None:
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(200, 5, 1)), np.r_[np.zeros(180, int), np.ones(20, int)]
    plain = quick(epochs=4).fit(X, y).predict_proba(X)[:, 1].mean()
    balanced = quick(epochs=4, class_weight="balanced").fit(X, y).predict_proba(X)[:, 1].mean()
    assert plain < 0.2
    assert 0.35 < balanced < 0.65


@pytest.mark.engines
def test_examples_count_by_their_weights() -> None:
    X, y = waves(30)
    weights = np.where(y == "up", 5.0, 0.5)
    by_class = quick(epochs=2, class_weight={"up": 5.0, "down": 0.5}).fit(X, y)
    weighed = quick(epochs=2).fit(X, y, sample_weight=weights)
    both = quick(epochs=2, class_weight={"up": 10.0, "down": 1.0}).fit(X, y, np.full(30, 0.5))
    for model in (weighed, both):
        assert_allclose(model.predict_proba(X), by_class.predict_proba(X), rtol=1e-5)
    first = quick(epochs=2).partial_fit(X, y, sample_weight=weights).partial_fit(X, y)
    assert first.history_.epochs == 2
    with pytest.raises(rg.ArgumentError, match="that was first fitted with weights"):
        quick(epochs=1).fit(X, y).partial_fit(X, y, sample_weight=weights)
    targets, real = np.arange(30.0), np.arange(30) < 10
    options = {"units": 4, "epochs": 3, "batch_size": 30, "random_state": 0, "standardize": False}
    some = SequenceRegressor(**options).fit(X, np.where(real, targets, 99), real)
    assert_allclose(some.predict(X), SequenceRegressor(**options).fit(X, targets, real).predict(X), rtol=1e-5)
    boosted = AdaBoostClassifier(quick(epochs=20), n_estimators=2).fit(np.ones((30, 4)) * (y == "up")[:, None], y)
    assert boosted.predict(np.zeros((1, 4))).shape == (1,)


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        (np.ones(31), r"shape \(31,\), not \(32,\)"),
        (np.ones((32, 1)), r"\(32, 1\)"),
        (-np.ones(32), "0 or more"),
        (np.full(32, np.nan), "0 or more"),
        (np.zeros(32), "not all of them 0"),
        (["much"] * 32, "has dtype"),
        (2.0, "shape"),
    ],
)
def test_weights_that_can_not_be(weights: Any, match: str) -> None:
    for estimator, y in ((quick(), waves(32)[1]), (SequenceRegressor(), np.ones(32))):
        with pytest.raises(rg.RnnGraphError, match=f"sample_weight .*{match}") as error:
            estimator.fit(waves(32)[0], y, sample_weight=weights)
        assert "test_sklearn.py" in str(error.value)


# Forms -----------------------------------------------------------------------------------------------


def test_forms_of_x() -> None:
    X, y = waves(ragged=False)
    array = np.stack(X)
    model = quick(epochs=2).fit(X, y)
    expected = model.predict_proba(X)
    assert_allclose(expected.sum(axis=1), 1)
    assert_allclose(np.exp(model.predict_log_proba(array)), expected)
    assert_array_equal(quick(epochs=2).fit(array, y).predict_proba(array), expected)
    objects = np.empty(len(X), object)
    objects[:] = X
    for form in (tuple(X), objects, [x.tolist() for x in X], array.astype(np.float32), np.asfortranarray(array)):
        assert_array_equal(model.predict_proba(form), expected)
    assert model.n_features_in_ == 2
    ragged = waves()[0]
    together, alone = model.predict_proba(ragged), [model.predict_proba([x])[0] for x in ragged[:5]]
    assert_array_equal(together[:5], alone)


@pytest.mark.engines
def test_frames_and_series_of_pandas(fitted: SequenceClassifier) -> None:
    pandas = pytest.importorskip("pandas")
    X, y = waves(32)
    expected, tables = fitted.predict_proba(X), [pandas.DataFrame(x) for x in X]
    for form in (tables, pandas.Series(X), pandas.Series(tables, index=range(32, 0, -1))):
        assert_array_equal(fitted.predict_proba(form), expected)
    assert_array_equal(quick(epochs=1).fit(pandas.Series(X), pandas.Series(y)).predict_proba(X), expected)


@pytest.mark.engines
def test_one_feature() -> None:
    table = np.stack([x[:, 0] for x in waves(ragged=False)[0]])
    y = waves(ragged=False)[1]
    model = quick(epochs=2).fit(table, y)
    assert model.n_features_in_ == 7
    expected = model.predict_proba(table)
    assert_array_equal(model.predict_proba(table.tolist()), expected)
    with pytest.raises(ValueError, match="X has 6 features, but SequenceClassifier is expecting 7"):
        model.predict(table[:, :6])
    for form in (table[:, :, None], list(table), [row[:, None] for row in table]):
        second = quick(epochs=2).fit(form, y)
        assert_array_equal(second.predict_proba(form), expected)
    # fitted to sequences, which may have any length
    longer = second.predict_proba(np.concatenate([table, table], axis=1))
    assert longer.shape == (64, 2)
    mixed = second.predict_proba([row[: 3 + number % 4] for number, row in enumerate(table)])
    assert mixed.shape == (64, 2)


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.zeros((4, 2, 2, 2)), "examples, time, features"),
        (np.zeros((4, 3, 1)), "1 features.*expecting 2"),
        (np.zeros((4, 3)), "1 features.*expecting 2"),
        ([np.zeros((3, 2)), np.zeros((3, 3))], r"X\[1\] has shape"),
        ([np.zeros((3, 2)), np.zeros((0, 2))], r"X\[1\] has no step"),
        ([], "Expected 2D|minimum|empty|no example"),
        ([np.array([["a", "b"]])], "not numbers"),
        ([np.zeros((2, 2, 2))], r"X\[0\] has shape"),
        (np.full((1, 2, 2), np.nan), "NaN"),
        ([np.array([[1.0, np.inf]])], "infinity"),
        ([[[1], [2, 3]]], "not a seq"),
        ([np.array([[1e300, 0.0]])], "too large"),
        ("text", "convert"),
        (None, "Expected 2D"),
        (3.0, "Expected 2D"),
        ([None, None], "float|Expected"),
    ],
)
def test_inputs_that_are_no_sequences_are_errors(X: Any, match: str, fitted: SequenceClassifier) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        fitted.predict(X)


TEXTS = np.full((4, 3, 2), "a")


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (TEXTS, r"X has dtype <U1, not numbers"),
        (np.full((4, 3, 2), "1.5"), r"X has dtype <U3, not numbers"),
        (TEXTS.astype(object), r"X\[0\] holds 'a', which is not a number"),
        (["the cat"] * 4, "could not convert string"),
        (np.full((4, 3, 2), None), r"X\[0\] holds None, which is not a number"),
        (TEXTS.tolist(), r"X\[0\] has dtype <U1"),
        (np.full((4, 3, 2), "2020-01-01", "M8[D]"), r"X has dtype datetime64\[D\]"),
        ([["the", "cat"]] * 4, "could not convert string"),
        (np.array([["the", "cat"]] * 4), "X has dtype <U3"),
    ],
)
def test_texts_and_objects_are_no_numbers(X: Any, match: str, fitted: SequenceClassifier) -> None:
    wanted = rf"test_sklearn\.py:\d+: {match}.*; give arrays of numbers, such as ids of words, as in array\.astype"
    for call in (fitted.predict, lambda X: quick(epochs=1).fit(X, ["up", "down"] * 2)):
        with pytest.raises((rg.DtypeError, rg.ArgumentError), match=wanted):
            call(X)


def test_objects_that_are_numbers(fitted: SequenceClassifier) -> None:
    X, _ = waves(6)
    expected = fitted.predict_proba(X)
    assert_array_equal(fitted.predict_proba([np.asarray(row).astype(object) for row in X]), expected)


def test_texts_as_targets() -> None:
    X, y = waves(8)
    with pytest.raises(rg.ArgumentError, match=r"could not convert string to float: .*; give arrays of numbers"):
        SequenceRegressor(units=3, epochs=1).fit(X, y)
    with pytest.raises(rg.ArgumentError, match=r"labels can't be sorted: .*; give them all as text or as numbers"):
        quick(epochs=1).fit(X, np.array(["a", 1] * 4, object))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"cell": "transformer"}, "cell='transformer' is not offered"),
        ({"cell": lambda units: units}, "return an rg.Cell"),
        ({"cell": rg.GRUCell(3)}, "one cell"),
        ({"units": 0}, "units"),
        ({"layers": 0}, "layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"epochs": 0}, "epochs"),
        ({"pooling": "max"}, "pooling"),
        ({"optimizer": "lbfgs"}, "optimizer"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"learning_rate": -1.0}, "learning rate"),
        ({"patience": -1}, "patience"),
        ({"bidirectional": 1}, "bidirectional"),
        ({"threads": 0}, "threads"),
        ({"class_weight": {"up": -1.0, "down": 1.0}}, "weight"),
        ({"clip_norm": 0.0}, "clip_norm"),
    ],
)
def test_parameters_that_can_not_be(options: dict[str, Any], match: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=match) as error:
        quick(**{"epochs": 1, **options}).fit(*waves(32))
    assert "test_sklearn.py" in str(error.value)


def test_targets_that_can_not_be() -> None:
    X, y = waves(32)
    for wrong, match in ((None, "requires y"), (y[:20], "inconsistent"), (np.linspace(0, 1, 32), "Unknown label type")):
        with pytest.raises(ValueError, match=match):
            quick(epochs=1).fit(X, wrong)
    for wrong, match in ((None, "requires y"), (y, "convert|float"), (np.zeros((32, 1, 1)), "dim 3")):
        with pytest.raises(ValueError, match=match):
            SequenceRegressor(units=3, epochs=1).fit(X, wrong)
    for estimator in (quick(), SequenceRegressor()):
        with pytest.raises(NotFittedError):
            estimator.predict(X)
        with pytest.raises(NotFittedError):
            _ = estimator.program_


# Fits ------------------------------------------------------------------------------------------------


@pytest.mark.engines
def test_a_state_of_randomness_is_all_there_is() -> None:
    X, y = waves(20)
    first, second, other = (quick(epochs=2, random_state=seed).fit(X, y).predict_proba(X) for seed in (3, 3, 4))
    assert_array_equal(first, second)
    assert (first != other).any()
    generator = np.random.RandomState(3)  # scikit-learn's class of generators
    assert_array_equal(quick(epochs=2, random_state=generator).fit(X, y).predict_proba(X), first)


@pytest.mark.engines
def test_early_stopping() -> None:
    X, y = waves(60)
    noise = np.random.default_rng(0).permutation(y)
    model = quick(epochs=60, validation_fraction=0.3, patience=3).fit(X, noise)
    assert model.history_.epochs < 60
    assert "validation_loss" in model.history_
    assert model.history_["validation_loss"].min() == model.history_.row(model.history_.best())["validation_loss"]
    two = quick(epochs=1, validation_fraction=0.5).fit(X[:2], ["a", "b"])  # too few to have both classes in both parts
    assert two.history_.epochs == 1
    with pytest.raises(rg.ArgumentError, match=r"validation_fraction=0\.99 of 60"):
        quick(epochs=1, validation_fraction=0.99).fit(X, y)


@pytest.mark.engines
def test_warm_start_continues_training() -> None:
    X, y = waves(20)
    model = quick(epochs=2, warm_start=True).fit(X, y)
    program = model.program_
    losses = list(model.history_["loss"])
    assert model.fit(X, y).program_ is program
    assert list(model.history_["epoch"]) == [3, 4]
    before = model.predict_proba(X)
    assert_array_equal(model.set_params(learning_rate=0.0, threads=2).fit(X, y).predict_proba(X), before)
    assert list(model.set_params(learning_rate=0.5, threads=1).fit(X, y).history_["learning_rate"]) == [0.5, 0.5]
    for options in ({"units": 9}, {"clip_norm": None}, {"optimizer": rg.Adam(0.02)}):
        with pytest.raises(rg.ArgumentError, match=f"{next(iter(options))}=.*warm_start=False"):
            copy.deepcopy(model).set_params(**options).fit(X, y)
    whole = quick(epochs=2).fit(X, y)
    assert list(whole.history_["loss"]) == losses
    with pytest.raises(rg.ArgumentError, match="label 'sideways'"):
        model.fit(X, ["sideways"] * 20)
    assert whole.fit(X, y).program_ is not program


@pytest.mark.engines
def test_partial_fit() -> None:
    X, y = waves(24)
    model = quick()
    model.partial_fit(X[:8], y[:8], classes=["up", "still", "down"])
    assert list(model.classes_) == ["down", "still", "up"]
    for _ in range(20):
        model.partial_fit(X, y)
    assert list(model.history_["epoch"]) == [*range(1, 22)]
    assert model.score(X, y) > 0.9
    assert model.predict_proba(X).shape == (24, 3)
    model.partial_fit(X, y, classes=["up", "down", "still"])
    with pytest.raises(rg.ArgumentError, match="not those of the first call"):
        model.partial_fit(X, y, classes=["up", "down"])
    with pytest.raises(rg.ArgumentError, match="give all labels to the first partial_fit"):
        model.partial_fit(X, ["sideways"] * 24)
    numbers = SequenceRegressor(units=4, random_state=0).partial_fit(X, np.arange(24.0)).partial_fit(X, np.arange(24.0))
    assert numbers.history_.epochs == 2


# With scikit-learn -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["pickle", pytest.param("deepcopy", marks=pytest.mark.engines)])
def test_fitted_estimators_pickle(form: str) -> None:
    X, y = waves(32)
    model = quick(epochs=2, warm_start=True).fit(X, y)
    restored = pickle.loads(pickle.dumps(model)) if form == "pickle" else copy.deepcopy(model)
    assert_array_equal(restored.predict_proba(X), model.predict_proba(X))
    assert_array_equal(restored.fit(X, y).predict_proba(X), model.fit(X, y).predict_proba(X))
    assert restored.program_ is not model.program_


def test_clones_and_parameters() -> None:
    model = quick(optimizer=rg.Adam(0.1), epochs=1)
    cloned = clone(model.fit(*waves(32)))
    assert not hasattr(cloned, "history_")
    assert cloned.get_params() == model.get_params()
    assert cloned.set_params(units=5).units == 5
    assert "SequenceClassifier(" in repr(model)
    assert is_classifier(model)
    assert is_regressor(SequenceRegressor())
    with pytest.raises(rg.CallError, match="did you mean units"):
        SequenceClassifier(unit=3)  # type: ignore[call-arg]


@pytest.mark.engines
def test_pipelines_and_scores() -> None:
    X, y = waves(40, ragged=False)
    table = np.stack([x[:, 0] for x in X])
    pipeline = make_pipeline(StandardScaler(), quick())
    assert pipeline.fit(table, y).score(table, y) > 0.9
    centred = make_pipeline(FunctionTransformer(lambda items: [x - x.mean(0) for x in items]), quick(standardize=False))
    scores = cross_val_score(quick(epochs=8), np.stack(X), y, cv=2)
    assert scores.shape == (2,)
    assert log_loss(waves(40)[1], centred.fit(*waves(40)).predict_proba(waves(40)[0])) < 0.7
    each = MultiOutputRegressor(SequenceRegressor(units=3, epochs=1, random_state=0))
    assert each.fit(table, table[:, :2]).predict(table).shape == (40, 2)


@pytest.mark.engines
def test_a_search_in_processes() -> None:
    X, y = waves(40)
    grid = {"units": [3, 8], "cell": ["gru", "lstm"]}
    searches = [GridSearchCV(quick(epochs=4), grid, cv=2, n_jobs=jobs).fit(X, y) for jobs in (2, 1)]
    assert_array_equal(*(search.cv_results_["mean_test_score"] for search in searches))
    assert searches[0].predict(X).shape == y.shape


@pytest.mark.engines
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [SequenceClassifier, SequenceRegressor])
def test_scikit_learns_own_checks(kind: Any) -> None:
    """scikit-learn's own checks pass, except those in EXCUSED, which docs/sklearn.md explains."""
    actual = check_estimator(kind(), on_fail=None, on_skip=None)
    assert len(actual) > 40
    failed = {check["check_name"]: str(check["exception"]) for check in actual if check["status"] == "failed"}
    assert [*failed] == EXCUSED, failed


def test_fits_of_equal_nets_share_their_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fits of equal nets share code: a search over options outside of the net compiles each batch size once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled: list[tuple[str, int]] = []
    plain = CompiledGraph._compiled

    def counted(self: CompiledGraph, outputs: tuple[str, ...], sizes: Any, *more: Any) -> Any:
        compiled.append((self.kind, sizes["B"]))
        return plain(self, outputs, sizes, *more)

    monkeypatch.setattr(CompiledGraph, "_compiled", counted)
    generator = np.random.default_rng(0)
    X = [generator.normal(size=(steps, 2)).astype(np.float32) for steps in generator.integers(3, 9, 48)]
    model = SequenceClassifier(units=3, epochs=1, batch_size=16, random_state=0)
    search = GridSearchCV(model, {"learning_rate": [1e-3, 3e-3, 1e-2], "patience": [None, 2]}, cv=2)
    search.fit(X, np.arange(48) % 2)
    assert sorted(compiled) == [("inference", 16), ("training", 8), ("training", 16)]
