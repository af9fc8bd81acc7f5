"""The files of exported nets: several in one folder, older ones, other people's, and what can't be written."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import Instance, program_of
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.cli import main
from rnngraph.codegen.target import host
from rnngraph.export import linking

needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


def small(units: int = 4) -> rg.Program:
    x = rg.placeholder("x", shape=(None, None, 3))
    return program_of({"y": rg.dynamic_rnn(rg.GRUCell(units), x)[0]})


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Several nets in one folder ------------------------------------------------------------------------

BOTH = """\
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "one.h"
#include "two.h"

#define STEPS 500

static uint64_t memory[5][(ONE_STATE_SIZE > TWO_STATE_SIZE ? ONE_STATE_SIZE : TWO_STATE_SIZE) / 8 + 1];
static float results[5][STEPS][ONE_Y_STEP + TWO_Y_STEP];

static void run(int number)
{
    float x[3] = { 0.5f, -1, 0.25f };
    int step;
    if (number % 2)
        two_init(memory[number]);
    else
        one_init(memory[number]);
    for (step = 0; step < STEPS; step++) {
        x[step % 3] = (float)(step % 7) / 7;
        if (number % 2)
            two_step(memory[number], x, results[number][step]);
        else
            one_step(memory[number], x, results[number][step]);
    }
}

static void *start(void *number) { run(*(int *)number); return NULL; }

