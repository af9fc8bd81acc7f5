"""Compiled code on disk: hits, misses, damaged files, private directories, bounds, and concurrent processes."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from systems import WINDOWS, not_on_windows, runs
from training import data, network

import rnngraph as rg
from rnngraph.codegen import compile as code
from rnngraph.codegen.machine.interface import Interface, ObjectCode, Output, Packing, PackStage
from rnngraph.ir.types import size
from rnngraph.runtime.native import object_cache as caches
from rnngraph.runtime.native.object_cache import Cache
from rnngraph.runtime.native.object_file import KIND, from_bytes, to_bytes
from rnngraph.storage.checkpoint_file import packed

PACKAGE = Path(rg.__file__).parent
KEY = "ab" * 32


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of graphs in the order in which they are compiled."""
    names: list[str] = []
    compile_graph = code.compile_graph

    def recorded(graph: Any, target: Any, name: str, parts: int) -> ObjectCode:
        names.append(name)
        return compile_graph(graph, target, name, parts)

    monkeypatch.setattr(code, "compile_graph", recorded)
    return names


def scaled(factor: Any, cache: Any, **options: Any) -> rg.Program:
    """Return a program of one operation, which compiles quickly."""
    x = rg.placeholder("x", (None, 3))
    return rg.compile(rg.tanh(x * factor), cache=cache, **options)


def files(folder: Path) -> list[Path]:
    """Return the cached files, without locks, pages and notes."""
    others = (caches.LOCKS, caches.PAGES)
    return sorted(path for path in folder.iterdir() if path.name not in others and ".known" not in path.name)


def everything(program: rg.Program, optimizer: rg.Optimizer, accumulate: int = 1) -> list[np.ndarray]:
    """Return the results of all kinds of calls."""
    feeds = data()
    actual = [program.inference(x=feeds["x"])["shown"]]
    loss, gradients = program.training.gradients(feeds, seed=1)
    actual += [loss, *gradients.values()]
    actual += program.training.dropout_masks(feeds, seed=1).values()
    stream = program.inference.stream(batch=2)
    actual += [stream.step(x=feeds["x"][:2, 0])["shown"], stream.process(x=feeds["x"][:2])["shown"]]
    trainer = rg.Trainer(program, optimizer, clip_norm=1.0, accumulate=accumulate)
    actual += [np.asarray(trainer.step(feeds, seed=step, carry=True)) for step in range(2)]
    return [*actual, *(np.array(array) for array in program.parameters.values())]


