"""Tokens of each tokenizer as bytes, which join to text."""

from __future__ import annotations

import pytest

from rnngraph.formats.gguf.vocabulary import Token, vocabulary_of


class _Container:
    """Container that holds metadata only."""

    def __init__(self, kind: str, tokens: list[bytes]) -> None:
        self.metadata = {"tokenizer.ggml.model": kind.encode(), "tokenizer.ggml.tokens": tokens}


@pytest.mark.parametrize(
    ("kind", "tokens", "joined"),
    [
        ("rwkv", [rb"a\n\t", rb"\xe4\xbd", rb"\xa0\\", rb"\'x"], "a\n\t你\\'x".encode()),
        ("gpt2", [b"Hello", "Ġworld".encode(), "Ċ".encode(), "ä½ł".encode()], "Hello world\n你".encode()),
        ("llama", ["▁Hello".encode(), b"<0x0A>", b"<0xE4>", b"<0xBD>", b"<0xA0>"], " Hello\n你".encode()),
        ("llama", [b"<0x0A><", b"<0xZZ>"], b"<0x0A><<0xZZ>"),
    ],
)
def test_tokens_join_to_text(kind: str, tokens: list[bytes], joined: bytes) -> None:
    decoded = vocabulary_of(_Container(kind, tokens))  # type: ignore[arg-type]
    assert decoded is not None
    assert b"".join(token for token in decoded if isinstance(token, bytes)) == joined


def test_every_byte_has_a_character_of_its_own() -> None:
    from rnngraph.formats.gguf.vocabulary import _characters_of_bytes

    table = _characters_of_bytes()
    assert sorted(table.values()) == [*range(256)]
    assert table["Ġ"] == ord(" ")
    assert table["!"] == ord("!")


def test_tokens_of_other_tokenizers_stay_as_they_are() -> None:
    tokens_of_t5: list[Token] | None = vocabulary_of(_Container("t5", ["▁a".encode(), b"\xff"]))  # type: ignore[arg-type]
    assert tokens_of_t5 == ["▁a", b"\xff"]
    empty = _Container("t5", [])
    del empty.metadata["tokenizer.ggml.tokens"]
    assert vocabulary_of(empty) is None  # type: ignore[arg-type]
