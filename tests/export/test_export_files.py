"""Files of exported nets: several nets in one folder, earlier files, users' files, and unwritable files."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from exported import Instance, object_name, program_of
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.cli import main
from rnngraph.codegen.machine.target import host, needed_processor, target_of
from rnngraph.export.package import linking
from rnngraph.export.package.javascript_module import javascript_module
from rnngraph.export.write_net import EXPORTS
from rnngraph.storage import shared_folder

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
    actual = Instance(tmp_path, "net", host()).process(5, x=x)["y"]
    assert any(np.array_equal(actual, program.inference(x=x)["y"]) for program in programs)
    assert sorted(path.name for path in tmp_path.iterdir()) == about["files"]


@pytest.mark.parametrize("form", ["stream", "sequence"])
def test_stored_integers_are_not_passed_at_run_time(tmp_path: Path, form: str) -> None:
    x = rg.placeholder("x", shape=(None, None, 6))
    numbers = rg.parameter("numbers", (6, 4), np.ones((6, 4), np.int8), False, "int8")
    program = program_of({"y": x @ rg.dequantize(numbers, rg.parameter("scales", (3, 4)), axis=0)})
    with pytest.raises(rg.ArgumentError, match=r'numbers is int8; export with weights="embedded"'):
        program.inference.export(tmp_path, "net", weights="external", form=form, link=False)
    assert not [*tmp_path.iterdir()]


# Older files, and those of others ------------------------------------------------------------------


@needs_compiler
def test_files_that_an_export_no_longer_writes_are_deleted(tmp_path: Path) -> None:
    program = small()
    program.inference.export(tmp_path, "net", weights="external")
    (tmp_path / "net.py.orig").write_text("mine")
    assert (tmp_path / "libnet.so").exists()
    program.inference.export(tmp_path, "other", link=False)
    program.inference.export(tmp_path, "net", link=False)
    expected = ["net.h", "net.json", object_name("net"), "net_net.cmake", "net_test.c"]
    expected += [name.replace("net", "other", 1) for name in expected] + ["CMakeLists.txt", EXPORTS.manifest]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*expected, "net.py.orig"])


def test_a_file_that_was_changed_is_never_replaced(tmp_path: Path) -> None:
    small(4).inference.export(tmp_path, "net", link=False)
    (tmp_path / "net_test.c").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(rg.FileError, match=r"test_export_files\.py:\d+: .*net_test\.c is in the way: .* changed since"):
        small(9).inference.export(tmp_path, "net", link=False)
    assert contents(tmp_path) == before


def test_an_unused_new_folder_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_folder, "_digest", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        small().inference.export(tmp_path / "out", "net", link=False)
    assert list(tmp_path.iterdir()) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


@needs_compiler
@pytest.mark.parametrize("obstacle", ["a directory", "no linker", "no space"])
def test_an_export_that_fails_leaves_the_old_one(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(4).inference.export(tmp_path, "net", link=False)
    words = "libnet.so is in the way"
    if obstacle == "a directory":
        (tmp_path / "libnet.so").mkdir()
    elif obstacle == "no linker":
        words = "false failed .*link=False"
        monkeypatch.setattr(linking, "_SHARED", ())
        monkeypatch.setattr(linking, "tools_for", lambda *_: linking.Tools((("false",),), ()))
    else:
        words = "can't write .*No space left on device"
        write = Path.write_bytes

        def full(path: Path, data: Any) -> int:
            if path.name == "net_test.c":
                raise OSError(28, "No space left on device")
            return write(path, data)

        monkeypatch.setattr(Path, "write_bytes", full)
    before = contents(tmp_path)
    with pytest.raises(rg.RnnGraphError, match=words):
        small(9).inference.export(tmp_path, "net")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["test", "json", "math", "m", "class", "numpy"])
def test_names_that_would_hide_others(name: str, tmp_path: Path) -> None:
    with pytest.raises(rg.RnnGraphError, match=f"files named {name} would hide"):
        small().inference.export(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


# Loaded programs, and the command line -------------------------------------------------------------


def test_a_loaded_program_exports_the_same_object(tmp_path: Path) -> None:
    program = small()
    program.save(tmp_path / "saved")
    program.inference.export(tmp_path / "made", "net", link=False)
    rg.load(tmp_path / "saved").inference.export(tmp_path / "loaded", "net", link=False)
    assert contents(tmp_path / "made") == contents(tmp_path / "loaded")


def test_the_default_folder_has_the_nets_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = small()
    exported = program.inference.export(name="one", link=False)
    assert exported.directory == Path("one-export")
    assert all(path.is_file() for path in exported.files.values())
    assert {path.name for path in Path("one-export").iterdir()} == {*exported.files}
    program.inference.export(link=False)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["net-export", "one-export"]


SCRIPT = """\
import rnngraph as rg

