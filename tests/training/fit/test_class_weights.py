"""``class_weights`` of ``fit`` against a loss of int labels weighted by hand, in NumPy's float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from training import compiled_once, copies

import rnngraph as rg
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.verifier import verify
from rnngraph.passes.label_weights import LabelWeights, labelled_losses

CLASSES, WIDTH = 3, 4
WEIGHTS = {0: 0.5, 2: 3.0}
OF_CLASS = np.array([0.5, 1.0, 3.0])


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    logarithms = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -np.take_along_axis(logarithms, labels[..., None], -1)[..., 0]


def network(kind: str, weights: Any = None, dtype: str = "float32") -> rg.Program:
    """Return a net. ``kind`` is the loss's reduction, ``weights`` the class weights that the declaration applies."""
    x = rg.placeholder("x", (None, None, WIDTH), dtype)
    n = rg.placeholder("n", (None,), "int64")
    outputs, state = rg.dynamic_rnn(rg.BasicRNNCell(5), x, n)
    over_time = kind in ("steps", "own steps")
    y = rg.placeholder("y", (None, None) if over_time else (None,), "int64")
    logits = rg.dense(outputs if over_time else state, CLASSES)
    options: dict[str, Any] = {"lengths": n} if over_time else {}
    if weights is not None:
        options["weights"] = rg.gather(rg.constant(np.asarray(weights, dtype)), y)
    if kind in ("own mean", "own steps"):
        losses = rg.sparse_softmax_cross_entropy(y, logits, reduction="none", **options)
        loss = rg.reduce_mean(losses)
    else:
        loss = rg.sparse_softmax_cross_entropy(y, logits, reduction="sum" if kind == "sum" else "mean", **options)
    return rg.compile({"logits": logits}, loss=loss, seed=1)


def examples(kind: str) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    n = np.array([4, 1, 3, 4, 2, 4])
    y = generator.integers(0, CLASSES, (6, 4) if "steps" in kind else 6)
    return {"x": generator.normal(size=(6, 4, WIDTH)), "y": y, "n": n}


def by_hand(kind: str, logits: np.ndarray, feeds: dict[str, Any]) -> float:
    losses, weights = cross_entropy(logits, feeds["y"]), OF_CLASS[feeds["y"]]
    if "steps" in kind:
        weights = weights * (np.arange(4) < feeds["n"][:, None])
    total = float((losses * weights).sum())
    if kind == "sum":
        return total
    return total / (losses.size if kind.startswith("own") else float(weights.sum()))


