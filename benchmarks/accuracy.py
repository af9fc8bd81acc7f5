"""Compare the accuracy of deep nets trained by rnngraph and, if it is installed, by torch, under the same protocol.

    python benchmarks/accuracy.py [--seeds N] [--epochs N] [--only rnngraph|torch] [--json FILE] [NET …]

The task is `examples/data/japanese_vowels.npz`: nine speakers, 270 utterances to train on and 370 to test. Every net
has three layers of 100 units and a dense layer on the state of the last real step. It is trained on shuffled batches of
32 with softmax cross-entropy, Adam at 1e-3 and gradients clipped to a global norm of 1. Coefficients are standardised
by the training part: otherwise a dropped coefficient, 0, is up to 1.8 deviations from its mean, and dropout disturbs
too much. Both sides draw initial values from the same distributions: kernels Glorot-uniform over one fused matrix for
each cell, TensorFlow's biases. torch's second bias is redundant and stays at zero, except the one inside the GRU's
reset.

The result is the mean over seeds of the test accuracy after the last epoch; no best epoch is chosen. Seeds determine
initial values, order of examples and masks.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from twins import initialize_dense, initialize_recurrent

import rnngraph as rg

DATA = Path(__file__).resolve().parents[1] / "examples" / "data" / "japanese_vowels.npz"
UNITS, LAYERS, SPEAKERS, BATCH = 100, 3, 9, 32
LEARNING_RATE, CLIP_NORM = 1e-3, 1.0

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Net:
    """Stack of three equal cells, with dropout on the input of each layer."""

    cell: str
    keep_prob: float = 1.0

    @property
    def name(self) -> str:
        return self.cell if self.keep_prob == 1.0 else f"{self.cell} dropout"


NETS = [Net("RNN"), Net("RNN", 0.5), Net("LSTM", 0.5), Net("GRU", 0.5)]


def load() -> dict[str, NDArray[Any]]:
    """Return the arrays of the data file, with coefficients standardised over the steps of the training part."""
    with np.load(DATA) as archive:
        data = dict(archive)
    real = np.arange(data["train_x"].shape[1]) < data["train_lengths"][:, None]
    steps = data["train_x"][real]
    for part in ("train_x", "test_x"):
        data[part] = (data[part] - steps.mean(axis=0)) / steps.std(axis=0)
    return data


def our_cell(kind: str) -> rg.Cell:
    match kind:
        case "RNN":
            return rg.BasicRNNCell(UNITS)
        case "LSTM":
            return rg.BasicLSTMCell(UNITS)
    return rg.GRUCell(UNITS, reset_after=True)


def ours(net: Net, data: Arrays, epochs: int, seed: int) -> float:
    """Return the test accuracy of the net trained by rnngraph."""
    x = rg.placeholder("x", (None, None, data["train_x"].shape[2]))
    lengths = rg.placeholder("lengths", (None,), "int64")
    labels = rg.placeholder("labels", (None,), "int64")
    cells = [rg.DropoutWrapper(our_cell(net.cell), input_keep_prob=net.keep_prob) for _ in range(LAYERS)]
    _, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, sequence_length=lengths)
    logits = rg.dense(states[-1].h if net.cell == "LSTM" else states[-1], SPEAKERS)
    program = rg.compile({"logits": logits}, loss=rg.sparse_softmax_cross_entropy(labels, logits), seed=seed)
    trainer = rg.Trainer(program, optimizer=rg.Adam(LEARNING_RATE), clip_norm=CLIP_NORM)
    examples = {x: data["train_x"], lengths: data["train_lengths"], labels: data["train_labels"]}
    trainer.fit(examples, batch_size=BATCH, epochs=epochs, bucket=False, progress=False)
    scores = program.inference(x=data["test_x"], lengths=data["test_lengths"])["logits"]
    return float((scores.argmax(axis=-1) == data["test_labels"]).mean())


def torch_net(torch: Any, net: Net, inputs: int) -> Any:
    """Return a net as a torch module: a function of inputs [batch, time, inputs] and lengths that returns logits."""

    class Stack(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [inputs, *[UNITS] * (LAYERS - 1)]
            kind = getattr(torch.nn, net.cell)
            self.layers = torch.nn.ModuleList(kind(width, UNITS, batch_first=True) for width in widths)
            self.dense = torch.nn.Linear(UNITS, SPEAKERS)
            for layer in self.layers:
                initialize_recurrent(torch, layer)
            initialize_dense(torch, self.dense)

        def forward(self, x: Any, lengths: Any) -> Any:
            for layer in self.layers:
                x, _ = layer(torch.nn.functional.dropout(x, 1 - net.keep_prob, self.training))
            return self.dense(x[torch.arange(len(x)), lengths - 1])

    return Stack()


def torchs(net: Net, data: Arrays, epochs: int, seed: int) -> float:
    """Return the test accuracy of the net trained by torch."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    module = torch_net(torch, net, data["train_x"].shape[2])
    optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
    tensors = {name: torch.from_numpy(array) for name, array in data.items()}
    for _ in range(epochs):
        for rows in torch.randperm(len(tensors["train_x"])).split(BATCH):
            scores = module(tensors["train_x"][rows], tensors["train_lengths"][rows])
            loss = torch.nn.functional.cross_entropy(scores, tensors["train_labels"][rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
            optimizer.step()
    module.eval()
    with torch.inference_mode():
        scores = module(tensors["test_x"], tensors["test_lengths"])
    return float((scores.argmax(-1) == tensors["test_labels"]).float().mean())


def percent(values: list[float]) -> str:
    """Format the mean ± standard deviation of accuracies as percentages."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.2f} ± {100 * spread:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*", help="only nets whose name contains one of these")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--only", choices=("rnngraph", "torch"), help="one of the two sides")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    sides: dict[str, Callable[[Net, Arrays, int, int], float]] = {"rnngraph": ours, "torch": torchs}
    if options.only is not None:
        sides = {options.only: sides[options.only]}
    if "torch" in sides and importlib.util.find_spec("torch") is None:
        del sides["torch"]
    data = load()

    console, report = Console(highlight=False), []
    table = Table("net", *(f"{side} %" for side in sides), "gap", *(f"{side} s" for side in sides))
    for net in NETS:
        if options.nets and not any(part in net.name for part in options.nets):
            continue
        scores: dict[str, list[float]] = {side: [] for side in sides}
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for seed in range(options.seeds):
            for side, run in sides.items():
                began = time.perf_counter()
                scores[side].append(run(net, data, options.epochs, seed))
                seconds[side].append(time.perf_counter() - began)
                console.print(f"{net.name}, seed {seed}, {side}: {scores[side][-1]:.2%} in {seconds[side][-1]:.1f} s")
        means = [statistics.mean(values) for values in scores.values()]
        table.add_row(
            net.name,
            *(percent(values) for values in scores.values()),
            f"{100 * (means[0] - means[1]):+.2f}" if len(means) == 2 else "",
            *(f"{statistics.median(values):.1f}" for values in seconds.values()),
        )
        report.append({"net": net.name, "accuracy": scores, "seconds": seconds})
    console.print(table)
    console.print(f"accuracy on the test part, mean ± standard deviation over {options.seeds} seeds; seconds a run")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
