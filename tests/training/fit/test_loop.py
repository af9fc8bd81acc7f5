"""``Trainer.fit``: its updates, measurements, stopping, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from training import compiled_once, copies, data, network, same

import rnngraph as rg
from rnngraph.batching.batches import Batches
from rnngraph.batching.input_axes import layout_of
from rnngraph.program.example_inputs import example_inputs
from rnngraph.training.fit import loop as fitting
from rnngraph.training.fit.progress import FitProgress

ROWS = 7


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


def quiet(trainer: rg.Trainer, examples: Any, **options: Any) -> rg.History:
    return trainer.fit(examples, progress=False, **options)


def batches_of(program: rg.Program, examples: Any, batch_size: int = 3, **options: Any) -> Batches:
    return Batches(
        dict(examples),
        layout_of(example_inputs(program.inference, program.evaluation, program.training)),
        batch_size=batch_size,
        seed=program.seed,
        **options,
    )


# Batches and losses -------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_fit_is_steps_over_its_batches(accumulate: int) -> None:
    """A fit equals steps over its batches of 3, 3 and 1 rows, also if an epoch's last update has one batch of two."""
    left, right = network(keep_prob=0.5, seed=5), network(keep_prob=0.5, seed=5)
    examples = data(ROWS)
    fitted = rg.Trainer(left, rg.Adam(0.05), accumulate=accumulate)
    history = quiet(fitted, examples, batch_size=3, epochs=2)
    stepped = rg.Trainer(right, rg.Adam(0.05), accumulate=accumulate)
    batches = batches_of(right, examples)
    for epoch in range(2):
        losses, rows = [], []
        for chosen in batches.order(epoch):
            losses.append(stepped.step(batches.feeds(chosen)))
            rows.append(len(chosen))
        stepped.flush()
        assert sorted(rows) == [1, 3, 3]
        assert_allclose(history["loss"][epoch], np.average(losses, weights=rows), rtol=1e-12)
    same(copies(left.parameters), copies(right.parameters))
    assert fitted.updates == stepped.updates == (6 if accumulate == 1 else 4)
    assert list(history) == ["epoch", "loss", "learning_rate", "seconds"]
    assert_array_equal(history["epoch"], [1, 2])
    assert history.stopped == "2 epochs are done"


def test_the_seed_of_the_program_is_the_order_of_the_examples() -> None:
    results = []
    for seed, shuffle in ((1, True), (1, True), (2, True), (1, False)):
        program = network(seed=seed)
        program.parameters.load(copies(network(seed=9).parameters))
        quiet(rg.Trainer(program, rg.SGD(0.3)), data(ROWS), batch_size=2, shuffle=shuffle)
        results.append(b"".join(array.tobytes() for array in program.parameters.values()))
    assert results[0] == results[1]
    assert len(set(results)) == 3


def test_the_same_run_gives_the_same_bits_with_any_number_of_threads() -> None:
    results = []
    for threads in (1, 1, 2):
        program = network(keep_prob=0.5, lengths=True)
        program.threads = threads
        examples = data(ROWS) | {"n": np.array([6, 1, 3, 3, 2, 6, 5])}
        history = quiet(rg.Trainer(program, rg.RMSProp(0.01, momentum=0.5)), examples, batch_size=2, epochs=2)
        results.append((copies(program.parameters), history["loss"]))
    for parameters, loss in results[1:]:
        same(parameters, results[0][0])
        assert loss.tobytes() == results[0][1].tobytes()


