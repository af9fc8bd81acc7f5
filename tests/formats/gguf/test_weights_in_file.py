"""Weights of GGUF files stay in the file, and packed weights are read from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from gguf_files import ids, with_one_layer
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.codegen.schedule.emit import pack_stages
from rnngraph.formats.gguf import container
from rnngraph.runtime.native import entry
from rnngraph.storage import stored_array
from rnngraph.storage.packed_files import PackedFiles
from rnngraph.storage.stored_array import StoredArray

MATRICES = ("token_embd.weight", "blk.0.ssm_in.weight", "blk.0.ssm_out.weight")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat small files as large ones, and files that are just written as old ones."""
    monkeypatch.setattr(container, "MIN_STORED_BYTES", 1)
    monkeypatch.setattr(stored_array, "_CLOCK_NS", -(10**18))
    monkeypatch.setattr(entry, "MIN_BYTES", 1)
    monkeypatch.setattr(pack_stages, "MIN_BYTES", 1)
    monkeypatch.setattr(pack_stages, "MIN_STAGE_BYTES", 1)


def written(path: Path, kind: str) -> bytes:
    data = with_one_layer("mamba2", kind)
    path.write_bytes(data)
    return data


def matrices_in_file(program: rg.Program) -> bool:
    values = program.parameters.stored()[1]
    return all(isinstance(value, StoredArray) for name, value in values.items() if name.startswith(MATRICES))


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
def test_parameters_are_those_of_the_bytes(kind: str, tmp_path: Path) -> None:
    same = rg.read_gguf(written(tmp_path / "net.gguf", kind))
    net = rg.read_gguf(tmp_path / "net.gguf")
    program = net.program(cache=False)
    assert matrices_in_file(program)
    for name, array in same.parameters.items():
        assert_array_equal(net.parameters[name], array, strict=True)
        assert not net.parameters[name].flags.writeable
        assert_array_equal(program.parameters[name], array, strict=True)


def test_later_reads_map_the_packed_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second program packs nothing. A file with other contents, or a copy, is packed again."""
    path, found, load = tmp_path / "net.gguf", list[bool](), PackedFiles.load
    data = written(path, "Q4_0")

    def recorded(files: PackedFiles, key: str, sizes: Sequence[int], **options: bool) -> list[np.ndarray] | None:
        parts = load(files, key, sizes, **options)
        if not options:
            found.append(parts is not None)
        return parts

    monkeypatch.setattr(PackedFiles, "load", recorded)

    def logits() -> np.ndarray:
        program = rg.read_gguf(path).program(cache=tmp_path / "cache")
        result = program.inference(ids=ids(1, 3))["logits"]
        assert matrices_in_file(program)
        return result

    first = rg.read_gguf(data).program(cache=False).inference(ids=ids(1, 3))["logits"]
    for _ in range(2):
        assert_array_equal(logits(), first)
    path.write_bytes(data[:-4] + bytes(4))
    logits()
    assert found == [False, True, False]


def test_a_file_that_changes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "net.gguf"
    data = written(path, "Q8_0")
    program = rg.read_gguf(path).program(cache=False)
    path.write_bytes(data[:-100])
    with pytest.raises(rg.FileError, match="has changed since it was loaded; load it again"):
        program.inference(ids=ids(1, 3))
