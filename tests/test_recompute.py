"""Gradients with recomputed steps have the bits of gradients with stored steps, in less memory."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from chained_drivers import declare_chain
from declaration_checks import inputs_of, poisoned
from declarations import declare
from wired_cells import declare_cell

import rnngraph as rg
from rnngraph.ir.interpreter import interpret
from rnngraph.passes.recomputation.recompute import Recompute
from rnngraph.runtime.native import recompute_option

Feeds = dict[str, np.ndarray]


def _x() -> rg.Tensor:
    return rg.placeholder("x", (None, None, 5))


def _error(outputs: rg.Tensor, lengths: rg.Tensor | None = None) -> rg.Tensor:
    y = rg.placeholder("y", (None, None, 3))
    return rg.mean_squared_error(y, rg.dense(outputs, 3), lengths=lengths)


def _entropy(logits: rg.Tensor, rank: int = 2) -> rg.Tensor:
    labels = rg.placeholder("labels", (None,) * rank, "int64")
    return rg.reduce_mean(rg.sparse_softmax_cross_entropy(labels=labels, logits=logits))


def each_step() -> rg.Tensor:
    return _entropy(rg.dense(rg.dynamic_rnn(rg.LSTMCell(9), _x())[0], 4))


def stack() -> rg.Tensor:
    cells = [rg.DropoutWrapper(cell, output_keep_prob=0.7) for cell in (rg.LSTMCell(8), rg.GRUCell(5))]
    n = rg.placeholder("n", (None,), "int32")
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), _x(), n)
    return _error(outputs, n) + 0.01 * rg.reduce_mean(rg.dense(states[-1], 2) ** 2)


def last_step() -> rg.Tensor:
    return _entropy(rg.dense(rg.dynamic_rnn(rg.GRUCell(6), _x())[0][:, -1], 4), 1)


def last_step_of_stack() -> rg.Tensor:
    wrapped = {"input_keep_prob": 0.8, "output_keep_prob": 0.7, "state_keep_prob": 0.9}
    cells = [rg.DropoutWrapper(cell, **wrapped) for cell in (rg.LSTMCell(8), rg.GRUCell(5))]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), _x(), rg.placeholder("n", (None,), "int32"))
    return _entropy(rg.dense(outputs[:, -1], 4), 1)


def two_steps() -> rg.Tensor:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(6), _x())
    return _entropy(rg.dense(rg.concat([outputs[:, 0], outputs[:, -1]], 1), 4), 1)


def last_state() -> rg.Tensor:
    return _entropy(rg.dense(rg.dynamic_rnn(rg.GRUCell(6), _x())[1], 4), 1)


def pooled() -> rg.Tensor:
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(6), _x())
    return _entropy(rg.dense(rg.reduce_mean(outputs, 1) + rg.reduce_max(outputs, 1), 4), 1)


def embedded() -> rg.Tensor:
    words = rg.placeholder("words", (None, None), "int64")
    return _entropy(rg.dense(rg.dynamic_rnn(rg.LSTMCell(6), rg.embedding(words, 10, 5))[0], 4))


def convolved() -> rg.Tensor:
    return _error(rg.dynamic_rnn(rg.GRUCell(6), rg.conv1d(_x(), 7, 3))[0])


def backward() -> rg.Tensor:
    return _error(rg.dynamic_rnn(rg.LSTMCell(6), _x(), reverse=True)[0])


def weighted() -> rg.Tensor:
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(6), _x())
    y, w = rg.placeholder("y", (None, None, 3)), rg.placeholder("w", (None, None))
    each = rg.reduce_sum((rg.dense(outputs, 3) - y) ** 2, 2)
    return rg.reduce_sum(each * w) / rg.reduce_sum(w)


def joined() -> rg.Tensor:
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(6), _x())
    y = rg.placeholder("y", (None, None, 3))
    return rg.reduce_mean((rg.reshape(rg.dense(rg.reshape(outputs, (-1, 6)), 3), (-1,)) - rg.reshape(y, (-1,))) ** 2)


def encoder_and_decoder() -> rg.Tensor:
    _, state = rg.dynamic_rnn(rg.GRUCell(6), rg.placeholder("source", ("B", "S", 5)))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(6), rg.placeholder("x", ("B", "T", 5)), initial_state=state)
    return rg.mean_squared_error(rg.placeholder("y", ("B", "T", 3)), rg.dense(outputs, 3))


def both_ways() -> rg.Tensor:
    n = rg.placeholder("n", (None,), "int32")
    cells = [rg.LSTMCell(6, num_proj=4), rg.GRUCell(5)]
    stacks = [rg.MultiRNNCell([rg.DropoutWrapper(cell, output_keep_prob=0.7) for cell in cells]) for _ in range(2)]
    outputs, states = rg.bidirectional_dynamic_rnn(*stacks, _x(), n)
    return _error(rg.dense(rg.concat(outputs, -1), 7), n) + 0.01 * rg.reduce_mean(rg.dense(states[0][-1], 2) ** 2)


def layers_of_both_ways() -> rg.Tensor:
    n = rg.placeholder("n", (None,), "int32")
    cells = [[rg.DropoutWrapper(rg.LSTMCell(units), input_keep_prob=0.8) for units in (6, 4)] for _ in range(2)]
    outputs, _, _ = rg.stack_bidirectional_dynamic_rnn(*cells, _x(), sequence_length=n)
    return _error(outputs, n)


def states_of_both_ways() -> rg.Tensor:
    _, states = rg.bidirectional_dynamic_rnn(rg.GRUCell(6), rg.GRUCell(4), _x())
    return _entropy(rg.dense(rg.concat(states, -1), 4), 1)


def shared_both_ways() -> rg.Tensor:
    cell = rg.shared(rg.GRUCell(5))
    outputs, _ = rg.bidirectional_dynamic_rnn(cell, cell, rg.dense(_x(), 4))
    return _error(outputs[0] * outputs[1])


def back_and_forth() -> rg.Tensor:
    first, _ = rg.dynamic_rnn(rg.GRUCell(6), rg.conv1d(_x(), 4, 3))
    second, _ = rg.dynamic_rnn(rg.LSTMCell(4), first, reverse=True)
    third, _ = rg.dynamic_rnn(rg.GRUCell(5), rg.concat([first, second], -1))
    return _error(third)


def attended_both_ways() -> rg.Tensor:
    outputs, _ = rg.bidirectional_dynamic_rnn(rg.LSTMCell(6), rg.LSTMCell(5), rg.conv1d(_x(), 7, 3))
    joined = rg.concat(outputs, -1)
    scores = rg.exp(rg.dense(joined, 1))
    weights = scores / rg.reduce_sum(scores, 1, keepdims=True)
    return _entropy(rg.dense(rg.reduce_sum(weights * joined, 1) + rg.reduce_max(joined, 1), 4), 1)


def cumulated() -> rg.Tensor:
    return rg.reduce_mean(rg.cumsum(rg.dynamic_rnn(rg.GRUCell(4), _x())[0], 1))


def convolved_behind() -> rg.Tensor:
    return rg.reduce_mean(rg.conv1d(rg.dynamic_rnn(rg.GRUCell(4), _x())[0], 4, 3))


class Sums(rg.Cell):
    """Cell with two states; the sum of one is added to the other. Each has its own loop, with small results between."""

    output_size = 1  # type: ignore[assignment]

    def state(self) -> Any:
        return {"a": rg.state((3, 2)), "b": rg.state((4, 2))}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        a, b = (x @ p.kernel(name, (x.width, width)) for name, width in (("a", 6), ("b", 8)))
        a, b = rg.reshape(a, (None, 3, 2)), rg.reshape(b, (None, 4, 2))
        a, b = (0.5 * before + rg.tanh(before * part + part) for before, part in ((state["a"], a), (state["b"], b)))
        total = rg.reduce_sum(rg.reshape(a, (None, 1, 6)), 2, keepdims=True)
        total = rg.reduce_sum(total + rg.reshape(b, (None, 1, 8)), 2)
        return total, {"a": a, "b": b}


def sums_of_states() -> rg.Tensor:
    return rg.reduce_mean(rg.square(rg.dynamic_rnn(Sums(), _x())[0]))


NETS: dict[str, Callable[[], rg.Tensor]] = {
    made.__name__: made
    for made in (
        each_step,
        stack,
        last_step,
        last_step_of_stack,
        two_steps,
        last_state,
        pooled,
        embedded,
        convolved,
        backward,
        weighted,
        joined,
        encoder_and_decoder,
        both_ways,
        layers_of_both_ways,
        states_of_both_ways,
        shared_both_ways,
        back_and_forth,
        attended_both_ways,
        cumulated,
        convolved_behind,
        sums_of_states,
    )
}
QUICK = ("stack", "pooled", "last_step_of_stack", "both_ways", "sums_of_states")
SIZES = ((1, 1), (3, 7), (2, 25), (17, 9))
STEPS = (1, 4, 7, 100)


def program(name: str, **options: Any) -> rg.Program:
    loss = NETS[name]()
    return rg.compile({"value": loss}, loss=loss, seed=0, **options)


def feeds_of(program: rg.Program, rows: int, steps: int, seed: int = 0) -> Feeds:
    numbers, result = np.random.default_rng(seed), Feeds()
    for name, kind in program.training.input_types().items():
        open_sizes = iter((rows, steps))
        shape = [dim if isinstance(dim, int) else next(open_sizes) for dim in kind.shape]
        if name == "n":
            result[name] = numbers.permutation(np.r_[steps, numbers.integers(0, steps + 1, rows - 1)]).astype("int32")
        elif kind.dtype.startswith("int"):
            result[name] = numbers.integers(0, 4, shape)
        else:
            result[name] = numbers.standard_normal(shape).astype("float32")
    return result


def assert_same_gradients(program: rg.Program, feeds: Feeds, steps: int) -> None:
    loss, expected = program.training.gradients(feeds, seed=3, recompute=None)
    second, actual = program.training.gradients(feeds, seed=3, recompute=steps)
    assert loss == second
    assert any(array.any() for array in expected.values())
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=f"{name}, {steps} steps a block")


@pytest.mark.parametrize("name", QUICK)
def test_gradients_have_the_same_bits(name: str) -> None:
    compiled = program(name)
    assert_same_gradients(compiled, feeds_of(compiled, 3, 7), 4)
    assert_same_gradients(compiled, feeds_of(compiled, 3, 25), 4)


def test_there_may_be_no_steps() -> None:
    compiled = program("encoder_and_decoder")
    feeds = feeds_of(compiled, 3, 0)
    feeds["source"] = np.ones((3, 5, 5), "float32")
    loss, expected = compiled.training.gradients(feeds, recompute=None)
    second, actual = compiled.training.gradients(feeds, recompute=4)
    np.testing.assert_array_equal(second, loss)
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=name)


@pytest.mark.exhaustive
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NETS)
def test_gradients_have_the_same_bits_everywhere(name: str, threads: int) -> None:
    compiled = program(name, threads=threads)
    for rows, steps in SIZES:
        for together in STEPS:
            assert_same_gradients(compiled, feeds_of(compiled, rows, steps), together)


def _cut(program: rg.Program, rows: int, steps: int) -> tuple[Any, Any]:
    """Return the optimised graph of all gradients, and the one with recomputation."""
    compiled = program.training.full_graph()
    outputs = ("loss", *(f"gradient/{name}" for name in compiled.wrt))
    sizes = dict.fromkeys(compiled.pruned(outputs).symbols, rows) | dict.fromkeys(compiled.lengths(outputs), 25)
    return compiled.sized(outputs, sizes), compiled.sized(outputs, sizes, recompute=Recompute(steps))


@pytest.mark.parametrize("name", [name for name in NETS if name != "joined"])
def test_the_graph_has_the_same_values(name: str) -> None:
    compiled = program(name)
    whole, cut = _cut(compiled, 2, 4)
    kinds = {(node.get("keeps"), node.get("blocks")) for node in cut.nodes if node.op == "scan"}
    assert {(4, None), (None, 4), (None, None)} <= kinds
    _, parameters = compiled.parameters.snapshot()
    counters = dict.fromkeys(("seed", "first_row", "first_step"), np.asarray(3, np.int64))
    feeds = {**feeds_of(compiled, 2, 9), **counters, **parameters}
    expected, actual = interpret(whole, feeds), interpret(cut, feeds)
    assert all(np.array_equal(actual[name], array) for name, array in expected.items())


@pytest.mark.parametrize("name", ["pooled", "stack"])
def test_memory_does_not_grow_with_outputs_of_steps(name: str) -> None:
    memory = program(name).training.memory
    kept = [memory(batch=4, time=time).arena for time in (1000, 2000)]
    second = [memory(batch=4, time=time, recompute=32).arena for time in (1000, 2000)]
    assert second[1] - second[0] < (kept[1] - kept[0]) / 4
    assert memory(batch=4, time=2000, recompute=32).residuals < memory(batch=4, time=2000).residuals / 4


@pytest.mark.parametrize(("name", "share"), [("layers_of_both_ways", 2), ("states_of_both_ways", 5)])
def test_both_directions_store_their_joined_outputs(name: str, share: int) -> None:
    memory = program(name).training.memory
    kept = [memory(batch=4, time=time).arena for time in (1000, 2000)]
    second = [memory(batch=4, time=time, recompute=32).arena for time in (1000, 2000)]
    assert second[1] - second[0] < (kept[1] - kept[0]) / share


@pytest.mark.parametrize("name", ["last_step", "last_step_of_stack", "two_steps"])
def test_a_loss_of_the_last_step_keeps_no_sequence(name: str) -> None:
    memory = program(name).training.memory
    kept = [memory(batch=2, time=time).arena for time in (1000, 2000)]
    second = [memory(batch=2, time=time, recompute=32).arena for time in (1000, 2000)]
    assert second[1] - second[0] < (kept[1] - kept[0]) / 10


def check_random(seed: int) -> bool | None:
    """Check gradients of a random declaration, with NaN in uninitialised memory.

    Returns:
        True if steps can be recomputed, False if not; None if there are no gradients.
    """
    declaration = (declare, declare_chain, declare_cell)[seed % 3](seed)
    compiled = declaration.compile()
    if compiled.loss is None or not any(array.size for array in compiled.parameters.values()):
        return None
    feeds = inputs_of(compiled.training.graph, declaration.arrays())
    try:
        with poisoned():
            loss, expected = compiled.training.gradients(feeds, seed=7, recompute=None)
            second, actual = compiled.training.gradients(feeds, seed=7, recompute=2)
    except rg.GraphError as error:
        if "recompute=" not in str(error):
            raise
        return False
    np.testing.assert_array_equal(second, loss)
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=f"seed {seed}: {name}")
    return True


def test_recomputed_steps_that_need_no_state() -> None:
    """The step's state is always 0, so the graph of recomputed steps keeps none."""
    assert check_random(149)


