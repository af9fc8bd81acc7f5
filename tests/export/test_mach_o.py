"""Exports for macOS, linked by LLVM's linker against a stub of the system library, and disassembled."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import rnngraph as rg

STUB = """--- !tapi-tbd
tbd-version: 4
targets: [ {arch}-macos ]
install-name: '/usr/lib/libSystem.B.dylib'
current-version: 1311.0.0
exports:
  - targets: [ {arch}-macos ]
    symbols: [ dyld_stub_binder ]
...
"""


def tool(name: str) -> str:
    """Return the path of an LLVM tool, whose name may end with the version."""
    names = [name, *(f"{name}-{version}" for version in range(30, 13, -1))]
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"needs {name}")
    return path


@pytest.mark.parametrize(
    ("target", "arch", "wanted"),
    [("aarch64-macos", "arm64", r"fmla(\.4s)?\s+v\d+"), ("x86-64-v3-macos", "x86_64", r"vfmadd\d+ps")],
)
def test_an_object_links_as_a_dylib(target: str, arch: str, wanted: str, tmp_path: Path) -> None:
    linker, objdump = tool("ld64.lld"), tool("llvm-objdump")
    x = rg.placeholder("x", (None, None, 5))
    program = rg.compile({"y": rg.dynamic_rnn(rg.GRUCell(16), x)[0]}, cache=False)
    program.inference.export(tmp_path, "net", target=target, link=False)
    (tmp_path / "libSystem.tbd").write_text(STUB.format(arch=arch))
    version = ("-platform_version", "macos", "11.0.0", "11.0.0")
    command = [linker, "-dylib", "-arch", arch, *version, "-o", "libnet.dylib", "net.o", "libSystem.tbd"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "undefined" not in done.stderr
    shown = [objdump, "--macho", "--exports-trie", "libnet.dylib"]
    exports = subprocess.run(shown, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert {"_net_init", "_net_step", "_net_state_size"} <= {*re.findall(r"_net_\w+", exports)}
    code = subprocess.run([objdump, "-d", "libnet.dylib"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(re.findall(wanted, code.stdout)) > 8