@pytest.mark.parametrize("kind", ["mean", "sum", "steps", "own steps"])
def test_the_loss_and_its_update_are_those_weighted_by_hand(kind: str) -> None:
    feeds = examples(kind)
    program, declared = network(kind), network(kind, OF_CLASS)
    logits = program.inference({name: feeds[name] for name in ("x", "n")})["logits"]
    options: dict[str, Any] = {"batch_size": 6, "shuffle": False, "progress": False}
    history = rg.Trainer(program, rg.SGD(0.5)).fit(feeds, class_weights=WEIGHTS, **options)
    assert_allclose(history["loss"], [by_hand(kind, logits, feeds)], rtol=1e-5)
    rg.Trainer(declared, rg.SGD(0.5)).fit(feeds, **options)
    for name, array in copies(program.parameters).items():
        assert_allclose(array, declared.parameters[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_weights_multiply_those_that_are_declared() -> None:
    x, y, w = rg.placeholder("x", (None, WIDTH)), rg.placeholder("y", (None,), "int64"), rg.placeholder("w", (None,))
    logits = rg.dense(x, CLASSES)
    program = rg.compile({"logits": logits}, loss=rg.sparse_softmax_cross_entropy(y, logits, w))
    feeds = {"x": np.eye(4), "y": np.array([0, 1, 2, 2]), "w": np.array([1.0, 2.0, 0.5, 0.0])}
    losses = cross_entropy(program.inference(x=feeds["x"])["logits"], feeds["y"])
    history = rg.Trainer(program, rg.SGD(0.1)).fit(feeds, class_weights=WEIGHTS, progress=False)
    assert_allclose(history["loss"], np.average(losses, weights=feeds["w"] * OF_CLASS[feeds["y"]]), rtol=1e-5)


def test_a_batch_with_weights_of_zero_trains_nothing() -> None:
    program = network("mean")
    feeds = examples("mean") | {"y": np.array([0, 0, 0, 1, 1, 1])}
    trainer, before = rg.Trainer(program, rg.SGD(0.5)), copies(program.parameters)
    trainer.fit(feeds, class_weights={0: 0, 1: 2}, batch_size=3, shuffle=False, progress=False)
    assert trainer.updates == 2
    assert trainer.skipped == 0
    alone = network("mean")
    rg.Trainer(alone, rg.SGD(0.5)).fit(
        {name: value[3:] for name, value in feeds.items()}, batch_size=3, shuffle=False, progress=False
    )
    assert any((array != before[name]).any() for name, array in program.parameters.items())
    for name, array in copies(program.parameters).items():
        assert_allclose(array, alone.parameters[name], rtol=1e-5, atol=1e-7)


def test_validation_and_plain_steps_weight_all_equally() -> None:
    feeds = examples("mean")
    program, plain = network("mean"), network("mean")
    trainer, other = rg.Trainer(program, rg.SGD(0.5)), rg.Trainer(plain, rg.SGD(0.5))
    history = trainer.fit(feeds, class_weights={2: 9}, validation=feeds, keep_best=False, progress=False, batch_size=6)
    assert history["validation_loss"][0] == program.evaluate(feeds)["loss"]
    plain.parameters.load(copies(program.parameters))
    assert trainer.step(feeds) == other.step(feeds)


def test_a_fit_continues_only_with_the_same_weights(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(trainer: rg.Trainer, row: Any) -> None:
        raise StopError

    feeds, options = examples("mean"), {"batch_size": 2, "epochs": 2, "progress": False}
    whole = network("mean")
    rg.Trainer(whole, rg.Adam(0.1)).fit(feeds, class_weights=WEIGHTS, **options)
    subject = rg.Trainer(network("mean"), rg.Adam(0.1))
    with pytest.raises(StopError):
        subject.fit(feeds, class_weights=WEIGHTS, callbacks=[stop], **options)
    subject.save(tmp_path / "a")
    restored = rg.Trainer.load(tmp_path / "a", network("mean"))
    with pytest.raises(rg.ArgumentError, match=r"class_weights \[0\.5, 1\.0, 3\.0\] then, None now"):
        restored.fit(feeds, **options)
    restored.fit(feeds, class_weights={**WEIGHTS, 1: 1}, **options)
    for name, array in copies(restored.program.parameters).items():
        assert array.tobytes() == whole.parameters[name].tobytes()


# Labels that are probabilities ----------------------------------------------------------------------


def sample_weights(kind: str, labels: np.ndarray) -> np.ndarray:
    """Return a weight for each label, as Keras' ``class_weight_to_sample_weights`` does."""
    if kind == "classes":
        return OF_CLASS[labels.argmax(-1)]
    rounded = np.round(labels[..., 0] if kind == "column" else labels)
    return np.select([rounded == 0, rounded == 1], [0.5, 4.0], 1.0)


def of_probabilities(kind: str, over_time: bool, weights: Any = 1.0, own_mean: bool = False) -> rg.Program:
    x, n = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("n", (None,), "int64")
    outputs, state = rg.dynamic_rnn(rg.BasicRNNCell(5), x, n)
    width = CLASSES if kind == "classes" else 1
    logits = rg.dense(outputs if over_time else state, width)
    shape = (None, None, width) if over_time else (None, width)
    options: dict[str, Any] = {"lengths": n} if over_time else {}
    if kind == "row":
        logits, shape = rg.reshape(logits, (None,)), (None,)
    y = rg.placeholder("y", shape)
    loss = rg.softmax_cross_entropy if kind == "classes" else rg.sigmoid_cross_entropy
    if own_mean:
        return rg.compile({"logits": logits}, loss=rg.reduce_mean(loss(y, logits, reduction="none")), seed=1)
    return rg.compile({"logits": logits}, loss=loss(y, logits, weights, **options), seed=1)


def losses_of(kind: str, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    if kind == "classes":
        shifted = logits - logits.max(-1, keepdims=True)
        return np.asarray(-(labels * (shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))).sum(-1))
    losses = np.logaddexp(0, logits) - logits * labels
    return np.asarray(losses[..., 0] if kind == "column" else losses)


@pytest.mark.parametrize(
    ("kind", "over_time", "own_mean"),
    [
        ("classes", False, False),
        ("classes", True, False),
        ("classes", False, True),
        ("column", False, False),
        ("column", True, False),
        ("column", False, True),
        ("row", False, False),
    ],
)
def test_probabilities_as_labels_have_the_weight_of_their_class(kind: str, over_time: bool, own_mean: bool) -> None:
    """A label of probabilities has the weight of its class: the first largest one, or the rounded binary label."""
    generator = np.random.default_rng(3)
    shape = (6, 4) if over_time else (6,)
    if kind == "classes":
        labels = np.eye(CLASSES)[generator.integers(0, CLASSES, shape)]
        labels[0] = [0.1, 0.45, 0.45]
    else:
        labels = generator.integers(0, 2, (*shape, 1)[: None if kind == "column" else 1]).astype(np.float64)
        labels[:2] = [[0.9], [0.2]] if kind == "column" and not over_time else 0.7
    feeds = {"x": generator.normal(size=(6, 4, WIDTH)), "n": np.array([4, 1, 3, 4, 2, 4]), "y": labels}
    program = of_probabilities(kind, over_time, own_mean=own_mean)
    logits = program.inference({name: feeds[name] for name in ("x", "n")})["logits"]
    losses, weights = losses_of(kind, logits, labels), sample_weights(kind, labels)
    counted = weights * (np.arange(4) < feeds["n"][:, None]) if over_time else weights
    expected = (losses * counted).sum() / (losses.size if own_mean else counted.sum())
    class_weights = WEIGHTS if kind == "classes" else {0: 0.5, 1: 4.0}
    options: dict[str, Any] = {"batch_size": 6, "shuffle": False, "progress": False}
    history = rg.Trainer(program, rg.SGD(0.5)).fit(feeds, class_weights=class_weights, **options)
    assert_allclose(history["loss"], [expected], rtol=1e-5)
    if own_mean:
        return
    declared = of_probabilities(kind, over_time, rg.constant(weights.astype(np.float32)))
    rg.Trainer(declared, rg.SGD(0.5)).fit(feeds, **options)
    for name, array in copies(program.parameters).items():
        assert_allclose(array, declared.parameters[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_several_true_labels_are_an_error_with_the_remedy() -> None:
    x, y, w = rg.placeholder("x", (None, WIDTH)), rg.placeholder("y", (None, 3)), rg.placeholder("w", (None, 3))
    logits = rg.dense(x, 3)
    feeds = {"x": np.eye(4), "y": np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1.0]])}
    trainer = rg.Trainer(rg.compile({"logits": logits}, loss=rg.sigmoid_cross_entropy(y, logits)), rg.SGD(0.1))
    with pytest.raises(rg.GraphError, match=r"test_class_weights.*several labels in each row.*rg\.expand_dims\(labels"):
        trainer.fit(feeds, class_weights={0: 1, 1: 2}, progress=False)
    # the remedy of the error
    loss = rg.sigmoid_cross_entropy(rg.expand_dims(y, -1), rg.expand_dims(logits, -1), weights=w)
    program, weights = rg.compile({"logits": logits}, loss=loss), np.where(feeds["y"] == 1, 2.0, 0.5)
    losses = losses_of("row", program.inference(x=feeds["x"])["logits"], feeds["y"])
    assert_allclose(program.evaluate(feeds, w=weights)["loss"], np.average(losses, weights=weights), rtol=1e-5)


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "kind": ([1, 2], rg.DtypeError, "must be a mapping such as {0: 1.0, 1: 5.0}, .* of type list"),
    "label": ({3: 1.0}, rg.ArgumentError, "class_weights has 3; give labels of the loss, which are 0 to 2"),
    "name": ({"cat": 1.0}, rg.ArgumentError, "class_weights has 'cat'"),
    "truth": ({True: 1.0}, rg.ArgumentError, "class_weights has True"),
    "negative": ({0: -1.0}, rg.ArgumentError, "class_weights has -1.0 for label 0"),
    "nan": ({0: np.nan}, rg.ArgumentError, "class_weights has nan for label 0"),
    "zeros": ({0: 0, 1: 0, 2: 0}, rg.ArgumentError, "all 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_an_error_at_the_users_line(name: str) -> None:
    weights, kind, text = WRONG[name]
    trainer = rg.Trainer(network("mean"), rg.SGD(0.1))
    with pytest.raises(kind, match=rf"test_class_weights\.py:\d+: .*{text}"):
        trainer.fit(examples("mean"), class_weights=weights, progress=False)


def test_losses_without_int_labels_and_several_losses_are_errors_with_the_remedy() -> None:
    x, y = rg.placeholder("x", (None, WIDTH)), rg.placeholder("y", (None,), "int64")
    logits = rg.dense(x, CLASSES)
    cross = rg.sparse_softmax_cross_entropy(y, logits)
    losses = {
        "need a loss whose labels are classes": rg.mean_squared_error(x[:, :CLASSES], logits),
        r"could apply to 2 losses \(declared at .*, .*\)": cross + rg.sparse_softmax_cross_entropy(y, logits * 2),
    }
    for text, loss in losses.items():
        trainer = rg.Trainer(rg.compile({"logits": logits}, loss=loss), rg.SGD(0.1))
        feeds = {
            name: value
            for name, value in {"x": np.eye(4), "y": [0, 1, 2, 0]}.items()
            if name in trainer.program.training.input_names()
        }
        with pytest.raises(rg.GraphError, match=rf"{text}.*give the loss weights=rg\.gather"):
            trainer.fit(feeds, class_weights={0: 2}, progress=False)


# The pass -----------------------------------------------------------------------------------------


def test_the_pass_does_not_change_graphs_without_such_a_loss() -> None:
    graph = network("mean").inference.graph
    assert labelled_losses(graph) == []
    assert LabelWeights((1.0, 2.0, 3.0))(graph) is graph


@pytest.mark.parametrize("kind", ["classes", "column"])
def test_products_of_labels_are_known_again_in_a_file(kind: str, tmp_path: Path) -> None:
    program = of_probabilities(kind, over_time=False)
    program.save(tmp_path / "saved")
    labels = np.eye(CLASSES)[[0, 1, 2, 2]] if kind == "classes" else np.array([[0.0], [1], [1], [0]])
    feeds = {"x": np.ones((4, 2, WIDTH)), "n": np.array([2, 1, 2, 1]), "y": labels}
    losses = [
        rg.Trainer(item, rg.SGD(0.5)).fit(feeds, class_weights={0: 0.5, 1: 4}, progress=False)["loss"]
        for item in (program, rg.load(tmp_path / "saved"))
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("kind", ["mean", "sum", "own mean", "steps", "own steps"])
def test_the_pass_changes_the_loss_alone(kind: str) -> None:
    program, inputs = network(kind), examples(kind)
    graph = program.evaluation.graph
    weighted = verify(LabelWeights(tuple(OF_CLASS))(graph), "label_weights")
    feeds = {**inputs, **program.parameters}
    before, after = (
        interpret(item, {str(node["label"]): np.asarray(feeds[str(node["label"])]) for node in item.inputs}, wide=True)
        for item in (graph, weighted)
    )
    assert before["logits"].tobytes() == after["logits"].tobytes()
    assert_allclose(after["loss"], by_hand(kind, before["logits"], inputs), rtol=1e-12)
    alike = LabelWeights((1.0,) * CLASSES)(graph)
    same = interpret(alike, {str(n["label"]): np.asarray(feeds[str(n["label"])]) for n in alike.inputs}, wide=True)
    assert_allclose(same["loss"], before["loss"], rtol=1e-15)
