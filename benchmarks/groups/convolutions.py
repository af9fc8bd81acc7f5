"""Group that compares convolutions over time with torch's, and with the floor: the multiply-adds at the peak rate."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from agreement import CLOSE
from floors import FLOOR, PRODUCTS, padded
from timing import measure
from workloads import Call

import rnngraph as rg
from rnngraph.inspection.profile.limits import multiply_rate

from .basis import OWN, Options, Record


@dataclass(frozen=True)
class Convolution:
    """``conv1d`` with ``padding="same"`` over [batch, time, inputs]; training computes the kernel's gradients."""

    batch: int
    time: int
    inputs: int
    filters: int
    size: int
    strides: int = 1
    groups: int = 1
    training: bool = False

    @property
    def name(self) -> str:
        shape = f"conv B{self.batch} T{self.time} I{self.inputs} F{self.filters} k{self.size} s{self.strides}"
        return f"{shape}{f' g{self.groups}' * (self.groups > 1)}{' training' * self.training}"

    def seconds(self) -> dict[str, float]:
        """Return the floor: the forward multiply-adds, and for training as many again for the kernel's gradients."""
        steps = self.batch * -(-self.time // self.strides)
        columns = self.groups * padded(self.filters // self.groups)
        if self.groups == self.inputs:
            columns = padded(self.filters)
        work = 2.0 * steps * self.size * (self.inputs // self.groups) * columns * (1 + self.training)
        return dict.fromkeys((FLOOR, PRODUCTS), work / multiply_rate())


ROWS = (
    Convolution(1, 1000, 40, 64, 5, 2),
    Convolution(32, 1000, 40, 64, 5, 2),
    Convolution(32, 1000, 40, 64, 5, 2, training=True),
    Convolution(8, 1000, 256, 256, 3),
    Convolution(8, 4000, 1, 64, 25, 4),
    Convolution(32, 1000, 64, 64, 31, groups=64),
    Convolution(32, 1000, 64, 64, 31, groups=64, training=True),
    Convolution(8, 1000, 128, 128, 5, groups=4),
)


def convolutions(options: Options) -> Iterator[Record]:
    for row in ROWS:
        if options.wants(row.name):
            calls = {OWN: _ours(row)}
            if "torch" in options.peers:
                calls |= _agreeing(row, calls[OWN], options.peers["torch"].convolution(row, *_arrays(row)))
            yield {"row": row.name, "times": measure(calls, partial(row.seconds), options.rounds)}


def _arrays(row: Convolution) -> tuple[np.ndarray, np.ndarray]:
    """Return the input and the kernel."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(row.batch, row.time, row.inputs))
    kernel = generator.normal(size=(row.size, row.inputs // row.groups, row.filters)) / np.sqrt(row.size * row.inputs)
    return x.astype(np.float32), kernel.astype(np.float32)


def _ours(row: Convolution) -> Call:
    x, kernel = _arrays(row)
    declared = rg.placeholder("x", (None, None, row.inputs))
    result = rg.conv1d(declared, row.filters, row.size, "same", use_bias=False, strides=row.strides, groups=row.groups)
    program = rg.compile({"y": result}, loss=rg.reduce_sum(rg.square(result)) if row.training else None)
    program.parameters["conv1d/kernel"] = kernel
    if row.training:
        return lambda: program.training.gradients(x=x)[1]["conv1d/kernel"]
    return lambda: program.inference(x=x)["y"]


def _agreeing(row: Convolution, own: Call, theirs: Call) -> dict[str, Call]:
    expected, actual = np.asarray(own()), np.asarray(theirs())
    difference = float(abs(actual - expected).max() / abs(expected).max())
    if difference > CLOSE:
        warnings.warn(f"torch, {row.name} differs from ours by {difference:.2g} and is left out", stacklevel=2)
        return {}
    return {"torch": theirs}
