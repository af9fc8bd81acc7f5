"""A trainer's prepared steps, for repeated kinds of feeds, have the results of steps on the slow path."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from alive import all_gone
from bound_listener import LONG, WIDTH, data, fed, listener
from numpy.testing import assert_array_equal
from training import compiled_once

import rnngraph as rg
from rnngraph.program.training_graph import TrainingGraph


@pytest.fixture(scope="module", autouse=True)
def _once() -> Any:
    with compiled_once():
        yield


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record a list entry for each step that was not prepared."""
    results: list[int] = []
    gather = TrainingGraph.gather

    def counted(self: TrainingGraph[Any], *arguments: Any) -> Any:
        results.append(1)
        return gather(self, *arguments)

    monkeypatch.setattr(TrainingGraph, "gather", counted)
    return results


def trainer(**options: Any) -> rg.Trainer:
    return rg.Trainer(listener(seed=4), rg.Adam(0.01), clip_norm=1.0, **options)


def same(ours: rg.Trainer, theirs: rg.Trainer) -> None:
    for mine, other in ((ours.program.parameters, theirs.program.parameters), (ours.state.slots, theirs.state.slots)):
        assert mine.keys() == other.keys()
        for name in mine:
            assert_array_equal(mine[name], other[name], name)
    assert (ours.updates, ours.skipped, ours.state.pending) == (theirs.updates, theirs.skipped, theirs.state.pending)
    assert_array_equal(ours.gradient_norm, theirs.gradient_norm)
    assert (ours.state.carried is None) == (theirs.state.carried is None)
    for name, array in (ours.state.carried or {}).items():
        assert theirs.state.carried is not None
        assert_array_equal(array, theirs.state.carried[name])


def general(trainer: rg.Trainer, feeds: dict[str, Any], **options: Any) -> float:
    return trainer.step(MappingProxyType(feeds), **options)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("steps", [4, LONG])
def test_later_steps_give_the_results_of_the_general_path(
    accumulate: int, carry: bool, steps: int, gathered: list[int]
) -> None:
    ours, theirs = trainer(accumulate=accumulate), trainer(accumulate=accumulate)
    for number in range(8):
        feeds = fed(2, steps, seed=number)
        seed = number if number % 3 == 2 else None
        gathered.clear()
        loss = ours.step(feeds, seed=seed, carry=carry) if number % 2 else ours.step(**feeds, seed=seed, carry=carry)
        assert bool(gathered) == (number < 1 + carry)
        assert isinstance(loss, float)
        assert loss == general(theirs, feeds, seed=seed, carry=carry)
        same(ours, theirs)
        if number == 5:
            ours.reset()
            theirs.reset()
        for one in (ours, theirs):
            if number == 4:
                one.learning_rate = 0.5
            if number == 6:
                one.program.initialize(7)
    ours.flush()
    theirs.flush()
    same(ours, theirs)
    assert ours.program.parts.seeds.draw() == theirs.program.parts.seeds.draw()


def test_steps_without_masks_draw_their_seeds_too() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), x)
    trainers = [rg.Trainer(rg.compile(outputs, loss=rg.reduce_mean(outputs), seed=4)) for _ in range(2)]
    for _ in range(4):
        assert trainers[0].step(x=data(2, 3, WIDTH)) == general(trainers[1], {"x": data(2, 3, WIDTH)})
    drawn = [trainer.program.parts.seeds.draw() for trainer in trainers]
    fresh = rg.compile(outputs, seed=4).parts.seeds
    assert drawn == [[fresh.draw() for _ in range(5)][-1]] * 2


def test_other_kinds_take_turns() -> None:
    ours, theirs = trainer(), trainer()
    for number in range(12):
        feeds = fed(*((2, 4), (3, 4), (2, 6), (1, LONG))[number % 4], seed=number)
        if number % 5 == 4:
            feeds["x"] = feeds["x"].astype(np.float64)
        if number % 5 == 3:
            feeds["x"] = np.asfortranarray(feeds["x"])
        assert ours.step(feeds) == general(theirs, feeds)
        same(ours, theirs)


def test_a_large_feed_is_read_in_place_and_not_kept() -> None:
    ours, theirs = trainer(), trainer()
    for number in range(4):
        feeds = fed(1, LONG, seed=number)
        alive = weakref.ref(feeds["x"])
        assert ours.step(**feeds) == general(theirs, feeds)
        feeds["x"].flags.writeable = False
        assert ours.step(**feeds) == general(theirs, feeds)
        del feeds
        assert all_gone([alive])
    same(ours, theirs)


