"""Random tensors, drawn anew in each run, and as initial values of variables.

Numbers of a fixed size are drawn by NumPy and fed. Where sizes are open, and within a step of a loop, the graph draws
them, as it draws masks: a graph that ``rg.compile`` makes to predict has the mean in their place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions.randomness import by_graph, salt_of
from ...declare.initializers import Constant, Initializer, Normal, TruncatedNormal, Uniform, ones, zeros
from ...declare.parameters import ScopeName
from ...declare.placeholders import fed
from ...declare.tensor import Tensor, as_tensor, build, constant
from ...ir.types import FLOATS, INTEGERS, Dim
from ...support.arguments import number, whole_number
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown, user_line
from ..core.graph import get_default_graph
from ..core.names import dtype_name
from ..core.operations import operation
from ..core.sizes import anchored, sizes_in

_BETWEEN = math.erf(math.sqrt(2.0))
"""The share of normal numbers that lie within two deviations."""
_INVERSE_ERF = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
"""Of the inverse of erf near 0, in -log(1 - x²) - 2.5, the highest power first (Giles 2012)."""


class Drawn:
    """Random numbers of a run, by the graph's seed, the operation's, and the run's. serial: its place in the graph."""

    def __init__(self, initializer: Initializer, shape: tuple[int, ...], seed: int, serial: int) -> None:
        self.initializer, self._shape, self._seed, self.serial = initializer, shape, seed, serial

    def __call__(self, graph_seed: int, run_seed: int) -> np.ndarray:
        seeds = [abs(graph_seed), self.serial if not self._seed else abs(self._seed), run_seed]
        return np.asarray(self.initializer(self._shape, np.random.default_rng(seeds)))


@dataclass(frozen=True)
class WholeNumbers:
    """Whole numbers in [low, high)."""

    low: int
    high: int

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.integers(self.low, self.high, shape)


@dataclass(frozen=True)
class Below:
    """Numbers in [0, 1), also where they are rounded to float32."""

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.integers(0, 1 << 24, shape) / (1 << 24)


@dataclass(frozen=True)
class Permutation:
    """The numbers below the size, each once."""

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.permutation(shape[0])


def drawn_together(what: str, parts: Sequence[tuple[Initializer, tuple[int, ...], str]], seed: Any) -> list[Tensor]:
    """Tensors of fixed sizes and dtypes that are parts of one draw: their initializers see the same numbers."""
    graph = get_default_graph()
    graph.draws += 1
    salt = salt_of(seed)
    return [
        fed(what, shape, dtype, unnamed=True, drawn=Drawn(initializer, shape, salt, graph.draws))
        for initializer, shape, dtype in parts
    ]


def _drawn(what: str, initializer: Initializer, sizes: Sequence[int], dtype: str, seed: Any) -> Tensor:
    """Of a fixed size: what a run is fed by itself."""
    graph = get_default_graph()
    graph.draws += 1
    if 0 in sizes:
        return constant(np.zeros(sizes, dtype))
    drawn = Drawn(initializer, tuple(sizes), salt_of(seed), graph.draws)
    return fed(what, sizes, dtype, unnamed=True, drawn=drawn)


def started(initializer: Initializer, sizes: Sequence[int], dtype: str) -> Tensor:
    """What an initializer gives: numbers that each run draws anew, or those that it always gives."""
    if initializer in (zeros, ones) or isinstance(initializer, Constant):
        return constant(np.array(initializer(tuple(sizes), np.random.default_rng(0))), dtype)
    return _drawn("Initializer", initializer, sizes, dtype, None)


def fixed_sizes(what: str, shape: Any) -> list[int]:
    """Sizes that are known."""
    sizes = [size for size in _sizes(what, shape) if isinstance(size, int)]
    if len(sizes) != len(_sizes(what, shape)):
        raise ShapeError(f"tf.{what} needs sizes that are ints, not {shown(shape)}")
    return sizes


