"""Point sets: arguments that are hard for functions. Runs on Python 3.7, for TensorFlow 1's recorder."""

from __future__ import annotations

import zlib
from typing import Any, Callable, Dict, Tuple

import numpy as np

Arrays = Dict[str, np.ndarray]
SETS: Dict[str, Tuple[Tuple[str, ...], Callable[[str], Arrays]]] = {}
"""Dtypes and function of each point set, by its name."""
FLOATS = ("float32", "float64")
INF, NAN = float("inf"), float("nan")


def points(*dtypes: str) -> Callable[[Callable[[str], Arrays]], Callable[[str], Arrays]]:
    """Register a point set under its function's name."""

    def register(make: Callable[[str], Arrays]) -> Callable[[str], Arrays]:
        SETS[make.__name__] = dtypes, make
        return make

    return register


def arrays_of(name: str, dtype: str) -> Arrays:
    """Return the arguments of a point set, by the names that expressions use."""
    return SETS[name][1](dtype)


def digest_of(name: str, dtype: str) -> str:
    """Return a checksum of a point set, which records store to name their points."""
    crc = 0
    for key, array in sorted(arrays_of(name, dtype).items()):
        crc = zlib.crc32(key.encode() + str(array.shape).encode() + np.ascontiguousarray(array).tobytes(), crc)
    return "%08x" % crc


def _floats(dtype: str) -> Dict[str, float]:
    kind: Any = np.finfo(dtype)
    smallest = np.nextafter(np.zeros((), dtype), np.ones((), dtype))
    return {
        "subnormal": float(smallest),
        "tiny": float(kind.tiny),
        "max": float(kind.max),
        "eps": float(kind.eps),
        "small": 1e-30 if dtype == "float32" else 1e-300,
        "large": 1e30 if dtype == "float32" else 1e300,
    }


@points(*FLOATS)
def reals(dtype: str) -> Arrays:
    """Return zeros, subnormals, halves, integers, bounds of exp and of integers, the largest, infinities, NaN."""
    f = _floats(dtype)
    above = [
        0.0,
        f["subnormal"],
        f["tiny"] / 2,
        f["tiny"],
        f["small"],
        1e-20,
        1e-8,
        1e-4,
        0.01,
        0.1,
        0.25,
        0.3,
        0.5,
        0.7,
        1 - f["eps"] / 2,
        1.0,
        1 + f["eps"],
        1.5,
        2.0,
        2.5,
        3.0,
        3.5,
        np.pi,
        6.0,
        10.0,
        20.5,
        88.5,
        89.5,
        103.5,
        150.0,
        710.0,
        745.5,
        1000.0,
        65504.0,
        8388607.5,
        16777217.0,
        4503599627370495.5,
        1e10,
        1e20,
        f["large"],
        f["max"],
        INF,
    ]
    return {"x": np.array(above + [-value for value in above] + [NAN], dtype)}


@points(*FLOATS)
def middling(dtype: str) -> Arrays:
    """Return moderate numbers, for functions with periods and for sums of many terms."""
    above = [0.0, 1e-8, 1e-4, 0.1, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, np.pi, 6.0, 10.0, 20.5, 100.0]
    return {"x": np.array(above + [-value for value in above] + [NAN, INF, -INF], dtype)}


@points(*FLOATS)
def pairs(dtype: str) -> Arrays:
    """Return all pairs of hard numbers, and exact and nearly exact quotients."""
    f = _floats(dtype)
    each = [
        0.0,
        -0.0,
        f["subnormal"],
        f["small"],
        0.1,
        -0.5,
        1.0,
        -1.0,
        2.0,
        -2.5,
        3.0,
        -3.0,
        1e20,
        f["max"],
        INF,
        -INF,
        NAN,
    ]
    apart = [
        (5.0, 0.1),
        (-5.0, 0.1),
        (1.0, 0.1),
        (0.7, 0.1),
        (0.3, 0.1),
        (8.4, 0.1),
        (-8.4, -0.1),
        (6.0, 3.0),
        (-6.0, 4.0),
        (7.5, 2.5),
        (1e20, 0.7),
        (1e10, 3.0),
        (16777217.0, 2.0),
        (1.0, f["small"]),
        (-8.0, 1 / 3),
        (2.0, 0.5),
        (-2.0, 5.0),
        (-2.0, 4.0),
        (1.5, 2.5),
        (0.1, 10.0),
        (10.0, -3.0),
        (1 + f["eps"], 1.0),
        (0.25, -2.0),
        (2.0, 100.0),
    ]
    x, y = zip(*([(a, b) for a in each for b in each] + apart))
    return {"x": np.array(x, dtype), "y": np.array(y, dtype)}


