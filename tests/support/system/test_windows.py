"""Files, locks and access control lists of Windows."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from systems import WINDOWS

import rnngraph as rg
from rnngraph.support import system
from rnngraph.support.system import processor

if not WINDOWS:
    pytest.skip("runs on Windows", allow_module_level=True)

from rnngraph.support.system import windows_api as api
from rnngraph.support.system.windows_security import private_directory_rights

EVERYBODY = "(A;OICI;FA;;;WD)"


def directory(path: Path, rights: str) -> Path:
    """Return a directory with an access control list."""
    path.mkdir()
    descriptor = ctypes.c_void_p()
    api.check(api.security_of_text(rights, 1, ctypes.byref(descriptor), None))
    api.check(api.advapi32.SetFileSecurityW(ctypes.c_wchar_p(str(path)), 4, descriptor))
    return path


def danger(path: Path) -> str:
    with system.PrivateDirectory(path) as opened:
        return opened.danger()


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    system.create_private_directory(tmp_path / "a" / "b")
    assert danger(tmp_path / "a" / "b") == ""
    with system.PrivateDirectory(tmp_path / "a" / "b") as folder:
        descriptor = folder.open("file", os.O_WRONLY | os.O_CREAT)
        assert folder.danger_of(descriptor) == ""
        os.close(descriptor)


def test_a_directory_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    folder = directory(tmp_path / "shared", private_directory_rights() + EVERYBODY)
    assert "others may write" in danger(folder)
    x = rg.placeholder("x", shape=(2, 3))
    with pytest.warns(UserWarning, match="others may write.*icacls"):
        program = rg.compile({"y": rg.tanh(x)}, cache=folder)
    assert program.inference(x=np.zeros((2, 3), np.float32))["y"].shape == (2, 3)
    assert list(folder.iterdir()) == []


def test_the_users_own_cache_is_used(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(2, 3))
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rg.compile({"y": rg.tanh(x)}, cache=tmp_path / "mine").inference(x=np.zeros((2, 3), np.float32))
    assert len(list((tmp_path / "mine").glob("*.code"))) == 1


def test_an_open_directory_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "inner" / "most").mkdir(parents=True)
    with system.PrivateDirectory(tmp_path / "inner" / "most"):
        with pytest.raises(PermissionError):
            os.rename(tmp_path / "inner" / "most", tmp_path / "elsewhere")
        (tmp_path / "inner" / "most" / "file").touch()
    os.rename(tmp_path / "inner" / "most", tmp_path / "elsewhere")


def test_a_file_is_replaced_while_others_read_it(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"one"), other.write_bytes(b"two")
    descriptor = system.open_for_reading(path)
    writer = threading.Thread(target=system.replace, args=(other, path))
    writer.start()
    writer.join(0.2)
    assert os.read(descriptor, 9) == b"one"
    os.close(descriptor)
    writer.join()
    assert path.read_bytes() == b"two"


HOLDER = """
import pathlib, sys
from rnngraph.support import system
with system.locked_directory(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_has_a_directory(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        began: list[bool] = []

        def enter() -> None:
            with system.locked_directory(tmp_path):
                began.append(True)

        waiter = threading.Thread(target=enter)
        waiter.start()
        waiter.join(0.5)
        assert not began
        process.kill()
        waiter.join(30)
        assert began


def test_memory_and_caches_are_known() -> None:
    assert min(left for left, _ in system.free_memory()) > 1 << 20
    assert set(processor.cache_sizes()) <= {1, 2, 3}
