"""Saved programs do all that a program does, bit for bit, without its declaration."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from declaration_checks import flat, inputs_of
from declarations import declare
from saved_behaviour import differences, read, recorded
from saved_cases import CASES, OwnState, files_of, own_state_type, stack_with_dropout, unrolled

import rnngraph as rg
from rnngraph.declare.nest import SHALLOW, flatten
from rnngraph.program.saved import json_form
from rnngraph.program.saved.save_load import SavedSource
from rnngraph.runtime.native.compile_options import ProgramOptions
from rnngraph.storage import versioned_directory as directory

TESTS = Path(__file__).resolve().parents[2]


# The same program ----------------------------------------------------------------------------------


# Each case starts a process, which takes time: a default run has a few cases, an exhaustive one all.
OFTEN = list(CASES)[6::12]
SELDOM = [pytest.param(name, marks=pytest.mark.exhaustive) for name in CASES if name not in OFTEN]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*OFTEN, *SELDOM])
def test_a_process_without_the_declaration_does_the_same(name: str, tmp_path: Path) -> None:
    program, feeds = CASES[name]()
    program.save(tmp_path / "model")
    np.savez(tmp_path / "feeds.npz", **feeds)
    command = [sys.executable, TESTS / "helpers" / "saved_behaviour.py"]
    command += [tmp_path / "model", tmp_path / "feeds.npz", tmp_path / "result.npz"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    ours = recorded(program, feeds)
    assert not differences(ours, read(tmp_path / "result.npz"))
    assert differences(ours, {**ours, "summary": "another"})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(4, 12))]
)
def test_random_declarations(seed: int) -> None:
    check_random(seed)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(12, 400))
def test_many_random_declarations(seed: int) -> None:
    check_random(seed)


def check_random(seed: int) -> None:
    declaration = declare(seed)
    program, arrays = declaration.compile(), declaration.arrays()
    stored = SavedSource(files_of(program))  # this also compares every graph
    second = rg.Program(stored, program.parameters, program.seed, ProgramOptions(unroll=stored.settings.unroll))
    for graph in ("inference", "training"):
        ours, theirs = getattr(program, graph), getattr(second, graph)
        inputs = inputs_of(ours.graph, arrays)
        options = {"seed": 7} if graph == "training" else {}
        assert not differences(flat(ours(inputs, **options)), flat(theirs(inputs, **options))), declaration.text()
        assert ours.show("loops") == theirs.show("loops")


@pytest.mark.filterwarnings("ignore:.*drawn anew:UserWarning")
def test_files_of_a_loaded_program_are_the_same(tmp_path: Path) -> None:
    for name, declared in CASES.items():
        files = files_of(declared()[0])
        directory.write_directory(tmp_path / name, "rnngraph program", 1, files)
        assert files_of(rg.load(tmp_path / name)) == files, name


def test_states_are_namedtuples_of_the_same_fields(tmp_path: Path) -> None:
    program, feeds = own_state_type()
    program.save(tmp_path / "model")
    state = rg.load(tmp_path / "model").inference(feeds)["nest"]["state"]
    assert (type(state).__name__, state._fields) == ("OwnState", OwnState._fields)
    assert type(state) is not OwnState
    program, feeds = stack_with_dropout()
    program.save(tmp_path / "stack")
    states = rg.load(tmp_path / "stack").inference(x=feeds["x"])["states"]
    assert type(states[0]) is rg.LSTMStateTuple


def test_high_nests_are_stored_flat_and_read_in_both_forms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nest: Any = rg.placeholder("x", shape=(2,)) * 2.0
    for number in range(SHALLOW + 8):
        nest = {"a": nest, "b": [rg.parameter(f"w{number}", (2,), "ones") * float(number)]}
    program, x = rg.compile(nest, cache=False), np.ones(2, np.float32)
    program.save(tmp_path / "flat")
    monkeypatch.setattr(json_form, "SHALLOW", 2 * SHALLOW)  # earlier versions stored this nest as nested JSON
    program.save(tmp_path / "nested")
    monkeypatch.undo()
    texts = [next((tmp_path / name).glob("*/declaration.json")).read_text() for name in ("flat", "nested")]
    assert ["entries first" in text for text in texts] == [True, False]
    expected = flatten(dict(program.inference(x=x)))
    for name in ("flat", "nested"):
        actual = flatten(dict(rg.load(tmp_path / name, cache=False).inference(x=x)))
        assert all(np.array_equal(a, b) for a, b in zip(actual, expected, strict=True)), name


def test_a_loaded_program_shares_nothing_with_the_original(small: rg.Program, saved: Path) -> None:
    loaded = rg.load(saved, threads=2, target="x86-64-v2")
    assert (loaded.threads, loaded.target.name) == (2, "x86-64-v2")
    name = next(iter(small.parameters))
    before = small.parameters[name].copy()
    loaded.parameters[name] = before + 1
    assert np.array_equal(small.parameters[name], before)
    assert not loaded.parameters[name].flags.writeable
    with pytest.raises(rg.ArgumentError, match="threads must be at least 1"):
        rg.load(saved, threads=0)


def test_a_checkpoint_of_the_original_continues_in_the_loaded_one(tmp_path: Path) -> None:
    program, feeds = unrolled()
    trainer = rg.Trainer(program, optimizer=rg.Adam(0.01))
    trainer.step(feeds)
    program.save(tmp_path / "model")
    trainer.save(tmp_path / "run.safetensors")
    other = rg.Trainer.load(tmp_path / "run.safetensors", rg.load(tmp_path / "model"))
    assert [trainer.step(feeds) for _ in range(3)] == [other.step(feeds) for _ in range(3)]
    for name, array in program.parameters.items():
        assert np.array_equal(array, other.program.parameters[name])


def test_placeholders_of_another_declaration_feed_by_name(saved: Path) -> None:
    feed = np.ones((2, 3, 3), np.float32)
    loaded = rg.load(saved)
    tensor = rg.placeholder("x", shape=(None, None, 3))
    assert np.array_equal(loaded.inference({tensor: feed})["state"], loaded.inference(x=feed)["state"])
    with pytest.raises(rg.NameLookupError, match="is not a placeholder of this program"):
        loaded.inference({tensor + 1: feed})


def test_parameters_of_a_loaded_program_can_be_shared(saved: Path) -> None:
    loaded = rg.load(saved)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), rg.placeholder("x", shape=(None, None, 3)))
    with pytest.raises(rg.GraphError, match="another declaration"):
        rg.compile({"o": outputs}, parameters=loaded)
    program = rg.compile({"o": outputs})
    program.parameters.load(dict(loaded.parameters))
    for name, array in program.parameters.items():
        assert np.array_equal(array, loaded.parameters[name])


def test_an_initializer_that_is_a_function_is_refused_when_it_is_needed(tmp_path: Path) -> None:
    def own_values(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        return generator.normal(size=shape)

    table = rg.parameter("table", (2, 3), own_values)
    program = rg.compile({"y": rg.placeholder("x", (None, 2)) @ table + rg.parameter("b", (3,), "zeros")})
    program.save(tmp_path / "model")
    loaded = rg.load(tmp_path / "model")
    loaded.parameters["b"] = np.ones(3)
    with pytest.raises(rg.GraphError, match=r"table can't be drawn anew: its initializer, .*own_values, is a function"):
        loaded.initialize(1)
    assert np.array_equal(loaded.parameters["b"], np.ones(3))
    assert np.array_equal(loaded.parameters["table"], program.parameters["table"])
    loaded.save(tmp_path / "again")
    with pytest.raises(rg.GraphError, match="own_values"):
        rg.load(tmp_path / "again").initialize(1)


def test_lines_are_those_of_the_script_wherever_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import rnngraph as rg\nx = rg.placeholder('x', (None, 3))\nprogram = rg.compile({'y': rg.tanh(x)})\n"
    (tmp_path / "net.py").write_text(script)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(script, str(tmp_path / "net.py"), "exec"), names)
    names["program"].save("model")
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = rg.load(tmp_path / "model")
    assert "# net.py:3" in str(loaded.inference.graph)
    assert "# net.py:2" in loaded.declared_text()
    assert str(tmp_path) not in "".join(file.read_text("latin-1") for file in (tmp_path / "model").rglob("*.*"))


# The command line ----------------------------------------------------------------------------------


def test_the_command_line_takes_a_saved_program(small: rg.Program, saved: Path, tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        called = [sys.executable, "-m", "rnngraph", *arguments]
        return subprocess.run(called, cwd=tmp_path, capture_output=True, text=True, timeout=1200)

    shown = command("show", "model", "--stage", "fission")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "scan {length=T" in shown.stdout
    timed = command("bench", "model", "--steps", "3", "--seconds", "0.01")
    assert (timed.returncode, timed.stderr) == (0, "")
    assert "training" in timed.stdout
    run = command("run", "model")
    assert run.returncode == 2
    assert "is a directory, not a script" in run.stderr
    shutil.rmtree(saved / "1")
    broken = command("show", "model")
    assert broken.returncode == 1
    assert "model is incomplete" in broken.stderr
