"""Compare a step of an exported net with the fastest of RTNeural's builds, in one C++ process.

    git clone https://github.com/jatinchowdhury18/RTNeural && git clone https://github.com/xtensor-stack/xsimd
    python benchmarks/rtneural.py RTNeural --xsimd xsimd [--rounds 50] [--only GRU] [--markdown]

Needs a C++ compiler, `c++`, or those that `--compilers` names. A net is one layer with fixed sizes, for which RTNeural
is fastest; its builds differ in backend, vector width, flags and compiler. rtneural.cpp measures them.

All are compiled before the first measurement. With `--folder` they are stored there and not compiled again. `--compile`
only compiles, so that a busy machine can compile and an idle one measure.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import rnngraph as rg

LAYERS = {"LSTM": ("LSTMLayerT", 4, 1), "GRU": ("GRULayerT", 3, 2)}
"""RTNeural's class, number of gates, and rows of biases."""
FLAGS = (["-O3"], ["-O3", "-ffast-math"], ["-O3", "-ffast-math", "-mprefer-vector-width=512"])
ALIGNMENTS = {"STL": (32,), "Eigen": (32,), "xsimd": (32, 64)}
"""Alignments in bytes by backend. xsimd fails if they are less than a vector's; Eigen's code supports no more."""
CLOSE = 2e-3
"""Tolerance of outputs, because RTNeural's backends round tanh and sigmoid differently."""


class Net(NamedTuple):
    """One layer."""

    cell: str
    inputs: int
    units: int

    @property
    def name(self) -> str:
        return f"{self.cell} I{self.inputs} H{self.units}"


NETS = [
    Net(cell, inputs, units) for cell in ("LSTM", "GRU") for units in (8, 16, 20, 32, 40, 64) for inputs in (1, units)
]


class Built(NamedTuple):
    """Measurements of one build of RTNeural.

    They are nanoseconds for a step of rnngraph and of RTNeural, their ratio, and the difference of the outputs.
    """

    name: str
    ours: float
    theirs: float
    ratio: float
    difference: float


def exported(net: Net, folder: Path) -> None:
    """Export a net, and write its weights in Keras's form to the same folder."""
    cell, inputs, units = net
    x = rg.placeholder("x", shape=(None, None, inputs))
    rnn_cell = rg.LSTMCell(units) if cell == "LSTM" else rg.GRUCell(units, reset_after=True)
    outputs, _ = rg.dynamic_rnn(rnn_cell, x, scope="layer")
    program = rg.compile({"y": outputs}, cache=False, seed=0)
    numbers = np.random.default_rng(0)
    for name, array in program.parameters.items():
        program.parameters[name] = numbers.normal(size=array.shape).astype(np.float32) / np.sqrt(units)
    program.inference.export(folder, "net", link=False)
    own = {name.partition("/")[2].partition("/")[2]: array for name, array in program.parameters.items()}
    (folder / "weights").write_bytes(b"".join(array.tobytes() for array in rg.weights.to_keras(rnn_cell, own)))