int main(void)
{
    pthread_t threads[3];
    int numbers[3] = { 2, 3, 4 }, i;
    run(0);
    run(1);
    for (i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, start, &numbers[i]);
    for (i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    puts(memcmp(results[0], results[2], sizeof results[0]) || memcmp(results[0], results[4], sizeof results[0])
         || memcmp(results[1], results[3], sizeof results[1]) ? "other bits" : "same bits");
    return 0;
}
"""


@needs_compiler
@pytest.mark.parametrize("options", [{}, {"dispatch": True}])
def test_two_nets_in_one_executable_and_in_several_threads(options: dict[str, Any], tmp_path: Path) -> None:
    if options and not host().triple.startswith("x86_64"):
        pytest.skip("levels are of x86-64")
    small(4).inference.export(tmp_path, "one", link=False, **options)
    small(9).inference.export(tmp_path, "two", link=False, **options)
    (tmp_path / "both.c").write_text(BOTH)
    run("cc", "-std=c99", "-Wall", "-Werror", "both.c", "one.o", "two.o", "-o", "both", "-lpthread", folder=tmp_path)
    assert run("./both", folder=tmp_path) == "same bits\n"


@pytest.mark.skipif(not shutil.which("cmake") or not shutil.which("cc"), reason="needs CMake")
def test_cmake_builds_and_tests_all_nets_of_a_folder(tmp_path: Path) -> None:
    small(4).inference.export(tmp_path / "nets", "one", link=False)
    small(9).inference.export(tmp_path / "nets", "two", weights="external", link=False)
    (tmp_path / "CMakeLists.txt").write_text("""\
cmake_minimum_required(VERSION 3.12)
project(user C)
enable_testing()
add_subdirectory(nets)
add_executable(user user.c)
target_link_libraries(user PRIVATE one two)
""")
    (tmp_path / "user.c").write_text(
        '#include "one.h"\n#include "two.h"\nint main(void) { return one_abi_version() != two_abi_version(); }\n'
    )
    run("cmake", "-S", ".", "-B", "build", "-DONE_TEST=ON", "-DTWO_TEST=ON", folder=tmp_path)
    run("cmake", "--build", "build", folder=tmp_path)
    run("build/user", folder=tmp_path)
    assert "100% tests passed, 0 tests failed out of 2" in run("ctest", folder=tmp_path / "build")


@pytest.mark.skipif(not shutil.which("pkg-config") or not shutil.which("cc"), reason="needs pkg-config")
def test_pkg_config_finds_the_library(tmp_path: Path) -> None:
    small().inference.export(tmp_path, "net")
    flags = run("pkg-config", "--cflags", "--libs", str(tmp_path / "net.pc"), folder=tmp_path).split()
    rest = ["net_test.c", *flags, "-o", "test", f"-Wl,-rpath,{tmp_path}"]
    run("cc", *rest, folder=tmp_path)
    assert run("./test", folder=tmp_path) == "ok, largest difference 0\n"


def test_two_exports_at_once_do_not_mix(tmp_path: Path) -> None:
    programs = [small(4), small(9)]
    threads = [
        threading.Thread(target=program.inference.export, args=(tmp_path, "net"), kwargs={"link": False})
        for program in programs * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    about = json.loads((tmp_path / "net.json").read_text())
    assert f"#define NET_STATE_SIZE {about['state_size']} " in (tmp_path / "net.h").read_text()
    x = np.ones((1, 5, 3), np.float32)
    found = Instance(tmp_path, "net", host()).process(5, x=x)["y"]
    assert any(np.array_equal(found, program.inference(x=x)["y"]) for program in programs)
    assert sorted(path.name for path in tmp_path.iterdir()) == about["files"]


# Older files, and those of others ------------------------------------------------------------------


@needs_compiler
def test_files_that_are_no_longer_made_go(tmp_path: Path) -> None:
    program = small()
    program.inference.export(tmp_path, "net", weights="external")
    (tmp_path / "net.py.orig").write_text("mine")
    assert (tmp_path / "libnet.so").exists()
    program.inference.export(tmp_path, "other", link=False)
    program.inference.export(tmp_path, "net", link=False)
    made = ["CMakeLists.txt", "net.h", "net.json", "net.o", "net_net.cmake", "net_test.c"]
    made += [name.replace("net", "other", 1) for name in made[1:]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*made, "net.py.orig"])


def test_a_description_of_something_else_removes_nothing(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    for text in ('{"files": ["keep.txt", "../keep.txt", "CMakeLists.txt", 1]}', "[]", '{"files": 3}'):
        (tmp_path / "net.json").write_text(text)
        small().inference.export(tmp_path, "net", link=False)
        assert (tmp_path / "keep.txt").exists()
        assert (tmp_path / "CMakeLists.txt").exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


@needs_compiler
@pytest.mark.parametrize("obstacle", ["a build file of the user's", "a directory", "no linker", "no space"])
def test_an_export_that_fails_leaves_the_old_one(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(4).inference.export(tmp_path, "net", link=False)
    words = "libnet.so: it is a directory"
    if obstacle == "a directory":
        (tmp_path / "libnet.so").mkdir()
    elif obstacle == "no linker":
        words = "false failed .*link=False"
        monkeypatch.setattr(linking, "_SHARED", ())
        monkeypatch.setattr(linking, "tools_for", lambda *_: linking.Tools((("false",),), (), "lib{name}.so"))
    elif obstacle == "no space":
        words = "can't write .*No space left on device"
        write = Path.write_bytes

        def full(path: Path, data: Any) -> int:
            if path.name == "net_test.c":
                raise OSError(28, "No space left on device")
            return write(path, data)

        monkeypatch.setattr(Path, "write_bytes", full)
    else:
        words = "CMakeLists.txt belongs to something else"
        (tmp_path / "CMakeLists.txt").write_text("project(mine)\n")
    before = contents(tmp_path)
    with pytest.raises(rg.RnnGraphError, match=words):
        small(9).inference.export(tmp_path, "net")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["test", "json", "math", "m", "class", "numpy"])
def test_names_that_would_hide_others(name: str, tmp_path: Path) -> None:
    with pytest.raises(rg.RnnGraphError, match=f"files named {name} would hide"):
        small().inference.export(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


# Ways in -------------------------------------------------------------------------------------------


def test_a_loaded_program_exports_the_same_object(tmp_path: Path) -> None:
    program = small()
    program.save(tmp_path / "saved")
    program.inference.export(tmp_path / "made", "net", link=False)
    rg.load(tmp_path / "saved").inference.export(tmp_path / "loaded", "net", link=False)
    assert contents(tmp_path / "made") == contents(tmp_path / "loaded")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = small()
    program.save(tmp_path / "saved")
    given = ["export", str(tmp_path / "saved"), "--directory", str(tmp_path / "out"), "--no-link"]
    assert main([*given, "--name", "net"]) == 0
    assert str(tmp_path / "out" / "net.o") in capsys.readouterr().out.splitlines()
    x = np.ones((1, 5, 3), np.float32)
    found = Instance(tmp_path / "out", "net", host()).process(5, x=x)["y"]
    assert_array_equal(found, program.inference(x=x)["y"])
    for wrong, words in (
        (["--name", "9"], "can't begin C names"),
        (["--name", "test"], "would hide"),
        (["--target", "pdp11"], "not known"),
    ):
        assert main([*given, *wrong]) != 0
        complaint = capsys.readouterr().err
        assert words in complaint
        assert ".py:" not in complaint  # a command has no line
