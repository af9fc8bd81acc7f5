"""Measure steps of an exported net that C calls: median, 99.9th percentile and maximum of a million steps.

    python benchmarks/export_steps.py [--steps 1000000] [--rounds 3] [--only LSTM] [--markdown]

Needs a C compiler, `cc`, or the one that `--compiler` names. Nets have one layer and one row, and the object file
contains their weights. export_steps.c measures on one pinned core.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

import rnngraph as rg

CELLS = {"LSTM": rg.BasicLSTMCell, "GRU": rg.GRUCell}
UNITS = (8, 16, 32, 64)

COLUMNS = ("step, in a loop", "a step of blocks of 64", "single: median", "99.9 %", "worst", "worst / median")


def build(cell: str, inputs: int, units: int, folder: Path, compiler: str) -> Path:
    """Export a net, and return the program that times it."""
    x = rg.placeholder("x", shape=(None, None, inputs))
    outputs, _ = rg.dynamic_rnn(CELLS[cell](units), x)
    program = rg.compile({"y": outputs}, cache=False, seed=0)
    program.inference.export(folder, "net", link=False)
    source = Path(__file__).with_suffix(".c")
    flags = ["-O2", "-std=c99", f"-I{folder}"]
    subprocess.run([compiler, *flags, str(source), str(folder / "net.o"), "-o", str(folder / "steps")], check=True)
    return folder / "steps"


def measured(program: Path, steps: int, rounds: int) -> list[float]:
    """Return the table's columns, medians over rounds (maxima for worst steps), and the machine's longest pause."""
    runs = []
    for _ in range(rounds):
        done = subprocess.run([program, str(steps)], check=True, capture_output=True, text=True)
        runs.append([float(word) for word in done.stdout.split()])
    columns = list(zip(*runs, strict=True))
    return [*map(statistics.median, columns[:4]), max(columns[4]), max(columns[5])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=CELLS)
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--markdown", action="store_true", help="a table for Markdown")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    table = Table("net", *COLUMNS, box=box.MARKDOWN if options.markdown else box.SIMPLE)
    machine_worst = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        nets = [
            (cell, inputs, units)
            for cell in ([options.only] if options.only else CELLS)
            for units in UNITS
            for inputs in (1, units)
        ]
        programs = {net: build(*net, Path(temporary) / f"{net}", options.compiler) for net in nets}
        for (cell, inputs, units), program in programs.items():
            loop, block, single, high, worst, machine = measured(program, options.steps, options.rounds)
            machine_worst = max(machine_worst, machine)
            figures = [f"{value:.0f}" for value in (loop, block, single, high)]
            table.add_row(f"{cell} I{inputs} H{units}", *figures, f"{worst:,.0f}", f"{worst / single:,.0f}")
    console = Console(width=160 if options.markdown else None, highlight=False)
    console.print(f"nanoseconds a step; {platform.processor() or platform.machine()}; {options.steps:,} single steps")
    console.print(table)
    console.print(f"the longest gap between two readings of the clock with nothing between them: {machine_worst:,.0f}")


if __name__ == "__main__":
    main()
