"""``Trainer.step(fetch=…)`` returns outputs before the update, from the same native call, with the training graph's
bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.training.steps import fetches, stepper

CLASSES = 5


class Declared:
    """Stack with dropout, whose loss reads its last output."""

    def __init__(self, keep_prob: float = 0.5) -> None:
        self.x = rg.placeholder("x", (None, None, 3))
        self.y = rg.placeholder("y", (None,), "int64")
        cells = [rg.DropoutWrapper(rg.BasicLSTMCell(7), output_keep_prob=keep_prob) for _ in range(2)]
        self.outputs, self.states = rg.dynamic_rnn(rg.MultiRNNCell(cells), self.x)
        self.logits = rg.dense(self.outputs[:, -1], CLASSES)
        self.loss = rg.sparse_softmax_cross_entropy(labels=self.y, logits=self.logits)

    def program(self, **options: Any) -> rg.Program:
        return rg.compile({"logits": self.logits, "states": self.states}, self.loss, **options)


def feeds(rows: int = 3, steps: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(seed)
    return {"x": numbers.normal(size=(rows, steps, 3)).astype(np.float32), "y": numbers.integers(0, CLASSES, rows)}


def assert_same(actual: Any, wanted: Any) -> None:
    for one, other in zip(np.atleast_1d(actual), np.atleast_1d(wanted), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("rows", "accumulate", "threads"), [(1, 1, 1), (17, 2, 1), (17, 1, 3)])
def test_values_are_those_of_the_training_graph_before_the_update(rows: int, accumulate: int, threads: int) -> None:
    net = Declared()
    program = net.program(threads=threads)
    trainer = rg.Trainer(program, rg.Adam(1e-2), clip_norm=1.0, accumulate=accumulate)
    probabilities, batch = rg.softmax(net.logits), feeds(rows)
    everything = rg.compile({"probabilities": probabilities}, net.loss, parameters=program)
    for seed in range(4):
        wanted, separate = program.training(batch, seed=seed), everything.training(batch, seed=seed)
        asked = {
            "logits": net.logits,
            "states": net.states,
            "more": [probabilities, {"loss": net.loss}],
            "h": "states/1/h",
        }
        loss, actual = trainer.step(batch, seed=seed, fetch=asked)
        assert loss == wanted["loss"] == actual["more"][1]["loss"]
        assert_same(actual["logits"], wanted["logits"])
        assert_same(actual["h"], wanted["states"][1].h)
        assert_same(actual["more"][0], separate["probabilities"])
        for layer in range(2):
            assert type(actual["states"][layer]) is rg.LSTMStateTuple
            assert_same(actual["states"][layer].c, wanted["states"][layer].c)


def test_steps_with_and_without_a_fetch_train_equally() -> None:
    losses = []
    for fetched in (False, True):
        net = Declared()
        program = net.program()
        trainer = rg.Trainer(program, rg.RMSProp(1e-2, momentum=0.5))
        for seed in range(5):
            batch = feeds(seed=seed)
            if fetched and seed % 2:
                loss, _ = trainer.step(batch, seed=seed, fetch={"logits": net.logits})
            else:
                loss = trainer.step(batch, seed=seed)
            losses.append(loss)
    assert losses[:5] == losses[5:]


def test_carried_windows_are_those_of_one_sequence() -> None:
    net = Declared(keep_prob=1.0)
    program, sequence = net.program(), feeds(steps=12)
    trainer = rg.Trainer(program, rg.SGD(0.0))
    whole = rg.compile({"outputs": net.outputs, "states": net.states}, parameters=program).inference(x=sequence["x"])
    results: dict[str, Any] = {}
    for first in range(0, 12, 3):
        window = {"x": sequence["x"][:, first : first + 3], "y": sequence["y"]}
        if first == 6:  # a step without a fetch continues the states
            trainer.step(window, carry=True)
            continue
        _, results = trainer.step(window, carry=True, fetch={"outputs": net.outputs, "states": net.states})
        assert_same(results["outputs"], whole["outputs"][:, first : first + 3])
    assert_same(results["states"][1].c, whole["states"][1].c)


def test_carried_windows_with_dropout() -> None:
    """Fetches of windows equal the training graph's results for fed states."""
    net = Declared()
    initial = rg.state_placeholder("given", rg.MultiRNNCell([rg.BasicLSTMCell(7) for _ in range(2)]))
    trainer = rg.Trainer(net.program(), rg.SGD(0.0))
    cells = [rg.DropoutWrapper(rg.BasicLSTMCell(7), output_keep_prob=0.5) for _ in range(2)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), net.x, initial_state=initial)
    twin = rg.compile({"outputs": outputs, "states": states})
    twin.parameters.load({name: array for name, array in trainer.program.parameters.items() if name in twin.parameters})
    sequence, carried = feeds(steps=12), [(np.zeros((3, 7)), np.zeros((3, 7)))] * 2
    for first in range(0, 12, 4):
        window = {"x": sequence["x"][:, first : first + 4], "y": sequence["y"]}
        asked = {"outputs": net.outputs, "states": net.states}
        _, actual = trainer.step(window, carry=True, seed=first, fetch=asked)
        wanted = twin.training(x=window["x"], given=carried, seed=first)
        assert_same(actual["outputs"], wanted["outputs"])
        carried = wanted["states"]