x = rg.placeholder("x", shape=(None, None, 3))
program = rg.compile(rg.dynamic_rnn(rg.GRUCell(4), x)[0])
"""


@needs_compiler
def test_a_script_is_not_replaced_by_its_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(SCRIPT)
    for _ in range(2):  # a second export overwrites the files of the first
        assert main(["export", "my_model.py"]) == 0
        assert "needs the processor of the machine that made it" in capsys.readouterr().out
    assert Path("my_model.py").read_text() == SCRIPT
    assert Path("my_model-export/my_model.py").exists()
    Path("my_model_test.c").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert main(["export", "my_model.py", "--directory", "."]) == 1
    said = capsys.readouterr()
    assert "my_model.py, my_model_test.c are in the way: no export wrote it" in said.err
    assert said.out == ""
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_the_header_names_the_required_processor(tmp_path: Path) -> None:
    program = small()
    for name in ("host", "thumbv7em-none-eabihf"):
        exported = program.inference.export(tmp_path / name, "net", target=name, link=False)
        assert exported.needs == needed_processor(target_of(name))
        text = " ".join((tmp_path / name / "net.h").read_text().replace(" * ", " ").split())
        assert f"It needs {exported.needs}." in text
    assert host().processor in needed_processor(host())
    assert "x86-64-v4 or above" in needed_processor(target_of("x86-64-v4-windows"))
    assert "x86-64-v3 or above, with avx2 fma" in needed_processor(target_of("x86-64-v3"))


WEB_ASSEMBLY = """\
const memory = { buffer: new ArrayBuffer(1 << 20), grow() {} };
const code = { memory, __heap_base: { value: 1024 }, net_abi_version: () => 1, net_state_size: () => 64 };
for (const name of ["init", "step", "process"]) code[`net_${name}`] = () => 0;
WebAssembly.Instance = class { exports = code; };
const { Net, description } = await import("./net.mjs");
"""
NAMES = """\
const net = new Net(null), x = [1, 2, 3], said = [];
const calls = [
  () => net.step({ x }), () => net.step({ X: x, x }), () => net.step({}), () => new Net(null, { start: { x } }),
];
for (const call of calls) {
  try { call(); said.push("fine"); } catch (error) { said.push(error.message); }
}
console.log(JSON.stringify(said));
"""
NUMBERS = """\
const starts = [undefined, { start: { number: [3, 4] } }, { start: { number: [5n, 6n] } }];
const [port] = description.initial_inputs;
console.log(JSON.stringify(starts.map((start) => Array.from(new Net(null, start).view(port, 1), Number))));
"""


def in_node(program: rg.Program, script: str, folder: Path, **options: Any) -> Any:
    """Return what a script prints as JSON, with the module of a net whose code does nothing."""
    exported = program.inference.export(folder, "net", link=False, **options)
    described = json.loads(exported.files["net.json"].read_text())
    (folder / "net.mjs").write_text(javascript_module(SimpleNamespace(name="net", is_stream=True), described))  # type: ignore[arg-type]
    (folder / "calls.mjs").write_text(WEB_ASSEMBLY + script)
    return json.loads(run("node", "calls.mjs", folder=folder))


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_the_javascript_module_accepts_the_nets_inputs_only(tmp_path: Path) -> None:
    said = in_node(small(), NAMES, tmp_path)
    assert said == ["fine", "net has no input X; it takes x", "net needs x", "net has no input x; it takes nothing"]


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_the_javascript_module_takes_numbers_for_64_bits(tmp_path: Path) -> None:
    program = rg.compile(rg.sample(rg.placeholder("x", (None, None, 3))))
    assert in_node(program, NUMBERS, tmp_path, batch=2) == [[0, 0], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("x86-64-windows", "net.dll was not linked: that needs x86_64-w64-mingw32-gcc on the path"),
        ("aarch64-macos", "libnet.dylib was not linked: on a Mac, run cc -dynamiclib -o libnet.dylib net.o"),
        ("thumbv7em-none-eabihf", ""),
    ],
)
def test_the_requirements_of_a_library_that_was_not_linked_are_named(
    target: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking.shutil, "which", lambda name: None)
    assert small().inference.export(tmp_path, "net", target=target).no_library == reason


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program = small()
    program.save(tmp_path / "saved")
    arguments = ["export", str(tmp_path / "saved"), "-o", str(tmp_path / "out"), "--no-link"]
    assert main([*arguments, "--name", "net"]) == 0
    assert str(tmp_path / "out" / object_name("net")) in capsys.readouterr().out.splitlines()
    x = np.ones((1, 5, 3), np.float32)
    actual = Instance(tmp_path / "out", "net", host()).process(5, x=x)["y"]
    assert_array_equal(actual, program.inference(x=x)["y"])
    for wrong, words in (
        (["--name", "9"], "can't begin C names"),
        (["--name", "test"], "would hide"),
        (["--target", "pdp11"], "unknown target"),
    ):
        assert main([*arguments, *wrong]) != 0
        complaint = capsys.readouterr().err
        assert words in complaint
        assert ".py:" not in complaint  # an error of a command names no source line
    monkeypatch.setattr(linking.shutil, "which", lambda name: None)
    linked = [*arguments[:-2], str(tmp_path / "linked"), "--name", "net", "--target", "x86-64-windows"]
    assert main(linked) == 0
    assert "net.dll was not linked: " in capsys.readouterr().out
