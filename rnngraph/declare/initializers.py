"""Initializers of parameters: pure functions of (shape, generator)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ..support.api_guard import taking
from ..support.arguments import refuse_mask
from ..support.errors import ArgumentError, DtypeError, GraphError, RnnGraphError, Where, shown
from ..support.records import dataclass
from .public_types import dtype_word

Initializer = Callable[[tuple[int, ...], np.random.Generator], Any]
DEFAULT_INITIALIZER = "glorot_uniform"
"""Initializer of parameters whose declaration names none."""


def zeros(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    return np.zeros(shape)


def ones(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    return np.ones(shape)


@dataclass(frozen=True, eq=False)
class Constant:
    """Initializer that broadcasts a number or an array to the shape of the parameter."""

    value: Any

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return np.broadcast_to(np.asarray(self.value, np.float64), shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (fan in, fan out) of a kernel, whose last two axes are input and output.

    With fewer axes, both are the number of elements.
    """
    if len(shape) < 2:
        return (math.prod(shape) or 1,) * 2
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def glorot_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    """Draw from the uniform distribution on ±sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010)."""
    limit = math.sqrt(6.0 / max(1, sum(fans(shape))))
    return generator.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class Uniform:
    """Initializer that draws from the uniform distribution on [low, high)."""

    low: float
    high: float

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Normal:
    """Initializer that draws from the normal distribution."""

    mean: float = 0.0
    deviation: float = 1.0

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.normal(self.mean, self.deviation, shape)


@dataclass(frozen=True)
class TruncatedNormal:
    """Initializer that draws from the normal distribution, and redraws values beyond two standard deviations."""

    mean: float = 0.0
    deviation: float = 1.0

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        values = generator.normal(size=shape)
        while np.any(outside := np.abs(values) > 2):
            values[outside] = generator.normal(size=int(outside.sum()))
        return self.mean + self.deviation * values


def orthogonal(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    """Draw a matrix with orthonormal columns, or rows if it has more columns than rows (Saxe et al. 2014)."""
    if len(shape) != 2:
        raise ArgumentError(f"an orthogonal initial value needs two axes, not shape {shape}")
    rows, columns = shape
    q, r = np.linalg.qr(generator.normal(size=(max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T


@dataclass(frozen=True)
class Orthogonal:
    """Initializer that multiplies the matrix of ``orthogonal`` by ``gain``."""

    gain: float = 1.0

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return self.gain * orthogonal(shape, generator)


@dataclass(frozen=True)
class Lost:
    """Stand-in for a user's initializer function, which a saved program cannot contain. Calls raise ``GraphError``."""

    parameter: str
    function: str

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        raise GraphError(
            f"{self.parameter} can't be drawn anew: its initializer, {self.function}, is a function of the script that "
            f"saved this program, and a file holds no code; assign program.parameters[{self.parameter!r}] instead"
        )


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "glorot_uniform": glorot_uniform,
    "orthogonal": orthogonal,
}


def initializer_of(value: Any) -> Initializer:
    """Convert a name, a number, an array or a function to an initializer."""
    if isinstance(value, str) and dtype_word(value) is None:
        if value not in INITIALIZERS:
            raise ArgumentError(f"initializer {shown(value)} is not known; use one of {', '.join(INITIALIZERS)}")
        return INITIALIZERS[value]
    if callable(value) and dtype_word(value) is None:
        function: Initializer = taking(value, "an initializer", "shape", "generator")
        return function
    refuse_mask(value, "an initializer")
    if (word := dtype_word(value)) is not None:
        raise DtypeError(
            f"an initializer is expected here, not the dtype {word}; to set the dtype, write dtype={word!r}"
        )
    try:
        is_number = not isinstance(value, bool) and np.asarray(value).dtype.kind in "fiub"
    except (ValueError, TypeError):  # rows of different lengths, a Tensor
        is_number = False
    if not is_number:
        raise DtypeError(
            f"an initializer is a name, a number, an array or a function of (shape, generator), not {shown(value)}"
        )
    return Constant(value)


WITH_NUMBERS = {kind.__name__: kind for kind in (Constant, Uniform, Normal, TruncatedNormal, Orthogonal)}


def initializer_text(initializer: Initializer) -> dict[str, Any] | None:
    """Return an initializer as a JSON object; None for users' functions and array arguments."""
    for name, function in INITIALIZERS.items():
        if initializer is function:
            return {"name": name}
    if type(initializer) not in WITH_NUMBERS.values():
        return None
    numbers = asdict(initializer)  # type: ignore[call-overload]
    if any(not isinstance(number, int | float | np.number) for number in numbers.values()):
        return None
    plain = {key: number.item() if isinstance(number, np.number) else number for key, number in numbers.items()}
    return {"name": type(initializer).__name__, **plain}


def initializer_from(text: Mapping[str, Any]) -> Initializer:
    """Return the initializer that ``initializer_text`` wrote. Raise ``ValueError`` for anything else."""
    numbers = dict(text)
    name = numbers.pop("name", None)
    if name in INITIALIZERS and not numbers:
        return INITIALIZERS[name]
    kind: Any = WITH_NUMBERS.get(name)
    if kind is None or not all(isinstance(number, int | float) for number in numbers.values()):
        raise ValueError(f"unknown initializer {dict(text)!r}")
    initializer: Initializer = kind(**numbers)
    return initializer


def draw(
    initializer: Initializer, shape: tuple[int, ...], dtype: str, seed: int, name: str, where: Where | None = None
) -> np.ndarray:
    """Draw the initial value of a parameter, a pure function of (seed, name).

    Args:
        initializer: Function of (shape, generator).
        shape: Shape of the parameter.
        dtype: Dtype of the result.
        seed: Seed of the program.
        name: Full name of the parameter.
        where: Line of the parameter's declaration, for errors.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
    try:
        drawn = initializer(shape, generator)
        refuse_mask(drawn, f"the array that the initializer of {name} returns", where)
        value = np.asarray(drawn, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, RnnGraphError):
            raise
        raise ArgumentError(f"the initializer of {name} returns no array of shape {shape}: {error}", where) from error
    if value.shape != shape:
        raise ArgumentError(f"the initializer of {name} returns shape {value.shape}; return {shape}", where)
    return np.asarray(value, order="C")  # ascontiguousarray would give a scalar an axis
