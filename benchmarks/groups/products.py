"""Group that compares products of matrices with NumPy's and torch's, with and without a transposed right operand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from floors import matrices_seconds
from timing import fastest, measure
from workloads import Call

import rnngraph as rg

from .basis import OWN, Options, Record


@dataclass(frozen=True)
class Matrices:
    """Product of [count, rows, depth] and [count, depth, columns].

    Attributes:
        turned: True if the right operand is stored as [count, columns, depth], and so is transposed by the product.
    """

    count: int
    rows: int
    depth: int
    columns: int
    turned: bool = False

    @property
    def name(self) -> str:
        last = (self.columns, self.depth) if self.turned else (self.depth, self.columns)
        return f"[{self.count},{self.rows},{self.depth}] [{self.count},{last[0]},{last[1]}]{' turned' * self.turned}"

    def operands(self) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(0)
        last = (self.columns, self.depth) if self.turned else (self.depth, self.columns)
        shapes = (self.count, self.rows, self.depth), (self.count, *last)
        left, right = (generator.normal(size=shape).astype(np.float32) for shape in shapes)
        return left, right

    def seconds(self) -> dict[str, float]:
        """Return the floor in seconds, by name."""
        return matrices_seconds(self.count, self.rows, self.depth, self.columns)


SIZES = ((32, 25, 64, 25), (128, 1, 64, 100), (32, 100, 64, 100), (8, 128, 256, 512), (32, 7, 17, 25))
ROWS = tuple(Matrices(*size, turned=turned) for size in SIZES for turned in (False, True))


def products(options: Options) -> Iterator[Record]:
    for row in ROWS:
        if options.wants(row.name):
            contenders = {OWN: fastest(*ours(row)), "numpy": numpys(row)}
            if "torch" in options.peers:
                left, right = row.operands()
                contenders["torch"] = options.peers["torch"].matrices(left, right, row.turned)
            yield {"row": row.name, "times": measure(contenders, row.seconds, options.rounds)}


def ours(row: Matrices) -> list[Call]:
    """Return two variants of a call: with a new result array, and with the caller's."""
    left, right = row.operands()
    a, b = rg.placeholder("a", left.shape), rg.placeholder("b", right.shape)
    inference = rg.compile(a @ (rg.transpose(b, (0, 2, 1)) if row.turned else b)).inference
    out = inference(a=left, b=right)
    return [lambda: inference(a=left, b=right), lambda: inference(a=left, b=right, out=out)]


def numpys(row: Matrices) -> Call:
    left, right = row.operands()
    out = np.empty((row.count, row.rows, row.columns), np.float32)
    return lambda: np.matmul(left, right.swapaxes(1, 2) if row.turned else right, out=out)
