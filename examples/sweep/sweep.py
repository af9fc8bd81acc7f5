"""Run fifty small trainings on all cores to choose the cell, width, dropout and learning rate of a speaker classifier.

    pip install joblib
    python examples/sweep/sweep.py [--quick] [--workers N]

Each training is one joblib task in one thread: for small nets, one training on each core is faster than one training on
several cores. A worker declares, compiles, trains and evaluates, and returns a few numbers. Code is compiled once for
each cell and width, by the first worker that needs it; the others load it from the cache. The learning rate and the
keep probability, here a placeholder, are read at run time and need no new code.

Long tasks start first, so that no worker has a long one left at the end. The script prints the best settings, and the
share of the cores' time that the trainings took. The data: examples/data/README.md.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import rnngraph as rg

DATA = Path(__file__).parents[1] / "data" / "japanese_vowels.npz"
SPEAKERS, FEATURES = 9, 12
CELLS = {"gru": rg.GRUCell, "lstm": rg.BasicLSTMCell}
SHOWN = 8


@dataclass(frozen=True)
class Setting:
    """Hyperparameters of one training."""

    cell: str
    units: int
    keep_prob: float
    rate: float


@dataclass(frozen=True)
class Outcome:
    """Result of one training: `accuracy` on the validation utterances, and `cpu`, the worker's processor seconds."""

    setting: Setting
    accuracy: float
    epochs: int
    cpu: float
    worker: int


def settings() -> list[Setting]:
    """Return fifty settings: two cells, five widths, five pairs of dropout and learning rate, the slowest first."""
    pairs = ((1.0, 3e-3), (0.8, 3e-3), (0.5, 3e-3), (0.8, 1e-2), (0.5, 1e-2))
    chosen = [Setting(cell, units, *pair) for cell, units, pair in itertools.product(CELLS, (8, 16, 32, 48, 64), pairs)]
    return sorted(chosen, key=lambda setting: -setting.units)


def examples() -> dict[str, Any]:
    """Return the training utterances as a list of standardised sequences, with their speakers."""
    with np.load(DATA) as data:
        sequences = [x[:steps] for x, steps in zip(data["train_x"], data["train_lengths"], strict=True)]
        labels = data["train_labels"]
    steps = np.concatenate(sequences)
    mean, scale = steps.mean(axis=0), steps.std(axis=0)
    order = np.random.default_rng(0).permutation(len(sequences))
    return {"x": [(sequences[row] - mean) / scale for row in order], "y": labels[order]}


def train(setting: Setting, epochs: int) -> Outcome:
    """Run one training from its declaration to its accuracy."""
    start = time.process_time()
    x, lengths = rg.placeholder("x", (None, None, FEATURES)), rg.placeholder("lengths", (None,), "int64")
    y, keep = rg.placeholder("y", (None,), "int64"), rg.placeholder("keep", ())
    cell = rg.DropoutWrapper(CELLS[setting.cell](setting.units), output_keep_prob=keep)
    outputs, _ = rg.dynamic_rnn(cell, x, sequence_length=lengths)
    logits = rg.dense(rg.gather_last(outputs, lengths), SPEAKERS)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)
    program = rg.compile({"logits": logits}, loss=loss, seed=0, threads=1)
    trainer = rg.Trainer(program, rg.Adam(setting.rate), clip_norm=1.0)
    history = trainer.fit(
        {**examples(), "keep": setting.keep_prob},
        epochs=epochs,
        validation=0.3,
        patience=8,
        metrics={"accuracy": rg.accuracy(y, logits)},
        progress=False,
    )
    best = history.row(history.best())
    return Outcome(setting, best["validation_accuracy"], history.epochs, time.process_time() - start, os.getpid())


def report(outcomes: list[Outcome], seconds: float, workers: int) -> None:
    console, table = Console(), Table("cell", "units", "keep_prob", "rate", "accuracy", "epochs")
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.accuracy)[:SHOWN]:
        values = [*asdict(outcome.setting).values(), f"{outcome.accuracy:.3f}", outcome.epochs]
        table.add_row(*map(str, values))
    console.print(table)
    busy = sum(outcome.cpu for outcome in outcomes) / (seconds * workers)
    used = len({outcome.worker for outcome in outcomes})
    console.print(
        f"{len(outcomes)} trainings in {seconds:.1f} s on {used} workers; the trainings took {busy:.0%} of the time of "
        f"{workers} cores"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two trainings of two epochs")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    try:
        joblib = importlib.import_module("joblib")
    except ImportError:
        raise SystemExit("this example needs joblib; pip install joblib") from None
    tried, epochs = (settings()[::25], 2) if options.quick else (settings(), 60)
    start = time.perf_counter()
    parallel = joblib.Parallel(n_jobs=options.workers, batch_size=1)
    outcomes = parallel(joblib.delayed(train)(setting, epochs) for setting in tried)
    report(outcomes, time.perf_counter() - start, options.workers)


if __name__ == "__main__":
    main()
