"""Compare bits per character of examples/char_lm.py trained by rnngraph and, if it is installed, by torch.

    python benchmarks/language_model.py [--seeds N] [--epochs N] [--only rnngraph|torch] [--json FILE]

Both have the example's net, text, streams, windows, carried state, dropout, learning rate, clipping and distributions
of initial values. The result is the mean over seeds of the bits per character of the held-out text, after the last
epoch.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from twins import initialize_dense, initialize_recurrent, uniform

import rnngraph as rg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import char_lm  # the example is a script in that folder, not a module of a package


def ours(epochs: int, seed: int) -> float:
    """Return the bits per held-out character of the net trained by rnngraph."""
    train, held_out = char_lm.parts()
    program = rg.compile({"logits": char_lm.logits}, loss=char_lm.loss, seed=seed)
    examples, held_out_streams = char_lm.streams(train, char_lm.STREAMS), char_lm.streams(held_out, 1)
    optimizer = rg.Adam(char_lm.learning_rate(examples, epochs))
    trainer = rg.Trainer(program, optimizer, clip_norm=char_lm.CLIP_NORM)
    trainer.fit(
        examples, batch_size=char_lm.STREAMS, window=char_lm.WINDOW, shuffle=False, epochs=epochs, progress=False
    )
    return float(program.evaluate(held_out_streams)["loss"]) / math.log(2)


def torch_net(torch: Any) -> Any:
    """Return the net as a torch module: a function of ids [batch, time] and states that returns (logits, states)."""

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            characters, widths = len(char_lm.CHARACTERS), [char_lm.WIDTH, *[char_lm.UNITS] * (char_lm.LAYERS - 1)]
            self.embedding = torch.nn.Embedding(characters, char_lm.WIDTH)
            self.layers = torch.nn.ModuleList(torch.nn.LSTM(width, char_lm.UNITS, batch_first=True) for width in widths)
            self.dense = torch.nn.Linear(char_lm.UNITS, characters)
            uniform(self.embedding.weight.data, characters + char_lm.WIDTH)
            for layer in self.layers:
                initialize_recurrent(torch, layer)
            initialize_dense(torch, self.dense)

        def forward(self, ids: Any, states: Any) -> Any:
            x, after = self.embedding(ids), []
            for layer, state in zip(self.layers, states, strict=True):
                x, state = layer(x, state)
                x = torch.nn.functional.dropout(x, 1 - char_lm.KEEP_PROB, self.training)
                after.append(tuple(part.detach() for part in state))
            return self.dense(x), after

    return Model()


def torchs(epochs: int, seed: int) -> float:
    """Return the bits per held-out character of the net trained by torch."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    train, held_out = char_lm.parts()
    examples, held_out_streams = char_lm.streams(train, char_lm.STREAMS), char_lm.streams(held_out, 1)
    rate = char_lm.learning_rate(examples, epochs)
    seen, following = (torch.from_numpy(array) for array in examples.values())
    model = torch_net(torch)
    optimizer = torch.optim.Adam(model.parameters())
    update = 0
    for _ in range(epochs):
        states: Any = [None] * char_lm.LAYERS
        for start in range(0, seen.shape[1], char_lm.WINDOW):
            window = slice(start, start + char_lm.WINDOW)
            scores, states = model(seen[:, window], states)
            loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), following[:, window].flatten())
            optimizer.param_groups[0]["lr"] = rate(update)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), char_lm.CLIP_NORM)
            optimizer.step()
            update += 1
    model.eval()
    seen, following = (torch.from_numpy(array) for array in held_out_streams.values())
    with torch.inference_mode():
        scores, _ = model(seen, [None] * char_lm.LAYERS)
        return float(torch.nn.functional.cross_entropy(scores[0], following[0])) / math.log(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=char_lm.EPOCHS)
    parser.add_argument("--only", choices=("rnngraph", "torch"), help="one of the two sides")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    sides: dict[str, Callable[[int, int], float]] = {"rnngraph": ours, "torch": torchs}
    if options.only is not None:
        sides = {options.only: sides[options.only]}
    if "torch" in sides and importlib.util.find_spec("torch") is None:
        del sides["torch"]
    console = Console(highlight=False)
    bits: dict[str, list[float]] = {side: [] for side in sides}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for seed in range(options.seeds):
        for side, run in sides.items():
            began = time.perf_counter()
            bits[side].append(run(options.epochs, seed))
            seconds[side].append(time.perf_counter() - began)
            console.print(f"seed {seed}, {side}: {bits[side][-1]:.3f} bits in {seconds[side][-1]:.0f} s")
    table = Table("side", "bits per held-out character", "seconds a run")
    for side, values in bits.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        table.add_row(side, f"{statistics.mean(values):.3f} ± {spread:.3f}", f"{statistics.median(seconds[side]):.0f}")
    console.print(table)
    if len(bits) == 2:
        mine, other = (statistics.mean(values) for values in bits.values())
        console.print(f"difference: {mine / other - 1:+.2%}")
    if options.json is not None:
        options.json.write_text(json.dumps({"bits": bits, "seconds": seconds}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