def assert_same(left: np.ndarray, right: np.ndarray) -> None:
    """Compare bits, so that a NaN equals itself, and 0 differs from -0."""
    assert (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


# Hits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
def test_compiled_code_is_not_compiled_again(tmp_path: Path, compilations: list[str], accumulate: int) -> None:
    fresh = everything(network(keep_prob=0.5, cache=False), rg.Adam(0.1), accumulate)
    assert len(compilations) > 6
    compilations.clear()
    first = everything(network(keep_prob=0.5, cache=tmp_path), rg.Adam(0.1), accumulate)
    stored = files(tmp_path)
    assert len(compilations) >= len(stored) > 4  # the update of accumulated gradients is compiled separately
    compilations.clear()
    second = everything(network(keep_prob=0.5, cache=str(tmp_path)), rg.Adam(0.1), accumulate)
    assert compilations == []
    assert files(tmp_path) == stored
    for a, b, c in zip(fresh, first, second, strict=True):
        assert_same(a, b)
        assert_same(a, c)


def test_sizes_that_are_compiled_in_are_part_of_the_key(tmp_path: Path, compilations: list[str]) -> None:
    for _ in range(2):
        program = network(cache=tmp_path)
        for rows, steps in ((1, 4), (1, 9), (2, 4)):
            program.inference(x=data(rows, steps)["x"])
    assert compilations == ["inference", "inference"]


def test_prepare_uses_the_cache_and_compiles_the_code_of_a_call(tmp_path: Path, compilations: list[str]) -> None:
    for _ in range(2):
        program = network(cache=tmp_path)
        program.inference.prepare(batch=[1, 5])
        program.inference(x=data()["x"])
    assert compilations == ["inference", "inference"]


def test_lines_are_not_part_of_the_key(tmp_path: Path, compilations: list[str]) -> None:
    feed = np.ones((2, 3), np.float32)
    scaled(2.0, tmp_path).inference(x=feed)
    x = rg.placeholder("x", (None, 3))
    rg.compile(rg.tanh(x * 2.0), cache=tmp_path).inference(x=feed)
    assert len(compilations) == 1
    x = rg.placeholder("y", (None, 3))
    rg.compile(rg.tanh(x * 2.0), cache=tmp_path).inference(y=feed)
    assert len(compilations) == 2  # another input name is another interface


def test_a_loaded_program_uses_the_code_of_its_declaration(tmp_path: Path, compilations: list[str]) -> None:
    program = network(cache=tmp_path / "cache")
    expected = program.inference(x=data()["x"])["shown"]
    program.save(tmp_path / "saved")
    actual = rg.load(tmp_path / "saved", cache=tmp_path / "cache").inference(x=data()["x"])["shown"]
    assert_array_equal(actual, expected)
    assert compilations == ["inference"]


def test_stages_are_shown_after_a_hit(tmp_path: Path, compilations: list[str]) -> None:
    texts = []
    for cache in (False, tmp_path, tmp_path):
        program = network(cache=cache)
        program.inference(x=data()["x"])
        texts.append([re.sub("#.*", "", program.inference.show(stage)) for stage in program.inference.stages])
    assert compilations == ["inference", "inference"]
    assert texts[0] == texts[1] == texts[2]


def test_a_length_that_a_pass_compiles_in(tmp_path: Path) -> None:
    """Code of a cell without a recurrence is cached by length: a pass removes its scan, and compiles the length in."""

    class Plain(rg.Cell):
        def state(self) -> Any:
            return {"h": 3}

        def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            return rg.tanh(x), {"h": x}

    for _ in range(2):
        x = rg.placeholder("x", (None, None, 3))
        program = rg.compile(rg.dynamic_rnn(Plain(), x)[0], cache=tmp_path)
        for steps in (2, 5, 2):
            feed = np.random.default_rng(steps).normal(size=(2, steps, 3)).astype(np.float32)
            np.testing.assert_allclose(program.inference(x=feed), np.tanh(feed), rtol=1e-6)


# Misses -------------------------------------------------------------------------------------------


def test_every_option_that_changes_the_result_is_part_of_the_key(tmp_path: Path, compilations: list[str]) -> None:
    feed = np.ones((2, 3), np.float32)
    rows = np.float32([0.0, 1.0, 2.0])
    factors = [2.0, 2.5, rows, rows * [-1, 1, 1], np.float32([0, 1, np.nan]), np.float32([0, 1, 2.0000002])]
    for number, factor in enumerate(factors, 1):
        for _ in range(2):
            actual = scaled(rg.constant(np.float32(factor)), tmp_path).inference(x=feed)
            np.testing.assert_allclose(actual, np.tanh(feed * np.float32(factor)), rtol=1e-6)
        assert len(compilations) == number


def test_options_and_targets_are_part_of_the_key(tmp_path: Path, compilations: list[str]) -> None:
    x = data()["x"]
    levels = [level for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4") if runs(level)]
    compilations.clear()
    options: list[dict[str, Any]] = [{}, {"unroll": 2}, *({"target": level} for level in levels)]
    for number, option in enumerate(options, 1):
        for _ in range(2):
            network(cache=tmp_path, **option).inference(x=x)
        assert len(compilations) == number


def test_other_versions_and_processors_miss(
    tmp_path: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = np.ones((2, 3), np.float32)
    program = scaled(2.0, tmp_path)
    program.inference(x=feed)

    def again() -> int:
        compilations.clear()
        scaled(2.0, tmp_path).inference(x=feed)
        return len(compilations)

    assert again() == 0
    changes = ((caches, "_SOURCES", "others"), (caches.host, "versions", lambda: ("0.1", "1.2.3")))
    for module, name, value in changes:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert again() == 1
    other = replace(program.target, features=f"{program.target.features},+other")
    x = rg.placeholder("x", (None, 3))
    moved = rg.compile(rg.tanh(x * 2.0), cache=tmp_path)
    compiled = moved.inference.compiled
    compiled.options = replace(compiled.options, target=other)
    compilations.clear()
    moved.inference(x=feed)
    assert len(compilations) == 1
    assert again() == 0


@dataclass(frozen=True)
class Own(rg.Optimizer):
    """Optimizer whose step size is not one of its fields."""

    learning_rate: Any = 0.5

    def update(self, parameter: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
        return parameter - FACTOR[0] * gradient, {}


FACTOR = [1.0]


def test_optimizers_are_part_of_the_key_by_their_equations(tmp_path: Path, compilations: list[str]) -> None:
    def trained(optimizer: rg.Optimizer, cache: Any, **options: Any) -> list[np.ndarray]:
        program = network(cache=cache)
        rg.Trainer(program, optimizer, **options).step(data(), seed=1)
        return [np.array(array) for array in program.parameters.values()]

    cases: list[tuple[rg.Optimizer, float, dict[str, Any]]] = [
        (Own(), 1.0, {}),
        (Own(), 2.0, {}),
        (rg.SGD(0.5), 1.0, {}),
        (rg.SGD(0.5, momentum=0.5), 1.0, {}),
        (rg.SGD(0.5), 1.0, {"clip_norm": 0.1}),
        (rg.SGD(0.5), 1.0, {"clip_value": 0.01}),
        (rg.SGD(0.5), 1.0, {"only": "dense/*"}),
    ]
    for optimizer, factor, options in cases:
        FACTOR[0] = factor
        expected = trained(optimizer, False, **options)
        compilations.clear()
        for _ in range(2):
            for a, b in zip(trained(optimizer, tmp_path, **options), expected, strict=True):
                assert_array_equal(a, b)
        assert compilations == ["training"]
    compilations.clear()
    trained(rg.SGD(0.125), tmp_path)  # a rate is an input
    assert compilations == []


EDITED = """
import sys
import numpy as np
import rnngraph as rg
x = rg.placeholder("x", (None, 3))
rg.compile(rg.tanh(x), cache=sys.argv[1]).inference(x=np.ones((2, 3), np.float32))
"""


def test_changed_sources_miss(tmp_path: Path) -> None:
    """Code that other sources of the compiler made is never loaded, even in an editable install."""
    package, folder = tmp_path / "source" / "rnngraph", tmp_path / "cache"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    paths = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}

    def stored() -> int:
        subprocess.run([sys.executable, "-c", EDITED, str(folder)], env=environment, cwd=tmp_path, check=True)
        return len(files(folder))

    assert stored() == stored() == 1
    edited = package / "codegen" / "cost_model" / "register_tiles.py"
    status = edited.stat()
    edited.write_text(edited.read_text() + "# edited\n")
    os.utime(edited, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert stored() == 2


def test_sources_of_rooms_within_rooms_count(tmp_path: Path) -> None:
    """The digest of sources changes if a file changes, is added or moves, or if text moves to the next file."""
    inner = tmp_path / "codegen" / "kernels"
    inner.mkdir(parents=True)
    (inner / "matmul.py").write_text("1\n")
    (tmp_path / "codegen" / "plan.py").write_text("2\n")
    digests = [caches._digest_of(tmp_path, ["codegen"])]
    (inner / "matmul.py").write_text("3\n")
    digests.append(caches._digest_of(tmp_path, ["codegen"]))
    (inner / "matmul.py").rename(tmp_path / "codegen" / "matmul.py")
    digests.append(caches._digest_of(tmp_path, ["codegen"]))
    (tmp_path / "codegen" / "matmul.py").write_text("3\ncodegen/plan.py\n2\n2\n")
    (tmp_path / "codegen" / "plan.py").unlink()
    digests.append(caches._digest_of(tmp_path, ["codegen"]))
    assert len(set(digests)) == len(digests)
    with pytest.raises(FileNotFoundError, match="no sources"):
        caches._digest_of(tmp_path, ["elsewhere"])


# Files --------------------------------------------------------------------------------------------

CODE = ObjectCode(
    Interface(
        main="a",
        pack="a_pack",
        slots=9,
        inputs={"x/é": (0, (4, 5)), "seed": (1, ())},
        parameters={"w": 2},
        unpacked=("w",),
        outputs=(Output("y", "float32", (size("T") * 2 - 1, 3), 3), Output("z", "bool", (), 6)),
        constants=((7, np.array([[1.0, -0.0, np.nan]], np.float32)), (8, np.array([True, False]))),
        sizes={"T": 4},
        arena=5,
        panels=6,
        arena_bytes=size("T") * size("B") * 64 + 128,
        panel_bytes=256,
        parts=2,
        team=8,
        cycles=size("T") * 5000 + 7,
        packing=Packing(6, 7, 8, (PackStage(("w",), 6, 192, 640, ""), PackStage((), 5, 64, 0, "key"))),
    ),
    bytes(range(256)) * 3,
)


def test_a_file_returns_the_written_code() -> None:
    actual = from_bytes(KEY, to_bytes(KEY, CODE))
    assert actual is not None
    assert actual.binary == CODE.binary
    for (slot, array), (wanted, expected) in zip(actual.interface.constants, CODE.interface.constants, strict=True):
        assert slot == wanted
        assert_same(array, expected)
    assert replace(actual.interface, constants=()) == replace(CODE.interface, constants=())


def test_a_truncated_or_changed_file_or_one_of_another_key_is_ignored() -> None:
    whole = to_bytes(KEY, CODE)
    assert from_bytes("cd" * 32, whole) is None
    assert all(from_bytes(KEY, whole[:count]) is None for count in range(len(whole)))
    assert from_bytes(KEY, whole + b"\0") is None
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        assert from_bytes(KEY, bytes(damaged)) is None


@pytest.mark.parametrize("body", [b"", b"\0" * 8, b"\2" + b"\0" * 7 + b"[]", b"\2" + b"\0" * 7 + b"{}", b"\xff" * 99])
def test_a_file_of_another_form_is_ignored(body: bytes) -> None:
    assert from_bytes(KEY, body) is None


@pytest.mark.parametrize("document", [{}, {"key": KEY}, {"key": KEY, "constants": [3]}, {"key": KEY, "constants": 3}])
@pytest.mark.parametrize("kind", [KIND, "trainer"])
def test_a_complete_file_of_another_version_is_ignored(document: dict[str, Any], kind: str) -> None:
    assert from_bytes(KEY, b"".join(packed(kind, {}, document, "a file"))) is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other(path: Path) -> None:
    path.write_bytes(to_bytes(KEY, CODE))


def link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def open_to_all(path: Path) -> None:
    path.chmod(0o666)


def foreign(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flip,
        empty,
        other,
        pytest.param(link, marks=not_on_windows("links need a privilege")),
        pytest.param(pipe, marks=not_on_windows("pipes have no place in file systems")),
        pytest.param(open_to_all, marks=not_on_windows("files have no mode bits; tests/support/system has lists")),
        pytest.param(foreign, marks=not_on_windows("files can't be given away")),
    ],
)
def test_code_of_a_damaged_or_foreign_file_is_compiled_again(
    tmp_path: Path, compilations: list[str], damage: Callable[[Path], None]
) -> None:
    folder, feed = tmp_path / "cache", np.ones((2, 3), np.float32)
    expected = scaled(2.0, folder).inference(x=feed)
    (path,) = files(folder)
    damage(path)
    for _ in range(2):
        assert_array_equal(scaled(2.0, folder).inference(x=feed), expected)
    assert len(compilations) == 2  # the first compilation, and one after the damage
    assert files(folder) == [path]
    status = path.lstat()
    assert stat.S_ISREG(status.st_mode)
    if not WINDOWS:
        assert status.st_mode & 0o777 == 0o600
        assert status.st_uid == os.geteuid()


def test_a_folder_where_the_file_should_be(tmp_path: Path, compilations: list[str]) -> None:
    feed = np.ones((2, 3), np.float32)
    scaled(2.0, tmp_path).inference(x=feed)
    (path,) = files(tmp_path)
    path.unlink()
    path.mkdir()
    for _ in range(2):
        scaled(2.0, tmp_path).inference(x=feed)
    assert len(compilations) == 3
    assert path.is_dir()


# The directory ------------------------------------------------------------------------------------


@not_on_windows("directories have no mode bits; tests/support/system has access control lists")
def test_a_new_directory_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    umask = os.umask(0)
    try:
        scaled(2.0, folder).inference(x=np.ones((2, 3)))
    finally:
        os.umask(umask)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in files(folder)] == [0o600]


@not_on_windows("directories have no mode bits; tests/support/system has access control lists")
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_can_write_to_is_not_used(tmp_path: Path, compilations: list[str], mode: int) -> None:
    feed = np.ones((2, 3), np.float32)
    program = scaled(2.0, tmp_path)
    program.inference(x=feed)
    late = scaled(2.0, tmp_path)
    tmp_path.chmod(mode)
    late.inference(x=feed)  # the permissions changed after they were checked
    with pytest.warns(
        UserWarning, match=rf"test_object_cache\.py:\d+: .*{tmp_path.name}.*others may write.*chmod go-w"
    ) as warned:
        scaled(2.0, tmp_path).inference(x=feed)
    assert len(warned) == 1
    assert Path(warned[0].filename).name == "test_object_cache.py"
    assert len(compilations) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_not_used(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.warns(UserWarning, match="belongs to another user"):
        scaled(2.0, tmp_path).inference(x=np.ones((2, 3)))
    assert files(tmp_path) == []


def test_a_chosen_directory_that_can_not_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.warns(UserWarning, match=r"compiled code is not kept in .*file"):
            program = scaled(2.0, path)
        assert program.inference(x=np.ones((2, 3))).shape == (2, 3)


def test_a_cache_that_is_no_directory_is_an_error(tmp_path: Path) -> None:
    for wrong in (3, None, ["a"]):
        with pytest.raises(rg.DtypeError, match=r"test_object_cache\.py:\d+: cache=.* must be True, False or the path"):
            scaled(2.0, wrong)
    with pytest.raises(rg.ArgumentError, match="pass cache=False"):
        scaled(2.0, "")


@pytest.mark.filterwarnings("error")
@not_on_windows("the home is no variable that a test could set")
def test_the_users_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]) -> None:
    feed = np.ones((2, 3), np.float32)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for _ in range(2):
        scaled(2.0, True).inference(x=feed)
    assert len(files(tmp_path / "xdg" / "rnngraph")) == len(compilations) == 1
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        scaled(2.0, True).inference(x=feed)
    assert len(files(tmp_path / "home" / ".cache" / "rnngraph")) == 1
    assert len(compilations) == 2
    assert not Path("relative").exists()


@not_on_windows("the home is no variable that a test could set")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("home", ["unknown", "missing", "file", "read_only"])
def test_a_home_that_can_not_be_used_is_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str], home: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "read_only").mkdir(mode=0o500)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/proc/none" if home == "missing" else str(tmp_path / home))
    monkeypatch.chdir(tmp_path)
    if home == "unknown":
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    if home == "read_only" and os.geteuid() == 0:  # root may write everywhere
        monkeypatch.setattr(Path, "mkdir", refuse)
    for _ in range(2):
        assert scaled(2.0, True).inference(x=np.ones((2, 3))).shape == (2, 3)
    assert len(compilations) == 2
    assert [path.name for path in files(tmp_path)] == ["file", "read_only"]


