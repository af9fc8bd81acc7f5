"""A training step: the update by gradients of the same call, ownership of memory, carried states."""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import own_cells
import pytest
from declaration_checks import CheckError, inputs_of
from declarations import declare
from numpy.testing import assert_allclose, assert_array_equal
from training import INPUTS, UNITS, compiled_once, copies, data, leaves, network, same

import rnngraph as rg
from rnngraph.runtime.native.entry import NativeEntry


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


# One step -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_is_the_update_by_the_gradients_of_the_same_call(dtype: str) -> None:
    program, feeds = network(dtype=dtype, keep_prob=0.5), data()
    trainer = rg.Trainer(program, rg.SGD(0.25))
    for seed in (3, -1, 2**64 - 1):
        loss, gradients = program.training.gradients(feeds, seed=seed)
        before = copies(program.parameters)
        assert trainer.step(feeds, seed=seed) == pytest.approx(float(loss), rel=1e-5)  # the loss before the update
        for name, g in gradients.items():
            assert_allclose(program.parameters[name], before[name] - 0.25 * g, rtol=1e-5, atol=1e-6, err_msg=name)
        norm = np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients.values()))
        assert trainer.gradient_norm == pytest.approx(norm, rel=1e-5)


def test_new_values_are_seen_at_once_by_all_that_reads_them() -> None:
    program, feeds = network(), data()
    other = rg.compile(program.structure["shown"] * 2.0, parameters=program)
    stream = program.inference.stream(batch=1)
    stream.step(x=feeds["x"][:1, 0])
    first = program.parameters.version
    rg.Trainer(program, rg.SGD(0.5)).step(feeds)
    fresh = network()
    fresh.parameters.load(copies(program.parameters))
    assert program.parameters.version > first
    expected = fresh.inference(x=feeds["x"])["shown"]
    assert_array_equal(program.inference(x=feeds["x"])["shown"], expected)
    assert_allclose(other.inference(x=feeds["x"]), expected * 2, rtol=1e-6)
    assert program.evaluate(feeds)["loss"] == fresh.evaluate(feeds)["loss"]
    stream.reset()
    for step in range(3):
        assert_array_equal(stream.step(x=feeds["x"][:1, step])["shown"], expected[:1, step])
    assert not any(array.flags.writeable for array in program.parameters.values())


def test_masks_without_a_seed_are_the_next_of_the_program() -> None:
    left, right = network(keep_prob=0.5), network(keep_prob=0.5)
    trainers = [rg.Trainer(program, rg.SGD(0.1)) for program in (left, right)]
    for _ in range(3):
        trainers[0].step(data())
        trainers[1].step(data(), seed=right.parts.seeds.draw())
    same(copies(left.parameters), copies(right.parameters))


def test_the_outputs_of_a_program_may_have_any_names() -> None:
    x = rg.placeholder("x", (None, None, 3))
    outputs, state = rg.dynamic_rnn(rg.BasicLSTMCell(3), x)
    named = {"new": {"w": outputs}, "sum": {"w": outputs}, "slot": outputs, "gradient_norm": outputs}
    program = rg.compile({**named, "state": (state,)}, loss=rg.reduce_mean(rg.square(outputs)))
    plain = rg.compile({"y": outputs}, loss=rg.reduce_mean(rg.square(outputs)))
    feeds = {"x": data()["x"]}
    results = []
    for single in (program, plain):
        trainer = rg.Trainer(single, rg.SGD(0.5))
        results.append([trainer.step(feeds), trainer.step(feeds, carry=True), trainer.step(feeds, carry=True)])
    assert results[0] == results[1]
    same(copies(program.parameters), copies(plain.parameters))


# Memory -------------------------------------------------------------------------------------------


