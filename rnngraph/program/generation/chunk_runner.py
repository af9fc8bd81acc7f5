"""Chunks of steps of a stream that compute its next state, and at most the last entry of one output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...declare.nest import flatten
from ...runtime.streams.stream import Stream
from .ports import TokenPorts


class ChunkRunner:
    """Runs chunks of steps for the next state, and for the last entry of one output at most.

    Values that only other results need, such as the logits of earlier steps, are not computed.
    """

    def __init__(self, stream: Stream[Any], ports: TokenPorts) -> None:
        """Make the runner.

        Args:
            stream: Stream whose state advances.
            ports: Input and output for tokens.
        """
        self._stream, self._ports = stream, ports
        self._streams: dict[bool, Stream[Any]] = {}  # by whether it has the last entry of the output

    @property
    def has_last(self) -> bool:
        """True if the output has a time axis and depends on the tokens, so that ``last`` can return its last entry."""
        graph, ports = self._stream._graph, self._ports
        return graph.axes.outputs[ports.output] is not None and ports.input in graph.compiled.needed((ports.output,))

    def __call__(self, feeds: Mapping[str, Any]) -> None:
        """Run a chunk without results.

        Args:
            feeds: Sequences by name, with their time axis.
        """
        if self._stream._graph.states.labels:  # without states, no step depends on an earlier one
            self._run(feeds, False)

    def last(self, feeds: Mapping[str, Any]) -> np.ndarray:
        """Run a chunk, and return the output for the last step, without its time axis."""
        axis = self._stream._graph.axes.outputs[self._ports.output]
        assert axis is not None
        (output,) = flatten(self._run(feeds, True))
        return np.take(output, -1, axis)

    def _run(self, feeds: Mapping[str, Any], with_last: bool) -> Any:
        stream, graph = self._stream, self._stream._graph
        if with_last not in self._streams:
            graph = graph.of_last(self._ports.output) if with_last else graph.of_states
            self._streams[with_last] = Stream(
                graph, stream._parameters, stream._feed_names, stream._reduced, stream._digest
            )
        other = self._streams[with_last]
        needed = {name: array for name, array in feeds.items() if name in other._compiled.needed(other._outputs)}
        if not needed:  # the feeds still determine the number of steps
            return stream.process(feeds)
        if stream._states is not other._states or stream._held_feeds is not other._held_feeds:
            other._states, other._held_feeds = stream._states, stream._held_feeds
            other._prepared_chunk = other._direct_chunk = None
        result = other.process(needed)
        stream._states, stream._held_feeds = other._states, other._held_feeds
        return result
