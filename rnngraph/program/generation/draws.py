"""Draws of tokens from logits by ``rg.sample``, compiled once for all temperatures and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...declare.placeholders import placeholder
from ...declare.seq2seq.sampling import sample, sampled_classes, sampled_share, sampled_temperature
from ...declare.tensor import Tensor
from ...passes.lowering.lowered import NUMBER
from ...runtime.calls.feed_names import FeedNames
from ...runtime.graph_source import DeclaredSource
from ...runtime.native.compile_options import CompileOptions
from ...runtime.native.weight_options import FLOAT32
from ...runtime.parameters import Parameters
from ...runtime.streams.pool import StreamPool
from ...runtime.streams.step_graph import StepGraph, step_graph
from ...runtime.streams.stream import HELD, Stream
from ...support.arguments import whole_number
from ...support.bounded_cache import BoundedCache
from ...support.errors import ArgumentError, Where, shown
from ...support.records import NamedTuple

MAX_DRAWS = 16
"""Maximum number of compiled draws in the cache. Each seed has its own."""
STEPS = "steps"
"""Name of the number of steps in the state of a draw's stream."""
NAMES = ("temperature", "top_k", "top_p", "seed")
"""Arguments of ``rg.sample`` that ``sample=`` may have."""


class DrawKey(NamedTuple):
    """Values compiled into a draw. Temperatures and bounds are its inputs.

    Attributes:
        classes: Number of logits.
        has_count: True if only the ``top_k`` largest logits are drawn from.
        has_share: True if only the most likely classes, whose probabilities add up to ``top_p``, are drawn from.
        seed: Seed of ``rg.sample``.
    """

    classes: int
    has_count: bool
    has_share: bool
    seed: int | None


class Draw(NamedTuple):
    """Draw of one caller, with checked arguments.

    Attributes:
        key: Values that are compiled in.
        feeds: Inputs of its streams without a time axis, by name.
    """

    key: DrawKey
    feeds: dict[str, Any]

    def begin(self, number: int, begun: np.ndarray) -> dict[str, Any]:
        """Return the arguments of ``open`` for a stream that has already made ``begun`` draws, int64 [1]."""
        state = {NUMBER: np.zeros((1, 1), np.int64), STEPS: begun[:, None]}  # ``number`` replaces that of the state
        return {**self.feeds, NUMBER: number, "state": state if begun.any() else None}


def draw_of(sampling: Any, classes: int, where: Where | None) -> Draw | None:
    """Return the draw that a dict of arguments of ``rg.sample`` describes; None for temperature 0, the largest logit.

    Raises:
        ArgumentError: The dict has another key, or a value is out of its range.
    """
    if not isinstance(sampling, Mapping) or not sampling.keys() <= {*NAMES}:
        raise ArgumentError(
            f"sample={shown(sampling)} must be None, a function of logits, or a dict of {', '.join(NAMES)}", where
        )
    warmth = sampled_temperature(sampling.get("temperature", 1.0))
    count = sampled_classes(sampling.get("top_k"), classes)
    share = sampled_share(sampling.get("top_p"))
    seed = sampling.get("seed")
    seed = None if seed is None else whole_number(seed, "seed")
    if warmth is None:
        return None
    inputs = {"temperature": warmth, "top_k": count, "top_p": share}
    key = DrawKey(classes, count is not None, share is not None, seed)
    return Draw(key, {name: value for name, value in inputs.items() if value is not None})


class _Compiled(NamedTuple):
    """Compiled step graph of a draw, with the inputs of its streams."""

    graph: StepGraph
    parameters: Parameters
    names: FeedNames


class Draws:
    """Compiled draws of one program, by the options that are compiled in."""

    def __init__(self, options: CompileOptions) -> None:
        """Make an empty cache. ``options`` are those of the program."""
        self._options = replace(options, weights=FLOAT32, activations="float32", sparse=False, parameters=())
        self._compiled: BoundedCache[tuple[DrawKey, int], _Compiled] = BoundedCache(MAX_DRAWS)

    def _of(self, key: DrawKey, rows: int, where: Where | None) -> _Compiled:
        def make() -> _Compiled:
            source = DeclaredSource(_declared(key), None, {})
            graph = step_graph(source, self._options, rows, where)
            return _Compiled(graph, Parameters(source.lowered.slots, 0), FeedNames(source.lowered))

        return self._compiled.get_or_make((key, rows), make)

    def stream(self, draw: Draw, number: Any, begun: np.ndarray, where: Where | None) -> Stream[np.ndarray]:
        """Return a stream that draws a token for each of some rows. Its input is ``logits``.

        Args:
            draw: The draw, the same for all rows.
            number: An int for all rows, or one for each; None: 0.
            begun: Number of draws that each row has made before, int64 [rows].
            where: Line of the call.
        """
        rows = len(begun)
        stream: Stream[np.ndarray] = Stream(*self._of(draw.key, rows, where), _unsaved, _unsaved)
        stream.restore({HELD + name: np.full(rows, value) for name, value in draw.feeds.items()}, where)
        if number is not None:
            stream.set_number(number, where)
        if begun.any():
            stream.state = {**stream.state, STEPS: begun[:, None]}
        return stream

    def pool(self, key: DrawKey, capacity: int, where: Where | None) -> StreamPool[np.ndarray]:
        """Return a pool of streams that draw one token in each step, each with its own arguments."""
        return StreamPool(*self._of(key, 1, where), capacity)


def _declared(key: DrawKey) -> Tensor:
    logits = placeholder("logits", (None, None, key.classes))
    warmth = placeholder("temperature", (None,))
    count = placeholder("top_k", (None,), "int64") if key.has_count else None
    share = placeholder("top_p", (None,)) if key.has_share else None
    return sample(logits, warmth, count, share, key.seed)


def _unsaved(*_: Any) -> Any:
    raise AssertionError("the stream of a draw is not pickled")
