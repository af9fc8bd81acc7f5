"""Training that stops at any moment resumes from a file with the bits of uninterrupted training."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training import compiled_once, copies, data, network, same

import rnngraph as rg
from rnngraph.storage import checkpoint_file as checkpoint

ROWS, STEPS = 7, 6


@pytest.fixture(scope="module", autouse=True)
def _once() -> Iterator[None]:
    with compiled_once():
        yield


class StopError(Exception):
    """Error that ends a process."""


def program(seed: int = 0) -> rg.Program:
    return network(lambda: rg.BasicRNNCell(3), keep_prob=0.5, lengths=True, seed=seed)


def examples() -> dict[str, Any]:
    return data(ROWS, STEPS) | {"n": np.array([6, 1, 3, 3, 2, 6, 5])}


TRAINERS: dict[str, Callable[[rg.Program], rg.Trainer]] = {
    "adam": lambda program: rg.Trainer(program, rg.Adam(rg.WarmUp(3, rg.CosineDecay(0.1, 9))), clip_norm=0.3),
    "momentum": lambda program: rg.Trainer(
        program, rg.SGD(rg.ExponentialDecay(0.1, 3, 0.5, True), 0.9, True), only="rnn/*", accumulate=2, clip_value=0.05
    ),
}
FITS: dict[str, dict[str, Any]] = {
    "whole": {"batch_size": 2},
    "windows": {"batch_size": 3, "window": 2, "warm_up": 1},
    "best": {"batch_size": 3, "patience": 2, "validation": 0.3, "window": 4},
}


def everything(trainer: rg.Trainer) -> dict[str, np.ndarray]:
    state = trainer.state
    counts = [state.updates, state.pending, state.epochs, state.skipped]
    return copies({**trainer.program.parameters, **state.slots, **state.sums}) | {"counts": np.array(counts)}


# Steps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "carry"), [("adam", True), ("momentum", False), ("momentum", True)])
def test_steps_continue_bit_for_bit(kind: str, carry: bool, tmp_path: Path) -> None:
    feeds = examples()
    whole = TRAINERS[kind](program())
    losses = [whole.step(feeds, carry=carry) for _ in range(6)]
    for cut in (1, 4):
        first = TRAINERS[kind](program())
        assert [first.step(feeds, carry=carry) for _ in range(cut)] == losses[:cut]
        first.save(tmp_path / "a")
        after = everything(first)
        restored = program(seed=5)  # loading overwrites the values and the generator of this program
        restored.parts.seeds.draw()
        second = rg.Trainer.load(tmp_path / "a", restored)
        same(everything(second), after)
        assert [second.step(feeds, carry=carry) for _ in range(cut, 6)] == losses[cut:]
        same(everything(second), everything(whole))
        assert first.optimizer == second.optimizer
        assert (first.trained, first.clip_norm, first.clip_value) == (
            second.trained,
            second.clip_norm,
            second.clip_value,
        )


# Fits ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Uninterrupted fit: its final state, and its numbers of feeds and evaluations."""

    state: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]
    stopped: str
    calls: int


def columns(history: rg.History) -> dict[str, np.ndarray]:
    return {name: history[name] for name in history if name != "seconds"}