@pytest.mark.exhaustive
def test_many_random_declarations() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        actual = [check_random(seed) for seed in range(300)]
    assert actual.count(True) > actual.count(False)


# Trainers -----------------------------------------------------------------------------------------


def _trained(name: str, carry: bool = False, **options: Any) -> tuple[list[float], dict[str, np.ndarray], rg.Trainer]:
    compiled = program(name)
    trainer = rg.Trainer(compiled, rg.Adam(1e-2), clip_norm=1.0, **options)
    losses = [trainer.step(feeds_of(compiled, 4, 25, seed), carry=carry) for seed in range(3)]
    trainer.flush()
    return losses, {name: array.copy() for name, array in compiled.parameters.items()}, trainer


@pytest.mark.exhaustive
@pytest.mark.parametrize("options", [{"carry": True}, {"accumulate": 2}, {"shards": 2}], ids=str)
def test_training_has_the_same_bits(options: dict[str, Any]) -> None:
    losses, expected, _ = _trained("stack", recompute=None, **options)
    second, actual, _ = _trained("stack", recompute=7, **options)
    assert losses == second
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=name)


def test_a_checkpoint_continues_with_recomputation(tmp_path: Any) -> None:
    compiled = program("each_step")
    rg.Trainer(compiled, recompute=7).save(tmp_path / "run.safetensors")
    trainer = rg.Trainer.load(tmp_path / "run.safetensors", compiled)
    assert "7 steps at a time" in str(trainer.show("plan"))


