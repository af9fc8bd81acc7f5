"""Train steps that machine code runs have the bits of those in Python, which take over where anything has changed."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hot_calls import TIMES, direct_only, never_direct
from numpy.testing import assert_array_equal
from training import compiled_once

import rnngraph as rg
from rnngraph.declare.nest import flatten, map_leaves
from rnngraph.runtime.calls.direct_call import OFTEN
from rnngraph.training.steps import prepared_train_step

UNITS, CLASSES = 6, 5


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


@dataclass(frozen=True)
class Own(rg.Optimizer):
    """Of the user's: numbers and a slot of its own."""

    def slots(self) -> dict[str, float]:
        return {"sum": 0.5}

    def numbers(self, update: int) -> dict[str, float]:
        return {"rate": 1e-2 / (1 + update), "half": 0.5}

    def update(self, parameter: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
        kept = slots["sum"] * numbers["half"] + gradient
        return parameter - kept * numbers["rate"], {"sum": kept}


def net() -> rg.Program:
    """With dropout, states, and labels that are checked."""
    x = rg.placeholder("x", (None, None, 3))
    y = rg.placeholder("y", (None,), dtype="int64")
    cell = rg.DropoutWrapper(rg.BasicRNNCell(UNITS), output_keep_prob=0.8)
    outputs, _ = rg.dynamic_rnn(cell, x)
    logits = rg.dense(outputs[:, -1], CLASSES)
    return rg.compile({"logits": logits}, loss=rg.sparse_softmax_cross_entropy(labels=y, logits=logits), seed=3)


def batches(count: int, rows: int = 2, seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [
        {"x": rng.standard_normal((rows, 4, 3)).astype("float32"), "y": rng.integers(0, CLASSES, rows)}
        for _ in range(count)
    ]


def everything(trainer: rg.Trainer) -> dict[str, Any]:
    """All that a step may change."""
    state = trainer.state
    return {
        **trainer.program.parameters, **state.slots, **(state.carried or {}), "updates": trainer.updates,
        "skipped": trainer.skipped, "norm": trainer.gradient_norm, "drawn": state.drawn, "rate": trainer.learning_rate,
        "seeds": trainer.program.parts.seeds.draw(),
    }  # fmt: skip


def same(one: rg.Trainer, other: rg.Trainer) -> None:
    mine, theirs = everything(one), everything(other)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert_array_equal(value, theirs[name], name)


Story = Callable[[rg.Trainer], list[Any]]


def told(story: Story, *arguments: Any, **options: Any) -> None:
    """A story of steps goes the same with machine code and without."""
    mine = rg.Trainer(net(), *arguments, **options)
    found = story(mine)
    with never_direct():
        theirs = rg.Trainer(net(), *arguments, **options)
        expected = story(theirs)
    assert_array_equal(found, expected)
    same(mine, theirs)


def plain(trainer: rg.Trainer, count: int = 2 * TIMES, seed: int = 0) -> list[Any]:
    return [trainer.step(**batch) for batch in batches(count, seed=seed)]


def hot(*arguments: Any, **options: Any) -> rg.Trainer:
    trainer = rg.Trainer(net(), *arguments, **options)
    plain(trainer, TIMES)
    with direct_only():
        plain(trainer, 3)
    return trainer


OPTIMIZERS = {
    "Adam": (rg.Adam(1e-2), {}),
    "SGD": (rg.SGD(1e-2), {}),
    "momentum and a norm": (rg.SGD(1e-2, momentum=0.9), {"clip_norm": 0.1}),
    "a schedule": (rg.AdamW(rg.ExponentialDecay(1e-2, 10, 0.5)), {"clip_value": 0.01}),
    "a function": (rg.RMSProp(lambda update: 1e-2 / (1 + update)), {"only": ["dense*"]}),
    "steps that accumulate": (rg.Adam(1e-2), {"accumulate": 3}),
    "the user's own": (Own(1e-2), {}),
}


@pytest.mark.parametrize(
    "name", ["the user's own", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in [*OPTIMIZERS][:-1])]
)
def test_steps_have_the_bits_of_those_in_python(name: str) -> None:
    optimizer, options = OPTIMIZERS[name]
    told(plain, optimizer, **options)


def test_all_that_users_do_between_steps_counts() -> None:
    def story(trainer: rg.Trainer) -> list[Any]:
        found = plain(trainer)
        held = {name: (array, array.copy()) for name, array in trainer.program.parameters.items()}
        found += plain(trainer, 40, seed=1)
        for array, before in held.values():  # what someone holds is left to them
            assert_array_equal(array, before)
        trainer.program.parameters["dense/bias"] = np.ones(CLASSES)
        found += plain(trainer, 40, seed=2)
        trainer.learning_rate = 0.5
        found += plain(trainer, 3, seed=3)
        with pytest.raises(rg.ShapeError, match=rf"holds {CLASSES}; "):
            trainer.step(x=batches(1)[0]["x"], y=np.array([0, CLASSES]))
        with pytest.raises(rg.NameLookupError):
            trainer.step(x=batches(1)[0]["x"])
        nothing = {"x": np.full((2, 4, 3), np.nan, np.float32), "y": np.array([0, 1])}
        assert np.isnan(trainer.step(**nothing))
        found += plain(trainer, 3, seed=4)
        one = batches(1, seed=6)[0]
        return [*found, trainer.step(**one, seed=7), trainer.step(one), *plain(trainer, 40, seed=5)]

    told(story)


@pytest.mark.exhaustive
def test_steps_of_other_kinds_come_between(tmp_path: Path) -> None:
    def story(trainer: rg.Trainer) -> list[Any]:
        found = plain(trainer)
        path = tmp_path / f"{id(trainer)}.safetensors"
        trainer.save(path)
        found += plain(trainer, 40, seed=5)
        found += plain(rg.Trainer.load(path, trainer.program), 40, seed=5)
        one = batches(1, seed=6)[0]
        found += [trainer.step(**one, carry=True), *plain(trainer, 40, seed=7)]
        found.append(trainer.step(**one, fetch={"logits": "logits"})[0])
        found += plain(trainer, 40, seed=8)
        found += [trainer.step(**batch) for rows in (1, 3, 2, 7) for batch in batches(40, rows)]
        found += [trainer.step(**batch) for _ in range(20) for batch in (*batches(1, 2), *batches(1, 3))]
        many = {"x": np.zeros((4, 4, 3), np.float32), "y": np.zeros(4, int)}
        trainer.fit(many, epochs=1, batch_size=2, progress=False)
        return found + plain(trainer, 40, seed=9)

    told(story)


KINDS: dict[str, dict[str, Any]] = {
    "carry": {"carry": True},
    "seed": {"seed": 2**62 + 5},
    "fetch": {"fetch": {"logits": "logits", "more": ["logits", ("logits", {"again": "logits"})]}},
    "all": {"carry": True, "seed": 5, "fetch": {"logits": "logits", "more": ["logits", ("logits",)]}},
}


@pytest.mark.parametrize("kind", ["all", *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in [*KINDS][:-1])])
def test_steps_of_every_kind_are_direct(kind: str) -> None:
    options = KINDS[kind]

    def steps(trainer: rg.Trainer, count: int, seed: int) -> list[Any]:
        found = [trainer.step(**batch, **options) for batch in batches(count, seed=seed)]
        return [np.concatenate([np.ravel(leaf) for leaf in flatten(item)]) for item in found]

    def story(trainer: rg.Trainer, is_direct: bool) -> list[Any]:
        found = steps(trainer, 2 * TIMES, 0)
        with direct_only() if is_direct else nullcontext():
            found += steps(trainer, 3, 1)
        trainer.program.parameters["dense/bias"] = np.ones(CLASSES)
        found += steps(trainer, 30, 2)
        with pytest.raises(rg.ShapeError, match=rf"holds {CLASSES}; "):
            trainer.step(x=batches(1)[0]["x"], y=np.array([0, CLASSES]), **options)
        return [*found, *(np.ravel(loss) for loss in plain(trainer, 30)), *steps(trainer, 30, 3)]

    mine = rg.Trainer(net())
    found = story(mine, True)
    with never_direct():
        theirs = rg.Trainer(net())
        expected = story(theirs, False)
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one, other)
    same(mine, theirs)