def test_a_fetched_parameter_has_its_old_value_and_keeps_it() -> None:
    x = rg.placeholder("x", (None, 3))
    w = rg.parameter("w", (3, 100))
    program = rg.compile({"y": x @ w}, rg.reduce_sum(x @ w))
    trainer = rg.Trainer(program, rg.SGD(1.0))
    before = program.parameters["w"]
    _, actual = trainer.step(x=np.ones((2, 3)), fetch={"w": w})
    kept = actual["w"].copy()
    np.testing.assert_array_equal(actual["w"], before)
    assert not np.array_equal(program.parameters["w"], before)
    trainer.step(x=np.ones((2, 3)), fetch={"w": w})
    np.testing.assert_array_equal(actual["w"], kept)


def test_a_mutable_nest_may_change_between_steps() -> None:
    net = Declared()
    trainer = rg.Trainer(net.program())
    asked: dict[str, Any] = {"a": [net.logits]}
    assert len(trainer.step(feeds(), fetch=asked)[1]["a"]) == 1
    asked["a"].append(net.loss)
    assert len(trainer.step(feeds(), fetch=asked)[1]["a"]) == 2
    assert isinstance(trainer.step(feeds(), fetch={"a": (net.logits, net.loss)})[1]["a"], tuple)


def test_equal_fetches_share_one_graph() -> None:
    net = Declared()
    trainer = rg.Trainer(net.program())
    for _ in range(3):
        trainer.step(feeds(), fetch={"logits": net.logits, "states": net.states})
    assert len(trainer._stepper._variants) == 1


def test_the_number_of_cached_fetches_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetches, "MAX_FETCHES", 4)
    monkeypatch.setattr(stepper, "MAX_VARIANTS", 2)
    net = Declared()
    trainer = rg.Trainer(net.program())
    for number in range(9):
        path = "".join(["log", "its"])  # a new str object each time
        _, actual = trainer.step(feeds(), fetch={"logits": path})
        assert actual["logits"].shape == (3, CLASSES)
        if number % 3 == 0:
            assert set(trainer.step(feeds(), fetch={f"logits{number}": path})[1]) == {f"logits{number}"}
    kept = trainer._stepper.fetches
    assert (len(kept._recent), len(kept._known)) == (4, 4)
    assert len(trainer._stepper._variants) == len(trainer._stepper._prepared) == 2


def test_a_loaded_program_fetches_by_path(tmp_path: Any) -> None:
    net = Declared()
    net.program().save(tmp_path / "net")
    program = rg.load(tmp_path / "net")
    trainer = rg.Trainer(program)
    wanted = program.training(feeds(), seed=1)["logits"]
    assert_same(trainer.step(feeds(), seed=1, fetch={"z": "logits"})[1]["z"], wanted)
    with pytest.raises(rg.GraphError, match=r"test_fetches\.py:\d+: a program that was loaded has no Tensors"):
        trainer.step(feeds(), fetch={"z": net.logits})


def test_unknown_outputs_are_errors_with_their_names() -> None:
    net = Declared()
    trainer = rg.Trainer(net.program())
    other = rg.placeholder("other", (None, 3))
    with pytest.raises(rg.GraphError, match=r"test_fetches\.py:\d+: .*the placeholder other, which no output"):
        trainer.step(feeds(), fetch={"z": other * 2.0})
    with pytest.raises(rg.GraphError, match="the parameter w"):
        trainer.step(feeds(), fetch={"z": net.outputs @ rg.parameter("w", (7, 2))})
    with pytest.raises(rg.NameLookupError, match="no output 'logit'; did you mean logits"):
        trainer.step(feeds(), fetch={"z": "logit"})
    for wrong in (net.logits, [net.logits], {}, {"z": 3.0}):
        with pytest.raises(rg.RnnGraphError, match=r"test_fetches\.py:\d+: fetch takes"):
            trainer.step(feeds(), fetch=wrong)  # type: ignore[call-overload]
    with pytest.raises(rg.ArgumentError, match="reserved"):
        rg.placeholder("fetch", ())


def test_states_that_the_loss_does_not_carry() -> None:
    x = rg.placeholder("x", (2, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x)
    aside, _ = rg.dynamic_rnn(rg.GRUCell(5), x)
    trainer = rg.Trainer(rg.compile({"aside": aside}, rg.reduce_mean(outputs)), only="rnn/*")
    batch = np.ones((2, 3, 3))
    trainer.step(x=batch, carry=True, fetch={"aside": aside})
    with pytest.raises(rg.GraphError, match="carry=True has no initial value for state/"):
        trainer.step(x=batch, carry=True, fetch={"aside": aside})


def test_steps_that_are_not_finite() -> None:
    x = rg.placeholder("x", (None, 3))
    w = rg.parameter("w", (3, 2), "ones")
    loss = rg.reduce_sum(rg.log(x @ w))
    for skips in (True, False):
        program = rg.compile({"y": x @ w}, loss)
        trainer = rg.Trainer(program, rg.SGD(0.1, momentum=0.5), skip_non_finite=skips)
        value, actual = trainer.step(x=np.zeros((1, 3)), fetch={"y": x @ w})
        assert value == -np.inf
        np.testing.assert_array_equal(actual["y"], np.zeros((1, 2)))
        assert np.isfinite(program.parameters["w"]).all() == skips
        assert (trainer.skipped, trainer.updates) == ((1, 0) if skips else (0, 1))