# Automatic choice ---------------------------------------------------------------------------------


def test_memory_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = program("last_state")
    memory = compiled.training.memory
    kept, second = (memory(2, 1000, recompute=steps).arena for steps in (None, 32))
    assert memory(2, 1000, recompute="auto").arena == kept
    monkeypatch.setattr(recompute_option, "LARGE", 0)
    monkeypatch.setattr(recompute_option, "limits", lambda: iter([(kept * recompute_option.SHARE, "of this test")]))
    assert memory(2, 1000, recompute="auto").arena == kept
    monkeypatch.setattr(recompute_option, "limits", lambda: iter([(kept * recompute_option.SHARE - 1, "of this test")]))
    assert memory(2, 1000, recompute="auto").arena == second
    compiled.training.gradients(feeds_of(compiled, 2, 1000))
    entries = compiled.training.full_graph().native_entries()
    assert [entry.key.recompute for entry in entries] == [Recompute(None), Recompute(32)]


def test_free_memory_does_not_prevent_a_possible_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recompute_option, "exceeds_share", lambda _: True)
    monkeypatch.setattr("rnngraph.runtime.native.compiled_graph.exceeds_share", lambda _: True)
    compiled = _turned()
    loss, _ = compiled.training.gradients(feeds_of(compiled, 2, 9))
    assert np.isfinite(loss)