def test_windows_carry_states_within_a_batch_and_warm_up_trains_nothing() -> None:
    left, right = network(), network()
    examples = data(4, steps=7)
    history = quiet(rg.Trainer(left, rg.SGD(0.1)), examples, batch_size=2, window=3, warm_up=1, epochs=2)
    trainer, batches = rg.Trainer(right, rg.SGD(0.1)), batches_of(right, examples, 2)
    for epoch in range(2):
        losses, weights = [], []
        for rows in batches.order(epoch):
            feeds = batches.feeds(rows)
            before = trainer.updates
            first = {name: array[:, :1] for name, array in feeds.items()}
            trainer._stepper.warm_up(first, slice(2), 2, None, lambda: None)
            assert trainer.updates == before
            for start, stop in ((1, 4), (4, 7)):
                cut = {name: array[:, start:stop] for name, array in feeds.items()}
                losses.append(trainer.step(cut, carry=True))
                weights.append(2 * (stop - start))
        assert_allclose(history["loss"][epoch], np.average(losses, weights=weights), rtol=1e-12)
    same(copies(left.parameters), copies(right.parameters))


def test_windows_of_sequences_of_different_lengths() -> None:
    program = network(lengths=True)
    generator = np.random.default_rng(0)
    lengths = [5, 2, 9, 1]
    examples = {name: [generator.normal(size=(n, width)) for n in lengths] for name, width in (("x", 3), ("y", 2))}
    history = quiet(rg.Trainer(program, rg.Adam(0.05)), examples, batch_size=2, window=2, epochs=15, lengths="n")
    assert history["loss"][-1] < history["loss"][0]
    other = network(lengths=True)
    padded = {
        name: np.stack([np.pad(a, ((0, 9 - len(a)), (0, 0))) for a in arrays]) for name, arrays in examples.items()
    }
    second = quiet(rg.Trainer(other, rg.Adam(0.05)), padded, batch_size=2, window=2, epochs=15, lengths=lengths)
    assert_array_equal(second["loss"], history["loss"])


# Validation and metrics ---------------------------------------------------------------------------


def test_validation_is_measured_without_dropout_on_separate_examples() -> None:
    """Validation is measured without dropout. A share selects the last examples, and each counts once."""
    program, examples = network(keep_prob=0.5), data(10)
    first, last = ({name: array[part] for name, array in examples.items()} for part in (slice(7), slice(7, None)))
    metrics = {
        "worst": lambda result, feeds: np.abs(result["shown"] - feeds["y"]).max(axis=(1, 2)),
        "mean": rg.reduce_mean(rg.square(program.structure["shown"])),
    }
    history = quiet(rg.Trainer(program, rg.SGD(0.1)), examples, batch_size=2, validation=0.3, metrics=metrics)
    expected = program.evaluate(last)
    assert_allclose(history["validation_loss"], [expected["loss"]], rtol=1e-5)
    worst = np.abs(expected["shown"] - last["y"]).max(axis=(1, 2)).mean()
    assert_allclose(history["validation_worst"], [worst], rtol=1e-5)
    assert_allclose(history["validation_mean"], [(expected["shown"] ** 2).mean()], rtol=1e-5)
    other = network(keep_prob=0.5)
    separate = quiet(rg.Trainer(other, rg.SGD(0.1)), first, batch_size=2, validation=last, metrics={})
    assert_array_equal(separate["validation_loss"], history["validation_loss"])
    assert set(history) - set(separate) == {"validation_worst", "validation_mean"}
    alone = quiet(rg.Trainer(other, rg.SGD(0.1)), first, metrics={"zero": lambda result, feeds: 0})
    assert list(alone) == ["epoch", "loss", "zero", "learning_rate", "seconds"]


def test_inputs_of_training_only_are_not_needed_to_validate() -> None:
    x, keep = rg.placeholder("x", (None, None, 3)), rg.placeholder("keep", ())
    outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.GRUCell(4), output_keep_prob=keep), x)
    program = rg.compile({"y": outputs}, loss=rg.reduce_mean(rg.square(outputs - 1.0)))
    examples = {"x": data(ROWS)["x"], "keep": 0.5}
    seen = []
    history = quiet(
        rg.Trainer(program, rg.SGD(0.1)),
        examples,
        validation=0.3,
        metrics={"seen": lambda result, feeds: float(seen.append(set(feeds)) is None)},
    )
    assert history["validation_seen"] == 1
    assert seen == [{"x", "keep"}]
    assert_allclose(history["validation_loss"], [program.evaluate(x=examples["x"][5:])["loss"]], rtol=1e-6)


