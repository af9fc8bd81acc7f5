"""The microcontroller example: its image is built and run in QEMU if the tools are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm"))),
    reason="needs arm-none-eabi-gcc and qemu-system-arm",
)


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
def test_the_image_prints_ok(weights: str, tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "examples/microcontroller/build.py"), "--directory", str(tmp_path)]
    done = subprocess.run([*script, "--weights", weights], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.splitlines()[-1] == "ok, largest difference 0.000000"
    assert "wrong" not in done.stdout
