"""The forms of examples in ``fit``, its validation and ``evaluate``: pairs, and iterables of batches that resume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from training import Arrays, compiled_once, copies, data, network, same

import rnngraph as rg


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


class StopError(Exception):
    """Error that ends a fit."""


def batches(count: int = 3, rows: int = 3) -> list[Arrays]:
    return [data(rows, seed=seed) for seed in range(count)]


def trainer(seed: int = 0, **options: Any) -> rg.Trainer:
    return rg.Trainer(network(keep_prob=0.5, seed=seed, **options), rg.SGD(0.3, momentum=0.5))


def state(trainer: rg.Trainer) -> Arrays:
    return copies({**trainer.program.parameters, **trainer.state.slots})


def stepped(batches_of_epoch: list[Arrays], epochs: int = 1) -> rg.Trainer:
    subject = trainer()
    for _ in range(epochs):
        for batch in batches_of_epoch:
            subject.step(batch)
    return subject


class Loader:
    """Batches that can be iterated repeatedly, like a data loader; ``begun`` counts the iterations."""

    def __init__(self, batches: list[Any]) -> None:
        self.given, self.begun = batches, 0

    def __iter__(self) -> Iterator[Any]:
        self.begun += 1
        return iter(self.given)


# (x, y) -------------------------------------------------------------------------------------------


def test_a_validation_as_a_pair_is_that_by_name() -> None:
    first, last = data(7), data(4, seed=1)
    results = []
    for examples, validation in ((first, last), (first, (last["x"], last["y"])), ((first["x"], first["y"]), last)):
        subject = trainer()
        history = subject.fit(examples, validation=validation, batch_size=3, epochs=2, progress=False)
        results.append((state(subject), history["validation_loss"]))
    for parameters, losses in results[1:]:
        same(parameters, results[0][0])
        assert_array_equal(losses, results[0][1])


def test_a_pair_of_lists_of_sequences_gets_its_lengths() -> None:
    program = network(lengths=True)
    x, y = ([array[:steps] for array, steps in zip(data(4)[name], (3, 6, 1, 4), strict=True)] for name in "xy")
    trainer = rg.Trainer(program, rg.SGD(0.1))
    history = trainer.fit((x, y), validation=(x[:2], y[:2]), progress=False, shuffle=False, batch_size=4)
    padded = {"x": data(4)["x"][:2], "y": data(4)["y"][:2], "n": [3, 6]}
    assert history["validation_loss"][0] == pytest.approx(float(program.evaluate(padded)["loss"]), rel=1e-6)
    assert trainer.evaluate((x[:2], y[:2])) == {"loss": history["validation_loss"][0]}


def test_a_validation_pair_takes_missing_inputs_from_the_examples() -> None:
    """A validation pair takes inputs that it lacks from the examples, such as a temperature that both graphs read."""
    x, y = rg.placeholder("x", (None, 3)), rg.placeholder("y", (None,), "int64")
    warmth, keep = rg.placeholder("warmth", ()), rg.placeholder("keep", ())
    logits = rg.dense(rg.dropout(x, keep), 2) * warmth
    program = rg.compile({"logits": logits}, loss=rg.sparse_softmax_cross_entropy(y, logits))
    examples = {"x": np.ones((4, 3)), "y": [0, 1, 0, 1], "warmth": 2.0, "keep": 0.5}
    trainer = rg.Trainer(program, rg.SGD(0.1))
    history = trainer.fit(examples, validation=(np.eye(3), [1, 0, 1]), progress=False)
    expected = program.evaluate(x=np.eye(3), y=[1, 0, 1], warmth=2.0)["loss"]
    assert history["validation_loss"][0] == pytest.approx(float(expected), rel=1e-6)
    # feeds of training alone may be omitted from a mapping, too
    other = trainer.fit(examples, validation={"x": np.eye(3), "y": [1, 0, 1], "warmth": 2.0}, progress=False, epochs=1)
    assert np.isfinite(other["validation_loss"]).all()


# Batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["list", "loader", "pairs"])
def test_an_epoch_is_one_passage_through_the_batches(form: str) -> None:
    examples: Any = batches()
    if form == "loader":
        examples = Loader(examples)
    elif form == "pairs":
        examples = Loader([(batch["x"], batch["y"]) for batch in examples])
    subject = trainer()
    history = subject.fit(examples, epochs=2, progress=False)
    same(state(subject), state(stepped(batches(), 2)))
    assert subject.updates == 6
    assert history.epochs == 2
    assert form == "list" or examples.begun == 2


@pytest.mark.parametrize("restarts", [False, True])
def test_steps_per_epoch_draws_on_from_epoch_to_epoch(restarts: bool) -> None:
    """An iterator of 8 batches yields 6 in three epochs of two. A loader of three restarts, so each comes twice."""
    examples: Any = Loader(batches()) if restarts else iter(batches(8))
    subject = trainer()
    subject.fit(examples, steps_per_epoch=2, epochs=3, progress=False)
    same(state(subject), state(stepped(batches() * 2 if restarts else batches(8)[:6])))
    if restarts:
        assert examples.begun == 2
    else:
        assert len(list(examples)) == 2


def test_batches_are_padded_and_cut_into_windows_one_by_one() -> None:
    def examples() -> list[Any]:
        x, y = data(5)["x"], data(5)["y"]
        each = [(x[number][:steps], y[number][:steps]) for number, steps in enumerate((5, 2, 6, 1, 3))]
        return [{"x": [a for a, _ in part], "y": [b for _, b in part]} for part in (each[:2], each[2:])]

    results = []
    for iterable in (examples(), iter(examples())):
        subject = trainer(lengths=True)
        subject.fit(iterable, window=2, warm_up=1, progress=False, lengths="n")
        results.append(state(subject))
    same(*results)
    subject = trainer(lengths=True)
    for part in examples():
        subject.fit(part, window=2, warm_up=1, progress=False, shuffle=False, batch_size=3)
    assert subject.updates == 2 + 3
    same(state(subject), results[0])


def test_validation_and_metrics_over_batches() -> None:
    parts = batches(2, rows=2)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in ("x", "y")}
    subject, calls = trainer(), Loader(parts)
    metrics = {"largest": lambda result, feeds: np.abs(result["shown"]).max(axis=(1, 2))}
    history = subject.fit(data(5), validation=calls, metrics=metrics, epochs=2, progress=False)
    assert calls.begun == 2
    alike = subject.evaluate(joined, metrics=metrics, batch_size=2)
    assert alike == subject.evaluate((part for part in parts), metrics=metrics)
    second = trainer().fit(data(5), validation=joined, batch_size=2, metrics=metrics, epochs=2, progress=False)
    assert list(second) == list(history)
    measured = trainer()
    actual = measured.fit(Loader(parts), metrics=metrics, progress=False)
    assert actual["largest"][0] == measured.evaluate(parts, metrics=metrics)["largest"]


def test_evaluate_equals_the_measurements_of_fit() -> None:
    subject, validation = trainer(), data(7, seed=3)
    metrics = {
        "mean": rg.reduce_mean(rg.square(subject.program.structure["shown"])),
        "rows": lambda result, feeds: len(feeds["x"]),
    }
    history = subject.fit(
        data(5), validation=validation, metrics=metrics, batch_size=3, keep_best=False, progress=False
    )
    actual = subject.evaluate(validation, metrics=metrics, batch_size=3)
    assert actual == {name: history[f"validation_{name}"][0] for name in ("loss", "mean", "rows")}
    expected = subject.program.evaluate(validation)
    assert actual["loss"] == pytest.approx(float(expected["loss"]), rel=1e-6)
    assert actual["mean"] == pytest.approx(float((expected["shown"].astype(np.float64) ** 2).mean()), rel=1e-6)
    assert list(subject.evaluate(validation)) == ["loss"]


# Resuming -----------------------------------------------------------------------------------------


def stopping(batches_of_epoch: list[Any], after: int) -> Iterator[Any]:
    """Yield batches, and raise an error instead of the ``after``-th."""
    for number, batch in enumerate(batches_of_epoch):
        if number == after:
            raise StopError
        yield batch


@pytest.mark.parametrize(("per_epoch", "after"), [(None, 3), (2, 1), (2, 2)])
def test_a_fit_from_a_checkpoint_skips_batches_of_the_past(per_epoch: int | None, after: int, tmp_path: Path) -> None:
    """Batches that were trained on are skipped, and the rest has the bits of an uninterrupted fit."""
    examples = batches(5)
    epochs = 2 if per_epoch else 1
    options: dict[str, Any] = {"epochs": epochs, "steps_per_epoch": per_epoch, "progress": False}
    whole = trainer()
    expected = whole.fit(iter(examples), **options)
    path = tmp_path / "a"
    cut = trainer()
    with pytest.raises(StopError):
        cut.fit(stopping(examples, after), checkpoint=path, checkpoint_every=1, **options)
    restored = rg.Trainer.load(path, network(keep_prob=0.5, seed=9))
    assert restored.updates == after
    history = restored.fit(iter(examples), checkpoint=path, **options)
    assert_array_equal(history["loss"], expected["loss"])
    same(state(restored), state(whole))


def test_an_interrupted_iterator_continues_at_its_position() -> None:
    """An interrupted fit continues an iterator at its position: no batch is skipped or lost."""
    examples = batches(6)
    whole = trainer()
    whole.fit(iter(examples), steps_per_epoch=3, epochs=2, progress=False)
    for moment in (0, 2, 3):  # before the first step, in the first epoch, and before the first step of the second
        subject, iterator, count = trainer(), iter(examples), [0]
        gather = subject.program.training.gather

        def counted(*arguments: Any, gather: Any = gather, count: list[int] = count, moment: int = moment) -> Any:
            count[0] += 1
            if count[0] == moment + 1:
                raise StopError
            return gather(*arguments)

        subject.program.training.gather = counted  # type: ignore[method-assign]
        with pytest.raises(StopError):
            subject.fit(iterator, steps_per_epoch=3, epochs=2, progress=False)
        subject.fit(iterator, steps_per_epoch=3, epochs=2, progress=False)
        same(state(subject), state(whole))
        assert subject._session.cursor is None


def test_an_error_of_the_users_iterator_is_their_own() -> None:
    def failing() -> Iterator[Any]:
        yield data(3)
        raise KeyError("a file that is not there")

    subject = trainer()
    with pytest.raises(KeyError, match="a file that is not there"):
        subject.fit(failing(), progress=False)
    assert subject.updates == 1


def test_an_iterator_that_ends_early_is_an_error_and_more_batches_continue() -> None:
    examples = batches(6)
    subject = trainer()
    with pytest.raises(rg.ArgumentError, match=r"ended after 4 batches, but epoch 2 needs 3 after the first 3"):
        subject.fit(iter(examples[:4]), steps_per_epoch=3, epochs=2, progress=False)
    assert subject.updates == 4
    subject.fit(iter(examples), steps_per_epoch=3, epochs=2, progress=False)
    whole = trainer()
    whole.fit(iter(examples), steps_per_epoch=3, epochs=2, progress=False)
    same(state(subject), state(whole))


def test_other_batches_are_no_continuation() -> None:
    subject = trainer()
    with pytest.raises(StopError):
        subject.fit(stopping(batches(4), 1), steps_per_epoch=2, epochs=2, progress=False)
    with pytest.raises(rg.ArgumentError, match="steps_per_epoch 2 then, 3 now"):
        subject.fit(batches(4), steps_per_epoch=3, epochs=2, progress=False)
    with pytest.raises(rg.ArgumentError, match="examples batch by batch then, 5 now"):
        subject.fit(data(5), epochs=2, progress=False)


# Mistakes -----------------------------------------------------------------------------------------

EXAMPLES = data(5)
ENDLESS = np.broadcast_to(0.0, (1 << 20, 1 << 20, EXAMPLES["x"].shape[2]))
"""More than any machine's memory, as float32."""
PADDED = EXAMPLES | {"n": np.array([3, 6, 2, 1, 6])}
WRONG: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "once": (lambda: iter(batches()), {"epochs": 2}, rg.ArgumentError, "read only once, but epochs=2; .*per_epoch"),
    "metrics": (lambda: iter(batches()), {"metrics": {"a": abs}}, rg.ArgumentError, "read only once; .*validation="),
    "validation": (
        lambda: EXAMPLES,
        {"validation": iter(batches()), "epochs": 2},
        rg.ArgumentError,
        "validation is an iterator",
    ),
    "share": (batches, {"validation": 0.5}, rg.ArgumentError, "share of the examples, but they come in batches"),
    "none": (lambda: iter(()), {}, rg.ArgumentError, "yielded no batch"),
    "number": (lambda: iter([3]), {}, rg.DtypeError, r"batch 1 of the iterator is int; give mappings .* or tuples"),
    "part": (lambda: [{"x": EXAMPLES["x"]}], {}, rg.NameLookupError, "batch 1 of the iterator: there are no examples"),
    "steps": (lambda: EXAMPLES, {"steps_per_epoch": 2}, rg.ArgumentError, "needs an iterable of batches"),
    "steps kind": (batches, {"steps_per_epoch": 0}, rg.ArgumentError, "steps_per_epoch must be at least 1"),
    "warm_up": (batches, {"warm_up": 6}, rg.ArgumentError, "warm_up=6 leaves no step to train on in any batch"),
    "three": (lambda: EXAMPLES, {"validation": (1, 2, 3)}, rg.StructureError, r"a tuple of examples must be \(x, y\)"),
    "copy": (
        lambda: EXAMPLES | {"x": ENDLESS},
        {},
        rg.OutOfMemoryError,
        "a copy of the array of examples of x takes",
    ),
    "copy of a batch": (
        lambda: iter([EXAMPLES | {"x": ENDLESS}]),
        {},
        rg.OutOfMemoryError,
        "batch 1 of the iterator: a copy of the array of examples of x takes",
    ),
    "large": (
        lambda: EXAMPLES,
        {"validation": 3j},
        rg.DtypeError,
        "must be examples, or a share .* not of type complex",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_an_error_at_the_users_line(name: str) -> None:
    examples, options, kind, text = WRONG[name]
    subject = trainer()
    with pytest.raises(kind, match=rf"test_sources\.py:\d+: .*{text}") as raised:
        subject.fit(examples(), progress=False, **options)
    assert len(str(raised.value)) < 1000
    assert subject.updates == 0


def test_padded_arrays_of_a_validation_need_lengths_where_the_examples_have_them() -> None:
    subject = trainer(lengths=True)
    validation_examples = data(2, seed=1)
    for validation in (validation_examples, (validation_examples["x"], validation_examples["y"])):
        with pytest.raises(rg.ArgumentError, match=r"the validation needs lengths.*; give validation= as a mapping"):
            subject.fit(PADDED, validation=validation, progress=False)
    subject.fit(PADDED, validation=validation_examples | {"n": [6, 2]}, progress=False)
    subject.fit(PADDED, validation=(list(validation_examples["x"]), list(validation_examples["y"])), progress=False)


def test_a_pair_for_several_placeholders_is_an_error() -> None:
    a, b, c = (rg.placeholder(name, (None, 2)) for name in "abc")
    sums = a * rg.parameter("w", (2,), "ones") + b
    program = rg.compile({"sum": sums}, loss=rg.mean_squared_error(c, sums))
    trainer = rg.Trainer(program, rg.SGD(0.1))
    ones = np.ones((3, 2))
    with pytest.raises(rg.StructureError, match="x could feed any of a, b; give a mapping"):
        trainer.evaluate((ones, ones))
    assert trainer.evaluate(({a: ones, "b": ones}, ones)) == {"loss": 1.0}
