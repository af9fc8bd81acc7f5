"""``export_plugin``: one net for several systems, with a C++ class and a CMake target, built and run here."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from objects import undefined_symbols

import rnngraph as rg
from rnngraph.cli import main

STEPS, BLOCK = 300, 64
CMAKE = """\
cmake_minimum_required(VERSION 3.15)
project(host CXX)
enable_testing()
add_subdirectory(fx)
add_executable(host host.cpp)
target_link_libraries(host PRIVATE fx)
"""
HOST = """\
#include <cstdio>
#include <vector>
#include <fx.hpp>

static_assert(fx::Net::latency == 0, "latency");
static_assert(fx::Net::state_bytes == 2 * 24 * sizeof(float), "bytes of a state");

int main() {
    std::vector<float> x(STEPS), y(STEPS), again(STEPS);
    std::FILE *file = std::fopen("x.bin", "rb");
    if (!file || std::fread(x.data(), sizeof(float), x.size(), file) != x.size()) return 1;
    std::fclose(file);
    fx::Net net;
    for (std::size_t at = 0; at < x.size(); at += BLOCK) {
        std::size_t steps = x.size() - at < BLOCK ? x.size() - at : BLOCK;
        net.process(steps, x.data() + at, y.data() + at);
    }
    fx::Net moved(std::move(net));
    std::vector<unsigned char> state(fx::Net::state_bytes);
    moved.get_state(state.data());
    moved.reset();
    for (std::size_t at = 0; at < x.size(); at++) moved.step(&x[at], &again[at]);
    std::vector<unsigned char> other(fx::Net::state_bytes);
    moved.get_state(other.data());
    if (y != again || state != other) return 2;
    moved.reset();
    moved.set_state(state.data());
    file = std::fopen("y.bin", "wb");
    if (!file || std::fwrite(y.data(), sizeof(float), y.size(), file) != y.size()) return 3;
    return std::fclose(file);
}
"""


def effect() -> rg.Program:
    x = rg.placeholder("x", (None, None, 1))
    return rg.compile({"y": rg.dense(rg.dynamic_rnn(rg.LSTMCell(24), x)[0], 1)}, seed=2)


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which("cmake") or not shutil.which("c++"), reason="needs CMake and a C++ compiler")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="plugins have code for x86-64 of Linux")
def test_a_plugin_is_built_and_runs(tmp_path: Path) -> None:
    program = effect()
    exports = program.inference.export_plugin(tmp_path / "fx", "fx", max_block=16)
    assert [*exports] == ["linux-x86_64", "windows-x86_64", "macos-arm64", "macos-x86_64"]
    x = np.random.default_rng(3).normal(size=STEPS).astype(np.float32)
    x.tofile(tmp_path / "x.bin")
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    (tmp_path / "host.cpp").write_text(HOST.replace("STEPS", str(STEPS)).replace("BLOCK", str(BLOCK)))
    run("cmake", "-S", ".", "-B", "build", "-DFX_TEST=ON", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror", folder=tmp_path)
    run("cmake", "--build", "build", folder=tmp_path)
    run("build/host", folder=tmp_path)
    expected = program.inference(x=x.reshape(1, -1, 1))["y"].ravel()
    np.testing.assert_allclose(np.fromfile(tmp_path / "y.bin", np.float32), expected, rtol=0, atol=1e-6)
    assert "100% tests passed" in run("ctest", folder=tmp_path / "build")
    program.inference.export_plugin(tmp_path / "fx", "fx")  # a second export overwrites the files of the first


def test_objects_of_all_systems_have_no_undefined_symbols(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Objects for all systems have no undefined symbols, although some choose a variant at run time."""
    effect().save(tmp_path / "saved")
    export = ["export", str(tmp_path / "saved"), "--name", "fx", "-o", str(tmp_path / "fx")]
    assert main([*export, "--plugin", "--max-block", "1"]) == 0
    said = capsys.readouterr().out
    assert "at run time the best of x86-64-windows, x86-64-v3-windows, x86-64-v4-windows is selected" in said
    assert "the class fx::Net" in said
    objects = sorted((tmp_path / "fx").glob("*/fx.o*"))
    assert len(objects) == 4
    for file in objects:
        assert undefined_symbols(file.read_bytes()) == [], file
    assert main([*export, "--plugin", "--target", "host"]) == 2
    assert "leave out --target" in capsys.readouterr().err


def test_words_of_cpp_name_no_plugin() -> None:
    with pytest.raises(rg.ArgumentError, match="name='new' can't be a namespace"):
        effect().inference.export_plugin("never", "new")
