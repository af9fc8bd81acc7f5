"""Comparison of streams with whole calls, bit for bit, for random nets of windows, pads, slices and loops."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.declare.nest import paths

WIDTH = 4


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def leaves(nest: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for _, leaf in paths(nest)]


def ran(stream: Any, x: np.ndarray, cuts: list[int]) -> tuple[list[Any], Any]:
    """Return (results of each chunk, delayed results at the end) of chunks with ``cuts`` steps."""
    rate, result, now = stream.rate, [], 0
    for cut in cuts:
        result.append(stream.process(x=x[:, now * rate : (now + cut) * rate]))
        now += cut
    return result, stream.flush(x=x[:, now * rate :])


def check(stream: Any, x: np.ndarray, cuts: list[int], whole: Any) -> None:
    """Check that a stream's results are zeros for the delay, and then have the bits of the whole call."""
    chunks, end = ran(stream, x, cuts)
    for parts, last, expected in zip(zip(*map(leaves, chunks), strict=True), leaves(end), leaves(whole), strict=True):
        if expected.ndim == 2:
            assert_array_equal(last, expected)
            continue
        late = stream.delay * sum(part.shape[1] for part in parts) // sum(cuts)
        actual = np.concatenate([*parts, last], 1)
        assert not actual[:, :late].any()
        assert actual[:, late:].tobytes() == expected.tobytes()


def check_same_state(stream: Any, other: Any) -> None:
    for left, right in zip(leaves(stream.state), leaves(other.state), strict=True):
        assert_array_equal(left, right)


def each_cut(steps: int) -> Iterator[list[int]]:
    yield [1] * steps
    yield [steps]
    yield [0, steps - steps // 3, 0, steps // 3]


def check_lengths(program: Any, batch: int, lengths: Any) -> int:
    """Compare a program's stream with whole calls of these lengths. Return the number of comparisons."""
    stream, done = program.inference.stream(batch=batch), 0
    if stream._graph.tail is None:
        return 0  # other tests check causal streams
    for length in lengths:
        x = normal(batch, length, WIDTH)
        try:
            whole = program.inference(x=x)
        except rg.ShapeError:  # the sequence is too short
            continue
        for cuts in each_cut(length // stream.rate):
            try:
                check(stream, x, cuts, whole)
                done += 1
            except rg.GraphError as error:
                assert length % stream.rate
                assert "differ from its first step" in str(error)  # noqa: PT017
                stream.reset()
    return done


class Drawn:
    """Random net of windows, pads, slices, recurrences and concatenations. ``text`` names its layers."""

    def __init__(self, seed: int) -> None:
        self.draw, self.rate, self.text = Random(seed), 1, list[str]()
        self.padded = False  # after an explicit padding, mirrored padding is not supported

    def outputs(self, x: rg.Tensor) -> Any:
        results = {}
        for number in range(self.draw.randint(1, 5)):
            kind = self.draw.choice(["windows", "windows", "windows", "pool", "pad", "cut", "loop", "join", "entries"])
            x = getattr(self, kind)(x)
            self.padded = kind == "pad" or (kind == "cut" and self.padded)
            self.text.append(f"{kind} {x!r}")
            if self.draw.random() < 0.2:
                results[f"y{number}"] = x
            if self.draw.random() < 0.1:
                results[f"last{number}"] = x[:, -1]
        return {**results, "y": x}

    def stride(self) -> int:
        stride = self.draw.choice([1, 1, 2, 3])
        if self.rate * stride > 12:
            return 1
        self.rate *= stride
        return stride

    def windows(self, x: rg.Tensor) -> rg.Tensor:
        size, dilation = self.draw.randint(1, 4), self.draw.randint(1, 3)
        span = dilation * (size - 1)
        mirrored = "same" if self.padded else "reflect"
        padding = self.draw.choice(["causal", "same", "same", "valid", mirrored, (self.draw.randint(0, span), span)])
        groups = self.draw.choice([1, x.width])
        filters = x.width * self.draw.randint(1, 2)
        activation = self.draw.choice([None, "tanh"])
        return rg.conv1d(
            x,
            min(filters, 8) if groups == 1 else filters,
            size,
            padding,
            dilation,
            activation,
            strides=self.stride(),
            groups=groups,
        )

    def pool(self, x: rg.Tensor) -> rg.Tensor:
        function = self.draw.choice([rg.max_pool1d, rg.average_pool1d])
        return function(x, self.draw.randint(1, 4), self.stride(), self.draw.choice(["valid", "same"]))

    def pad(self, x: rg.Tensor) -> rg.Tensor:
        paddings = {1: (self.draw.randint(0, 3), self.draw.randint(0, 3))}
        mode = "constant" if self.padded else self.draw.choice(["constant", "constant", "reflect", "edge"])
        return rg.pad(x, paddings, mode, self.draw.choice([0.0, -1.5]) if mode == "constant" else 0)

    def cut(self, x: rg.Tensor) -> rg.Tensor:
        first, last, step = self.draw.randint(0, 2), self.draw.randint(0, 2), self.stride()
        return x[:, first : -last or None : step]

    def loop(self, x: rg.Tensor) -> rg.Tensor:
        if self.draw.random() < 0.3:
            return rg.cumsum(x, 1) * 0.1
        return rg.dynamic_rnn(self.draw.choice([rg.GRUCell, rg.LSTMCell])(5), x)[0]

    def join(self, x: rg.Tensor) -> rg.Tensor:
        same = rg.conv1d(x, x.width, self.draw.randint(1, 5), "same", self.draw.randint(1, 2))
        joins = [
            lambda: rg.tanh(same) + x,
            lambda: rg.concat([x, same[:, :, :2]]),
            lambda: same + rg.dense(x, x.width),  # a chain of products
            lambda: x * 0.5 - same * x,
            lambda: rg.dense(rg.concat([same, x]), 4),
        ]
        return self.draw.choice(joins)()

    def entries(self, x: rg.Tensor) -> rg.Tensor:
        """Apply a layer to single steps, in batch-major or time-major order."""
        if self.draw.random() < 0.5:
            return rg.relu(rg.dense(x, 6))
        return rg.transpose(rg.sigmoid(rg.transpose(x, (1, 0, 2))), (1, 0, 2))


def check_drawn(seed: int) -> int:
    drawn = Drawn(seed)
    try:
        program = rg.compile(drawn.outputs(rg.placeholder("x", (None, None, WIDTH))), seed=seed)
        rate = program.inference.stream().rate
        return check_lengths(program, 2, (*range(3 * rate, 3 * rate + min(rate, 3)), 6 * rate, 41))
    except Exception as error:
        error.add_note("\n".join([f"seed {seed}", *drawn.text]))
        raise
