"""Locks on bytes of a file between processes: waiting, timeouts, and locks of killed processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from systems import not_on_windows

from rnngraph.storage import locks
from rnngraph.storage.locks import locked_byte
from rnngraph.support.system import PrivateDirectory

HOLDER = """
import pathlib, sys
from rnngraph.storage.locks import locked_byte
from rnngraph.support.system import PrivateDirectory
with locked_byte("locks", PrivateDirectory(pathlib.Path(sys.argv[1])), int(sys.argv[2]), 5.0):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[PrivateDirectory]:
    with PrivateDirectory(tmp_path) as opened:
        yield opened


@contextmanager
def byte_held_elsewhere(path: Path, place: int) -> Iterator[subprocess.Popen[str]]:
    """Start another process that locks this byte."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def waits(
    folder: PrivateDirectory, place: int, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None
) -> int:
    """Return how often a process that waits for this byte sleeps; ``then`` is called during the second sleep."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            then()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    monkeypatch.setattr(locks.time, "monotonic", lambda: float(len(slept)))
    with locked_byte("locks", folder, place, 5.0):
        pass
    return len(slept)


def test_a_byte_is_one_process_s(tmp_path: Path, folder: PrivateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    with byte_held_elsewhere(tmp_path, 2**60 - 1):
        assert waits(folder, 2**60 - 1, monkeypatch) == 5  # it continues after the timeout
        assert waits(folder, 7, monkeypatch) == 0
    assert waits(folder, 2**60 - 1, monkeypatch) == 0
    assert os.listdir(tmp_path) == ["locks"]
    assert (tmp_path / "locks").stat().st_size == 0


def test_a_killed_process_releases_its_lock(
    tmp_path: Path, folder: PrivateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with byte_held_elsewhere(tmp_path, 3) as process:

        def end() -> None:
            process.kill()
            process.wait()

        assert waits(folder, 3, monkeypatch, end) == 2


def test_without_locks_no_process_waits(folder: PrivateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "no locks here")

    monkeypatch.setattr(locks, "try_lock_byte", refuse)
    assert waits(folder, 3, monkeypatch) == 0


@not_on_windows("links need a privilege")
def test_a_link_is_no_file_of_locks(tmp_path: Path, folder: PrivateDirectory) -> None:
    (tmp_path / "locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"symbolic|links"), locked_byte("locks", folder, 3, 5.0):
        pass
    assert not (tmp_path / "elsewhere").exists()
