"""Compare an exported net's time for a sample with that of Neural Amp Modeler's core, in one C++ process.

    git clone --recurse-submodules https://github.com/sdatkinson/NeuralAmpModelerCore
    python benchmarks/nam_core.py NeuralAmpModelerCore [--eigen FOLDER] [--rounds 50] [--markdown]

Needs a C++20 compiler, `c++`, or the one that `--compiler` names; the core takes some minutes to compile. Nets are .nam
files of LSTMs with random weights, which both read. nam_core.cpp measures blocks of 64 samples.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import rnngraph as rg

NETS = ((1, 3), (1, 8), (1, 16), (1, 24), (2, 8), (2, 16), (2, 24), (3, 12))
"""(Layers, units) of the nets."""
FLAGS = ["-O3", "-march=native", "-std=c++20", "-DNAM_SAMPLE_FLOAT"]
CLOSE = 1e-4


def file(layers: int, units: int) -> str:
    """Return a .nam file with random weights."""
    numbers, arrays = np.random.default_rng(3), []
    for layer in range(layers):
        wide = (1 if layer == 0 else units) + units
        arrays += [(4 * units, wide), (4 * units,), (units,), (units,)]
    weights = [float(number) for shape in (*arrays, (units,), (1,)) for number in numbers.normal(0, 0.2, shape).ravel()]
    config = {"input_size": 1, "hidden_size": units, "num_layers": layers}
    return json.dumps(
        {"version": "0.5.4", "architecture": "LSTM", "config": config, "weights": weights, "sample_rate": 48_000}
    )


def run(words: Sequence[str | Path]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{words[0]} ends with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("core", type=Path, help="a checkout of NeuralAmpModelerCore")
    parser.add_argument("--eigen", type=Path, help="a checkout of Eigen (default: the core's own)")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--markdown", action="store_true", help="a table for Markdown")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    table = Table(
        "net",
        "rnngraph ns a sample",
        "core ns",
        "its over ours",
        "its fast tanh over ours",
        "largest difference",
        box=box.MARKDOWN if options.markdown else box.SIMPLE,
    )
    core, eigen = options.core, options.eigen or options.core / "Dependencies" / "eigen"
    includes = [f"-I{folder}" for folder in (core, core / "Dependencies" / "nlohmann", eigen)]
    with tempfile.TemporaryDirectory() as temporary:
        objects = []
        for source in sorted([*core.glob("NAM/*.cpp"), *core.glob("NAM/wavenet/*.cpp")]):
            objects.append(Path(temporary) / f"{source.parent.name}_{source.stem}.o")
            run([options.compiler, *FLAGS, *includes, "-c", source, "-o", objects[-1]])
        for layers, units in NETS:
            folder = Path(temporary) / f"{layers}x{units}"
            folder.mkdir()
            (folder / "net.nam").write_text(file(layers, units))
            rg.read_nam(folder / "net.nam").program(cache=False).inference.export(folder, "net", link=False)
            driver = Path(__file__).with_suffix(".cpp")
            net = [f"-I{folder}", driver, *objects, folder / "net.o", "-o", folder / "blocks"]
            run([options.compiler, *FLAGS, *includes, *net])
            ours, theirs, ratio, difference = map(
                float, run([folder / "blocks", folder / "net.nam", str(options.rounds)]).split()
            )
            fast = float(run([folder / "blocks", folder / "net.nam", str(options.rounds), "fast"]).split()[2])
            if difference > CLOSE:
                raise SystemExit(f"{layers} layers of {units} differ by {difference}")
            figures = (f"{ours:.0f}", f"{theirs:.0f}", f"{ratio:.2f}", f"{fast:.2f}", f"{difference:.1g}")
            table.add_row(f"{layers} × LSTM {units}", *figures)
    Console(width=140 if options.markdown else None, highlight=False).print(table)


if __name__ == "__main__":
    main()