@points(*FLOATS)
def triples(dtype: str) -> Arrays:
    """Return triples of arguments."""
    each = [0.0, -0.0, 0.5, -2.0, 3.0, INF, NAN]
    x, y, z = zip(*[(a, b, c) for a in each for b in each for c in each[::2]])
    return {"x": np.array(x, dtype), "y": np.array(y, dtype), "z": np.array(z, dtype)}


def _rows(dtype: str) -> np.ndarray:
    f = _floats(dtype)
    return np.array(
        [
            [0.0, 0.0, 0.0, 0.0],
            [-0.0, -0.0, -0.0, -0.0],
            [0.0, -0.0, 0.0, -0.0],
            [-0.0, 0.0, -0.0, 0.0],
            [1.0, 2.0, 3.0, 4.0],
            [4.0, 3.0, 2.0, 1.0],
            [2.0, 1.0, 2.0, 1.0],
            [1.0, 2.0, 1.0, 2.0],
            [3.0, 3.0, 3.0, 3.0],
            [-1.0, -2.0, -3.0, -4.0],
            [0.5, -0.25, 1.5, -3.0],
            [NAN, 1.0, 2.0, 3.0],
            [1.0, NAN, 2.0, 0.0],
            [3.0, 2.0, 1.0, NAN],
            [NAN, NAN, NAN, NAN],
            [NAN, INF, -INF, NAN],
            [INF, 1.0, 2.0, 3.0],
            [-INF, 1.0, 2.0, 3.0],
            [1.0, INF, -INF, 2.0],
            [INF, INF, INF, INF],
            [-INF, -INF, -INF, -INF],
            [INF, INF, 0.0, 1.0],
            [-INF, 0.0, -INF, 0.0],
            [f["large"], 1.0, 1.0, 1.0],
            [f["max"], f["max"], 0.0, 0.0],
            [f["max"], -f["max"], 0.0, 0.0],
            [-f["max"], -f["max"], -f["max"], -f["max"]],
            [f["subnormal"], 0.0, 0.0, f["subnormal"]],
            [f["small"], f["small"], 0.0, 0.0],
            [1e-8, 1.0, -1.0, 0.0],
            [300.0, 0.0, 0.0, -300.0],
            [1000.0, 1000.0, 999.0, 0.0],
            [-1000.0, -1000.0, -999.0, -1000.0],
            [88.0, 89.0, 90.0, -90.0],
            [1e-30, 1e-20, 1e10, -1e10],
        ],
        dtype,
    )


@points(*FLOATS)
def rows(dtype: str) -> Arrays:
    """Return rows of four: signed zeros, ties, NaN at each position, infinities of both signs, overflowing sums."""
    return {"x": _rows(dtype)}


@points(*FLOATS)
def row_pairs(dtype: str) -> Arrays:
    """Return rows, and the same rows in another order."""
    x = _rows(dtype)
    return {"x": np.concatenate([x, x]), "y": np.concatenate([np.roll(x, 1, 0), x[:, ::-1]])}


@points(*FLOATS)
def ones(dtype: str) -> Arrays:
    """Return rows of one entry."""
    f = _floats(dtype)
    return {"x": np.array([[0.0], [-0.0], [2.5], [-2.5], [INF], [-INF], [NAN], [f["max"]], [f["subnormal"]]], dtype)}


