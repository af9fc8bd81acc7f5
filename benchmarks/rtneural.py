"""What a step of an exported net takes beside RTNeural's, in C++ and in one process: the best of RTNeural's builds.

    git clone https://github.com/jatinchowdhury18/RTNeural && git clone https://github.com/xtensor-stack/xsimd
    python benchmarks/rtneural.py RTNeural --xsimd xsimd [--rounds 50] [--only GRU] [--markdown]

Needs a C++ compiler, `c++`, or those that `--compilers` names. A net is one layer with its sizes compiled in, as
RTNeural is fastest; its builds differ in backend, vector width, flags and compiler. rtneural.cpp times them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import rnngraph as rg

NETS = [(cell, inputs, units) for cell in ("LSTM", "GRU") for units in (8, 16, 20, 32, 40, 64) for inputs in (1, units)]
LAYERS = {"LSTM": ("LSTMLayerT", 4, 1), "GRU": ("GRULayerT", 3, 2)}
"""RTNeural's class, gates and rows of biases."""
FLAGS = (["-O3"], ["-O3", "-ffast-math"], ["-O3", "-ffast-math", "-mprefer-vector-width=512"])
CLOSE = 2e-3
"""Its backends round tanh and sigmoid differently."""


class Built(NamedTuple):
    """One build of RTNeural: nanoseconds of a step of ours and of its, how many times as long its takes, and by how
    much outputs differ.
    """

    name: str
    ours: float
    theirs: float
    ratio: float
    difference: float


def exported(cell: str, inputs: int, units: int, folder: Path) -> None:
    """Writes a net with the weights, in Keras's form, beside it."""
    x = rg.placeholder("x", shape=(None, None, inputs))
    made = rg.LSTMCell(units) if cell == "LSTM" else rg.GRUCell(units, reset_after=True)
    outputs, _ = rg.dynamic_rnn(made, x, scope="layer")
    program = rg.compile({"y": outputs}, cache=False, seed=0)
    numbers = np.random.default_rng(0)
    for name, array in program.parameters.items():
        program.parameters[name] = numbers.normal(size=array.shape).astype(np.float32) / np.sqrt(units)
    program.inference.export(folder, "net", link=False)
    own = {name.partition("/")[2].partition("/")[2]: array for name, array in program.parameters.items()}
    (folder / "weights").write_bytes(b"".join(array.tobytes() for array in rg.weights.to_keras(made, own)))


def builds(options: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """(name, the compiler's words) of each."""
    backends = {"STL": ["-DRTNEURAL_USE_STL=1"]}
    backends["Eigen"] = ["-DRTNEURAL_USE_EIGEN=1", f"-I{options.source}/modules/Eigen"]
    if options.xsimd:
        backends["xsimd"] = ["-DRTNEURAL_USE_XSIMD=1", f"-I{options.xsimd}/include"]
    found = []
    for compiler, (backend, words), flags, align in itertools.product(
        options.compilers.split(","), backends.items(), FLAGS, (16, 32)
    ):
        name = f"{compiler} {backend} {' '.join(flags)} align {align}"
        found.append((name, [compiler, *flags, *words, f"-DRTNEURAL_DEFAULT_ALIGNMENT={align}", f"-I{options.source}"]))
    return found


def timed(cell: str, inputs: int, units: int, folder: Path, build: tuple[str, list[str]], rounds: int) -> Built | None:
    """None where it doesn't compile or doesn't run."""
    layer, gates, biases = LAYERS[cell]
    sizes = {"LAYER": layer, "INPUTS": inputs, "UNITS": units, "GATES": gates, "BIASES": biases}
    words = [f"-D{name}={value}" for name, value in sizes.items()]
    source, program = Path(__file__).with_suffix(".cpp"), folder / "steps"
    name, compiler = build
    done = subprocess.run(
        [*compiler, "-std=c++17", "-march=native", *words, f"-I{folder}", str(source), str(folder / "net.o"),
         "-o", str(program)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        warnings.warn(f"{name} of {cell} {units} doesn't compile: {done.stderr[:300]}", stacklevel=2)
        return None
    ran = subprocess.run([program, str(folder / "weights"), str(rounds)], capture_output=True, text=True, check=False)
    if ran.returncode:
        warnings.warn(f"{name} of {cell} {units} ends with {ran.returncode}", stacklevel=2)
        return None
    return Built(name, *map(float, ran.stdout.split()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a checkout of RTNeural")
    parser.add_argument("--xsimd", type=Path, help="a checkout of xsimd")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--only", choices=LAYERS)
    parser.add_argument("--compilers", default="c++")
    parser.add_argument("--markdown", action="store_true", help="a table for Markdown")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    shown = box.MARKDOWN if options.markdown else box.SIMPLE
    table = Table("net", "rnngraph ns", "RTNeural ns", "its over ours", "its best build", box=shown)
    for cell, inputs, units in NETS:
        if options.only not in (None, cell):
            continue
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            exported(cell, inputs, units, folder)
            found = [timed(cell, inputs, units, folder, build, options.rounds) for build in builds(options)]
        right = [item for item in found if item is not None and item.difference < CLOSE]
        for item in found:
            if item is not None and item not in right:
                warnings.warn(
                    f"{item.name} of {cell} {units} differs by {item.difference} and is left out", stacklevel=2
                )
        best = min(right, key=lambda item: item.theirs)
        table.add_row(
            f"{cell} I{inputs} H{units}", f"{best.ours:.0f}", f"{best.theirs:.0f}", f"{best.ratio:.2f}", best.name
        )
    Console(width=160 if options.markdown else None, highlight=False).print(table)


if __name__ == "__main__":
    main()