@pytest.mark.parametrize(("length", "steps"), [(1, 16), (1000, 32), (100_000, 256), (1 << 40, 4096)])
def test_a_block_is_about_the_square_root(length: int, steps: int) -> None:
    assert recompute_option.steps_of([3, length]) == steps


# Mistakes -----------------------------------------------------------------------------------------


def _turned() -> rg.Program:
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(4), _x())
    second = outputs[:, ::-1] * outputs
    loss = rg.reduce_mean(second * second)
    return rg.compile({"value": loss}, loss=loss, seed=0)


def test_all_steps_read_together_are_refused_with_their_line() -> None:
    compiled = _turned()
    with pytest.raises(rg.GraphError, match=r"test_recompute\.py:\d+: \w+ reads all steps of a recurrence at once"):
        compiled.training.gradients(feeds_of(compiled, 2, 9), recompute=4)
    with pytest.raises(rg.GraphError, match="train without recompute="):
        rg.Trainer(compiled, recompute=4).step(feeds_of(compiled, 2, 9))


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "always", 1 << 30, [4]])
def test_wrong_steps(value: Any) -> None:
    compiled = program("last_state")
    with pytest.raises(rg.RnnGraphError, match="recompute"):
        compiled.training.gradients(feeds_of(compiled, 2, 3), recompute=value)
    with pytest.raises(rg.RnnGraphError, match="recompute"):
        rg.Trainer(compiled, recompute=value)
    with pytest.raises(rg.RnnGraphError, match="recompute"):
        compiled.training.memory(recompute=value)