def _uniform(what: str, sizes: Sequence[Dim], dtype: str, seed: Any) -> Tensor:
    """In [0, 1), drawn by the graph."""
    where = user_line()
    shape = tuple(sizes) or (1,)
    like = build("broadcast", constant(0.0, dtype), shape=shape, where=where)
    scope = ScopeName(what, False, where)
    made = build("noise", like, scope=scope, salt=salt_of(seed), what=f"tf.{what}", where=where)
    return made if sizes else functions.reshape(made, ())


def _sizes(what: str, shape: Any) -> list[Dim]:
    sizes = sizes_in(shape)
    if any(size is None or (isinstance(size, int) and size < 0) for size in sizes):
        raise ShapeError(f"tf.{what} needs sizes that are ints of 0 or more, or of tf.shape, not {shown(shape)}")
    return sizes


def _is_fed(sizes: Sequence[Dim]) -> bool:
    """Whether a run is fed what it draws; in a step of a loop every step draws anew."""
    return get_default_graph().within is None and all(isinstance(size, int) for size in sizes)


def _normal(u: Tensor, v: Tensor) -> Tensor:
    """By the transform of Box and Muller (1958)."""
    return functions.sqrt(-2.0 * functions.log1p(-u)) * functions.cos(v * (2.0 * math.pi))


def _cut_normal(u: Tensor) -> Tensor:
    """Within two deviations, by the inverse of the distribution."""
    x = (u * 2.0 - 1.0) * _BETWEEN
    w = -functions.log1p(-(x * x)) - 2.5
    total: Any = _INVERSE_ERF[0]
    for coefficient in _INVERSE_ERF[1:]:
        total = total * w + coefficient
    return total * x * math.sqrt(2.0)


def _scaled(drawn: Tensor, mean: Any, deviation: Any) -> Tensor:
    """With another mean and deviation, which may be Tensors."""
    return drawn * _number(deviation, drawn, "stddev") + _number(mean, drawn, "mean")


def _number(value: Any, beside: Tensor, what: str) -> Any:
    if isinstance(value, Tensor):
        if value.dtype != beside.dtype:
            raise DtypeError(f"{what} is {value!r}, and what is drawn {beside.dtype}; convert it with tf.cast")
        return value
    return number(value, what)


def _floats(what: str, dtype: Any) -> str:
    kind = dtype_name(dtype)
    if kind not in FLOATS:
        raise DtypeError(f"tf.{what} draws floats, not {kind}")
    return kind


def _with_deviation(
    what: str, kind: Callable[[float, float], Initializer], shape: Any, mean: Any, stddev: Any, dtype: Any, seed: Any,
    by_step: Callable[[Sequence[Dim], str], Tensor],
) -> Tensor:  # fmt: skip
    sizes, dtype = _sizes(what, shape), _floats(what, dtype)
    numbers = not isinstance(mean, Tensor) and not isinstance(stddev, Tensor)
    if _is_fed(sizes):
        fixed: Any = sizes
        if numbers:
            return _drawn(what, kind(number(mean, "mean"), number(stddev, "stddev")), fixed, dtype, seed)
        return _scaled(_drawn(what, kind(0.0, 1.0), fixed, dtype, seed), mean, stddev)
    return anchored(_scaled(by_graph(training=by_step(sizes, dtype), inference=0.0), mean, stddev), shape)


