"""Reads a model for the server from a GGUF file: the net, its vocabulary, and its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rnngraph as rg

TOKENIZER, END = "tokenizer.ggml.model", "tokenizer.ggml.eos_token_id"


class LongestMatch:
    """Tokenizer that always chooses the longest matching token, which is how the tokenizer ``rwkv`` works."""

    def __init__(self, vocabulary: Sequence[bytes | str]) -> None:
        """Index a vocabulary, the bytes or text of each token by id. Empty tokens are never chosen."""
        self._numbers: dict[bytes, int] = {}
        for number, token in enumerate(vocabulary):
            self._numbers.setdefault(_bytes(token), number)
        self._numbers.pop(b"", None)
        self._lengths = {
            first: sorted({len(token) for token in self._numbers if token[0] == first}, reverse=True)
            for first in {token[0] for token in self._numbers}
        }

    def __call__(self, text: str) -> list[int]:
        """Return the tokens of a text.

        Raises:
            ValueError: No token begins with one of the text's bytes.
        """
        data, tokens, place = text.encode(), [], 0
        while place < len(data):
            for length in self._lengths.get(data[place], ()):
                number = self._numbers.get(data[place : place + length])
                if number is not None and place + length <= len(data):
                    break
            else:
                raise ValueError(f"the vocabulary has no token for byte {data[place]:#04x}")
            tokens.append(number)
            place += length
        return tokens


def _bytes(token: bytes | str) -> bytes:
    return token.encode() if isinstance(token, str) else token


def names_of(file: Path, tokenizer: Path | None) -> dict[str, Any]:
    """Return the names that a model's script defines, ``program``, ``encode``, ``decode`` and ``stop``, for a file.

    Args:
        file: A GGUF file of a recurrent net.
        tokenizer: File ``tokenizer.json`` of the package ``tokenizers``; None for the tokenizer ``rwkv``.
    """
    net = rg.read_gguf(file)
    vocabulary: list[bytes] = [_bytes(token) for token in net.vocabulary or ()]
    kind = net.metadata.get(TOKENIZER)
    names = {"program": net.program(), "stop": net.metadata.get(END)}
    if tokenizer is not None:
        if find_spec("tokenizers") is None:
            raise SystemExit("tokenizers is not installed: pip install tokenizers")
        words = import_module("tokenizers").Tokenizer.from_file(str(tokenizer))
        return {**names, "encode": lambda text: words.encode(text).ids, "decode": words.decode}
    if kind != "rwkv" or not vocabulary:
        raise SystemExit(
            f"{file} has the tokenizer {kind}, which this example does not implement; give --tokenizer tokenizer.json, "
            "the file of this name that is published with the model"
        )

    def decode(tokens: list[int]) -> str:
        return b"".join(vocabulary[token] for token in tokens).decode(errors="replace")

    return {**names, "encode": LongestMatch(vocabulary), "decode": decode}