# The memory of a process --------------------------------------------------------------------------

PEAK = """
import sys
import numpy as np
import rnngraph as rg

def peak():  # of ru_maxrss a process begins with that of the one which started it
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0])

x, labels = rg.placeholder("x", (None, None, 8)), rg.placeholder("labels", (None, None), "int64")
logits = rg.dense(rg.dynamic_rnn(rg.LSTMCell(int(sys.argv[1])), x)[0], 10)
loss = rg.reduce_mean(rg.sparse_softmax_cross_entropy(labels=labels, logits=logits))
program = rg.compile({"logits": logits}, loss=loss, seed=0)
steps, recompute = int(sys.argv[2]), eval(sys.argv[3])
feeds = {"x": np.zeros((1, steps, 8), np.float32), "labels": np.zeros((1, steps), np.int64)}
for array in feeds.values():
    array.fill(0)
few = {name: array[:, :3] for name, array in feeds.items()}
program.training.gradients(few, recompute=recompute)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # what compilation took at most is forgotten
before = peak()
program.training.gradients(feeds, recompute=recompute)
print((peak() - before) * 1024, program.training.memory(1, steps, recompute=recompute).arena)
"""


def peak_of(units: int, steps: int, recompute: int | None) -> tuple[int, int]:
    """Return (growth of a process in bytes for a call, bytes of temporaries in ``memory``'s report)."""
    command = [sys.executable, "-c", PEAK, str(units), str(steps), str(recompute)]
    grown, said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(grown), int(said)


def assert_as_said(grown: int, said: int) -> None:
    assert abs(grown - said) < 4 << 20, f"the process grew by {grown} bytes, and memory says {said}"


@pytest.mark.exhaustive
def test_the_memory_of_the_process_equals_the_report() -> None:
    kept, second = peak_of(32, 30_000, None), peak_of(32, 30_000, 128)
    assert_as_said(*kept)
    assert_as_said(*second)
    assert second[1] < kept[1] / 10


@pytest.mark.exhaustive
def test_a_hundred_thousand_steps_take_less_than_a_hundred_megabytes() -> None:
    kept, second = peak_of(256, 100_000, None), peak_of(256, 100_000, 256)
    assert_as_said(*kept)
    assert_as_said(*second)
    assert second[0] < 100e6 < 600e6 < kept[0]
