"""Damaged GGUF files raise a documented error, without a large allocation."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_files import check_changed_files
from gguf_files import gguf_file, with_one_layer

import rnngraph as rg
from rnngraph.formats.gguf.container import Bytes, Container

HEADER = 7000
"""Bytes of the header of ``small`` and of its first tensors."""


def small() -> bytes:
    return with_one_layer("mamba2", "Q8_0")


def refuses(data: bytes) -> bool:
    """Return True if a file is refused with FileError or NotReadableError, and False if it is read."""
    try:
        rg.read_gguf(data)
    except (rg.FileError, rg.NotReadableError):
        return True
    return False


def check_absurd(data: bytes, offsets: list[int]) -> None:
    """Replace 8 bytes at each offset by extreme numbers, and check that little memory is allocated."""
    tracemalloc.start()
    for offset in offsets:
        for number in (0, (1 << 40) + 1, (1 << 63) - 1, (1 << 64) - 1):
            refuses(data[:offset] + struct.pack("<Q", number) + data[offset + 8 :])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


def test_changed_files() -> None:
    check_changed_files(rg.read_gguf, small(), range(50))


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ["rwkv6", "rwkv7", "mamba", "mamba2"])
def test_changed_files_by_the_thousand(architecture: str) -> None:
    data = with_one_layer(architecture, "Q4_0")
    check_changed_files(rg.read_gguf, data, range(3_000))
    header = data[: len(data) - 1]
    check_changed_files(lambda head: rg.read_gguf(head + data[HEADER:]), header[:HEADER], range(3_000))


def test_files_that_end_early() -> None:
    data = small()
    assert all(refuses(data[:length]) for length in (*range(0, HEADER, 149), len(data) - 1))


@pytest.mark.exhaustive
def test_files_that_end_anywhere() -> None:
    data = small()
    assert all(refuses(data[:length]) for length in (*range(HEADER), *range(HEADER, len(data), 97), len(data) - 1))


def test_absurd_counts() -> None:
    check_absurd(small(), [8, 16, *range(24, HEADER, 1201)])


@pytest.mark.exhaustive
def test_absurd_counts_anywhere() -> None:
    check_absurd(small(), [*range(4, HEADER, 3)])


def of(source: bytes) -> Container:
    return Container(Bytes(source))


def test_errors_name_the_mistake(tmp_path: Path) -> None:
    data = small()
    cases = [
        (b"", r"is not a GGUF file: it does not begin with GGUF"),
        (b"ONNX" + data[4:], r"does not begin with GGUF; give a \.gguf file"),
        (data[:4] + struct.pack("<I", 1) + data[8:], "has GGUF version 1, .*; write version 2 or 3"),
        (data[:4] + struct.pack(">I", 3) + data[8:], "big-endian"),
        (data[:8] + struct.pack("<Q", 1 << 60) + data[16:], "bytes are needed at byte 16, and .* are left"),
        (data[:-1], "occupies bytes .* but the file has"),
        (data.replace(b"mamba2.embedding_length", b"mamba2.embedding_lengtX"), r"mamba2\.embedding_length is missing"),
        (data.replace(b"output_norm.weight", b"output_norm.weighX"), r"tensor output_norm\.weight is missing"),
        (data.replace(b"blk.0.ssm_conv1d.bias", b"blk.0.ssm_conv1d.bia\xff"), "a tensor is .*, not UTF-8"),
        (data.replace(b"output_norm.weight", b"token_embd.weight" + b"\0"), "is not a valid name"),
        (data.replace(b"mamba2.block_count", b"mamba2.block_counX"), r"mamba2\.block_count is missing"),
    ]
    for changed, match in cases:
        with pytest.raises((rg.FileError, rg.NotReadableError), match=match):
            rg.read_gguf(changed)
    with pytest.raises(rg.FileError, match=r"no file .*none\.gguf; give the path of a GGUF file"):
        rg.read_gguf(tmp_path / "none.gguf")
    with pytest.raises(rg.FileError, match="is a directory; give the path of a GGUF file"):
        rg.read_gguf(tmp_path)
    with pytest.raises(rg.DtypeError, match="give a path or bytes"):
        rg.read_gguf(3)  # type: ignore[arg-type]


def test_a_file_that_becomes_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "net.gguf"
    path.write_bytes(small())
    source = Bytes(path)
    container = Container(source)
    path.write_bytes(small()[:HEADER])
    tensor = max(container.tensors.values(), key=lambda tensor: tensor.offset)
    with pytest.raises(rg.FileError, match="has changed since it was loaded; load it again"):
        container.array_of(tensor, 100, np.dtype(np.float32), (25,), None)


def test_sizes_that_do_not_fit_are_named() -> None:
    def wrong(key: str, value: int) -> bytes:
        def change(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
            facts[f"mamba2.{key}"] = value

        return gguf_file("mamba2", change=change).data

    for key, value, match in (
        ("embedding_length", 64, r"token_embd\.weight has shape \[96, 128\]; it must be \[96, 64\]"),
        ("ssm.state_size", 0, r"mamba2\.ssm\.state_size is 0; it must be a whole number from 1 to"),
        ("ssm.group_count", 3, r"ssm\.group_count: 3 does not divide 8"),
        ("block_count", 3, r"tensor blk\.2\.attn_norm\.weight is missing"),
        ("block_count", 1, "does not belong to architecture mamba2"),
    ):
        with pytest.raises((rg.FileError, rg.NotReadableError), match=match):
            rg.read_gguf(wrong(key, value))


def test_metadata_has_numbers_texts_and_arrays() -> None:
    metadata = of(small()).metadata
    assert metadata["general.architecture"] == b"mamba2"
    assert metadata["tokenizer.ggml.tokens"][0] == b"<s>"
    assert metadata["tokenizer.ggml.token_type"].dtype == np.int32