def test_arrays_with_other_references_keep_their_values() -> None:
    """Steps keep the values of arrays that share a parameter's memory: views, views of views, buffers, programs."""
    program, feeds = network(), data()
    for name, array in program.parameters.items():  # parameters that are views of other arrays
        program.parameters.replace({name: np.concatenate([array.reshape(-1)] * 2)[: array.size].reshape(array.shape)})
    trainer = rg.Trainer(program, rg.Adam(0.1))
    holders: tuple[Callable[[np.ndarray], Any], ...] = (
        lambda a: a[...],
        lambda a: a,
        lambda a: a.T[1:],
        lambda a: a.reshape(-1)[::2],
        memoryview,
        lambda a: np.asarray(a)[None][:, :],
        lambda a: {"a": a},
    )
    kept_value: list[tuple[Any, np.ndarray]] = []
    for step in range(3 * len(holders)):
        holder = holders[step % len(holders)]
        for array in program.parameters.values():
            kept = holder(array)
            kept_value.append((kept, np.array(kept["a"] if isinstance(kept, dict) else kept)))
        trainer.step(feeds)
        if step == 5:
            trainer.flush()
        for kept, values in kept_value:
            assert_array_equal(np.asarray(kept["a"] if isinstance(kept, dict) else kept), values)


def test_memory_without_references_is_reused() -> None:
    program, feeds = network(), data()
    trainer = rg.Trainer(program, rg.Adam(0.1))
    name = next(iter(program.parameters))
    places = []
    for _ in range(10):
        trainer.step(feeds)
        places.append(program.parameters[name].__array_interface__["data"][0])
    assert len(set(places[2:])) == 2


def test_threads_read_the_parameters_of_one_update_during_steps() -> None:
    """Every result of a call or a stream has the bits of one update, and never of a mixture."""
    feeds, count = data(rows=2), 60
    shown = network()
    trainer = rg.Trainer(shown, rg.SGD(0.05))
    expected = {shown.inference(x=feeds["x"])["shown"].tobytes()}
    for _ in range(count):
        trainer.step(feeds)
        expected.add(shown.inference(x=feeds["x"])["shown"].tobytes())
    program = network()
    program.inference(x=feeds["x"])
    done, wrong = threading.Event(), []

    def call() -> None:
        while not done.is_set():
            result = program.inference(x=feeds["x"])["shown"]
            if result.tobytes() not in expected:
                wrong.append(result)

    def stream() -> None:
        live = program.inference.stream(batch=2)
        while not done.is_set():
            live.reset()
            for step in range(3):
                result = live.step(x=feeds["x"][:, step])["shown"]
                if not np.isfinite(result).all():
                    wrong.append(result)

    threads = [threading.Thread(target=work) for work in (call, call, stream)]
    for thread in threads:
        thread.start()
    trainer = rg.Trainer(program, rg.SGD(0.05))
    for _ in range(count):
        trainer.step(feeds)
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    same(copies(program.parameters), copies(shown.parameters))


def test_parameters_that_are_replaced_meanwhile_live_until_the_step_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    program, pack, alive = network(), NativeEntry.pack, []
    trainer, name = rg.Trainer(program, rg.SGD(0.1)), next(iter(program.parameters))
    trainer.step(data())

    def replaced(entry: NativeEntry, block: Any) -> None:
        """Replace a parameter, as another thread may do during native code."""
        old = weakref.ref(program.parameters[name])
        program.parameters[name] = np.zeros(program.parameters[name].shape)
        alive.append(old() is not None)
        pack(entry, block)

    monkeypatch.setattr(NativeEntry, "pack", replaced)
    trainer.step(data())
    assert alive == [True]