def interrupted(program: rg.Program, after: int | None) -> list[int]:
    """Raise ``StopError`` when this program reads feeds for the ``after``-th time, in any graph."""
    count = [0]

    def wrapped(gather: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            if after is not None and count[0] == after:
                raise StopError
            count[0] += 1
            return gather(*arguments)

        return counted

    program.training.gather = wrapped(program.training.gather)  # type: ignore[method-assign]
    program.evaluation.gather = wrapped(program.evaluation.gather)  # type: ignore[method-assign]
    return count


RUNS: dict[tuple[str, str], Run] = {}


def run_of(kind: str, fit: str) -> Run:
    if (kind, fit) not in RUNS:
        compiled = program()
        count = interrupted(compiled, None)
        trainer = TRAINERS[kind](compiled)
        history = trainer.fit(examples(), epochs=3, progress=False, **FITS[fit])
        RUNS[kind, fit] = Run(everything(trainer), columns(history), history.stopped, count[0])
    return RUNS[kind, fit]


def check_interrupted(kind: str, fit: str, path: Path, moments: list[float], every: int, in_process: bool) -> None:
    """Check that a fit with interruptions has equal bits: parameters, slots, sums, counters and history."""
    whole = run_of(kind, fit)
    path.unlink(missing_ok=True)
    compiled = program()
    trainer = TRAINERS[kind](compiled)
    options = FITS[fit] | {"epochs": 3, "progress": False, "checkpoint": path, "checkpoint_every": every}
    for moment in moments:
        interrupted(compiled, int(moment * whole.calls))
        try:
            history = trainer.fit(examples(), **options)
            break
        except StopError:
            if in_process:  # without ``in_process``, the process starts anew, with another program
                del compiled.training.gather, compiled.evaluation.gather
            else:
                compiled = program(seed=9)
                trainer = rg.Trainer.load(path, compiled) if path.exists() else TRAINERS[kind](compiled := program())
    else:
        history = trainer.fit(examples(), **options)
    same(everything(trainer), whole.state)
    same(columns(history), whole.columns)
    assert history.stopped == whole.stopped
    same(everything(rg.Trainer.load(path, program())), whole.state)


@pytest.mark.parametrize(
    ("kind", "fit", "moments", "every", "in_process"),
    [
        ("momentum", "windows", [0.6, 0.4], 1, True),
        ("momentum", "windows", [0.3], 3, False),
        ("adam", "best", [0.9, 0.1], 2, False),
        ("adam", "whole", [0.5], 1, False),
    ],
)
def test_a_fit_continues(
    kind: str, fit: str, moments: list[float], every: int, in_process: bool, tmp_path: Path
) -> None:
    check_interrupted(kind, fit, tmp_path / "a", moments, every, in_process)


@pytest.mark.exhaustive
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("kind", TRAINERS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments=st.lists(st.floats(0, 1), min_size=1, max_size=3), every=st.integers(1, 4), in_process=st.booleans())
def test_a_fit_continues_from_any_moment(
    kind: str, fit: str, tmp_path: Path, moments: list[float], every: int, in_process: bool
) -> None:
    check_interrupted(kind, fit, tmp_path / "a", moments, every, in_process)


def test_a_fit_can_not_continue_with_other_data(tmp_path: Path) -> None:
    compiled = program()
    trainer = TRAINERS["adam"](compiled)
    interrupted(compiled, 3)
    with pytest.raises(StopError):
        trainer.fit(examples(), batch_size=2, progress=False)
    del compiled.training.gather, compiled.evaluation.gather
    for options in ({"batch_size": 3}, {"batch_size": 2, "shuffle": False}, {"batch_size": 2, "window": 2}):
        with pytest.raises(
            rg.ArgumentError, match=r"test_checkpoint\.py:\d+: a fit was interrupted in epoch 1 and can't"
        ):
            trainer.fit(examples(), progress=False, **options)
    history = trainer.fit(examples(), batch_size=3, progress=False, resume=False)
    assert history.epochs == 1


# Files --------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    trainer = TRAINERS["momentum"](program())
    for _ in range(3):
        trainer.step(examples(), carry=True)
    trainer.save(tmp_path / "a")
    return tmp_path / "a"


def refused(path: Path, program: rg.Program, text: str) -> None:
    """Check that loading raises, and leaves the program unchanged."""
    before, state = copies(program.parameters), program.parts.seeds.state
    version = program.parameters.version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(rg.FileError, match=text):
            rg.Trainer.load(path, program)
    same(copies(program.parameters), before)
    assert (program.parts.seeds.state, program.parameters.version) == (state, version)


def test_a_damaged_file_is_refused(saved: Path, tmp_path: Path) -> None:
    compiled, whole = program(), saved.read_bytes()
    damaged, places = tmp_path / "b", random.Random(0)
    for _ in range(40):
        place = places.randrange(len(whole))
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ places.randint(1, 255)]) + whole[place + 1 :])
        refused(damaged, compiled, "damaged|no checkpoint")
        damaged.write_bytes(whole[:place])
        refused(damaged, compiled, "damaged|no checkpoint")
    damaged.write_bytes(whole + b"0")
    refused(damaged, compiled, "damaged")
    refused(tmp_path / "none", compiled, "no file")
    refused(tmp_path, compiled, "is a directory; give the path of a checkpoint")


def test_a_foreign_file_is_refused(saved: Path, tmp_path: Path) -> None:
    compiled = program()
    compiled.parameters.save(tmp_path / "p.safetensors")
    refused(tmp_path / "p.safetensors", compiled, "not a checkpoint")
    checkpoint.write(tmp_path / "c", "counter", {}, {})
    refused(tmp_path / "c", compiled, "is a checkpoint of a counter, not of a trainer")


def test_a_file_of_another_program_is_refused(saved: Path) -> None:
    refused(saved, network(lambda: rg.BasicRNNCell(4), lengths=True), r"kernel is float32\[7, 4\] here")
    refused(saved, network(lambda: rg.GRUCell(3), lengths=True), "no such parameter")
    refused(saved, network(lambda: rg.BasicRNNCell(3), lengths=True, dtype="float64"), "is float64.* here")
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(3), x)
    fewer = rg.compile({"y": outputs}, loss=rg.reduce_mean(outputs))
    refused(saved, fewer, "this one has no parameter dense/kernel, dense/bias")
    shown = rg.dense(outputs, 2)
    separate = rg.compile(
        {"y": shown}, loss=rg.reduce_mean(rg.stop_gradient(outputs)) + rg.reduce_mean(shown[:, :1] * 0.0)
    )
    TRAINERS["momentum"](separate)
    frozen = rg.compile({"y": shown}, loss=rg.reduce_mean(rg.dense(rg.stop_gradient(outputs), 2)), parameters=None)
    refused(saved, frozen, "another program|nothing to train")