def refuse(path: Path, *arguments: Any, **options: Any) -> None:
    raise OSError(30, "Read-only file system")


def test_without_sources_there_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]
) -> None:
    monkeypatch.setattr(caches, "_SOURCES", None)
    scaled(2.0, tmp_path).inference(x=np.ones((2, 3)))
    assert files(tmp_path) == []


# Bounds -------------------------------------------------------------------------------------------


def test_the_least_recently_used_files_are_deleted_until_an_eighth_is_free(tmp_path: Path) -> None:
    code = replace(CODE, binary=np.random.default_rng(0).bytes(1 << 14))
    cache = Cache(tmp_path, max_bytes=8 * (5 << 12))  # a file takes five pages
    (tmp_path / "notes.txt").write_bytes(b"the user's" * 100_000)
    (tmp_path / f".{'f' * 64}.code.{'1' * 16}.part").write_bytes(b"killed")
    names = [f"{number:064x}" for number in range(10)]
    for name in names[:7]:
        cache.store(name, code)
        time.sleep(0.02)  # timestamps of files may be coarse
    assert cache.load(names[0]) is not None
    time.sleep(0.02)
    cache.store(names[7], code)
    kept = [f"{names[i]}.code" for i in (0, 2, 3, 4, 5, 6, 7)]
    assert [path.name for path in files(tmp_path)] == [*kept, "notes.txt"]
    cache.store(names[9], replace(CODE, binary=bytes(9 * (5 << 12))))  # larger than the whole cache
    assert cache.load(names[9]) is None
    assert len(files(tmp_path)) == 8