def test_steps_from_many_threads_are_steps_one_after_the_other() -> None:
    program, feeds = network(), data()
    trainer = rg.Trainer(program, rg.SGD(0.01))
    threads = [threading.Thread(target=lambda: [trainer.step(feeds) for _ in range(10)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = network()
    alone = rg.Trainer(other, rg.SGD(0.01))
    for _ in range(30):
        alone.step(feeds)
    assert trainer.updates == 30
    same(copies(program.parameters), copies(other.parameters))


# Trained parameters -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several() -> rg.Program:
    x = rg.placeholder("x", (None, 3))
    names = {name: rg.parameter(name, (3,), "ones") for name in ("a", "b", "layer/w[0]", "idle", "stopped")}
    frozen = rg.parameter("frozen", (3,), "ones", trainable=False)
    used = names["a"] * names["b"] * names["layer/w[0]"] * frozen + rg.stop_gradient(names["stopped"])
    loss = rg.reduce_mean(rg.square(x * used))
    return rg.compile({"y": x * used, "z": x * names["idle"]}, loss=loss)


@pytest.mark.parametrize(
    ("only", "trained"),
    [
        (None, ["a", "b", "layer/w[0]"]),
        ("a", ["a"]),
        (["b", "a"], ["a", "b"]),
        ("layer/*", ["layer/w[0]"]),
        ("layer/w[0]", ["layer/w[0]"]),
        ("*", ["a", "b", "layer/w[0]"]),
        (("a", "layer/?[[]0]"), ["a", "layer/w[0]"]),
    ],
)
def test_only_chosen_parameters_change(several: rg.Program, only: Any, trained: list[str]) -> None:
    several.initialize(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = rg.Trainer(several, rg.AdamW(0.1, weight_decay=0.5), only=only)
    assert list(trainer.trained) == trained
    assert [("idle, stopped" in str(item.message)) for item in caught] == ([True] if only in (None, "*") else [])
    assert all(item.filename == __file__ for item in caught)
    trainer.step(x=np.ones((2, 3)))
    moved = [name for name, array in several.parameters.items() if (array != 1).any()]
    assert sorted(moved) == sorted(trained)


@pytest.mark.parametrize(
    ("only", "error", "text"),
    [
        ("c", rg.NameLookupError, "names no parameter; there are a, b"),
        (["a", "c*"], rg.NameLookupError, "names no parameter"),
        ("frozen", rg.NameLookupError, "declared trainable=False"),
        ([3], rg.DtypeError, "must be names of parameters"),
        (3, rg.DtypeError, "must be names of parameters"),
        ("idle", rg.ArgumentError, "nothing to train"),
        ([], rg.ArgumentError, "nothing to train"),
    ],
)
def test_choices_of_parameters_that_are_errors(
    several: rg.Program, only: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=rf"test_trainer\.py:\d+: .*{text}"):
        rg.Trainer(several, only=only)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"optimizer": "adam"}, rg.DtypeError),
        ({"optimizer": rg.Adam}, rg.DtypeError),
        ({"clip_norm": 0}, rg.ArgumentError),
        ({"clip_norm": np.nan}, rg.ArgumentError),
        ({"clip_value": -1.0}, rg.ArgumentError),
        ({"clip_value": "1"}, rg.ArgumentError),
        ({"accumulate": 0}, rg.ArgumentError),
        ({"accumulate": 1.5}, rg.DtypeError),
    ],
)
def test_wrong_options_of_a_trainer(several: rg.Program, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"test_trainer\.py:\d+: "):
        rg.Trainer(several, **options)


def test_a_trainer_needs_a_program_with_a_loss() -> None:
    x = rg.placeholder("x", (None, 3))
    with pytest.raises(rg.GraphError, match="needs a loss"):
        rg.Trainer(rg.compile(x * 2.0))
    with pytest.raises(rg.DtypeError, match="takes a Program"):
        rg.Trainer(x)  # type: ignore[arg-type]


def test_the_learning_rate_can_be_changed(several: rg.Program) -> None:
    several.initialize(0)
    trainer = rg.Trainer(several, rg.SGD(1.0), only="a")
    trainer.learning_rate = np.float32(0.25)
    trainer.step(x=np.ones((2, 3)))
    assert_allclose(several.parameters["a"], 1 - 0.25 * 4 / 3, rtol=1e-6)  # gradient of mean((a · 1 + 1)²)
    with pytest.raises(rg.ArgumentError, match=r"test_trainer\.py:\d+: the learning rate of update 0 is -1"):
        trainer.learning_rate = -1
    assert trainer.learning_rate == 0.25


# Accumulation -------------------------------------------------------------------------------------