# Early stopping -----------------------------------------------------------------------------------


def scripted(values: list[float]) -> dict[str, Callable[..., float]]:
    """Return a metric whose values are given, one for each epoch."""
    left = iter(values)
    return {"scripted": lambda result, feeds: next(left)}


@pytest.mark.parametrize(
    ("mode", "values", "epochs", "best"),
    [
        ("min", [3, 2, 2, 2.5, 1], 4, 2),  # an equal value is no improvement
        ("max", [1, 2, 0, np.nan, 5], 4, 2),
        ("min", [np.nan, np.nan, 1], 2, None),
        ("min", [5, 4, 3, 2, 1], 5, 5),
    ],
)
def test_patience_waits_for_better_epochs_and_the_best_is_put_back(
    mode: str, values: list[float], epochs: int, best: int | None
) -> None:
    program, kept = network(), []
    trainer = rg.Trainer(program, rg.SGD(0.1))
    history = quiet(
        trainer,
        data(4),
        epochs=5,
        metrics=scripted(values),
        monitor="scripted",
        mode=mode,
        patience=2,
        callbacks=[lambda trainer, row: kept.append(copies(trainer.program.parameters))],
    )
    assert history.epochs == len(kept) == epochs
    same(copies(program.parameters), kept[(epochs if best is None else best) - 1])
    wanted = "scripted has not improved for 2 epochs" if epochs < 5 else "5 epochs are done"
    assert history.stopped == wanted
    assert trainer.epochs == epochs


def test_one_epoch_is_counted_as_one() -> None:
    trainer = rg.Trainer(network(), rg.SGD(0.1))
    assert quiet(trainer, data(4), epochs=1).stopped == "1 epoch is done"
    worse = {"metrics": scripted([1.0, 2.0]), "monitor": "scripted", "patience": 1}
    assert quiet(trainer, data(4), epochs=5, **worse).stopped == "scripted has not improved for 1 epoch"


def test_keep_best_is_for_validation_by_default_and_can_be_left_out() -> None:
    for options, restored in (({}, True), ({"keep_best": False}, False), ({"patience": 9}, True)):
        program, kept = network(), []
        validated = {"validation": data(3, seed=1)} if "patience" not in options else {}
        history = quiet(
            rg.Trainer(program, rg.SGD(8.0)),
            data(4),
            epochs=3,
            **validated,
            **options,
            callbacks=[lambda trainer, row, kept=kept: kept.append(copies(trainer.program.parameters))],
        )
        column = history["validation_loss" if validated else "loss"]
        assert np.argmin(column) != 2  # this rate increases the loss in the last epoch
        same(copies(program.parameters), kept[int(np.argmin(column))] if restored else kept[2])


def test_a_callback_stops_the_fit_after_its_epoch() -> None:
    rows = []

    def stop(trainer: rg.Trainer, row: Any) -> bool:
        rows.append(dict(row))
        return trainer.epochs == 2

    program = network()
    trainer = rg.Trainer(program, rg.SGD(rg.PiecewiseConstant((2,), (0.5, 0.25))))
    history = quiet(trainer, data(4), batch_size=2, epochs=9, callbacks=[stop, lambda trainer, row: None])
    assert history.stopped == "a callback stopped it after epoch 2"
    assert [row["epoch"] for row in rows] == [1, 2]
    assert_array_equal(history["learning_rate"], [0.5, 0.25])  # rate of the next update
    more = quiet(trainer, data(4), batch_size=2)  # a new fit continues the epoch numbers
    assert_array_equal(more["epoch"], [3])
    assert trainer.epochs == 3