def test_load_needs_a_program(saved: Path) -> None:
    with pytest.raises(rg.DtypeError, match=r"test_checkpoint\.py:\d+: load needs the program"):
        rg.Trainer.load(saved, {})  # type: ignore[arg-type]


def test_a_file_that_can_not_be_written_leaves_the_last(saved: Path, tmp_path: Path) -> None:
    trainer = rg.Trainer.load(saved, program())
    before = saved.read_bytes()
    trainer.learning_rate = lambda update: 0.1
    with pytest.raises(rg.ArgumentError, match=r"test_checkpoint\.py:\d+: can't save the learning rate"):
        trainer.save(saved)
    trainer.learning_rate = 0.1
    with pytest.raises(rg.FileError, match=r"test_checkpoint\.py:\d+: can't write"):
        trainer.save(tmp_path / "no" / "a")
    assert saved.read_bytes() == before


# Killed -------------------------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
import rnngraph as rg
sys.path.insert(0, {tests!r})
sys.path.insert(0, {here!r})
from test_checkpoint import TRAINERS, examples, program

path = Path(sys.argv[1])
made = program()
trainer = rg.Trainer.load(path, made) if path.exists() else TRAINERS[sys.argv[2]](made)
print("ready", flush=True)
options = {{"checkpoint": path, "checkpoint_every": 1, "resume": True}}
trainer.fit(examples(), batch_size=2, window=3, epochs=int(sys.argv[3]), progress=False, **options)
made.parameters.save(sys.argv[4])
"""


def script(directory: Path, kind: str, epochs: int, name: str) -> list[str]:
    here = Path(__file__).parent
    text = SCRIPT.format(tests=str(here.parent / "helpers"), here=str(here))
    return [sys.executable, "-c", text, str(directory / name), kind, str(epochs), str(directory / f"{name}.npz")]


def check_killed(directory: Path, kind: str, epochs: int, kills: int, seed: int, span: float) -> int:
    """Kill training at random moments within ``span`` seconds, and restart it. Return the number of kills."""
    subprocess.run(script(directory, kind, epochs, "whole"), check=True, stdout=subprocess.DEVNULL)
    delays, killed = random.Random(seed), 0
    while not (directory / "parts.npz").exists():
        child = subprocess.Popen(script(directory, kind, epochs, "parts"), stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        if killed < kills:
            while not (directory / "parts").exists():
                time.sleep(0.01)
            time.sleep(delays.uniform(0, span))
            child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
        assert child.returncode in (0, -signal.SIGKILL)
        child.stdout.close()
    with np.load(directory / "whole.npz") as whole, np.load(directory / "parts.npz") as parts:
        same(dict(parts), dict(whole))
    assert [path.name for path in directory.iterdir() if path.suffix == ".part"] == []
    return killed


def test_training_that_is_killed_ends_in_the_same_bits(tmp_path: Path) -> None:
    assert check_killed(tmp_path, "momentum", epochs=30, kills=1, seed=1, span=0.2) > 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", TRAINERS)
def test_training_that_is_killed_many_times(kind: str, tmp_path: Path) -> None:
    assert check_killed(tmp_path, kind, epochs=400, kills=25, seed=2, span=1.5) > 5


# Other programs -----------------------------------------------------------------------------------


def save_one(path: Path, **options: Any) -> None:
    trainer = rg.Trainer(network(**options), rg.Adam(0.1))
    trainer.step(data())
    trainer.save(path)


@pytest.mark.parametrize("keep_prob", [1.0, 0.5, 0.8])
def test_another_rate_of_dropout_is_no_other_network(keep_prob: float, tmp_path: Path) -> None:
    save_one(tmp_path / "a", keep_prob=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rg.Trainer.load(tmp_path / "a", network(keep_prob=keep_prob))


def test_a_program_that_was_saved_is_the_same_network(tmp_path: Path) -> None:
    save_one(tmp_path / "a", keep_prob=0.5)
    network(keep_prob=0.5).save(tmp_path / "program")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rg.Trainer.load(tmp_path / "a", rg.load(tmp_path / "program"))


def test_another_network_of_the_same_shapes_is_a_warning(tmp_path: Path) -> None:
    save_one(tmp_path / "a")
    other = network(lambda: rg.BasicRNNCell(4, activation="relu"))
    with pytest.warns(UserWarning, match=r"test_checkpoint\.py:\d+: the loss of this program differs") as warned:
        rg.Trainer.load(tmp_path / "a", other)
    assert warned[0].filename == __file__