def test_fetches_have_the_types_of_those_in_python() -> None:
    fetch = KINDS["fetch"]["fetch"]
    trainer, batch = rg.Trainer(net()), batches(1)[0]
    first, given = trainer.step(**batch, fetch=fetch)
    for _ in range(TIMES):
        trainer.step(**batch, fetch=fetch)
    with direct_only():
        loss, found = trainer.step(**batch, fetch=fetch)
    assert type(loss) is type(first) is float
    assert type(found) is type(given)
    assert repr(map_leaves(type, found)) == repr(map_leaves(type, given))
    with pytest.raises(rg.NameLookupError):
        found["nothing"]
    assert not any(np.may_share_memory(one, other) for one, other in combinations(flatten(found), 2))


def test_a_step_that_does_not_count_gives_what_it_fetched() -> None:
    fetch = {"logits": "logits"}
    trainer, batch = rg.Trainer(net()), batches(1)[0]
    for _ in range(TIMES):
        trainer.step(**batch, carry=True, fetch=fetch)
    before = {name: np.array(value) for name, value in everything(trainer).items()}
    with direct_only():
        loss, found = trainer.step(x=np.full_like(batch["x"], np.nan), y=batch["y"], carry=True, fetch=fetch)
    assert np.isnan(loss)
    assert np.isnan(found["logits"]).all()
    after = everything(trainer)
    assert after.pop("skipped") == before.pop("skipped") + 1
    for name in (*trainer.program.parameters, *trainer.state.carried, "updates"):
        assert_array_equal(after[name], before[name])


