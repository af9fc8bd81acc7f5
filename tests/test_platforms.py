"""Tests on emulated systems: ARM Linux under qemu and Windows under wine, by the scripts of ``tools/platforms``.

A part is a few folders or files of the suite. Its tests run as they do here, or are skipped with a system's reason
(``systems.py``). docs/platforms.md has the counts of the last runs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "tools" / "platforms"
ENVIRONMENT = {name: text for name, text in os.environ.items() if name != "XDG_CACHE_HOME"}
"""Environment in which roots are in the user's cache instead of this run's."""
LOGS = Path.home() / ".cache" / "rnngraph-platforms" / "logs"

ARM = {
    "threads": ("codegen/threads/test_pool_functions.py", "support/system"),
    "machine": ("codegen/machine", "runtime/native/test_worker_pool.py"),
    "calls": ("runtime/calls/test_direct_call.py", "runtime/streams/test_stream.py"),
    "training": (
        "training/steps/test_prepared_train_step.py",
        "training/steps/test_step_runner.py",
        "training/steps/test_update_kernels.py",
        "runtime/streams/test_prepared_step.py",
    ),
    "exports": ("export/test_random_exports.py", "export/test_exported_states.py", "export/test_rows_at_once.py"),
    "readers": ("formats/keras/test_read_keras.py", "formats/test_nam.py"),
    "kernels": ("codegen/kernels/test_reductions.py", "codegen/llvm/test_threefry.py", "storage"),
}
"""Files and folders of tests by part, as few as take 12 minutes of CPU in all under qemu. CI runs "threads"."""
NOT_ROOMS = ("fixtures", "hard_points", "helpers", "typed", "__pycache__")
ROOMS = sorted(path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name not in NOT_ROOMS)
WINDOWS = {
    **{room: (f"tests/{room}",) for room in ROOMS},
    "others": ("tests", *(f"--ignore=tests/{room}" for room in ROOMS)),
}
"""Arguments of pytest by part of the suite: folders only, so that each part has the tests of a default run."""


def needs(*commands: str) -> None:
    missing = [command for command in commands if not shutil.which(command)]
    if missing or sys.platform != "linux" or os.geteuid():
        pytest.skip(f"needs Debian, root, and {', '.join(commands)}")


def run(script: str, *command: str) -> str:
    """Run a command in a root and return its output, which is also written to a log in the user's cache."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[1].split(' ')[0]}.log"
    with log.open("w", encoding="utf-8") as output:
        line = [SCRIPTS / script, "run", *command]
        streams = {"stdout": output, "stderr": subprocess.STDOUT}
        done = subprocess.run(line, env=ENVIRONMENT, **streams, timeout=4 * 3600, check=False)
    said = log.read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, f"{log}:\n{said[-9000:]}"
    return said


@pytest.mark.aarch64
@pytest.mark.parametrize("part", ARM)
def test_arm_linux(part: str) -> None:
    needs("apt-get", "dpkg", "unshare")
    said = run(
        "aarch64.sh",
        "python3",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *(f"tests/{name}" for name in ARM[part]),
    )
    assert re.search(r"\d+ passed", said)


INT8 = """
import numpy as np, rnngraph as rg
x = rg.placeholder("x", (None, None, 64))
program = rg.compile({"y": rg.dynamic_rnn(rg.GRUCell(64), x)[0]}, weights="int8", activations="int8", cache=False)
program.inference(x=np.ones((16, 3, 64), np.float32))
print("sdot", program.inference.show("asm").count("sdot"))
"""


@pytest.mark.aarch64
def test_bytes_are_multiplied_by_sdot() -> None:
    """LLVM does not report ``sdot``, but ``/proc/cpuinfo`` does."""
    needs("apt-get", "dpkg", "unshare")
    match = re.search(r"sdot (\d+)", run("aarch64.sh", "python3", "-c", INT8))
    assert match
    assert int(match[1]) > 50


@pytest.mark.wine
@pytest.mark.parametrize("part", WINDOWS)
def test_windows(part: str) -> None:
    needs("apt-get", "dpkg", "unshare")
    pytest_ = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n2", "--timeout=600")
    assert re.search(r"\d+ (passed|skipped)", run("windows.sh", *pytest_, *WINDOWS[part]))


CALL = """
import sys
import numpy as np
sys.path.insert(0, "Z:/tmp/exported")
import net
given = np.load("Z:/tmp/exported/given.npz")
found = net.Model().process(x=given["x"])["y"]
assert np.array_equal(found, given["y"]), abs(found - given["y"]).max()
print("the same bits")
"""


@pytest.mark.wine
def test_an_export_for_windows_is_a_library_with_a_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MinGW in the root links the library; Python for Windows loads it, without rnngraph, with this machine's bits."""
    needs("apt-get", "dpkg", "unshare")
    run("windows.sh", "python", "--version")
    root = Path.home() / ".cache" / "rnngraph-platforms" / "windows"
    folder = root / "tmp" / "exported"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("gcc", "ar"):
        actual = {"gcc": "gcc-posix", "ar": "ar"}[name]
        tool = tmp_path / f"x86_64-w64-mingw32-{name}"
        within = '"${@//"$root"/}"'  # paths within the root
        command = f"exec chroot $root /usr/bin/x86_64-w64-mingw32-{actual} {within}"
        tool.write_text("\n".join(["#!/bin/bash", f"root={root}", command, ""]))
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    x = rg.placeholder("x", (None, None, 5))
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(19), x)
    program = rg.compile({"y": outputs}, target="x86-64-v3", cache=False)
    feed = np.random.default_rng(0).normal(size=(1, 9, 5)).astype(np.float32)
    program.inference.export(folder, "net", target="x86-64-v3-windows")
    np.savez(folder / "given.npz", x=feed, y=program.inference(x=feed)["y"])
    assert {"net.dll", "net.obj", "libnet.a", "net.py"} <= {path.name for path in folder.iterdir()}
    assert "the same bits" in run("windows.sh", "python", "-c", CALL)
    gcc = ("x86_64-w64-mingw32-gcc-posix", "-O1", "-Wall", "-Werror", "-o", "test.exe", "net_test.c", "net.obj")
    inside = f"cd /tmp/exported && {' '.join(gcc)} && exec /usr/lib/wine/wine64 test.exe"
    run("windows.sh", "/bin/bash", "-c", inside)
