"""Random tensors, which each run draws anew, and random initial values of variables.

For fixed sizes, NumPy draws the numbers, and the run feeds them. For symbolic sizes, and in steps of loops, the graph
draws the numbers, like dropout masks; the inference graph of ``rg.compile`` then uses their mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions import randomness
from ...declare.functions.randomness import KeepProb, by_graph, gumbel_of, normal_of, salt_of
from ...declare.initializers import Constant, Initializer, Normal, TruncatedNormal, Uniform, ones, zeros
from ...declare.parameters import ScopeName
from ...declare.placeholders import fed
from ...declare.tensor import Tensor, as_tensor, build, constant
from ...ir.types import FLOATS, INTEGERS, Dim
from ...support.arguments import number, whole_number
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown, user_line
from ..core.dtypes import dtype_name
from ..core.graph import get_default_graph
from ..core.operations import operation
from ..core.sizes import anchored, sizes_in
from .functions import filled

_BETWEEN = math.erf(math.sqrt(2.0))
"""Probability that a normally distributed number is within two standard deviations of the mean."""
_INVERSE_ERF = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
"""Coefficients of the inverse of erf near 0, in -log(1 - x²) - 2.5, the highest power first (Giles 2012)."""


class Drawn:
    """Function that draws the random numbers of a run, seeded by the graph, the operation and the run.

    Args:
        initializer: Function of (shape, generator) that draws the numbers.
        shape: Shape of the numbers.
        seed: Seed of the operation; 0 if the program passed none.
        serial: Seed that replaces a seed of 0, and differs between the random operations of a graph.
    """

    def __init__(self, initializer: Initializer, shape: tuple[int, ...], seed: int, serial: int) -> None:
        self.initializer, self._shape, self._seed, self.serial = initializer, shape, seed, serial

    def __call__(self, graph_seed: int, run_seed: int) -> np.ndarray:
        seeds = [abs(graph_seed), self.serial if not self._seed else abs(self._seed), run_seed]
        return np.asarray(self.initializer(self._shape, np.random.default_rng(seeds)))


@dataclass(frozen=True)
class WholeNumbers:
    """Initializer of uniform ints in [low, high)."""

    low: int
    high: int

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.integers(self.low, self.high, shape)


@dataclass(frozen=True)
class UnitUniform:
    """Initializer of uniform numbers that are below 1 even after rounding to float32."""

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.integers(0, 1 << 24, shape) / (1 << 24)


@dataclass(frozen=True)
class Permutation:
    """Initializer of a random permutation of 0 … size - 1."""

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.permutation(shape[0])


def drawn_together(what: str, parts: Sequence[tuple[Initializer, tuple[int, ...], str]], seed: Any) -> list[Tensor]:
    """Return random Tensors whose generators start from one state, so that they can be parts of one sample.

    Args:
        what: Name of the Tensors.
        parts: (function of (shape, generator), shape, dtype) of each Tensor.
        seed: The program's argument, or None.
    """
    graph = get_default_graph()
    graph.draws += 1
    salt = salt_of(seed)
    return [
        fed(what, shape, dtype, unnamed=True, drawn=Drawn(initializer, shape, salt, graph.draws))
        for initializer, shape, dtype in parts
    ]


def _drawn(what: str, initializer: Initializer, sizes: Sequence[int], dtype: str, seed: Any) -> Tensor:
    """Return a Tensor of fixed shape, whose value each run draws with an initializer and feeds."""
    graph = get_default_graph()
    graph.draws += 1
    if 0 in sizes:
        return constant(np.zeros(sizes, dtype))
    drawn = Drawn(initializer, tuple(sizes), salt_of(seed), graph.draws)
    return fed(what, sizes, dtype, unnamed=True, drawn=drawn)


def initial_values(initializer: Initializer, sizes: Sequence[int], dtype: str) -> Tensor:
    """Return a Tensor with values of an initializer. Each run draws them anew, unless they are constant."""
    if initializer in (zeros, ones) or isinstance(initializer, Constant):
        return constant(np.array(initializer(tuple(sizes), np.random.default_rng(0))), dtype)
    return _drawn("Initializer", initializer, sizes, dtype, None)


def fixed_sizes(what: str, shape: Any) -> list[int]:
    """Return a shape as ints. Raise ``ShapeError`` if a size is symbolic."""
    sizes = [size for size in _sizes(what, shape) if isinstance(size, int)]
    if len(sizes) != len(_sizes(what, shape)):
        raise ShapeError(f"tf.{what} needs a shape of ints, not {shown(shape)}")
    return sizes


def _uniform(what: str, sizes: Sequence[Dim], dtype: str, seed: Any) -> Tensor:
    """Return uniform numbers in [0, 1) that the graph draws."""
    where = user_line()
    shape = tuple(sizes) or (1,)
    like = build("broadcast", constant(0.0, dtype), shape=shape, where=where)
    scope = ScopeName(what, False, where)
    noise = build("noise", like, scope=scope, salt=salt_of(seed), what=f"tf.{what}", where=where)
    return noise if sizes else functions.reshape(noise, ())


def _sizes(what: str, shape: Any) -> list[Dim]:
    """Return a shape as ints and symbolic sizes. Raise ``ShapeError`` if a size is unknown or negative."""
    sizes = sizes_in(shape)
    if any(size is None or (isinstance(size, int) and size < 0) for size in sizes):
        raise ShapeError(f"tf.{what} needs a shape of ints from 0 on, or entries of tf.shape, not {shown(shape)}")
    return sizes


def _is_fed(sizes: Sequence[Dim]) -> bool:
    """True if the run draws and feeds the numbers: if sizes are fixed, outside of loops."""
    return get_default_graph().within is None and all(isinstance(size, int) for size in sizes)


def _truncated_normal_of(u: Tensor) -> Tensor:
    """Return truncated normal numbers from uniform numbers u in [0, 1), by the inverse of the distribution function."""
    x = (u * 2.0 - 1.0) * _BETWEEN
    w = -functions.log1p(-(x * x)) - 2.5
    total: Any = _INVERSE_ERF[0]
    for coefficient in _INVERSE_ERF[1:]:
        total = total * w + coefficient
    return total * x * math.sqrt(2.0)


def _scaled(drawn: Tensor, mean: Any, deviation: Any) -> Tensor:
    """Return drawn * deviation + mean. Both may be Tensors."""
    return drawn * _number_or_tensor(deviation, drawn, "stddev") + _number_or_tensor(mean, drawn, "mean")


def _number_or_tensor(value: Any, drawn: Tensor, what: str) -> Any:
    """Return a number, or a Tensor of the dtype of ``drawn``. Raise an error for anything else."""
    if isinstance(value, Tensor):
        if value.dtype != drawn.dtype:
            raise DtypeError(f"{what} is {value!r}, but the drawn numbers are {drawn.dtype}; convert it with tf.cast")
        return value
    return number(value, what)


def _float_dtype(what: str, dtype: Any) -> str:
    """Return the name of a floating-point dtype. Raise ``DtypeError`` for other dtypes."""
    kind = dtype_name(dtype)
    if kind not in FLOATS:
        raise DtypeError(f"tf.{what} draws floats, not {kind}; draw tf.float32, and convert it with tf.cast")
    return kind


@dataclass(frozen=True)
class _NormalDraw:
    """Arguments of a draw of normal numbers."""

    shape: Any
    mean: Any
    stddev: Any
    dtype: Any
    seed: Any


def _normal_numbers(
    what: str,
    kind: Callable[[float, float], Initializer],
    draw: _NormalDraw,
    by_step: Callable[[Sequence[Dim], str], Tensor],
) -> Tensor:
    """Return normal or truncated normal numbers, drawn and fed by the run if possible, otherwise drawn by the graph.

    Args:
        what: Name of TensorFlow's function.
        kind: Function from mean and deviation to the initializer, for numbers that the run draws.
        draw: Arguments of TensorFlow's function.
        by_step: Function from sizes and dtype to standard normal numbers that the graph draws.
    """
    mean, stddev, seed = draw.mean, draw.stddev, draw.seed
    sizes, dtype = _sizes(what, draw.shape), _float_dtype(what, draw.dtype)
    numbers = not isinstance(mean, Tensor) and not isinstance(stddev, Tensor)
    if _is_fed(sizes):
        fixed: Any = sizes
        if numbers:
            return _drawn(what, kind(number(mean, "mean"), number(stddev, "stddev")), fixed, dtype, seed)
        return _scaled(_drawn(what, kind(0.0, 1.0), fixed, dtype, seed), mean, stddev)
    return anchored(_scaled(by_graph(training=by_step(sizes, dtype), inference=0.0), mean, stddev), draw.shape)


@operation
def random_normal(
    shape: Sequence[Any],
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Return normally distributed numbers.

    Args:
        shape: Ints, or entries of ``tf.shape``.
        mean: Number or Tensor.
        stddev: Number or Tensor.
        dtype: Floating-point dtype.
        seed: Seed of the operation, an int. By default, operations differ by their order of declaration.
        name: Name of the Tensor.
    """

    def by_step(sizes: Sequence[Dim], kind: str) -> Tensor:
        pair = (_uniform(f"random_normal/{part}", sizes, kind, seed) for part in ("radius", "angle"))
        return normal_of(*pair)

    return _normal_numbers("random_normal", Normal, _NormalDraw(shape, mean, stddev, dtype, seed), by_step)


