"""Assembles the text of a generation token by token: whole characters, up to the first stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

Decode = Callable[[list[int]], str]
"""Function that returns the text of tokens, with ``REPLACEMENT`` for an incomplete character."""


class Pieces:
    """Converter from tokens to text that can be sent at once.

    Text is held back while it ends in an incomplete character or in a possible beginning of a stop string.

    Attributes:
        is_stopped: True once a stop string is complete. It is not part of the text.
    """

    def __init__(self, decode: Decode, stops: Sequence[str]) -> None:
        self._decode, self._stops = decode, stops
        self._tokens: list[int] = []
        self._begin = self._read = 0  # the text of tokens up to _read is decoded; decoding starts at _begin
        self._waiting = ""
        self.is_stopped = False

    def add(self, token: int) -> str:
        """Return the text that can be sent after another token; it may be empty."""
        self._tokens.append(token)
        before, text = (self._decode(self._tokens[self._begin : end]) for end in (self._read, len(self._tokens)))
        if text.endswith(REPLACEMENT):
            return ""
        self._begin, self._read = self._read, len(self._tokens)
        return self._up_to_stop(text[len(before) :])

    def rest(self) -> str:
        """Return the text that is still held back at the end."""
        if self.is_stopped:
            return ""
        before, text = (self._decode(self._tokens[self._begin : end]) for end in (self._read, len(self._tokens)))
        sent = self._up_to_stop(text[len(before) :])
        return sent if self.is_stopped else sent + self._waiting

    def _up_to_stop(self, text: str) -> str:
        text = self._waiting + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_stopped, self._waiting = True, ""
            return text[: min(places)]
        withheld = max((_overlap(text, stop) for stop in self._stops), default=0)
        cut = len(text) - withheld
        self._waiting = text[cut:]
        return text[:cut]


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of a text that is a beginning of ``stop``."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