def builds(options: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """Return the name and the compiler's arguments of each build."""
    backends = {"STL": ["-DRTNEURAL_USE_STL=1"]}
    backends["Eigen"] = [
        "-DRTNEURAL_USE_EIGEN=1",
        "-DEIGEN_STACK_ALLOCATION_LIMIT=0",
        f"-I{options.source}/modules/Eigen",
    ]
    if options.xsimd:
        backends["xsimd"] = ["-DRTNEURAL_USE_XSIMD=1", f"-I{options.xsimd}/include"]
    commands = []
    for compiler, (backend, words), flags in itertools.product(options.compilers.split(","), backends.items(), FLAGS):
        for align in ALIGNMENTS[backend]:
            name = f"{compiler} {backend} {' '.join(flags)} align {align}"
            aligned = f"-DRTNEURAL_DEFAULT_ALIGNMENT={align}"
            commands.append((name, [compiler, *flags, *words, aligned, f"-I{options.source}"]))
    return commands


def compiled(net: Net, folder: Path, name: str, compiler: list[str]) -> Path | None:
    """Return the program that times one build; None if the compiler rejects it."""
    program = folder / re.sub(r"\W+", "_", name)
    if program.exists():
        return program
    cell, inputs, units = net
    layer, gates, biases = LAYERS[cell]
    sizes = {"LAYER": layer, "INPUTS": inputs, "UNITS": units, "GATES": gates, "BIASES": biases}
    words = [f"-D{name}={value}" for name, value in sizes.items()]
    half = program.with_suffix(".part")
    done = subprocess.run(
        [
            *compiler,
            "-std=c++17",
            "-march=native",
            *words,
            f"-I{folder}",
            str(Path(__file__).with_suffix(".cpp")),
            str(folder / "net.o"),
            "-o",
            str(half),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        warnings.warn(f"{name} of {net.name} doesn't compile: {done.stderr[:300]}", stacklevel=2)
        return None
    return half.replace(program)


def timed(program: Path, name: str, rounds: int) -> Built | None:
    """Return the measurements of a build; None if it doesn't run or computes something else."""
    process = subprocess.run(
        [program, str(program.parent / "weights"), str(rounds)], capture_output=True, text=True, check=False
    )
    if process.returncode:
        warnings.warn(f"{name} in {program.parent.name} ends with {process.returncode}", stacklevel=2)
        return None
    built = Built(name, *map(float, process.stdout.split()))
    if built.difference >= CLOSE:
        warnings.warn(f"{name} in {program.parent.name} differs by {built.difference} and is left out", stacklevel=2)
        return None
    return built


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a checkout of RTNeural")
    parser.add_argument("--xsimd", type=Path, help="a checkout of xsimd")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--only", nargs="+", help="nets whose names have one of these words in them")
    parser.add_argument("--compilers", default="c++")
    parser.add_argument("--markdown", action="store_true", help="a table for Markdown")
    parser.add_argument("--folder", type=Path, help="where compiled programs stay")
    parser.add_argument("--compile", action="store_true", help="compile, and time nothing")
    options = parser.parse_args()
    nets = [net for net in NETS if not options.only or any(word in net.name for word in options.only)]
    with contextlib.ExitStack() as stack:
        kept = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        programs = compile_all(nets, builds(options), kept.resolve())
        if not options.compile:
            show(nets, programs, options)


def compile_all(nets: list[Net], of_each: list[tuple[str, list[str]]], kept: Path) -> dict[Net, dict[str, Path]]:
    """Compile all builds, and return the programs by net and build."""
    folders = {net: kept / net.name.replace(" ", "_") for net in nets}
    for net, folder in folders.items():
        if not (folder / "weights").exists():
            folder.mkdir(parents=True, exist_ok=True)
            exported(net, folder)
    jobs = list(itertools.product(nets, of_each))
    with ThreadPoolExecutor(os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) as pool:
        compiled_programs = pool.map(lambda job: compiled(job[0], folders[job[0]], *job[1]), jobs)
    by_net: dict[Net, dict[str, Path]] = {net: {} for net in nets}
    for (net, (name, _)), program in zip(jobs, compiled_programs, strict=True):
        if program is not None:
            by_net[net][name] = program
    return by_net


def show(nets: list[Net], programs: dict[Net, dict[str, Path]], options: argparse.Namespace) -> None:
    """Print a line for each net as soon as it is measured, and all of them at the end."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    table = Table(
        "net",
        "rnngraph ns",
        "RTNeural ns",
        "its over ours",
        "its best build",
        box=box.MARKDOWN if options.markdown else box.SIMPLE,
    )
    for net in nets:
        measurements = [timed(program, name, options.rounds) for name, program in programs[net].items()]
        best = min(filter(None, measurements), key=lambda item: item.theirs)
        row = (net.name, f"{best.ours:.0f}", f"{best.theirs:.0f}", f"{best.ratio:.2f}", best.name)
        table.add_row(*row)
        print(*row, file=sys.stderr, flush=True)
    Console(width=160 if options.markdown else None, highlight=False).print(table)


if __name__ == "__main__":
    main()