def test_accumulated_steps_are_one_step_of_their_average() -> None:
    feeds = data(rows=6)
    whole, parted = network(dtype="float64"), network(dtype="float64")
    options = {"optimizer": rg.Adam(0.1), "clip_norm": 0.5}
    one, three = rg.Trainer(whole, **options), rg.Trainer(parted, **options, accumulate=3)
    for step in range(2):
        one.step(feeds)
        for part in range(3):
            before = copies(parted.parameters)
            three.step({name: array[part::3] for name, array in feeds.items()})
            if part < 2:
                same(before, copies(parted.parameters))
                assert (three.state.pending, three.updates) == (part + 1, step)
        for name, array in whole.parameters.items():
            assert_allclose(parted.parameters[name], array, rtol=1e-12, atol=1e-12)
    three.step(feeds)
    three.flush()  # an incomplete group is averaged over its own size
    one.step(feeds)
    assert (three.state.pending, three.updates) == (0, 3)
    for name, array in whole.parameters.items():
        assert_allclose(parted.parameters[name], array, rtol=1e-12, atol=1e-12)
    before = copies(parted.parameters)
    three.flush()
    same(before, copies(parted.parameters))


# Non-finite steps ---------------------------------------------------------------------------------


def everything(trainer: rg.Trainer) -> dict[str, np.ndarray]:
    numbers = [trainer.updates, trainer.state.pending]
    return copies(
        {**trainer.program.parameters, **trainer.state.slots, **trainer.state.sums, **(trainer.state.carried or {})}
    ) | {"numbers": np.array(numbers)}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_that_is_not_finite_changes_nothing(accumulate: int) -> None:
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(3), x)
    w = rg.parameter("w", (3,), "ones")
    loss = rg.reduce_mean(rg.square(outputs * w)) + rg.reduce_mean(rg.sqrt(rg.abs(w - 1.0) * x[:, 0]))
    program = rg.compile({"y": outputs}, loss=loss)
    feeds = {"x": np.abs(data()["x"])}
    trainer = rg.Trainer(program, rg.Adam(0.1), accumulate=accumulate)
    assert np.isfinite(trainer.step(feeds))  # at sqrt(0) the gradient is infinite and the loss finite
    assert trainer.skipped == 1
    program.parameters["w"] = [2.0, 3.0, 4.0]
    trainer.step(feeds)
    before = everything(trainer)
    for number, bad in enumerate((np.nan, np.inf)):
        wrong = feeds["x"].copy()
        wrong[1, 0, 1] = bad
        assert not np.isfinite(trainer.step(x=wrong))
        assert trainer.skipped == number + 2
        same(everything(trainer), before)
    program.parameters["w"] = [1.0, 3.0, 4.0]
    before = everything(trainer)
    assert np.isfinite(trainer.step(feeds))
    assert trainer.skipped == 4
    same(everything(trainer), before)
    program.parameters["w"] = [2.0, 3.0, 4.0]
    trainer.step(feeds)
    assert np.isfinite(trainer.gradient_norm)
    assert trainer.skipped == 4


# States that are carried --------------------------------------------------------------------------

CELLS: dict[str, Callable[[], rg.Cell]] = {
    "rnn": lambda: rg.BasicRNNCell(UNITS),
    "stack": lambda: rg.MultiRNNCell([rg.BasicLSTMCell(UNITS), rg.GRUCell(2)]),
    "projected": lambda: rg.LSTMCell(UNITS, num_proj=2, state_is_tuple=False),
    "memory": lambda: own_cells.MemoryCell(UNITS, rg.BasicLSTMCell(2)),
    "learned_start": lambda: own_cells.LearnedStartCell(UNITS),
    "pass_through": lambda: own_cells.PassThroughCell(UNITS),
    "unused": lambda: own_cells.UnusedStateCell(UNITS),
}


def windows(feeds: dict[str, np.ndarray], width: int) -> Iterator[dict[str, np.ndarray]]:
    total = feeds["x"].shape[1]
    for start in range(0, total, width):
        cut = {name: feeds[name][:, start : start + width] for name in ("x", "y")}
        if "n" in feeds:
            cut["n"] = np.clip(feeds["n"] - start, 0, cut["x"].shape[1])
        yield cut


