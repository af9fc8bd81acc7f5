"""Chunks of steps of a stream that compute its next state only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...runtime.streams.stream import Stream


class Advance:
    """Runs chunks of steps without results. Values that only results depend on, such as logits, are not computed."""

    def __init__(self, stream: Stream[Any]) -> None:
        graph = stream._graph.of_states
        self._stream = stream
        self._needed = stream._compiled.needed(graph.outputs)
        self._without_results: Stream[Any] = Stream(
            graph, stream._parameters, stream._feed_names, stream._reduced, stream._digest
        )

    def __call__(self, feeds: Mapping[str, Any]) -> None:
        """Run a chunk.

        Args:
            feeds: Sequences by name, with their time axis.
        """
        stream, other = self._stream, self._without_results
        if not other._outputs:
            return  # without states, no step depends on an earlier one
        needed = {name: array for name, array in feeds.items() if name in self._needed}
        if not needed:  # the feeds still determine the number of steps
            stream.process(feeds)
            return
        if stream._states is not other._states or stream._held_feeds is not other._held_feeds:
            other._states, other._held_feeds = stream._states, stream._held_feeds
            other._prepared_chunk = other._direct_chunk = None
        other.process(needed)
        stream._states, stream._held_feeds = other._states, other._held_feeds