@pytest.mark.parametrize("steps", [4, LONG])
def test_mistakes_do_not_change_the_trainer(steps: int) -> None:
    ours, theirs = trainer(), trainer()
    feeds = fed(2, steps)
    for one in (ours, theirs):
        for _ in range(2):
            one.step(**feeds, carry=True)
    wrong: dict[str, tuple[dict[str, Any], type[Exception]]] = {
        "keep": ({"keep": 1.5}, rg.ArgumentError),
        "who": ({"who": np.array([0, 5])}, rg.ShapeError),
        "labels": ({"y": np.full_like(feeds["y"], 4)}, rg.ShapeError),
        "width": ({"x": feeds["x"][:, :, :2]}, rg.ShapeError),
        "rows": (fed(3, steps), rg.ShapeError),
        "unknown": ({"z": feeds["x"]}, rg.NameLookupError),
    }
    for name, (change, kind) in wrong.items():
        messages = []
        for one, call in (
            (ours, lambda feeds: ours.step(**feeds, carry=True)),
            (theirs, lambda inputs: general(theirs, inputs, carry=True)),
        ):
            with pytest.raises(kind) as raised:
                call({**feeds, **change})
            assert "test_prepared_train_step.py" in str(raised.value)
            messages.append(str(raised.value).split(": ", 1)[1])
            assert one.updates in (2, ours.updates)
        assert messages[0] == messages[1], name
        assert ours.step(**feeds, carry=True) == general(theirs, feeds, carry=True)
        same(ours, theirs)
    for number in (np.nan, np.inf):
        spoilt = {**feeds, "x": np.where(np.arange(3) == 1, np.float32(number), feeds["x"])}
        before = {name: array.copy() for name, array in ours.program.parameters.items()}
        assert_array_equal(ours.step(**spoilt), general(theirs, spoilt))
        same(ours, theirs)
        for name, array in ours.program.parameters.items():
            assert_array_equal(array, before[name])
    assert ours.skipped == 2


def test_steps_notice_changed_threads_and_referenced_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    from teams import share_everything

    share_everything(monkeypatch, 2)
    ours, theirs = trainer(), trainer()
    references = []
    for number in range(8):
        feeds = fed(8, 20, seed=number)
        ours.program.threads = 1 + number % 2
        assert ours.step(feeds) == general(theirs, feeds)
        references.append(
            ({**ours.program.parameters}, {name: array.copy() for name, array in ours.state.slots.items()})
        )
        if number % 3 == 0:
            name = next(iter(ours.program.parameters))
            for one in (ours, theirs):
                one.program.parameters[name] = data(*one.program.parameters[name].shape, seed=number)
        same(ours, theirs)


def test_a_trainer_is_freed_when_nothing_refers_to_it() -> None:
    subject = trainer()
    for _ in range(3):
        subject.step(fed())
    alive = weakref.ref(subject)
    gc.disable()
    try:
        del subject
        assert alive() is None
    finally:
        gc.enable()


def test_trainers_of_one_program_take_turns() -> None:
    def story(step: Any) -> list[float]:
        program = listener(seed=4)
        trainer = rg.Trainer(program, rg.Adam(1e-2)), rg.Trainer(program, rg.SGD(1e-2))
        return [step(one, fed(seed=number)) for number in range(6) for one in trainer]

    assert story(lambda trainer, feeds: trainer.step(**feeds)) == story(general)


def test_a_parameter_that_is_not_trained_counts_from_the_next_step() -> None:
    def story(step: Any) -> list[float]:
        x, rate = rg.placeholder("x", (None, None, WIDTH)), rg.parameter("rate", (), 0.5, trainable=False)
        outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(4), x)
        trainer = rg.Trainer(rg.compile(outputs, loss=rg.reduce_sum(rg.square(outputs)) * rate, seed=3), rg.SGD(1e-3))
        results = []
        for value in (0.5, 0.25, 2.0):
            trainer.program.parameters["rate"] = value
            results += [step(trainer, {"x": data(2, 3, WIDTH)}) for _ in range(3)]
        return results

    assert story(lambda trainer, feeds: trainer.step(**feeds)) == story(general)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_of_a_learning_rate_does_not_change_the_trainer(error: type[BaseException]) -> None:
    raises = False

    def rate(update: int) -> float:
        if raises:
            raise error("stop")
        return 1e-2

    ours, theirs = (rg.Trainer(listener(seed=4), rg.SGD(rate)) for _ in range(2))
    for number in range(3):
        assert ours.step(**fed(seed=number)) == theirs.step(**fed(seed=number))
    raises = True
    with pytest.raises((error, rg.ArgumentError), match="stop"):
        ours.step(**fed())
    raises = False
    same(ours, theirs)
    assert ours.step(**fed()) == theirs.step(**fed())
    same(ours, theirs)


def test_parameters_may_change_while_steps_run() -> None:
    subject, ended, changed = trainer(), threading.Event(), []
    parameters = subject.program.parameters
    name = next(iter(parameters))
    subject.step(**fed())

    def change() -> None:
        while not ended.wait(1e-4):
            parameters[name] = np.zeros_like(parameters[name])
            changed.append(name)

    version, updates = parameters.version, subject.updates
    other = threading.Thread(target=change)
    other.start()
    losses = [subject.step(**fed()) for _ in range(200)]
    ended.set()
    other.join()
    assert parameters.version - version == subject.updates - updates + len(changed)
    assert np.isfinite(losses).all()


def test_a_trainer_pickles_between_steps() -> None:
    ours = trainer()
    for number in range(3):
        ours.step(**fed(seed=number))
    theirs = pickle.loads(pickle.dumps(ours))
    for number in range(3):
        assert ours.step(**fed(seed=number)) == theirs.step(**fed(seed=number))
    same(ours, theirs)


def test_no_seed_is_fed_by_name() -> None:
    subject = trainer()
    subject.step(fed())
    with pytest.raises(rg.NameLookupError, match="seed"):
        subject.step({**fed(), "seed": np.array(3)})