@operation
def truncated_normal(
    shape: Sequence[Any],
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Return normally distributed numbers. Numbers beyond two standard deviations of the mean are drawn again."""

    def by_step(sizes: Sequence[Dim], kind: str) -> Tensor:
        return _truncated_normal_of(_uniform("truncated_normal", sizes, kind, seed))

    draw = _NormalDraw(shape, mean, stddev, dtype, seed)
    return _normal_numbers("truncated_normal", TruncatedNormal, draw, by_step)


@operation
def random_uniform(
    shape: Sequence[Any],
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Return uniform numbers in [minval, maxval), by default [0, 1)."""
    what = "random_uniform"
    sizes, kind = _sizes(what, shape), dtype_name(dtype)
    if kind not in (*FLOATS, *INTEGERS):
        raise DtypeError(f"tf.{what} draws floats or ints, not {kind}; draw tf.float32, and convert it with tf.cast")
    if kind in INTEGERS:
        return anchored(_uniform_ints(what, sizes, minval, maxval, kind, seed), shape)
    high = 1.0 if maxval is None else maxval
    fixed: Any = sizes
    if _is_fed(sizes) and not isinstance(minval, Tensor) and not isinstance(high, Tensor):
        low, high = number(minval, "minval"), number(high, "maxval")
        if (low, high) == (0.0, 1.0):
            return _drawn(what, UnitUniform(), fixed, kind, seed)
        return _drawn(what, Uniform(low, high), fixed, kind, seed)
    unit = _drawn(what, UnitUniform(), fixed, kind, seed) if _is_fed(sizes) else _unit_uniform(what, sizes, kind, seed)
    return anchored(_scaled(unit, minval, high - minval), shape)


def _unit_uniform(what: str, sizes: Sequence[Dim], kind: str, seed: Any) -> Tensor:
    """Return uniform numbers in [0, 1) that the training graph draws; 0.5 in the inference graph."""
    return by_graph(training=_uniform(what, sizes, kind, seed), inference=0.5)


def _uniform_ints(what: str, sizes: Sequence[Dim], minval: Any, maxval: Any, kind: str, seed: Any) -> Tensor:
    """Return uniform ints in [minval, maxval)."""
    if maxval is None:
        raise ArgumentError(f"tf.{what} with dtype={kind} needs maxval=; pass an int above minval")
    if _is_fed(sizes) and not isinstance(minval, Tensor) and not isinstance(maxval, Tensor):
        low, high = whole_number(minval, "minval", -(1 << 62)), whole_number(maxval, "maxval", -(1 << 62))
        if low >= high or not (np.iinfo(kind).min <= low and high - 1 <= np.iinfo(kind).max):
            raise ArgumentError(
                f"tf.{what}: minval={low} and maxval={high} must be a range of {kind} with minval below maxval"
            )
        fixed: Any = sizes
        return _drawn(what, WholeNumbers(low, high), fixed, kind, seed)
    begin, end = (functions.cast(as_tensor(value), kind) for value in (minval, maxval))
    count = end - begin
    drawn = functions.cast(_unit_uniform(what, sizes, "float64", seed) * functions.cast(count, "float64"), kind)
    return functions.minimum(drawn, count - 1) + begin


@operation
def multinomial(
    logits: Any, num_samples: Any, seed: int | None = None, name: str | None = None, output_dtype: Any = None
) -> Tensor:
    """Return classes drawn with probabilities softmax(logits): ints [batch, num_samples].

    In the inference graph of ``rg.compile``, each draw is the most likely class.

    Args:
        logits: [batch, classes].
    """
    scores = as_tensor(logits)
    if scores.rank != 2 or scores.dtype not in FLOATS:
        raise ShapeError(f"tf.multinomial needs logits [batch, classes], not {scores!r}")
    count = whole_number(num_samples, "num_samples", 1)
    rows, classes = scores.type.shape
    if not isinstance(classes, int):
        raise ShapeError(f"tf.multinomial needs a fixed number of classes, which {scores!r} does not have")
    unit = _uniform("multinomial", (rows, count * classes), scores.dtype, seed)
    noise = functions.reshape(by_graph(training=gumbel_of(unit), inference=0.0), (None, count, classes))
    ids = functions.argmax(functions.expand_dims(scores, 1) + noise, 2)
    return functions.cast(ids, "int64" if output_dtype is None else dtype_name(output_dtype))


@operation
def categorical(
    logits: Any, num_samples: Any, dtype: Any = None, seed: int | None = None, name: str | None = None
) -> Tensor:
    """Return the result of ``tf.multinomial``, the older name of this function."""
    return multinomial(logits, num_samples, seed, None, dtype)


@operation
def random_shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """Return the entries of the first axis in random order."""
    x = as_tensor(value)
    count = x.type.shape[0] if x.rank else None
    if not isinstance(count, int) or get_default_graph().within is not None:
        raise ShapeError(
            f"tf.random_shuffle is offered only outside of loops, for a first axis of fixed size, not for {x!r}; "
            "shuffle with NumPy, and feed the result"
        )
    return functions.gather(x, _drawn("random_shuffle", Permutation(), (count,), "int64", seed))


@operation
def dropout(
    x: Tensor,
    keep_prob: KeepProb | None = None,
    noise_shape: Any = None,
    seed: int | None = None,
    name: str | None = None,
    rate: KeepProb | None = None,
) -> Tensor:
    """Apply ``rg.dropout`` with TensorFlow's arguments. Programs of ``rg.compile`` drop in the training graph only.

    Args:
        noise_shape: Shape of the mask, with 1 for axes along which all entries are dropped together.
    """
    keep = 1.0 - rate if rate is not None else keep_prob
    if keep is None or None not in (rate, keep_prob):
        raise ArgumentError("tf.nn.dropout needs either keep_prob or rate")
    x = as_tensor(x)
    if noise_shape is None:
        return randomness.dropout(x, keep, seed)
    return x * randomness.dropout(filled(1, noise_shape, x.dtype), keep, seed)