def test_progress_is_silent_if_it_is_to_be(capfd: pytest.CaptureFixture[str]) -> None:
    trainer = rg.Trainer(network(), rg.SGD(0.1))
    quiet(trainer, data(4))
    assert capfd.readouterr() == ("", "")
    trainer.fit(data(4), epochs=2)
    out, error = capfd.readouterr()
    assert out == ""
    assert len(error.strip().splitlines()) == 2


@pytest.mark.parametrize("kept", [False, True])
def test_tensors_as_metrics_are_kept_where_the_programs_code_is(kept: bool, tmp_path: Path) -> None:
    places = {True: tmp_path / "kept", False: tmp_path / "home" / "rnngraph"}
    (tmp_path / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
        x, y = rg.placeholder("x", (None, None, 3)), rg.placeholder("y", (None, None, 2))
        shown = rg.dense(rg.dynamic_rnn(rg.BasicRNNCell(4), x)[0], 2)
        loss = rg.mean_squared_error(y, shown)
        program = rg.compile({"shown": shown}, loss=loss, cache=places[True] if kept else False)
        quiet(rg.Trainer(program), data())
        before = len(list(places[True].glob("*.code")))
        quiet(rg.Trainer(program), data(), metrics={"largest": rg.reduce_max(shown)})
    assert not places[False].exists()
    # The second trainer reuses the first one's code. The loss's evaluation and the metric each compile one more.
    assert len(list(places[True].glob("*.code"))) == (before + 2 if kept else 0)


# Non-finite losses --------------------------------------------------------------------------------


def test_a_non_finite_loss_stops_the_fit_with_its_line() -> None:
    examples = data(ROWS)
    examples["x"][2, 3, 1] = np.nan
    program, other = network(seed=3), network(seed=3)
    trainer, stepped = rg.Trainer(program, rg.SGD(0.1)), rg.Trainer(other, rg.SGD(0.1))
    batches = batches_of(other, examples)
    order = batches.order(0)
    place = next(number for number, rows in enumerate(order) if 2 in rows)
    for rows in order[:place]:
        stepped.step(batches.feeds(rows))
    row = order[place].tolist().index(2)
    with pytest.raises(
        rg.NonFiniteError,
        match=rf"test_loop\.py:\d+: the loss is nan in epoch 1, batch {place + 1}: .* inspect example 2, row {row} of",
    ):
        quiet(trainer, examples, batch_size=3)
    same(copies(program.parameters), copies(other.parameters))
    examples["x"][2, 3, 1] = 0.0  # once the example is repaired, fit continues with the batch that failed
    quiet(trainer, examples, batch_size=3)
    batches = batches_of(other, examples)
    for rows in order[place:]:
        stepped.step(batches.feeds(rows))
    same(copies(program.parameters), copies(other.parameters))


def test_a_non_finite_gradient_is_also_found() -> None:
    x = rg.placeholder("x", (None, 3))
    w = rg.parameter("w", (3,), "ones")
    program = rg.compile({"y": x * w}, loss=rg.reduce_mean(rg.sqrt(rg.abs(x * w))))
    examples = {"x": np.array([[1.0, 2, 3], [1, 0, 3]])}
    with pytest.raises(rg.NonFiniteError, match="the loss is finite, and the norm of its gradients is not") as raised:
        quiet(rg.Trainer(program, rg.SGD(0.1)), examples, shuffle=False)
    assert str(raised.value).endswith("inspect example 1, row 1 of that batch")
    assert raised.value.finding is not None
    assert (program.parameters["w"] == 1).all()


def test_an_error_without_a_row_names_the_batch() -> None:
    """The error names a batch instead of a row if only the norm of all gradients overflows."""
    x = rg.placeholder("x", (None, 3), "float64")
    w = rg.parameter("w", (3,), "ones", dtype="float64")
    program = rg.compile({"y": x * w}, loss=rg.reduce_sum(x * w))
    with pytest.raises(rg.NonFiniteError, match=r"inspect the batch's examples: 0, 1, 2, 3, 4, 5, 6, 7, …$"):
        quiet(rg.Trainer(program, rg.SGD(0.1)), {"x": np.full((9, 3), 1e307)}, shuffle=False)


# Progress -----------------------------------------------------------------------------------------


class Shown(FitProgress):
    """Progress display that records its calls."""

    def begin_epoch(self, epoch: int, steps: int, done: int = 0) -> None:
        super().begin_epoch(epoch, steps, done)
        TOLD.append(("epoch", steps, done))

    def step(self, loss: float, rows: int, weight: float | None = None) -> None:
        super().step(loss, rows, weight)
        TOLD.append(("step", rows, self._loss / self._weight))


TOLD: list[tuple[str, float, float]] = []


@pytest.mark.parametrize(("window", "warm_up", "steps"), [(None, 0, 3), (2, 0, 7), (2, 1, 5), (4, 3, 1)])
def test_every_step_is_reported(window: int | None, warm_up: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress reports every step: of windows, of whole batches, and with a warm-up."""
    monkeypatch.setattr(fitting, "FitProgress", Shown)
    TOLD.clear()
    examples = data(6) | {"n": np.array([1, 3, 3, 2, 6, 5])}
    trainer = rg.Trainer(network(lengths=True), rg.SGD(0.1))
    history = quiet(trainer, examples, batch_size=2, window=window, warm_up=warm_up, shuffle=False, epochs=2)
    for epoch, begin in enumerate([0, steps + 1]):
        assert TOLD[begin] == ("epoch", steps, 0)
        events = TOLD[begin + 1 : begin + 1 + steps]
        assert [(kind, rows) for kind, rows, _ in events] == [("step", 2)] * steps
        assert events[-1][2] == pytest.approx(history["loss"][epoch], rel=1e-12)
    assert len(TOLD) == 2 * (steps + 1)


# Refusals -------------------------------------------------------------------------------------

EXAMPLES = data(6)
WRONG: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "examples": (3, {}, rg.StructureError, "mapping"),
    "missing": ({"x": EXAMPLES["x"]}, {}, rg.NameLookupError, "no examples of y"),
    "unknown": (EXAMPLES | {"z": EXAMPLES["x"]}, {}, rg.NameLookupError, "no input 'z'"),
    "uneven": ({"x": EXAMPLES["x"], "y": EXAMPLES["y"][:4]}, {}, rg.ShapeError, "6 examples of x and 4 of y"),
    "ragged": ({"x": [a[:n] for n, a in enumerate(EXAMPLES["x"], 1)], "y": EXAMPLES["y"]}, {}, rg.ShapeError, "steps"),
    "none": ({"x": EXAMPLES["x"][:0], "y": EXAMPLES["y"][:0]}, {}, rg.ShapeError, "at least one"),
    "batch_size": (EXAMPLES, {"batch_size": 0}, rg.ArgumentError, "batch_size must be at least 1"),
    "batch_size_kind": (EXAMPLES, {"batch_size": 2.5}, rg.DtypeError, "batch_size must be an int"),
    "epochs": (EXAMPLES, {"epochs": 0}, rg.ArgumentError, "epochs must be at least 1"),
    "epochs_kind": (EXAMPLES, {"epochs": "3"}, rg.DtypeError, "epochs must be an int"),
    "lengths": (EXAMPLES, {"lengths": "n"}, rg.NameLookupError, "not an input"),
    "lengths_array": (EXAMPLES, {"lengths": [1] * 6}, rg.ArgumentError, "no placeholders are used as sequence_length"),
    "window": (EXAMPLES, {"window": 0}, rg.ArgumentError, "window must be at least 1"),
    "warm_up": (EXAMPLES, {"warm_up": -1}, rg.ArgumentError, "warm_up must be at least 0"),
    "warm_up_long": (EXAMPLES, {"warm_up": 6}, rg.ArgumentError, "warm_up=6 leaves no step to train on"),
    "validation": (EXAMPLES, {"validation": 1.5}, rg.ArgumentError, "share between 0 and 1"),
    "validation_none": (EXAMPLES, {"validation": 0.01}, rg.ArgumentError, "leaves none"),
    "validation_kind": (EXAMPLES, {"validation": True}, rg.DtypeError, "examples, or a share"),
    "validation_part": (EXAMPLES, {"validation": {"x": EXAMPLES["x"]}}, rg.NameLookupError, "no examples of y"),
    "metrics": (EXAMPLES, {"metrics": [abs]}, rg.DtypeError, "mapping"),
    "metric": (EXAMPLES, {"metrics": {"a": 3}}, rg.DtypeError, "metric 'a' must be a Tensor or a function"),
    "metric_name": (EXAMPLES, {"metrics": {"loss": abs}}, rg.ArgumentError, "can't be named 'loss'"),
    "metric_name_2": (EXAMPLES, {"metrics": {"validation_a": abs}}, rg.ArgumentError, "can't be named"),
    "metric_parameter": (
        EXAMPLES,
        {"metrics": {"a": rg.reduce_mean(rg.parameter("other", (3,)))}},
        rg.GraphError,
        "reads other",
    ),
    "metric_placeholder": (
        EXAMPLES,
        {"metrics": {"a": rg.reduce_mean(rg.placeholder("z", (None,)))}},
        rg.NameLookupError,
        "reads z",
    ),
    "metric_text": (EXAMPLES, {"metrics": {"a": lambda result, feeds: "b"}}, rg.ShapeError, "return a number"),
    "monitor": (EXAMPLES, {"monitor": "a"}, rg.NameLookupError, "monitor='a' is not measured; there are loss"),
    "monitor_validation": (EXAMPLES, {"monitor": "validation_loss"}, rg.NameLookupError, "is not measured"),
    "mode": (EXAMPLES, {"mode": "best"}, rg.ArgumentError, "use one of min, max"),
    "patience": (EXAMPLES, {"patience": 0}, rg.ArgumentError, "patience must be at least 1"),
    "callbacks": (EXAMPLES, {"callbacks": print}, rg.DtypeError, "functions of"),
    "callback": (EXAMPLES, {"callbacks": [3]}, rg.DtypeError, "functions of"),
    "every": (EXAMPLES, {"checkpoint_every": 3}, rg.ArgumentError, "give checkpoint="),
    "every_none": (EXAMPLES, {"checkpoint_every": 0, "checkpoint": "a"}, rg.ArgumentError, "every must be at least 1"),
    "checkpoint": (EXAMPLES, {"checkpoint": "/no/such/directory/a"}, rg.FileError, "directory that exists"),
    "checkpoint_kind": (EXAMPLES, {"checkpoint": 3}, rg.DtypeError, "3 is not a path"),
}


@pytest.fixture(scope="module")
def plain() -> rg.Program:
    return network()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_an_error_at_the_users_line(plain: rg.Program, name: str, tmp_path: Path) -> None:
    examples, options, error, text = WRONG[name]
    trainer, before = rg.Trainer(plain, rg.SGD(0.1)), copies(plain.parameters)
    with pytest.raises(error, match=rf"test_loop\.py:\d+: .*{text}"):
        trainer.fit(examples, progress=False, **options)
    if name != "metric_text":  # the wrong text is only known after an epoch
        same(copies(plain.parameters), before)
        assert trainer.updates == 0
        trainer.fit(EXAMPLES, progress=False, batch_size=5)  # no interrupted fit is pending
    else:
        plain.initialize(0)


def test_code_of_ones_own_can_not_be_kept_in_a_file(plain: rg.Program, tmp_path: Path) -> None:
    before = copies(plain.parameters)
    trainer = rg.Trainer(plain, rg.SGD(lambda update: 0.1))
    with pytest.raises(rg.ArgumentError, match="which is your code"):
        trainer.fit(EXAMPLES, progress=False, checkpoint=tmp_path / "a")
    with pytest.raises(rg.ArgumentError, match="which is your code"):
        trainer.save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    same(copies(plain.parameters), before)
