"""Initial values of parameters. Each is a function of (shape, generator) and depends on nothing else."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError

Initializer = Callable[[tuple[int, ...], np.random.Generator], Any]


def zeros(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    return np.zeros(shape)


def ones(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    return np.ones(shape)


def constant_initializer(value: Any) -> Initializer:
    def initialize(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return np.broadcast_to(np.asarray(value, np.float64), shape)

    return initialize


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2:
        return (math.prod(shape) or 1,) * 2
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def glorot_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    limit = math.sqrt(6.0 / max(1, sum(_fans(shape))))
    return generator.uniform(-limit, limit, shape)


def uniform(limit: float) -> Initializer:
    def initialize(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.uniform(-limit, limit, shape)

    return initialize


def normal(deviation: float = 1.0) -> Initializer:
    def initialize(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.normal(0.0, deviation, shape)

    return initialize


def orthogonal(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    """A matrix with orthonormal rows or columns (Saxe et al. 2014)."""
    if len(shape) != 2:
        raise ArgumentError(f"an orthogonal initial value needs two axes, not shape {shape}")
    rows, columns = shape
    q, r = np.linalg.qr(generator.normal(size=(max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "glorot_uniform": glorot_uniform,
    "orthogonal": orthogonal,
}


def initializer_of(value: Any) -> Initializer:
    """An initializer from a name, a number, an array or a function."""
    if isinstance(value, str):
        if value not in INITIALIZERS:
            raise ArgumentError(f"initializer {value!r} is not known; use one of {', '.join(INITIALIZERS)}")
        return INITIALIZERS[value]
    return value if callable(value) else constant_initializer(value)


def draw(initializer: Initializer, shape: tuple[int, ...], dtype: str, seed: int, name: str) -> np.ndarray:
    """The initial value of the parameter ``name``: it depends on (seed, name) alone."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
    value = np.asarray(initializer(shape, generator), dtype=dtype)
    if value.shape != shape:
        raise ArgumentError(f"the initializer of {name} gave shape {value.shape}, not {shape}")
    return np.asarray(value, order="C")  # ascontiguousarray would give a scalar an axis