@points(*FLOATS)
def nothing(dtype: str) -> Arrays:
    """Return rows without entries."""
    return {"x": np.zeros((3, 0), dtype)}


@points(*FLOATS)
def matrices(dtype: str) -> Arrays:
    """Return matrices of three rows and three columns."""
    f = _floats(dtype)
    x = np.array(
        [
            [[1, 2, 3], [4, 5, 6], [7, 8, 10]],
            [[-1, 0, 2], [3, -4, 0], [0, 0, -0.0]],
            np.eye(3),
            np.zeros((3, 3)),
            [[2, 1, 1], [1, 2, 1], [1, 1, 2]],
            [[NAN, 1, 2], [3, 4, 5], [6, 7, 8]],
            [[1, INF, 2], [3, 4, 5], [6, 7, 8]],
            [[f["large"], 0, 0], [0, 1, 0], [0, 0, 1]],
            [[f["small"], 0, 0], [0, f["small"], 0], [0, 0, 0]],
        ],
        dtype,
    )
    return {"x": x, "y": x[::-1].copy()}


@points(*FLOATS)
def plain_matrices(dtype: str) -> Arrays:
    """Return matrices of finite numbers."""
    return {"x": arrays_of("matrices", dtype)["x"][:5]}


@points(*FLOATS)
def ramp(dtype: str) -> Arrays:
    """Return long rows whose cumulative sums exceed the range of exp."""
    line = np.linspace(0, 300, 300)
    return {"x": np.array([line, line[::-1], np.sin(line) * 5], dtype)}


@points("int64", "int32")
def whole(dtype: str) -> Arrays:
    """Return integers, including the largest and the smallest."""
    limits: Any = np.iinfo(dtype)
    return {"x": np.array([0, 1, -1, 2, -2, 3, -3, 7, -7, 100, -100, 16777217, limits.max, limits.min], dtype)}


@points("int64", "int32")
def whole_pairs(dtype: str) -> Arrays:
    """Return pairs of integers, without divisions by zero, or of the smallest by -1."""
    limits: Any = np.iinfo(dtype)
    each, other = (
        [0, 1, -1, 7, -7, 9, -9, 16777217, limits.max, limits.min],
        [1, -1, 2, -2, 3, -4, 16777217, limits.max],
    )
    x, y = zip(*[(a, b) for a in each for b in other if (a, b) != (limits.min, -1)])
    return {"x": np.array(x, dtype), "y": np.array(y, dtype)}


@points("int64", "int32")
def whole_rows(dtype: str) -> Arrays:
    """Return rows of integers, with ties and overflowing sums."""
    most = np.iinfo(dtype).max
    return {
        "x": np.array([[0, 0, 0, 0], [1, 2, 3, 4], [2, 1, 2, 1], [-1, 5, -7, 5], [most, 0, 0, 1], [0, 3, 0, -3]], dtype)
    }


@points("bool")
def truths(dtype: str) -> Arrays:
    """Return all pairs of bools."""
    return {"x": np.array([False, False, True, True]), "y": np.array([False, True, False, True])}


@points("bool")
def truth_rows(dtype: str) -> Arrays:
    """Return all rows of two bools."""
    return {"x": np.array([[False, False], [False, True], [True, False], [True, True]])}


@points(*FLOATS)
def masked(dtype: str) -> Arrays:
    """Return rows with conditions, some of which are completely false or true."""
    x = _rows(dtype)[[4, 6, 8, 10, 11, 16, 17, 20]]
    c = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]] * 2, bool)
    return {"x": x, "c": c, "y": x[::-1].copy()}


@points(*FLOATS)
def attention(dtype: str) -> Arrays:
    """Return queries, keys, values, a bool mask and an additive one, with rows that are completely masked."""
    line = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    q, k, v = np.sin(line * 1.7), np.cos(line * 2.3), np.sin(line * 0.9 + 1)
    c = np.array([[[1, 1, 0], [0, 0, 0], [1, 0, 0]], [[1, 1, 1], [0, 1, 0], [0, 0, 0]]], bool)
    return {
        "q": q.astype(dtype),
        "k": k.astype(dtype),
        "v": v.astype(dtype),
        "c": c,
        "m": np.where(c, 0.0, -INF).astype(dtype),
    }


