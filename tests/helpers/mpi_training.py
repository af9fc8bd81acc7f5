"""Script of each process of ``test_mpi.py``: ``python mpi_training.py TASK FOLDER``. Rank 0 writes the results.

Tasks:

- ``steps``: steps of all nets in several forms.
- ``fits``: fits with windows, validation, early stopping and callbacks. Half of one fit runs with another number of
  processes.
- ``wrong``: errors for wrong arguments.
- ``stopped``: Ctrl-C of one process.
- ``long``: a fit with a checkpoint at each update, to be killed.
- ``leaves``: a process that ends before the others, as a third argument says.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sharded_nets
from mpi4py import MPI

import rnngraph as rg

WORLD = MPI.COMM_WORLD
SHARDS = 8


def digest(program: rg.Program, *numbers: Any) -> str:
    """Return a digest of parameters and further numbers, bit by bit."""
    arrays = [*map(np.asarray, numbers), *(program.parameters[name] for name in sorted(program.parameters))]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def steps(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for net in sharded_nets.NETS:
        for options in ({}, {"accumulate": 3}, {"clip_norm": 0.5, "carry": True}, {"optimizer": Own()}):
            if options.get("carry") and net not in sharded_nets.CARRIED:
                continue
            for rows in (10, 3):
                results[f"{net.__name__} {rows} {sorted(options)}"] = _steps(net, rows, **options)
    return results


def _steps(net: Any, rows: int, carry: bool = False, optimizer: Any = None, **options: Any) -> str:
    program, feeds = net()
    trainer = rg.Trainer(program, optimizer or rg.Adam(1e-2), comm=WORLD, shards=SHARDS, **options)
    numbers = np.random.default_rng(0)
    return digest(program, [trainer.step(feeds(numbers, rows), carry=carry and step > 0) for step in range(5)])


@dataclass(frozen=True)
class Own(rg.Optimizer):
    """User-defined optimizer, whose steps are bounded by its rate."""

    learning_rate: float = 1e-2

    def slots(self) -> dict[str, float]:
        return {"mean": 0.0}

    def update(self, parameter: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
        mean = 0.9 * slots["mean"] + 0.1 * gradient
        return parameter - numbers["rate"] * rg.tanh(mean), {"mean": mean}


def examples(net: Any, count: int = 37) -> dict[str, Any]:
    return net().feeds(np.random.default_rng(1), count)


def fits(folder: Path) -> dict[str, Any]:
    results = {}
    for net in (sharded_nets.classifier, sharded_nets.tagger):
        for options in ({}, {"window": 4, "warm_up": 1}, {"patience": 1}):
            if net is sharded_nets.tagger and "window" in options:
                continue
            program = net().program
            trainer = rg.Trainer(program, rg.Adam(3e-2), comm=WORLD, shards=SHARDS)
            seen: list[float] = []

            def lower(trainer: rg.Trainer, row: dict[str, float], seen: list[float] = seen) -> None:
                seen.append(row["loss"])
                trainer.learning_rate *= 0.8

            history = trainer.fit(
                examples(net), batch_size=10, epochs=3, validation=0.3, callbacks=[lower], progress=False, **options
            )
            assert len(seen) == (len(history["loss"]) if WORLD.Get_rank() == 0 else 0)
            mine = digest(program, history["loss"], history["validation_loss"])
            assert WORLD.allgather(mine) == [mine] * WORLD.Get_size()
            results[f"{net.__name__} {sorted(options)}"] = mine
    path = folder / "half"
    if path.exists():
        program = sharded_nets.classifier().program
        trainer = rg.Trainer.load(path, program, comm=WORLD)
    else:
        program = sharded_nets.classifier().program
        trainer = rg.Trainer(program, rg.Adam(1e-2), comm=WORLD, shards=SHARDS)
        trainer.fit(examples(sharded_nets.classifier), batch_size=7, epochs=2, progress=False, checkpoint=path)
    trainer.fit(examples(sharded_nets.classifier), batch_size=7, epochs=2, progress=False)
    results["resumed"] = digest(program)
    return results


def wrong(folder: Path) -> dict[str, Any]:
    rank = WORLD.Get_rank()
    program, feeds = sharded_nets.classifier()
    trainer = rg.Trainer(program, comm=WORLD, shards=SHARDS)
    batch = feeds(np.random.default_rng(rank), 8)
    actual = {"another batch": _error(lambda: trainer.step(batch))}
    same = feeds(np.random.default_rng(0), 8)
    actual["an error of one"] = _error(
        lambda: trainer.step({**same, "n": same["n"].astype("float32" if rank == 1 else "int32")})
    )
    other = sharded_nets.classifier(target="x86-64-v3" if rank else "x86-64-v2").program
    actual["targets"] = _error(lambda: rg.Trainer(other, comm=WORLD, shards=SHARDS))
    actual["shards"] = _error(lambda: rg.Trainer(program, comm=WORLD, shards=1))

    def fails(trainer: rg.Trainer, row: dict[str, float]) -> None:
        raise OSError("the disk is full")

    second = rg.Trainer(program, comm=WORLD, shards=SHARDS)
    actual["a callback"] = _error(
        lambda: second.fit(examples(sharded_nets.classifier), epochs=1, callbacks=[fails], progress=False)
    )
    actual |= _of_one(folder, program, same)
    everyone = WORLD.allgather(actual)
    return {name: [item[name] for item in everyone] for name in actual}


def _of_one(folder: Path, program: rg.Program, batch: dict[str, Any]) -> dict[str, Any]:
    """Return the errors of all ranks if only rank 1, or only rank 0, makes a mistake."""
    rank, mine = WORLD.Get_rank(), examples(sharded_nets.classifier)

    def trainer(**options: Any) -> rg.Trainer:
        return rg.Trainer(program, comm=WORLD, shards=SHARDS, **options)

    class Parts:
        def __init__(self, count: int, happens: Any = None) -> None:
            self.count, self.happens = count, happens or _is_missing

        def __iter__(self) -> Any:
            for number in range(self.count):
                if number == 2 and rank == 1:
                    self.happens(signal.SIGINT)
                yield batch

    subject, path = trainer(), folder / "of_one"
    subject.step(batch)
    subject.save(path)
    subject.step(batch)
    subject.save(folder / "of_another")
    WORLD.Barrier()
    kept, other = folder / "kept", folder / ("of_another" if rank == 1 else "of_one")
    kept.mkdir(exist_ok=True)

    def gone(trainer: rg.Trainer, row: dict[str, float]) -> None:
        shutil.rmtree(kept)

    def again(trainer: rg.Trainer, row: dict[str, float]) -> None:
        trainer.step(batch)

    def unsent(trainer: rg.Trainer, row: dict[str, float]) -> None:
        trainer.learning_rate = lambda number: 0.1 / (number + 1)

    elsewhere = folder / "of_rank_0" / "run" if rank == 0 else folder / "nowhere" / "run"
    if rank == 0:
        elsewhere.parent.mkdir(exist_ok=True)
    spoiled = {**mine, "x": mine["x"].copy()}
    spoiled["x"][9, 0, 0] = np.nan

    def changed(name: str, value: float) -> None:
        if rank == 1:
            setattr(subject, name, value)
        subject.step(batch)

    def load(path: Path) -> rg.Trainer:
        return rg.Trainer.load(path, program, comm=WORLD)

    return {
        "an iterator": _error(lambda: trainer().fit(Parts(4), progress=False)),
        "fewer batches": _error(lambda: trainer().fit(Parts(2 - rank % 2), progress=False)),
        "no file": _error(lambda: load(path if rank != 1 else folder / "none")),
        "another file": _error(lambda: load(other)),
        "an option": _error(lambda: trainer(clip_norm=-1.0 if rank == 1 else 1.0)),
        "an option of fit": _error(lambda: trainer().fit(mine, batch_size=0 if rank == 1 else 4, progress=False)),
        "patience": _error(lambda: trainer().fit(mine, patience=1 + rank, progress=False)),
        "a seed": _error(lambda: subject.step(batch, seed=rank)),
        "a rate": _error(lambda: changed("learning_rate", 0.5)),
        "a fetch": _error(lambda: subject.step(batch, fetch={"value": 3 if rank == 1 else "value"})),
        "too much": _error(lambda: subject.step(batch, *[batch] * (rank == 1))),
        "a Ctrl-C": _error(lambda: trainer().fit(Parts(4, signal.raise_signal), progress=False)),
        "a metric": _error(lambda: trainer().fit(mine, metrics={"bad": _bad}, progress=False)),
        "progress": _error(lambda: _silenced(lambda: trainer().fit(mine))),
        "an order": _error(lambda: trainer().fit({**mine, "n": mine["n"][:: 1 - 2 * (rank == 1)]}, progress=False)),
        "other shapes": _error(lambda: _steps_of([8, 8, 9 if rank == 1 else 8])),
        "a rate of a callback": _error(lambda: trainer().fit(mine, callbacks=[unsent], progress=False)),
        "a folder of rank 0": _error(lambda: trainer().fit(mine, checkpoint=elsewhere, progress=False)),
        "not finite": _error(lambda: trainer().fit(spoiled, batch_size=16, shuffle=False, progress=False)),
        "a step in a callback": _error(lambda: trainer().fit(mine, callbacks=[again], progress=False)),
        "a checkpoint": _error(
            lambda: trainer().fit(mine, epochs=3, callbacks=[gone], checkpoint=kept / "run", progress=False)
        ),
    }


def _steps_of(times: list[int]) -> None:
    """Run one step for each of these numbers of time steps."""
    program, feeds = sharded_nets.classifier()
    trainer = rg.Trainer(program, comm=WORLD, shards=SHARDS)
    for time_steps in times:
        batch = feeds(np.random.default_rng(0), 8)
        trainer.step({**batch, "x": batch["x"][:, :time_steps], "n": batch["n"].clip(max=8)})


def _is_missing(_: int) -> None:
    raise OSError("no such part")


def _bad(*_: Any) -> float:
    raise ValueError("a bad metric")


def _silenced(work: Callable[[], Any]) -> None:
    """Call a function while standard error of rank 0 cannot be written to, as progress would be."""
    with (
        open(os.devnull) as unwritable,
        contextlib.redirect_stderr(unwritable if WORLD.Get_rank() == 0 else sys.stderr),
    ):
        work()


def stopped(folder: Path) -> dict[str, Any]:
    """Run a fit. Ctrl-C on one rank interrupts it repeatedly, and it is resumed each time."""
    rank, result = WORLD.Get_rank(), dict[str, Any]()
    for times in (0, 6):
        program, data = sharded_nets.classifier().program, examples(sharded_nets.classifier)
        trainer, chance = rg.Trainer(program, rg.Adam(1e-2), comm=WORLD, shards=SHARDS), np.random.default_rng(0)

        def go_on(trainer: rg.Trainer = trainer, data: dict[str, Any] = data) -> None:
            trainer.fit(data, batch_size=2, epochs=8, progress=False)

        for _ in range(times):
            victim, updates = int(chance.integers(WORLD.Get_size())), trainer.updates + int(chance.integers(1, 20))
            if rank == victim:
                threading.Thread(target=_interrupt, args=(trainer, updates)).start()
            error = _error(go_on)
            assert error.startswith("KeyboardInterrupt" if rank == victim else "RanksError"), error
            assert rank == victim or f"rank {victim} failed, and the others stop with it: KeyboardInterrupt" in error
        go_on()
        result[f"{times} times"] = digest(program)
    return result


def _interrupt(trainer: rg.Trainer, updates: int) -> None:
    """Send Ctrl-C to this process after ``updates`` updates."""
    while trainer.updates < updates:
        time.sleep(0)
    os.kill(os.getpid(), signal.SIGINT)


def _error(work: Callable[[], Any]) -> str:
    try:
        work()
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def leaves(folder: Path) -> None:
    """End rank 1 before the others, between steps of two trainers."""
    program, feeds = sharded_nets.classifier()
    trainers = [rg.Trainer(program, comm=WORLD, shards=SHARDS) for _ in range(2)]
    batch = feeds(np.random.default_rng(0), 8)
    trainers[0].step(batch)
    if WORLD.Get_rank() == 1:
        if sys.argv[3] == "raises":
            raise ValueError("a mistake between two steps")
        sys.exit(0)
    trainers[1].step(batch)


def long(folder: Path) -> dict[str, Any]:
    net, path = sharded_nets.classifier, folder / "trainer"
    program = net().program
    trainer = (
        rg.Trainer.load(path, program, comm=WORLD)
        if path.exists()
        else rg.Trainer(program, rg.Adam(1e-2), comm=WORLD, shards=SHARDS)
    )
    (folder / f"pid{WORLD.Get_rank()}").write_text(str(os.getpid()))
    trainer.fit(examples(net), batch_size=5, epochs=12, progress=False, checkpoint=path, checkpoint_every=1)
    return {"parameters": digest(program)}


if __name__ == "__main__":
    task, folder = sys.argv[1], Path(sys.argv[2])
    tasks = {"steps": steps, "fits": fits, "wrong": wrong, "stopped": stopped, "long": long, "leaves": leaves}
    answer: Any = tasks[task](folder)
    if WORLD.Get_rank() == 0:
        (folder / f"{task}.json").write_text(json.dumps(answer))
