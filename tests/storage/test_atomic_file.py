"""Files that are replaced atomically: permissions, links, errors, and leftovers of killed writers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from systems import not_on_windows

import rnngraph as rg
from rnngraph.storage.atomic_file import replace_file

KILLED = """
import os, signal, sys
from rnngraph.storage.atomic_file import replace_file
with replace_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))  # which ends a process of Windows at once
"""


def write(path: Path, data: bytes) -> None:
    with replace_file(path) as file:
        file.write(data)


def interrupted(path: Path) -> None:
    with replace_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_created_and_replaced(tmp_path: Path) -> None:
    write(tmp_path / "a", b"one")
    write(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert names(tmp_path) == ["a"]


def test_an_error_in_the_block_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "a", b"one")
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"one"
    assert names(tmp_path) == ["a"]


@not_on_windows("files have no mode bits")
def test_a_new_file_has_the_permissions_of_the_umask_and_a_replaced_one_its_own(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", tmp_path / "a"
    plain.write_bytes(b"")
    write(path, b"one")
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o640)
    write(path, b"two")
    assert path.stat().st_mode & 0o777 == 0o640


@not_on_windows("links need a privilege")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    write(tmp_path / "link", b"one")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_bytes() == b"one"


def test_errors_of_the_system_are_raised_with_the_path(tmp_path: Path) -> None:
    for path in (tmp_path / "no folder" / "a", tmp_path):
        with pytest.raises(rg.FileError, match=r"can't write .*give a path") as caught:
            write(path, b"one")
        assert str(path) in str(caught.value)
        assert isinstance(caught.value, OSError)
    assert names(tmp_path) == []
    assert names(tmp_path.parent).count(tmp_path.name) == 1
    assert not [name for name in names(tmp_path.parent) if name.endswith(".part")]


def test_files_of_a_killed_writer_are_deleted_by_the_next_write(tmp_path: Path) -> None:
    write(tmp_path / "a", b"one")
    (tmp_path / ".a.notes.part").write_bytes(b"the user's")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], check=False)
    assert (tmp_path / "a").read_bytes() == b"one"
    assert len(names(tmp_path)) == 3
    write(tmp_path / "b", b"another file's writer leaves it alone")
    assert len(names(tmp_path)) == 4
    write(tmp_path / "a", b"two")
    assert names(tmp_path) == [".a.notes.part", "a", "b"]


def test_writers_at_one_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    with replace_file(tmp_path / "a") as slow:
        slow.write(b"slow")
        write(tmp_path / "a", b"fast")
        assert (tmp_path / "a").read_bytes() == b"fast"
    assert (tmp_path / "a").read_bytes() == b"slow"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_parameters_are_saved_whole(tmp_path: Path, suffix: str) -> None:
    program = rg.compile(rg.dense(rg.placeholder("x", (None, 3)), 2))
    path = tmp_path / f"weights.{suffix}"
    program.parameters.save(path)
    before = {name: array.copy() for name, array in program.parameters.items()}
    program.initialize(7)
    program.parameters.load(path)
    assert all((program.parameters[name] == array).all() for name, array in before.items())
    assert names(tmp_path) == [path.name]