def test_no_seed_is_fed_by_name() -> None:
    trainer = hot()
    with pytest.raises(rg.NameLookupError, match="seed"):
        trainer.step({**batches(1)[0], "seed": np.array(3)})


def share() -> tuple[rg.Program, dict[str, np.ndarray]]:
    """With the probability to keep a unit as a feed."""
    x, keep = rg.placeholder("x", (None, None, 3)), rg.placeholder("keep", ())
    outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.BasicRNNCell(UNITS), output_keep_prob=keep), x)
    program = rg.compile({"outputs": outputs}, loss=rg.reduce_sum(rg.square(outputs)), seed=3)
    return program, {"x": batches(1)[0]["x"], "keep": np.asarray(0.5, np.float32)}


def test_shares_are_held_to_their_range() -> None:
    program, fed = share()
    trainer = rg.Trainer(program, rg.SGD(1e-3))
    for keep in (np.float32(0.5), 0.25):
        for _ in range(TIMES):
            trainer.step(x=fed["x"], keep=keep)
        with direct_only():
            trainer.step(x=fed["x"], keep=float(keep)), trainer.step(x=fed["x"], keep=1.0)
        for wrong in (0.0, 1.5, -0.5, np.nan, np.inf, 1e-60):
            updates = trainer.updates
            with pytest.raises(rg.ArgumentError, match=r"feed keep is .*outside \(0, 1\]"):
                trainer.step(x=fed["x"], keep=wrong)
            assert trainer.updates == updates


def test_a_long_step_lets_others_run_and_waits_for_those_who_change_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepared_train_step, "LONG", 0)
    trainer = rg.Trainer(net())
    changes = trainer.program.parameters.counter()
    answers: list[bool] = []

    def locked() -> bool:
        return answers.pop(0) if answers else False

    fake = SimpleNamespace(lock=SimpleNamespace(locked=locked), word=changes.word)
    with monkeypatch.context() as patch:
        patch.setattr(type(trainer.program.parameters), "counter", lambda self: fake)
        plain(trainer, TIMES)
    with never_direct():
        other = rg.Trainer(net())
        plain(other, TIMES)
    answers[:] = [False, True, True, False]
    with direct_only():
        found = plain(trainer, 1, seed=1)
    assert answers == []
    assert found == plain(other, 1, seed=1)


def test_parameters_may_change_while_long_steps_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_train_step, "LONG", 0)
    trainer = rg.Trainer(net())
    parameters, ended, changed = trainer.program.parameters, threading.Event(), []

    def change() -> None:
        while not ended.is_set():
            parameters["dense/bias"] = np.zeros(CLASSES)
            changed.append(parameters.version)
            time.sleep(1e-4)

    version = parameters.version
    other = threading.Thread(target=change)
    other.start()
    losses = plain(trainer, 600)
    ended.set()
    other.join()
    assert parameters.version == version + trainer.updates + len(changed)
    assert np.isfinite(losses).all()
    plain(trainer, 4 * TIMES)


def test_batches_of_several_shapes_are_direct() -> None:
    def story(trainer: rg.Trainer) -> list[Any]:
        mixed = [batch for number in range(TIMES) for rows in (1, 3, 2) for batch in batches(1, rows, number)]
        found = [trainer.step(**batch) for batch in mixed]
        with direct_only():
            found += [trainer.step(**batch) for batch in mixed[:9]]
        found += [trainer.step(**batches(1, 9)[0])]  # in Python, as it is the first of its shape
        with direct_only():
            return found + [trainer.step(**batch) for batch in mixed[:9]]

    mine = rg.Trainer(net())
    found = story(mine)
    with never_direct(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "direct_only", nullcontext)
        theirs = rg.Trainer(net())
        assert found == story(theirs)
    same(mine, theirs)


def test_a_parameter_that_is_not_trained_counts_at_once_for_steps_of_every_kind() -> None:
    def story() -> list[Any]:
        x, rate = rg.placeholder("x", (None, None, 3)), rg.parameter("rate", (), 0.5, trainable=False)
        outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(UNITS), x)
        program = rg.compile({"outputs": outputs * rate}, loss=rg.reduce_sum(rg.square(outputs)) * rate, seed=3)
        trainer, found = rg.Trainer(program, rg.SGD(1e-3)), list[Any]()
        fed, fetch = batches(1)[0]["x"], {"outputs": "outputs"}

        def both() -> None:
            found.append(trainer.step(x=fed))
            loss, given = trainer.step(x=fed, fetch=fetch)
            found.extend([loss, given["outputs"].sum()])

        for value in (0.5, 0.25, 2.0):
            program.parameters["rate"] = value
            for _ in range(2 * TIMES):
                both()
        return found

    found = story()
    with never_direct():
        assert found == story()


