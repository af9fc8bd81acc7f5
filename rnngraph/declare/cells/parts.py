"""Base class of cells that read projections of their input, and helpers for such cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...support.errors import ShapeError, StructureError
from ..cell import Cell, Scope
from ..functions.basic import expand_dims, reduce_sum, reshape, split
from ..tensor import Tensor

MIN_INITIAL_STEP, MAX_INITIAL_STEP, MIN_STEP = 1e-3, 1e-1, 1e-4
"""Range from which initial step sizes of state spaces are drawn, and their minimum (Gu and Dao 2023, section 3.6)."""


class PartsCell(Cell):
    """Base class of cells whose recurrence reads several parts, such as a key and a value.

    The cell's input is one Tensor, which is projected to the parts, or a dict or tuple of the parts themselves. A
    subclass defines ``parts``, ``_projected`` and ``_recurrence``.
    """

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Return the shape that each part has for one row, by the part's name."""
        raise NotImplementedError

    def _projected(self, p: Scope, x: Tensor) -> Sequence[Tensor]:
        """Project an input [batch, width] to the parts, in the order of ``parts``. ``p`` creates the parameters."""
        raise NotImplementedError

    def _recurrence(self, p: Scope, state: Any, *args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        """Return (output, new state) of a step. ``args`` are the parts of the input, in the order of ``parts``."""
        raise NotImplementedError

    def step(self, p: Scope, x: Any, state: Any) -> tuple[Tensor, Any]:
        values = self._projected(p, x) if isinstance(x, Tensor) else self._checked(x)
        output, new = self._recurrence(p, state, *values)
        return reshape(output, (None, self.output_size)), new

    def _checked(self, x: Any) -> list[Tensor]:
        """Return the parts in a dict or tuple, in the order of ``parts``, after a check of their names and shapes."""
        shapes = self.parts()
        items = x if isinstance(x, Mapping) else dict(zip(shapes, x, strict=False))
        if items.keys() != shapes.keys() or len(x) != len(shapes):
            needs = ", ".join(f"{name} {[*shape]}" for name, shape in shapes.items())
            has = ", ".join(map(str, x)) if isinstance(x, Mapping) else f"{len(x)} Tensors"
            raise StructureError(
                f"{self!r} reads one Tensor [batch, width], or {needs}, but its input has {has}; give one of both",
                self.where,
            )
        for name, shape in shapes.items():
            if items[name].type.shape[1:] != shape:
                raise ShapeError(
                    f"{self!r} reads {name} as [batch, {', '.join(map(str, shape))}], not {items[name]!r}; "
                    "give it in that shape"
                )
        return [items[name] for name in shapes]


def product(p: Scope, x: Tensor, widths: Sequence[int], use_bias: bool = False) -> list[Tensor]:
    """Return x @ kernel, plus a bias if ``use_bias``, cut into pieces of ``widths``. ``p`` creates the parameters."""
    total = sum(widths)
    y = x @ p.kernel("kernel", (x.width, total))
    return split(y + p.bias("bias", (total,)) if use_bias else y, widths)


def low_rank(p: Scope, name: str, x: Tensor, rank: int, width: int, activation: Any = None) -> Tensor:
    """Return activation(x @ down) @ up, with parameters ``name/down`` [inputs, rank] and ``name/up`` [rank, width]."""
    y = x @ p.kernel(f"{name}/down", (x.width, rank))
    return (y if activation is None else activation(y)) @ p.kernel(f"{name}/up", (rank, width))


def of_width(p: Scope, x: Tensor, width: int) -> Tensor:
    """Return x if its width is ``width``; else x @ kernel, with the parameter ``in_projection/kernel``."""
    return x if x.width == width else x @ p.kernel("in_projection/kernel", (x.width, width))


def by_heads(heads: int, *tensors: Tensor) -> list[Tensor]:
    """Reshape Tensors [batch, heads * width] to [batch, heads, width]."""
    return [reshape(x, (None, heads, x.width // heads)) for x in tensors]


def column(x: Tensor) -> Tensor:
    """Return x [..., n] as columns [..., n, 1]."""
    return expand_dims(x, -1)


def row(x: Tensor) -> Tensor:
    """Return x [..., n] as rows [..., 1, n]."""
    return expand_dims(x, -2)


def scalar(x: Tensor) -> Tensor:
    """Return x [...] as matrices [..., 1, 1]."""
    return expand_dims(expand_dims(x, -1), -1)


def read(state: Tensor, key: Tensor) -> Tensor:
    """Return the product of a row ``key`` [..., keys] and a matrix ``state`` [..., keys, values], as [..., values]."""
    return reduce_sum(column(key) * state, -2)


def log_of_uniform(low: float, high: float) -> Any:
    """Return an initializer that draws numbers uniformly from [low, high), and returns their logarithms."""
    return lambda shape, generator: np.log(generator.uniform(low, high, shape))


def inverse_softplus_of_steps(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    """Draw a bias whose softplus is a step size: log-uniform in the initial range, and at least MIN_STEP."""
    low, high = math.log(MIN_INITIAL_STEP), math.log(MAX_INITIAL_STEP)
    steps = np.maximum(np.exp(generator.uniform(low, high, shape)), MIN_STEP)
    return steps + np.log(-np.expm1(-steps))