@points(*FLOATS)
def signal(dtype: str) -> Arrays:
    """Return [rows, channels, time]: numbers, ties, and some infinities and NaN."""
    x = np.round(np.sin(np.arange(4 * 2 * 11).reshape(4, 2, 11) * 1.3) * 4) / 2
    x[1, 0, 3], x[1, 1, 10], x[2, 0, 0], x[2, 1, 5], x[3] = INF, -INF, NAN, NAN, -INF
    return {"x": x.astype(dtype)}


@points(*FLOATS)
def plain_signal(dtype: str) -> Arrays:
    """Return [rows, channels, time] of finite numbers."""
    return {"x": np.sin(np.arange(2 * 2 * 11).reshape(2, 2, 11) * 1.3).astype(dtype)}


@points(*FLOATS)
def plane(dtype: str) -> Arrays:
    """Return [rows, channels, height, width]."""
    x = np.round(np.sin(np.arange(3 * 2 * 6 * 7).reshape(3, 2, 6, 7) * 1.3) * 4) / 2
    x[1, 0, 3, 2], x[1, 1, 0, 0], x[2] = INF, NAN, -INF
    return {"x": x.astype(dtype)}


@points(*FLOATS)
def picked(dtype: str) -> Arrays:
    """Return rows, and integers in each row's range."""
    x = _rows(dtype)[[4, 6, 10, 11, 16, 17]]
    return {"x": x, "i": np.array([[0, 1, 2], [3, 3, 3], [1, 0, 2], [0, 0, 0], [2, 1, 0], [3, 2, 1]], "int64")}


@points(*FLOATS)
def logits(dtype: str) -> Arrays:
    """Return logits far from each other, classes, and weights of the classes."""
    x = np.array(
        [
            [0, 0, 0],
            [1, 2, 3],
            [100, 0, -100],
            [1000, -1000, 0],
            [-1000, -1000, -1000],
            [INF, 0, 0],
            [-INF, 0, 0],
            [-INF, -INF, 0],
            [NAN, 0, 0],
            [1e-8, 0, 0],
            [3e38, -3e38, 0],
            [88.5, 0, 89.5],
        ],
        dtype,
    )
    y = np.array(
        [
            [1, 0, 0],
            [0, 1, 0],
            [0, 0, 1],
            [0.5, 0.5, 0],
            [0.2, 0.3, 0.5],
            [1, 0, 0],
            [0, 1, 0],
            [0, 0, 1],
            [0, 1, 0],
            [1, 0, 0],
            [0, 1, 0],
            [0, 0, 1],
        ],
        dtype,
    )
    return {"x": x, "y": y, "i": np.array([0, 1, 2, 0, 1, 0, 0, 2, 1, 0, 1, 2], "int64")}


@points(*FLOATS)
def targets(dtype: str) -> Arrays:
    """Return predictions and targets of losses."""
    each = [0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -3.0, 100.0, -100.0, 1e20, INF, -INF, NAN]
    x, y = zip(*[(a, b) for a in each for b in [0.0, 1.0, 0.25, 0.5, -1.0]])
    return {"x": np.array(x, dtype), "y": np.array(y, dtype)}


@points(*FLOATS)
def probabilities(dtype: str) -> Arrays:
    """Return probabilities and targets of losses."""
    f = _floats(dtype)
    each = [0.0, -0.0, f["subnormal"], 1e-30, 1e-8, 0.25, 0.5, 1 - f["eps"] / 2, 1.0]
    x, y = zip(*[(a, b) for a in each for b in [0.0, 1.0, 0.25]])
    return {"x": np.array(x, dtype), "y": np.array(y, dtype)}
