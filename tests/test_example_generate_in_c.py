"""The program in C generates ``generate``'s tokens, from weights in a mapped file."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "generate_in_c"
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None or sys.platform == "win32", reason="needs a C compiler and mmap")


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_in_c_export", FOLDER / "export.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(folder / "generate"), *map(str, arguments)], capture_output=True, text=True, check=False)


def built(folder: Path) -> None:
    source, code = str(FOLDER / "generate.c"), str(folder / "net.o")
    flags = ["-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{folder}", "-o", str(folder / "generate")]
    subprocess.run([str(COMPILER), *flags, source, code], check=True)


@pytest.mark.parametrize("kind", ["float32", "int8", "int4"])
def test_tokens_are_those_of_generate(kind: str, tmp_path: Path) -> None:
    program = example().main(tmp_path, kind)
    built(tmp_path)
    prompt = [5, 9, 33, 0, 63]
    ran = run(tmp_path, tmp_path / "net.weights", 17, *prompt)
    assert ran.returncode == 0, ran.stderr
    assert [*map(int, ran.stdout.split())] == [*program.inference.generate(prompt, max_new=17)]
    small = (tmp_path / "net.weights").stat().st_size / (tmp_path / "net.safetensors").stat().st_size
    assert small < {"float32": 1.2, "int8": 0.7, "int4": 0.5}[kind], "the table and small parameters are float32"


def test_another_file_is_refused(tmp_path: Path) -> None:
    example().main(tmp_path)
    built(tmp_path)
    os.truncate(tmp_path / "net.weights", 1000)
    for file in ("net.weights", "net.safetensors", "nowhere"):
        ran = run(tmp_path, tmp_path / file, 3, 1)
        assert ran.returncode == 1
        assert "must be the net.weights of this export" in ran.stderr