@operation
def random_normal(
    shape: Sequence[Any], mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers. shape: of ints, or of ``tf.shape``. mean, stddev: numbers or Tensors."""

    def by_step(sizes: Sequence[Dim], kind: str) -> Tensor:
        pair = (_uniform(f"random_normal/{part}", sizes, kind, seed) for part in ("radius", "angle"))
        return _normal(*pair)

    return _with_deviation("random_normal", Normal, shape, mean, stddev, dtype, seed, by_step)


@operation
def truncated_normal(
    shape: Sequence[Any], mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers, what is more than two deviations away drawn again."""

    def by_step(sizes: Sequence[Dim], kind: str) -> Tensor:
        return _cut_normal(_uniform("truncated_normal", sizes, kind, seed))

    return _with_deviation("truncated_normal", TruncatedNormal, shape, mean, stddev, dtype, seed, by_step)


@operation
def random_uniform(
    shape: Sequence[Any], minval: Any = 0, maxval: Any = None, dtype: Any = "float32", seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Numbers in [minval, maxval), by default [0, 1); whole numbers where the dtype is of ints."""
    what = "random_uniform"
    sizes, kind = _sizes(what, shape), dtype_name(dtype)
    if kind not in (*FLOATS, *INTEGERS):
        raise DtypeError(f"tf.{what} draws floats or ints, not {kind}")
    if kind in INTEGERS:
        return anchored(_whole(what, sizes, minval, maxval, kind, seed), shape)
    high = 1.0 if maxval is None else maxval
    fixed: Any = sizes
    if _is_fed(sizes) and not isinstance(minval, Tensor) and not isinstance(high, Tensor):
        low, high = number(minval, "minval"), number(high, "maxval")
        if (low, high) == (0.0, 1.0):
            return _drawn(what, Below(), fixed, kind, seed)
        return _drawn(what, Uniform(low, high), fixed, kind, seed)
    unit = _drawn(what, Below(), fixed, kind, seed) if _is_fed(sizes) else _unit(what, sizes, kind, seed)
    return anchored(_scaled(unit, minval, high - minval), shape)


def _unit(what: str, sizes: Sequence[Dim], kind: str, seed: Any) -> Tensor:
    return by_graph(training=_uniform(what, sizes, kind, seed), inference=0.5)


def _whole(what: str, sizes: Sequence[Dim], minval: Any, maxval: Any, kind: str, seed: Any) -> Tensor:
    if maxval is None:
        raise ArgumentError(f"tf.{what} of ints needs a maxval")
    if _is_fed(sizes) and not isinstance(minval, Tensor) and not isinstance(maxval, Tensor):
        low, high = whole_number(minval, "minval", -(1 << 62)), whole_number(maxval, "maxval", -(1 << 62))
        if low >= high or not (np.iinfo(kind).min <= low and high - 1 <= np.iinfo(kind).max):
            raise ArgumentError(f"tf.{what} draws {kind} from {low} to below {high}: there are none")
        fixed: Any = sizes
        return _drawn(what, WholeNumbers(low, high), fixed, kind, seed)
    begin, end = (functions.cast(as_tensor(value), kind) for value in (minval, maxval))
    count = end - begin
    drawn = functions.cast(_unit(what, sizes, "float64", seed) * functions.cast(count, "float64"), kind)
    return functions.minimum(drawn, count - 1) + begin


@operation
def multinomial(
    logits: Any, num_samples: Any, seed: int | None = None, name: str | None = None, output_dtype: Any = None
) -> Tensor:
    """Classes by their probabilities, softmax(logits): ints [batch, num_samples]. logits: [batch, classes]."""
    given = as_tensor(logits)
    if given.rank != 2 or given.dtype not in FLOATS:
        raise ShapeError(f"tf.multinomial takes logits [batch, classes], not {given!r}")
    count = whole_number(num_samples, "num_samples", 1)
    rows, classes = given.type.shape
    if not isinstance(classes, int):
        raise ShapeError(f"tf.multinomial needs a fixed number of classes, and has {given!r}")
    unit = _uniform("multinomial", (rows, count * classes), given.dtype, seed)
    gumbel = -functions.log(-functions.log(unit))
    noise = functions.reshape(by_graph(training=gumbel, inference=0.0), (None, count, classes))
    found = functions.argmax(functions.expand_dims(given, 1) + noise, 2)
    return functions.cast(found, "int64" if output_dtype is None else dtype_name(output_dtype))


@operation
def categorical(
    logits: Any, num_samples: Any, dtype: Any = None, seed: int | None = None, name: str | None = None
) -> Tensor:
    """``tf.random.categorical``: as ``tf.multinomial``."""
    return multinomial(logits, num_samples, seed, None, dtype)


@operation
def random_shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """The entries of the first axis in another order."""
    x = as_tensor(value)
    count = x.type.shape[0] if x.rank else None
    if not isinstance(count, int) or get_default_graph().within is not None:
        raise ShapeError(
            f"tf.random_shuffle needs a first axis of a fixed size, outside of loops, and has {x!r}; shuffle in NumPy, "
            "and feed it"
        )
    return functions.gather(x, _drawn("random_shuffle", Permutation(), (count,), "int64", seed))
