"""Decodes the vocabulary of a GGUF file into tokens of bytes. The concatenated tokens of a text are its UTF-8."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .container import Container

Token = str | bytes
TOKENS, KIND = "tokenizer.ggml.tokens", "tokenizer.ggml.model"
SPACE = "\u2581"
"""Character that stands for a space in SentencePiece vocabularies."""
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def vocabulary_of(container: Container) -> list[Token] | None:
    """Return the tokens of a file by id; None if the file has no vocabulary.

    Tokens of the tokenizers ``rwkv``, ``gpt2`` and ``llama`` are bytes; concatenated, they are UTF-8. Tokens of
    other tokenizers are strings, or bytes if they are not UTF-8.
    """
    tokens = container.metadata.get(TOKENS)
    if not isinstance(tokens, list):
        return None
    kind: Any = container.metadata.get(KIND, b"")
    decode = DECODERS.get(kind.decode(errors="replace") if isinstance(kind, bytes) else "", _as_text)
    return [decode(token) for token in tokens]


def _as_text(token: bytes) -> Token:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return token


def _rwkv(token: bytes) -> Token:
    r"""Decode a token with escapes such as ``\n`` and ``\xe4``."""

    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code[1:], 16)]) if len(code) == 3 else _ESCAPED.get(code, code)

    return _ESCAPE.sub(plain, token)


def _llama(token: bytes) -> Token:
    """Decode a SentencePiece token: text, or one byte such as ``<0x0A>``."""
    text = token.decode(errors="replace")
    match = _BYTE.fullmatch(text)
    return bytes([int(match[1], 16)]) if match else text.replace(SPACE, " ").encode()


def _characters_of_bytes() -> dict[str, int]:
    """Return {character: byte} of a byte-level vocabulary.

    A byte that is a printable character of Latin-1 has that character. The other bytes have, in order, the characters
    from U+0100.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _characters_of_bytes()


def _gpt2(token: bytes) -> Token:
    """Decode a byte-level token, in which each character stands for one byte."""
    text = token.decode(errors="replace")
    return b"".join(bytes([_BYTE_OF[sign]]) if sign in _BYTE_OF else sign.encode() for sign in text)


DECODERS: Mapping[str, Callable[[bytes], Token]] = {"rwkv": _rwkv, "gpt2": _gpt2, "llama": _llama}
"""Decoders of stored tokens, by the tokenizer's name."""