def test_programs_see_new_values_at_once() -> None:
    trainer = hot()
    program, x = trainer.program, batches(1)[0]["x"]
    stream = program.inference.stream(2)
    fresh = net()
    for number in range(60):
        plain(trainer, 1 + number % 3, seed=number)
        fresh.parameters.load(dict(program.parameters))
        if number % 20 == 7:
            assert_array_equal(program.inference(x=x)["logits"], fresh.inference(x=x)["logits"])
        program.inference(x=x)
        assert stream._states is None or stream._prepared_step is not None


def test_trainers_of_one_program_take_turns() -> None:
    def story(program: rg.Program) -> list[float]:
        trainers = rg.Trainer(program, rg.Adam(1e-2)), rg.Trainer(program, rg.SGD(1e-2))
        found = [trainer.step(**batch) for trainer in trainers for batch in batches(TIMES + 5)]
        found += [trainer.step(**batch) for batch in batches(20, seed=1) for trainer in trainers]
        return found + [trainers[0].step(**batch) for batch in batches(20, seed=2)]

    mine, theirs = net(), net()
    found = story(mine)
    with never_direct():
        assert found == story(theirs)
    for name, array in mine.parameters.items():
        assert_array_equal(array, theirs.parameters[name])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_a_rate_raises_comes_through(error: type[BaseException]) -> None:
    raises = False

    def rate(update: int) -> float:
        if raises:
            raise error("stop")
        return 1e-2

    trainer = hot(rg.SGD(rate))
    before = {**everything(trainer), "seeds": 0, "drawn": 0}
    raises = True
    with pytest.raises((error, rg.ArgumentError), match="stop"):
        plain(trainer, 1)
    raises = False
    after = {**everything(trainer), "seeds": 0, "drawn": 0}
    for name, value in before.items():
        assert_array_equal(after[name], value)
    assert np.isfinite(plain(trainer, 1)[0])


@pytest.mark.parametrize(("longest", "asked"), [(10**12, [OFTEN]), (0, [])])
def test_code_is_made_for_short_steps_that_are_often(
    longest: int, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not by the first step, which would wait for it."""
    trainer, found = rg.Trainer(net(), rg.SGD(0.1)), list[int]()
    monkeypatch.setattr(prepared_train_step, "MOST", longest)
    monkeypatch.setattr(prepared_train_step, "is_ready", lambda _: found.append(trainer.updates))
    plain(trainer, OFTEN + 1)
    assert found == asked


def test_a_held_parameter_costs_no_step_its_speed_for_long() -> None:
    trainer = hot()
    held = dict(trainer.program.parameters)
    plain(trainer, 10)
    with direct_only():
        plain(trainer, 10)
    assert all(held[name] is not array for name, array in trainer.program.parameters.items())


def test_nothing_is_held_and_nothing_is_let_go() -> None:
    trainer = hot()
    batch = batches(1)[0]
    parameters = trainer.program.parameters
    watched = [batch["x"], batch["y"], None, True, False, float, trainer.state, "drawn"]
    names = [*parameters]

    def counts() -> list[int]:
        gc.collect()
        slots = trainer.state.slots
        present = [sys.getrefcount(parameters._values[name].array) for name in names]
        return [*map(sys.getrefcount, watched), *present, *(sys.getrefcount(slots[name]) for name in slots)]

    trainer.step(**batch)
    before = counts()
    with direct_only():
        for _ in range(1000):
            trainer.step(**batch)
    assert max(abs(one - other) for one, other in zip(before, counts(), strict=True)) < 20


@pytest.mark.exhaustive
def test_a_million_steps_take_no_memory() -> None:
    trainer, batch = hot(), batches(1)[0]
    tracemalloc.start()
    begin = tracemalloc.get_traced_memory()[0]
    for _ in range(1_000_000):
        trainer.step(**batch)
    gc.collect()
    assert tracemalloc.get_traced_memory()[0] - begin < 10_000
    tracemalloc.stop()


def test_a_trainer_pickles_and_goes() -> None:
    trainer = hot()
    other = pickle.loads(pickle.dumps(trainer))
    assert plain(other, 40) == plain(trainer, 40)
    gone = [weakref.ref(item) for item in (trainer.state, trainer._stepper)]
    gc.collect()
    gc.disable()
    try:
        del trainer
        assert [item() for item in gone] == [None, None]
    finally:
        gc.enable()
