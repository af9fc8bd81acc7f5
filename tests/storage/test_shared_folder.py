"""Files of exported nets in a folder: an export replaces its own files, and refuses to replace others."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from systems import not_on_windows

import rnngraph as rg
from rnngraph.export.write_net import EXPORTS
from rnngraph.storage.shared_folder import files_into

MANIFEST = EXPORTS.manifest

OLD = {
    "net.o": "old object",
    "net.h": "old header",
    "net.json": "old",
    "net.safetensors": "old",
    "CMakeLists.txt": "all",
}
NEW = {"net.o": "new code", "net.h": "new header", "net.json": "new", "net.py": "new", "CMakeLists.txt": "all"}


def put(folder: Path, files: Mapping[str, str], net: str = "net") -> None:
    """Write files as an export does: into a temporary directory, and then moved."""
    with files_into(folder, net, EXPORTS) as folder_of_files:
        for file, text in files.items():
            (folder_of_files / file).write_text(text)
    assert not folder_of_files.exists()


def contents_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != MANIFEST}


def refused(folder: Path, files: Mapping[str, str], words: str) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(rg.FileError, match=words):
        put(folder, files)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_an_export_takes_the_place_of_one_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    other = {"other.o": "other", "other.json": "other", "CMakeLists.txt": "all"}
    put(folder, OLD)
    put(folder, other, "other")
    (folder / "mine.txt").write_text("mine")
    put(folder, NEW)
    assert contents_of(folder) == {**other, **NEW, "mine.txt": "mine"}
    about = json.loads((folder / MANIFEST).read_text())
    digests = {file: [hashlib.sha256(text.encode()).hexdigest()] for file, text in NEW.items()}
    assert about["nets"]["net"] == digests
    assert [*about["nets"]] == ["net", "other"]


@pytest.mark.parametrize("file", NEW)
def test_files_that_no_export_wrote_are_never_replaced(file: str, tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / file).write_text("mine")
    refused(folder, NEW, rf"{file} is in the way: no export wrote it")


@pytest.mark.parametrize("file", OLD)
def test_a_file_that_was_changed_is_neither_replaced_nor_removed(file: str, tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    put(folder, OLD)
    (folder / file).write_text("mine")
    refused(folder, NEW, rf"{file} is in the way: .* changed since")
    (folder / file).unlink()
    put(folder, NEW)
    assert contents_of(folder) == NEW


def test_build_files_of_several_nets_follow_the_last_one(tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    put(folder, OLD)
    put(folder, {"other.o": "other", "CMakeLists.txt": "of another version"}, "other")
    put(folder, NEW)
    assert contents_of(folder) == {**NEW, "other.o": "other"}


@not_on_windows("links need a privilege")
def test_neither_links_nor_directories_are_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    folder.mkdir()
    (tmp_path / "header").write_text("mine")
    (folder / "net.h").symlink_to(tmp_path / "header")
    (folder / "net.json").symlink_to(tmp_path / "nowhere")
    (folder / "net.o").mkdir()
    refused(folder, NEW, r"net\.h, .*net\.json, .*net\.o are in the way")
    assert (folder / "net.h").is_symlink()
    assert (tmp_path / "header").read_text() == "mine"


def test_equal_files_do_not_prevent_an_export(tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    put(folder, NEW)
    (folder / MANIFEST).unlink()
    put(folder, NEW)
    put(folder, OLD)
    assert contents_of(folder) == OLD


def test_a_list_of_another_kind_removes_no_files(tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    folder.mkdir()
    mine = [tmp_path / "net.pc", tmp_path / "keep.txt", folder / "keep.txt", folder / "other.o"]
    for place in mine:
        place.write_text("mine")
    digest = [hashlib.sha256(b"mine").hexdigest()]
    files = dict.fromkeys(["keep.txt", "../keep.txt", "../net.pc", "other.o"], digest)
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "nets": {"net": files}}))
    put(folder, NEW)
    assert all(place.read_text() == "mine" for place in mine)


NO_LISTS = ["[]", '{"files": 3}', '{"format": 2, "nets": {}}', '{"format": 1, "nets": {"net": 3}}', "?", "[" * 9999]


@pytest.mark.parametrize("text", NO_LISTS, ids=range(len(NO_LISTS)))
def test_a_list_that_is_none_is_in_the_way(text: str, tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / MANIFEST).write_text(text)
    refused(tmp_path / "nets", NEW, f"{MANIFEST} is in the way: it is not a list")


def test_a_stopped_export_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that is stopped after any number of moves can be repeated."""
    replace, left = os.replace, 0

    def stopped(source: Any, target: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        replace(source, target)

    finished = []
    for moves in range(len(NEW) + 3):
        folder = tmp_path / f"nets{moves}"
        put(folder, OLD)
        left = moves
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(os, "replace", stopped)
            put(folder, NEW)
            finished.append(moves)
        put(folder, NEW)
        assert contents_of(folder) == NEW
    assert finished == [len(NEW) + 2]  # the list is written before and after the moves
