"""Group that compares steps of nets with block-sparse weights with the same nets in dense form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from timing import Times, measure, median, ratio, spread

import rnngraph as rg

from .basis import OWN, Options, Record, factor, microseconds

DENSE, NOTHING = "dense", "nothing"
"""Further contenders: dense weights; and weights that are all zero, whose time is the cost of a step without blocks."""
BLOCK = (4, 8)


@dataclass(frozen=True)
class Sparse:
    """Step of a GRU with as many inputs as units.

    Attributes:
        density: Share of the weights' blocks that are not zero.
    """

    units: int
    density: float
    weights: str = "float32"
    batch: int = 1

    @property
    def name(self) -> str:
        return f"GRU B{self.batch} H{self.units} {self.weights} {self.density:.0%}"


DENSITIES = (0.5, 0.25, 0.1, 0.05)
ROWS = (
    *(Sparse(units, density) for units in (256, 480, 1024, 2048) for density in DENSITIES),
    *(Sparse(480, density, weights) for weights in ("bfloat16", "int8") for density in DENSITIES),
    *(Sparse(480, density, batch=batch) for batch in (4, 32) for density in DENSITIES),
)


def sparse(options: Options) -> Iterator[Record]:
    for row in ROWS:
        if options.wants(row.name):
            yield {"row": row.name, "figures": {"density": row.density}, "times": _times(row, options.rounds)}


def _times(row: Sparse, rounds: int) -> Times:
    units, generator = row.units, np.random.default_rng(0)
    x = rg.placeholder("x", (None, None, units))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(units), x)
    dense = rg.compile(outputs, weights=row.weights)
    for name, array in list(dense.parameters.items()):
        if array.ndim == 2:
            dense.parameters[name] = array * _left(array.shape, row.density, generator)
    programs = {OWN: rg.compile(outputs, parameters=dense, weights=row.weights, sparse=True), DENSE: dense}
    nothing = programs[NOTHING] = rg.compile(outputs, weights=row.weights, sparse=True)
    for name, array in list(nothing.parameters.items()):
        nothing.parameters[name] = np.zeros_like(array)
    fed, calls = generator.normal(size=(row.batch, units)).astype(np.float32), {}
    for name, program in programs.items():
        stream = program.inference.stream(batch=row.batch)
        calls[name] = lambda stream=stream: stream.step(x=fed)
    return measure(calls, None, rounds)


def _left(shape: tuple[int, ...], density: float, generator: np.random.Generator) -> np.ndarray:
    """Return a mask of ``shape``: 1 in a random share ``density`` of the blocks, 0 elsewhere."""
    rows, columns = BLOCK
    blocks = generator.random((-(-shape[0] // rows), -(-shape[1] // columns))) < density
    return np.repeat(np.repeat(blocks, rows, 0), columns, 1)[: shape[0], : shape[1]].astype(np.float32)


def sparse_cells(record: Record) -> dict[str, str]:
    times, density = record["times"], record["figures"]["density"]
    blocks, all_of, rest = (median(times, name) for name in (OWN, DENSE, NOTHING))
    return {
        "dense µs": microseconds(median(times, DENSE)),
        "sparse µs": microseconds(median(times, OWN)),
        "spread": f"{spread(times, OWN):.0%}",
        "times as fast": factor(ratio(times, DENSE, OWN)),
        "over density": f"{ratio(times, OWN, DENSE) / density:.2f}",
        "of blocks alone": f"{(blocks - rest) / (all_of - rest) / density:.2f}",
    }