RARER = ("projected", "memory", "unused")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.exhaustive if name in RARER else ()) for name in CELLS]
)
def test_windows_end_in_the_states_of_the_whole(name: str) -> None:
    program = network(CELLS[name], dtype="float64", lengths=True)
    feeds = data(rows=3, steps=8) | {"n": np.array([8, 4, 1])}
    whole = leaves(program.training(feeds)["states"])
    trainer = rg.Trainer(program, rg.SGD(0.0))  # with rate 0 all windows have the same parameters
    for number, cut in enumerate(windows(feeds, 3)):
        trainer.step(cut, carry=True)
        assert number or trainer.state.carried is not None
    assert trainer.state.carried is not None
    for actual, expected in zip(trainer.state.carried.values(), whole, strict=True):
        assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
    trainer.step(next(windows(feeds, 3)))  # without carry the declared initial state is used
    first = leaves(program.training(next(windows(feeds, 3)))["states"])
    for actual, expected in zip(trainer.state.carried.values(), first, strict=True):
        assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def given_start(kind: str) -> tuple[rg.Program, list[str]]:
    """Return the network of ``kind`` with a fed initial state, and the names of its placeholders."""
    x, y = rg.placeholder("x", (None, None, INPUTS), "float64"), rg.placeholder("y", (None, None, 2), "float64")
    widths = {"rnn": [UNITS], "stack": [UNITS, UNITS, 2], "learned_start": [UNITS]}[kind]
    starts = [rg.placeholder(f"start{number}", (None, width), "float64") for number, width in enumerate(widths)]
    nest: Any = starts[0]
    if kind == "stack":
        nest = (rg.LSTMStateTuple(starts[0], starts[1]), starts[2])
    outputs, states = rg.dynamic_rnn(CELLS[kind](), x, initial_state=nest)
    loss = rg.mean_squared_error(y, rg.dense(outputs, 2))
    return rg.compile({"states": states}, loss=loss), [start.name for start in starts]


@pytest.mark.parametrize("kind", ["rnn", "stack", "learned_start"])
def test_a_carried_window_has_the_gradients_of_a_state_that_is_fed(kind: str) -> None:
    """A window with carried states has the gradients of a fed initial state, so none passes to the previous window."""
    program, feeds = network(CELLS[kind], dtype="float64"), data(rows=3, steps=6)
    reference, names = given_start(kind)
    trainer = rg.Trainer(program, rg.SGD(0.5))
    states: list[np.ndarray] = []
    for cut in windows(feeds, 2):
        before = copies(program.parameters)
        if not states:
            states = leaves(program.training(cut)["states"])
            trainer.step(cut, carry=True)
            continue
        reference.parameters.load({key: before[key] for key in reference.parameters})
        fed = cut | dict(zip(names, states, strict=True))
        loss, gradients = reference.training.gradients(fed)
        assert_allclose(trainer.step(cut, carry=True), loss, rtol=1e-12)
        for key, array in program.parameters.items():
            expected = before[key] - 0.5 * gradients.get(key, np.zeros(()))
            assert_allclose(array, expected, rtol=1e-11, atol=1e-12, err_msg=key)
        states = leaves(reference.training(fed)["states"])


def test_a_decoder_starts_from_its_encoder_in_every_window() -> None:
    x, start = rg.placeholder("x", (None, None, 3), "float64"), rg.placeholder("start", (None, 4), "float64")
    cells = [rg.GRUCell(4), rg.GRUCell(4)]

    def declared(initial: Any) -> rg.Program:
        _, encoded = rg.dynamic_rnn(cells[0], x, initial_state=initial)
        decoded, _ = rg.dynamic_rnn(cells[1], x, initial_state=encoded, scope="decoder")
        return rg.compile({"encoded": encoded}, loss=rg.reduce_mean(rg.square(decoded)))

    program, reference, feeds = declared(None), declared(start), data(rows=2)["x"]
    reference.parameters.load(copies(program.parameters))
    trainer, state = rg.Trainer(program, rg.SGD(0.0)), np.zeros((2, 4))
    for cut in (feeds[:, :3], feeds[:, 3:]):
        result = reference.training(x=cut, start=state)
        assert_allclose(trainer.step(x=cut, carry=True), result["loss"], rtol=1e-12)
        state = result["encoded"]


def test_carried_states_can_not_continue_with_other_rows() -> None:
    trainer, feeds = rg.Trainer(network()), data()
    trainer.step(feeds, carry=True)
    small = {name: array[:2] for name, array in feeds.items()}
    with pytest.raises(
        rg.ShapeError, match=r"test_trainer\.py:\d+: carry=True continues 5 rows, and this step feeds 2"
    ):
        trainer.step(small, carry=True)
    trainer.reset()
    trainer.step(small, carry=True)