def test_files_are_looked_at_only_where_they_may_be_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, cache = list[int](), Cache(tmp_path, max_bytes=1 << 20)
    shrink = caches._shrink

    def watched(folder: int, max_bytes: int) -> None:
        looked.append(max_bytes)
        shrink(folder, max_bytes)

    monkeypatch.setattr(caches, "_shrink", watched)
    for number in range(200):
        cache.store(f"{number:064x}", CODE)
        assert looked == [1 << 20]  # the directory is listed once, because its size is unknown at first
    for path in files(tmp_path):  # another process removes them
        path.unlink()
    for number in range(100):
        cache.store(f"{number:064x}", CODE)
    assert len(looked) == 2
    assert len(files(tmp_path)) == 100


def test_the_bound_is_stated() -> None:
    assert Cache(Path("a")).max_bytes == 256 * 2**20


# Concurrent processes -----------------------------------------------------------------------------


def test_readers_see_whole_files_while_others_write_and_remove(tmp_path: Path) -> None:
    codes = [replace(CODE, binary=bytes([number]) * (1 << 16 << number)) for number in range(3)]
    maximum = sum(len(code.binary) for code in codes[1:])
    keys, problems, done = [f"{number:064x}" for number in range(4)], [], threading.Event()

    def write(seed: int) -> None:
        cache, generator = Cache(tmp_path, maximum), np.random.default_rng(seed)
        for _ in range(100):
            cache.store(keys[generator.integers(4)], codes[generator.integers(3)])

    def read() -> None:
        cache, whole = Cache(tmp_path, maximum), {code.binary for code in codes}
        while not done.is_set():
            for key in keys:
                actual = cache.load(key)
                if actual is not None and actual.binary not in whole:
                    problems.append(key)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert problems == []
    last = Cache(tmp_path, maximum)  # two concurrent writers may have removed each other's files at the end
    last.store(keys[0], codes[1])
    actual = last.load(keys[0])
    assert actual is not None
    assert actual.binary == codes[1].binary
    assert all(path.suffix == ".code" for path in files(tmp_path))


PROCESS = """
import sys
import numpy as np
import rnngraph as rg
for number in range(4):
    x = rg.placeholder("x", (None, 3))
    program = rg.compile(rg.tanh(x * float(number)), cache=sys.argv[1])
    print(program.inference(x=np.ones((2, 3), np.float32)).tolist())
"""


def test_two_processes_share_a_directory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path / "cache")]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert said[0] == said[1]
    assert len(said[0].splitlines()) == 4
    assert len(files(tmp_path / "cache")) == 4


KILLED = """
import os
import sys
import numpy as np
import rnngraph as rg
x = rg.placeholder("x", (None, 3))
program = rg.compile(rg.tanh(x * 2.0), cache=sys.argv[1])
os.replace = lambda *places: os.kill(os.getpid(), 9)
program.inference(x=np.ones((2, 3), np.float32))
"""


def test_files_of_a_killed_writer_are_never_used(tmp_path: Path, compilations: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert abs(done.returncode) == 9  # Windows reports it without the sign
    assert [path.suffix for path in files(tmp_path)] == [".part"]
    scaled(2.0, tmp_path).inference(x=np.ones((2, 3)))
    assert len(compilations) == 1
    assert [path.suffix for path in files(tmp_path)] == [".code"]
