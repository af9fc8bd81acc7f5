"""Estimate the cycles of the matrix products' inner loops on other processors, by LLVM's models of them.

    apt install llvm-19                    # llvm-mca; from version 16 on it knows the Neoverse V2
    python benchmarks/cycles.py [--mca llvm-mca-19] [--only TEXT]

A loop is optimal if it takes no more cycles than its multiply-adds alone would without dependencies. All reads count as
hits in L1, and code before and after a loop is not counted; only a measurement on a machine shows these costs.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import rnngraph as rg

WANTED = 0.85
TURNS = 200
OTHER_ARITHMETIC = re.compile(r"^(v?(add|sub|mul|div)ps|f(add|sub|mul|div)|v(add|sub|mul|div)\.f32)\s", re.MULTILINE)
"""Arithmetic instructions that occur in epilogues, but not in a tile's loop over k."""


@dataclass(frozen=True)
class Processor:
    """Processor that llvm-mca knows, which runs code for ``target``.

    Attributes:
        multiply_add: Regular expression of multiply-add instructions, with a group for the accumulator register.
        alone: A multiply-add instruction that accumulates in register {0}.
        sums: Number of accumulators, enough that no instruction waits for another.
    """

    name: str
    target: str
    arch: str
    multiply_add: str
    alone: str
    sums: int


def _arm(name: str) -> Processor:
    return Processor(name, "aarch64-linux", "aarch64", r"fmla\s+(v\d+)", "fmla v{0}.4s, v30.4s, v31.s[0]", 30)


def _x86(name: str) -> Processor:
    alone = "vfmadd231ps %ymm14, %ymm15, %ymm{0}"
    return Processor(name, "x86-64-v3", "x86-64", r"vfn?madd\d+ps\s.*(%ymm\d+)$", alone, 14)


PROCESSORS = (
    _arm("neoverse-v2"),
    _arm("apple-m1"),
    _arm("cortex-a72"),
    Processor(
        "cortex-m7", "thumbv7em-none-eabihf", "thumb", r"v(?:fma|mla)\.f32\s+(s\d+)", "vfma.f32 s{0}, s30, s31", 30
    ),
    _x86("haswell"),
    _x86("skylake"),
    _x86("znver3"),
)


def _layer(cell: rg.Cell, batch: int, inputs: int) -> rg.Tensor:
    return rg.dynamic_rnn(cell, rg.placeholder("x", (batch, None, inputs)))[0]


def _keys(count: int, rows: int, depth: int, columns: int) -> rg.Tensor:
    keys = rg.placeholder("keys", (count, columns, depth))
    return rg.placeholder("queries", (count, rows, depth)) @ rg.transpose(keys, (0, 2, 1))


NETS: dict[str, Callable[[], rg.Tensor]] = {
    "LSTM 64, 1 row": lambda: _layer(rg.LSTMCell(64), 1, 64),
    "LSTM 64, 8 rows": lambda: _layer(rg.LSTMCell(64), 8, 64),
    "LSTM 256, 32 rows": lambda: _layer(rg.LSTMCell(256), 32, 256),
    "GRU 100, 8 rows": lambda: _layer(rg.GRUCell(100), 8, 25),
    "dense 128 to 100, 32 rows": lambda: rg.dense(rg.placeholder("x", (32, 128)), 100),
    "convolution of 3 steps, 64": lambda: rg.conv1d(rg.placeholder("x", (8, 100, 64)), 64, 3, "valid"),
    "matrices [32,25,64] [32,64,25]": lambda: rg.placeholder("a", (32, 25, 64)) @ rg.placeholder("b", (32, 64, 25)),
    "keys, [128,1,64] [128,100,64]": lambda: _keys(128, 1, 64, 100),
    "keys, [32,100,64] [32,100,64]": lambda: _keys(32, 100, 64, 100),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mca", default="llvm-mca", help="the program's name")
    parser.add_argument("--only", default="", help="processors or nets whose names have this text")
    options = parser.parse_args()
    if shutil.which(options.mca) is None:
        parser.error(f"{options.mca} is not installed: apt install llvm")
    print(f"The loop over k with the most sums, its multiply-adds, cycles, and how far it is used; wanted: {WANTED}\n")
    print("| processor | net | sums | multiply-adds | cycles | used | |\n|---|---|---|---|---|---|---|")
    for processor in PROCESSORS:
        peak = _peak(options.mca, processor)
        for name, net in NETS.items():
            if options.only in processor.name or options.only in name:
                _row(options.mca, processor, peak, name, _assembly(net, processor.target))


def _row(mca: str, processor: Processor, peak: float, name: str, assembly: str) -> None:
    bodies = [body for body in inner_loops(assembly) if not OTHER_ARITHMETIC.search(body)]
    sums = {body: re.findall(processor.multiply_add, body, re.MULTILINE) for body in bodies}
    body = max(sums, key=lambda body: len({*sums[body]}))
    cycles, count = _cycles(mca, processor, body), len(sums[body])
    used = count / peak / cycles
    figures = f"{len({*sums[body]})} | {count} | {cycles:.1f} | {used:.2f} | {'' if used >= WANTED else 'below'}"
    print(f"| {processor.name} | {name} | {figures} |", flush=True)


@lru_cache(maxsize=1)
def _assembly(net: Callable[[], rg.Tensor], target: str) -> str:
    return rg.compile(net(), target=target).inference.show("asm")


def _peak(mca: str, processor: Processor) -> float:
    """Return the maximum number of multiply-add instructions per cycle."""
    return processor.sums / _cycles(mca, processor, "\n".join(map(processor.alone.format, range(processor.sums))))


def _cycles(mca: str, processor: Processor, body: str) -> float:
    """Return the cycles of one iteration of a loop in its steady state."""
    quiet = "-instruction-info=false", "-resource-pressure=false", f"-march={processor.arch}", f"-mcpu={processor.name}"

    def total(turns: int) -> int:
        command = [mca, *quiet, f"-iterations={turns}"]
        text = subprocess.run(command, input=body, capture_output=True, text=True, check=True)
        if "not a recognized processor" in text.stderr:
            raise SystemExit(f"{mca} does not know the {processor.name}; a newer one may")
        return int(re.findall(r"Total Cycles:\s+(\d+)", text.stdout)[0])

    return (total(2 * TURNS) - total(TURNS)) / TURNS


def inner_loops(assembly: str) -> Iterator[str]:
    """Yield the instructions of every innermost loop."""
    labels: dict[str, int] = {}
    lines: list[str] = []
    last_head = 0  # a loop that begins before this line and ends after it contains another loop
    for line in assembly.splitlines():
        text = line.split("#" if "%" in line else "//")[0].split("@ ")[0].strip()
        if re.fullmatch(r"[\w.$]+:", text):
            labels[text[:-1]] = len(lines)
        elif text and not text.startswith("."):
            lines.append(text)
            words = text.replace(",", " ").split()
            head = labels.get(words[-1]) if re.match(r"(j|b|cb|tb)", words[0]) else None
            if head is not None and head >= last_head:
                yield "\n".join(lines[head:])
                last_head = len(lines)


if __name__ == "__main__":
    main()