@pytest.mark.filterwarnings("ignore:.*they are not trained")
def test_only_a_forward_recurrence_that_the_loss_reads_is_carried() -> None:
    x = rg.placeholder("x", (None, None, 3))
    feeds = {"x": data()["x"]}
    both, _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(2), rg.GRUCell(2), x)
    program = rg.compile({"y": both[0]}, loss=rg.reduce_mean(rg.square(both[1])))
    with pytest.raises(rg.GraphError, match=r"test_trainer\.py:\d+: .*can't carry a backward recurrence"):
        rg.Trainer(program).step(feeds, carry=True)
    program = rg.compile({"y": both[1]}, loss=rg.reduce_mean(rg.square(both[0])))
    trainer = rg.Trainer(program)
    trainer.step(feeds, carry=True)
    trainer.step(feeds, carry=True)
    assert len(trainer.state.carried or ()) == 1
    program = rg.compile({"y": both[1]}, loss=rg.reduce_mean(rg.square(rg.dense(x, 2))))
    with pytest.raises(rg.GraphError, match="no state to carry"):
        rg.Trainer(program).step(feeds, carry=True)


# Random declarations ------------------------------------------------------------------------------


def check_step(seed: int) -> bool:
    """Check that a step of a random declaration equals the interpreted graph's with NumPy's update."""
    declaration = declare(seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        program, arrays = declaration.compile(), declaration.arrays()
        if program.loss is None:
            return False
        try:
            trainer = rg.Trainer(program, rg.SGD(0.125))
        except rg.ArgumentError:
            return False  # no trainable parameters
        feeds = inputs_of(program.training.graph, arrays)
        loss, gradients = program.training.gradients(feeds, seed=5)
        before = copies(program.parameters)
        stepped = trainer.step(feeds, seed=5)
    if trainer.skipped:
        finite = np.isfinite(loss) and all(np.isfinite(g).all() for g in gradients.values())
        if finite:
            raise CheckError(declaration, "step", "is left out although all is finite")
        same(copies(program.parameters), before)
        return False
    scale = max([1.0, *(float(np.abs(g).max()) for g in gradients.values() if g.size)])
    close = 1e-4 if "float32" in {array.dtype.name for array in before.values()} else 1e-9
    if abs(stepped - float(loss)) > close * max(1, abs(float(loss))):
        raise CheckError(declaration, "step", f"the loss is {stepped}, not {loss}")
    for name, array in program.parameters.items():
        moved = before[name] - 0.125 * gradients[name] if name in trainer.trained else before[name]
        if not np.allclose(array, moved, rtol=close, atol=close * scale):
            raise CheckError(declaration, "step", f"{name} is\n{array}\nand not\n{moved}")
    return True


@pytest.mark.parametrize("seed", [0, 2])
def test_a_step_of_a_random_declaration(seed: int) -> None:
    check_step(seed)


@pytest.mark.exhaustive
def test_steps_of_many_random_declarations() -> None:
    done = [check_step(seed) for seed in range(1, 200)]
    assert sum(done) > 60


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 63)])
def test_gradients_as_large_as_float32_are_clipped(shape: tuple[int, ...], accumulate: int) -> None:
    x, w = rg.placeholder("x", shape), rg.parameter("w", shape, "zeros")
    program = rg.compile({"y": x * 2.0}, loss=rg.reduce_sum(w * x))
    for size in (1e18, 1e20, 1e38):
        program.parameters["w"] = np.zeros(shape)
        trainer = rg.Trainer(program, rg.SGD(1.0), clip_norm=2.0, accumulate=accumulate)
        g = (np.random.default_rng(0).uniform(0.2, 1, shape) * size).astype(np.float32)
        for _ in range(accumulate):
            trainer.step(x=g)
        norm = np.linalg.norm(g.astype(np.float64))
        assert trainer.skipped == 0
        np.testing.assert_allclose(trainer.gradient_norm, norm, rtol=1e-6)
        np.testing.assert_allclose(program.parameters["w"], -2 * g.astype(np.float64) / norm, rtol=1e-5)
