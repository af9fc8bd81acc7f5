"""Directories of saved programs are replaced atomically, refused if damaged, and never trusted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saved_cases import files_of

import rnngraph as rg
from rnngraph.ir.text.complete import same_graph
from rnngraph.program.saved.save_load import FORMS, SavedSource
from rnngraph.runtime.native.compile_options import ProgramOptions

# Files ---------------------------------------------------------------------------------------------


def test_weights_are_a_safetensors_file_by_name(small: rg.Program, saved: Path) -> None:
    (weights,) = saved.rglob("weights.safetensors")
    small.parameters.load(weights)
    assert all(file.read_bytes()[:1] != b"\x80" for file in saved.rglob("*.*"))  # first byte of a pickle


def test_saving_again_replaces_the_old_program(small: rg.Program, saved: Path) -> None:
    loaded = rg.load(saved)
    name = next(iter(loaded.parameters))
    loaded.parameters[name] = np.full_like(loaded.parameters[name], 0.5)
    (saved / "1" / "plain.txt").write_text("damaged")
    loaded.save(saved)
    assert sorted(entry.name for entry in saved.iterdir()) == ["2", "manifest.json"]
    assert np.array_equal(rg.load(saved).parameters[name], loaded.parameters[name])
    (saved / "manifest.json").write_text("damaged")
    small.save(saved)
    assert sorted(entry.name for entry in saved.iterdir()) == ["3", "manifest.json"]
    assert np.array_equal(rg.load(saved).parameters[name], small.parameters[name])


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_stopped_writer_leaves_the_old_program(
    function: str, small: rg.Program, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    before = {file: file.read_bytes() for file in saved.rglob("*.*")}
    new = saved.with_name("new")
    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        for path in (saved, new):
            with pytest.raises(rg.FileError, match=f"can't write {re.escape(str(path))}.*: No space left"):
                small.save(path)
    assert {file: file.read_bytes() for file in saved.rglob("*.*")} == before
    assert not new.exists()
    rg.load(saved)


def test_files_of_a_killed_writer_are_removed_later(small: rg.Program, saved: Path) -> None:
    shutil.copytree(saved / "1", saved / "2")
    (saved / "2" / "plain.txt").write_text("half of")
    (saved / ".manifest.json.0123456789abcdef.part").write_text("{")
    rg.load(saved)
    small.save(saved)
    assert sorted(entry.name for entry in saved.iterdir()) == ["3", "manifest.json"]
    unborn = saved.with_name("unborn")  # as if killed before the manifest was written
    shutil.copytree(saved / "3", unborn / "1")
    with pytest.raises(rg.FileError, match=r"unborn has no manifest.json; give the path of a saved rnngraph program"):
        rg.load(unborn)
    small.save(unborn)
    rg.load(unborn)


def test_a_reader_during_a_write_sees_complete_programs(small: rg.Program, saved: Path) -> None:
    other = rg.load(saved)
    name = next(iter(small.parameters))
    other.parameters[name] = np.full_like(small.parameters[name], 2.0)
    done = threading.Event()

    def write() -> None:
        for number in range(12):
            (small, other)[number % 2].save(saved)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        actual = rg.load(saved).parameters[name]
        assert np.array_equal(actual, small.parameters[name]) or np.array_equal(actual, other.parameters[name])
    writer.join()


def a_file(path: Path) -> None:
    path.write_text("text")


def a_folder_of_photographs(path: Path) -> None:
    (path / "1").mkdir(parents=True)
    (path / "1" / "photograph.png").write_bytes(b"png")


def another_kind_of_model(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_text('{"format": "another", "version": 1}')


def a_program_with_notes(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")


@pytest.mark.parametrize("make", [a_file, a_folder_of_photographs, another_kind_of_model, a_program_with_notes])
def test_files_that_are_no_program_are_not_replaced(
    make: Callable[[Path], None], small: rg.Program, tmp_path: Path
) -> None:
    path = tmp_path / "place"
    make(path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(rg.FileError, match=r"test_saved_files.py:\d+: .*place.*; give (another|a) directory"):
        small.save(path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_unwritable_paths_are_errors(small: rg.Program, tmp_path: Path) -> None:
    with pytest.raises(rg.FileError, match=r"can't write .*(No such file|annot find|not found)"):
        small.save(tmp_path / "no" / "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "another"}, "holds 'another', not a rnngraph program"),
        ({"version": 2, "rnngraph": "7.0"}, "of version 2, saved by rnngraph 7.0, .*update rnngraph"),
        ({"version": [1]}, r"of version \[1\]"),
        ({"folder": "../1"}, "does not list its files"),
        ({"folder": "9"}, "is incomplete: there is no file"),
        ({"files": {}}, "can't be read|no program"),
        ({"files": {"../../x.txt": {"bytes": 1, "sha256": ""}}}, "does not list its files"),
        ({"files": {"plain.txt": {"bytes": 1, "sha256": ""}}}, "bytes instead of 1"),
        ({"files": [1]}, "does not list its files"),
    ],
)
def test_a_manifest_that_is_another(change: dict[str, Any], message: str, saved: Path) -> None:
    manifest = saved / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(rg.FileError, match=rf"test_saved_files.py:\d+: .*model.*({message})"):
        rg.load(saved)


def test_where_there_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(rg.FileError, match="nowhere does not exist; give the path of a saved rnngraph program"):
        rg.load(tmp_path / "nowhere")
    with pytest.raises(rg.FileError, match=r"has no manifest\.json"):
        rg.load(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(rg.FileError, match="is a file; give the path of a directory"):
        rg.load(tmp_path / "file")
    (tmp_path / "manifest.json").write_text("[1")
    with pytest.raises(rg.FileError, match=r"is damaged: manifest.json can't be read"):
        rg.load(tmp_path)
    (tmp_path / "manifest.json").write_text("[" * (1 << 21))
    with pytest.raises(rg.FileError, match="too long"):
        rg.load(tmp_path)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_a_byte_of_the_manifest_that_changes(every: int, saved: Path) -> None:
    """Each changed byte raises an error or leaves an equal program."""
    manifest, name = saved / "manifest.json", next(iter(rg.load(saved).parameters))
    whole, value, same = manifest.read_bytes(), rg.load(saved).parameters[name], 0
    for position in range(0, len(whole), every):
        for bit in (0, 5):
            manifest.write_bytes(_flipped(whole, position, bit))
            try:
                loaded = rg.load(saved)
            except rg.FileError:
                continue
            same += 1
            assert np.array_equal(loaded.parameters[name], value)
    assert same < len(whole) / every / 4  # only white space and the version of rnngraph


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_a_byte_of_any_file_that_changes(every: int, saved: Path) -> None:
    for file in sorted(saved.glob("1/*")):
        whole = file.read_bytes()
        for position in range(0, len(whole), (3 if file.name == "plain.txt" else 67) * every):
            file.write_bytes(_flipped(whole, position, position % 8))
            with pytest.raises(rg.FileError, match=f"is damaged: the digest of {file.name} differs"):
                rg.load(saved)
        for damaged in (b"", whole[:-1], whole + b"\n"):
            if damaged != whole:
                file.write_bytes(damaged)
                with pytest.raises(rg.FileError, match=f"is damaged: {file.name} has {len(damaged)} bytes"):
                    rg.load(saved)
        file.unlink()
        with pytest.raises(rg.FileError, match="is incomplete: there is no file"):
            rg.load(saved)
        file.write_bytes(whole)


def _flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


# Forged files --------------------------------------------------------------------------------------


def rewritten(saved: Path, changes: Mapping[str, Callable[[str], str]]) -> None:
    """Change files and update their digests, as an attacker would."""
    manifest = json.loads((saved / "manifest.json").read_text())
    for name, change in changes.items():
        file = saved / "1" / name
        text = file.read_text()
        data = change(text).encode()
        assert data.decode() != text, "nothing changed"
        file.write_bytes(data)
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (saved / "manifest.json").write_text(json.dumps(manifest))


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def matched(pattern: str, new: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, new, text)


HOSTILE = {
    "a slice past the end": ("plain.txt", matched(r"\[:, 4:\]", "[:, 5:9]")),
    "a slice before the start": ("plain.txt", matched(r"\[:, 4:\] (.*)\[B,4\]", r"[:, -4:8] \1[B,12]")),
    "an index that is negative": ("plain.txt", replaced("{index=1", "{index=-1")),
    "an index too high": ("plain.txt", replaced("{index=1", "{index=2")),
    "an index that is none": ("plain.txt", replaced("{index=1", "{index=True")),
    "an axis that is not there": ("plain.txt", matched(r"axes=\(0, 1, 2\)", "axes=(0, 1, 7)")),
    "an axis twice": ("plain.txt", matched(r"axes=\(0, 1, 2\)", "axes=(0, 1, 1)")),
    "an attribute that is unknown": ("plain.txt", replaced("{index=1", "{spare=1, index=1")),
    "an attribute that is missing": ("plain.txt", replaced(", keepdims=False", "")),
    "an attribute of another kind": ("plain.txt", replaced("keepdims=False", "keepdims=0")),
    "an op that is unknown": ("plain.txt", replaced(" = tanh ", " = system ")),
    "an op that only declarations have": ("plain.txt", replaced(" = tanh ", " = driver ")),
    "a size that is absurd": ("plain.txt", replaced("f32[4]", f"f32[{1 << 50}]")),
    "a size that is negative": ("plain.txt", matched(r"x = input (.*)f32\[B,T,3\]", r"x = input \1f32[B,T,-3]")),
    "a parameter of another shape": ("stream.txt", lambda text: text.replace("[7,", "[9,").replace("[B,7]", "[B,9]")),
    "a parameter that is unknown": ("plain.txt", replaced("gru_cell/gates", "gru_cell/gales")),
    "another dtype of a feed": ("shown.txt", replaced("first_step = input : i64[]", "first_step = input : i32[]")),
    "a label twice": ("plain.txt", matched(r"(  x = input .*\n)", r"\1  x_again = input {label='x'} : f32[B]\n")),
    "an output that is unknown": ("plain.txt", replaced("output 'state'", "output 'stale'")),
    "a state that is given otherwise": ("stream.txt", replaced("output 'state/0/0'", "output 'state/0/1'")),
    "code as an attribute": ("plain.txt", replaced("{index=1", "{index=__import__('os').mkdir('hacked')")),
    "code as an operand": ("plain.txt", replaced("{index=1", "{**{}, index=1")),
    "code as a constant": ("plain.txt", replaced("constant 1.0", "constant open('hacked','w')")),
    "a line within a name": ("plain.txt", replaced("name=''", "name='a\\nb'")),
    "a constant that is absurd": (
        "plain.txt",
        matched(r"(  x = input .*\n)", r"\1  big = constant full(1.0) : f32[99999,99999,99999]\n"),
    ),
    "nesting without an end": ("plain.txt", replaced("{index=1", "{index=" + "-" * 20000 + "1")),
    "a number without an end": ("plain.txt", replaced("{index=1", "{index=" + "9" * 20000)),
    "fewer graphs": ("plain.txt", lambda text: text[: text.index("graph masks")]),
    "no document": ("declaration.json", lambda text: "[]"),
    "a nest without an end": ("declaration.json", matched(r'"leaf": "outputs"', '"dict": ' + "[" * 5000 + "]" * 5000)),
    "a class that is none": (
        "declaration.json",
        lambda text: _with(text, ["structure"], {"namedtuple": "f(g)", "fields": ["a"], "items": [{"leaf": "state"}]}),
    ),
    "outputs that are none": ("declaration.json", lambda text: _with(text, ["structure"], {"leaf": "state"})),
    "a generator that is none": ("declaration.json", lambda text: _with(text, ["generator", "buffer_pos"], -9)),
    "an initializer that is none": (
        "declaration.json",
        lambda text: _with(text, ["parameters", 0, "initializer"], {"name": "system"}),
    ),
    "a probability that is none": ("declaration.json", lambda text: _with(text, ["keep_probs"], ["x"])),
    "a default that is none": ("declaration.json", lambda text: _with(text, ["defaults"], ["x"])),
    "a loss that is none": ("declaration.json", lambda text: _with(text, ["loss"], False)),
    "an unrolling that is none": ("declaration.json", lambda text: _with(text, ["unroll"], -1)),
    "an edge to nowhere": ("declaration.json", lambda text: _with(text, ["declared", "edges", 0, 1], "nowhere")),
    "no array at all": ("declaration.json", lambda text: _with(text, ["parameters", 0, "name"], "other")),
}


def _with(text: str, path: list[Any], value: Any) -> str:
    document = json.loads(text)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize("name", HOSTILE)
def test_files_of_one_who_means_harm(name: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, change = HOSTILE[name]
    rewritten(saved, {file: change})
    with pytest.raises(rg.FileError, match=r"test_saved_files.py:\d+: .*model can't be read as a program: .*; save it"):
        rg.load(saved)
    assert not (tmp_path / "hacked").exists()


def test_text_with_a_byte_changed_and_the_digest_too(small: rg.Program) -> None:
    """A text with a changed byte and a matching digest raises an error, or is a valid graph that runs."""
    files, feed = files_of(small), {"x": np.ones((2, 3, 3), np.float32)}
    generator = np.random.default_rng(0)
    ran = 0
    for _ in range(150):
        position, bit = int(generator.integers(len(files["plain.txt"]))), int(generator.integers(7))
        changed = {**files, "plain.txt": _flipped(files["plain.txt"], position, bit)}
        try:
            stored = SavedSource(changed)
        except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError):
            continue
        if (
            not all(same_graph(a, b) for a, b in zip(_graphs(stored), _graphs(small.parts.source), strict=True))
            and ran < 8
        ):
            ran += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = rg.Program(stored, small.parameters, 0, ProgramOptions())
                try:
                    program.training(feed, seed=1)
                except rg.RnnGraphError:
                    continue
    assert ran


def _graphs(source: Any) -> tuple[Any, ...]:
    return source.lowered.graph, source.lowered.masks


def test_a_negative_computed_size_is_refused_at_the_call(small: rg.Program) -> None:
    text = (
        "graph declared\n  x = input : f32[T]\n  y = broadcast f32(1.0) {shape=(T-5, T-5)} : f32[T-5,T-5]\n"
        "  output 'y' = y\ngraph masks\ngraph initial\n"
    )
    files = {**files_of(small), **{f"{form}.txt": text.encode() for form in FORMS}}
    document = json.loads(files["declaration.json"])
    none = {form: [] for form in FORMS}
    document |= {"structure": {"dict": [["y", {"leaf": "y"}]]}, "loss": False, "states": none, "named_states": none}
    files["declaration.json"] = json.dumps(document).encode()
    program = rg.Program(SavedSource(files), small.parameters, 0, ProgramOptions())
    assert program.inference(x=np.zeros(7, np.float32))["y"].shape == (2, 2)
    with pytest.raises(rg.ShapeError, match=r"a size of T-5 .*does not fit T = 4"):
        program.inference(x=np.zeros(4, np.float32))
