"""Mapping from each line of a script to instructions and back, by layers and phases."""

from __future__ import annotations

import inspect
import pickle
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import layered_nets
import llvmlite.binding as llvm
import numpy as np
import pytest
from exported import object_name
from layered_nets import NETS, Leaky

import rnngraph as rg
from rnngraph.codegen.compile import planned
from rnngraph.codegen.llvm.debug_info import with_debug_info
from rnngraph.codegen.llvm.listing import listing
from rnngraph.codegen.llvm.module import module_lines, module_text
from rnngraph.codegen.machine.engine import assembly, object_code
from rnngraph.codegen.machine.line_table import read_lines
from rnngraph.codegen.machine.target import target_of
from rnngraph.codegen.schedule.emit.scheduled_entry import ScheduledEntry
from rnngraph.support.errors import Where
from rnngraph.support.stage_text import StageLine, StageText

FILE = layered_nets.__file__
STAGES = ("graph", "fuse_multiply_add", "plan", "loops", "llvm", "asm")


def plan_of(shown: Any, target: str) -> ScheduledEntry:
    """Return the plan of the code of an object with stages."""
    compiled = shown._stepper.variant("shown").native.compiled if isinstance(shown, rg.Trainer) else shown.compiled
    outputs = tuple(name for name, _ in compiled.graph.outputs)
    sizes = dict.fromkeys(compiled.optimized(outputs).symbols, 2)
    return planned(compiled.sized(outputs, sizes), target_of(target), "net", 1)


def instructions(text: StageText) -> Iterator[tuple[str, StageLine]]:
    """Yield instructions of LLVM text or assembly, each with its function."""
    function, is_llvm = "", "\ndefine " in text
    head = re.compile(r'define .*@"?([\w.]+)"?\(.*\{$' if is_llvm else r"([A-Za-z]\w+):$")
    for line in text.lines:
        if match := head.match(line.text):
            function = match[1]
        if re.match(r"(\t|  )[a-z%]", line.text):
            yield function, line


@cache
def net(name: str) -> Any:
    return NETS[name][0]()


@cache
def text_of(name: str, stage: str) -> StageText:
    text: StageText = net(name).show(stage)
    return text


@pytest.mark.parametrize("name", NETS)
def test_every_instruction_has_a_line_and_a_layer(name: str) -> None:
    results, layers = Counter[str](), NETS[name][1]
    for stage in ("llvm", "asm") if name == "own cell" else ("asm",):
        for function, line in instructions(text_of(name, stage)):
            assert line.origins, line.text
            assert all(origin.line for origin in line.origins)
            if not function.startswith(("inference", "training", "stack")):  # an entry serves all layers
                assert all(origin.layer for origin in line.origins), (function, line)
            results.update(origin.layer for origin in line.origins)
    assert set(layers) <= results.keys()
    assert results.total() > 100 * len(layers)


@pytest.mark.parametrize("options", [{"weights": "int8"}, {"weights": "int8", "sparse": True}, {"weights": "bfloat16"}])
def test_code_that_packs_reduced_weights_has_their_layers(options: dict[str, Any]) -> None:
    x = rg.placeholder("x", shape=(None, None, 64))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.GRUCell(64), rg.BasicLSTMCell(32)]), x)
    text = rg.compile(outputs, target="x86-64-v3", **options).inference.show("llvm")
    packing = [(name, line) for name, line in instructions(text) if re.match("fill|gather", name)]
    assert packing
    for name, line in packing:
        assert all(origin.layer for origin in line.origins), (name, line)
    layers = {f"rnn/multi_rnn_cell/{cell}" for cell in ("cell_0/gru_cell", "cell_1/basic_lstm_cell")}
    assert {origin.layer for _, line in packing for origin in line.origins} == layers


def test_phases_of_a_step() -> None:
    text = text_of("trainer", "asm")
    actual = {(origin.layer, origin.phase) for line in text.lines for origin in line.origins}
    for layer in ("rnn/multi_rnn_cell/cell_0/gru_cell", "rnn/multi_rnn_cell/cell_1/leaky", "dense"):
        assert {(layer, phase) for phase in ("forward", "backward", "update")} <= actual
    assert {("loss", "forward"), ("loss", "backward"), ("gradient_norm", "update")} <= actual
    updates = {origin.line for line in text.lines for origin in line.origins if origin.phase == "update"}
    source, first = inspect.getsourcelines(layered_nets.trainer)
    trainer_line = first + next(number for number, line in enumerate(source) if "rg.Trainer(program" in line)
    assert trainer_line in updates


def test_an_optimizer_of_ones_own_is_at_its_own_lines() -> None:
    class Sign(rg.Optimizer):
        learning_rate: Any = 0.1

        def update(self, parameter: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
            return parameter - numbers["rate"] * rg.sign(gradient), {}

    x = rg.placeholder("x", shape=(None, 3))
    program = rg.compile({"y": (y := rg.dense(x, 7))}, loss=rg.reduce_mean(rg.square(y)))
    text = rg.Trainer(program, Sign(0.1)).show("loops")
    line = next(
        number for number, text in enumerate(Path(__file__).read_text().split("\n"), 1) if "rg.sign(grad" in text
    )
    actual = {origin for item in text.lines for origin in item.origins if origin.phase == "update"}
    assert Where(__file__, line, "dense", "update") in actual


def test_each_line_of_a_cell_is_followed_through_all_stages_and_back() -> None:
    source, first = inspect.getsourcelines(Leaky.step)
    computing = {first + number for number, line in enumerate(source) if " = " in line and "state[" not in line}
    assert len(computing) == 3
    for stage in STAGES:
        by_line: dict[int, list[str]] = {}
        for text, origins in text_of("own cell", stage).lines:
            for origin in origins:
                if origin.file == FILE:
                    by_line.setdefault(origin.line, []).append(text)
        assert computing <= by_line.keys(), stage
    drive, goal, step = sorted(computing)
    of = {line: " ".join(by_line[line]) for line in computing}  # lines of the assembly, the last stage
    target = net("own cell").compiled.options.target
    if target.triple.startswith("x86_64") and target.has_fma:
        assert "vfmadd231ps" in of[drive]
        assert "sub" in of[step]
        assert "vdiv" in of[goal] or "vrcp14" in of[goal]  # tanh


def test_equal_layers_that_share_a_function_are_all_listed() -> None:
    layers = {f"encoder/multi_rnn_cell/cell_{n}/leaky" for n in (0, 1)}
    for stage in ("loops", "llvm", "asm"):
        lines = text_of("own cell", stage).lines
        assert sum({origin.layer for origin in line.origins} >= layers for line in lines) > 10, stage
    asm = text_of("own cell", "asm")
    assert "encoder/multi_rnn_cell/cell_0/leaky, encoder/multi_rnn_cell/cell_1/leaky forward" in asm


def test_columns_distinguish_the_tiles_of_several_lines() -> None:
    """Two products of one tile come from two lines, each with its own multiply-adds."""

    class Two(rg.Cell):
        def state(self) -> Any:
            return {"h": 16}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            h = state["h"]
            f = rg.sigmoid(x + h @ p.kernel("a", (16, 16)))
            c = rg.tanh(x + h @ p.kernel("b", (16, 16)))
            h = f * h + c
            return h, {"h": h}

    x = rg.placeholder("x", shape=(None, None, 16))
    text = rg.compile(rg.dynamic_rnn(Two(), x)[0], target="x86-64-v3").inference.show("asm")
    lines = Path(__file__).read_text().split("\n")
    of = {name: next(i for i, line in enumerate(lines, 1) if f'p.kernel("{name}", (16, 16)' in line) for name in "ab"}
    counts = Counter(
        origin.line for line in text.lines for origin in line.origins if line.text.startswith("\tvfmadd231ps")
    )
    assert counts[of["a"]] >= 8
    assert counts[of["b"]] >= 8


# The debug build -----------------------------------------------------------------------------------


def debug_builds(plan: ScheduledEntry, target: str) -> tuple[str, StageText]:
    chosen = target_of(target)
    plain = module_text(plan.functions, [plan.main, plan.pack], chosen, "net")
    return plain, module_lines(plan.functions, [plan.main, plan.pack], chosen, "net")


@cache
def own_cell() -> ScheduledEntry:
    return plan_of(net("own cell"), "x86-64-v3")


@pytest.mark.parametrize(("name", "target"), [("own cell", "x86-64-v3")])
def test_a_debug_build_has_the_instructions_of_the_code_that_runs(name: str, target: str) -> None:
    plan = plan_of(net(name), target)
    plain, lines = debug_builds(plan, target)
    numbered: dict[tuple[Where, ...], int] = {}
    debug = with_debug_info(lines, numbered)
    listed = listing(assembly(debug, target_of(target)), debug, numbered)
    assert code_lines(listed) == code_lines(assembly(plain, target_of(target)))
    assert sum(line.startswith("\t#") for line in listed.split("\n")) >= len(numbered) > 5


def code_lines(text: str) -> list[str]:
    """Return labels and instructions."""
    return [line for line in text.split("\n") if re.match(r"\t[a-z]|\w+:", line)]


TARGETS = (
    "x86-64-v2",
    "x86-64-v3",
    "x86-64-v4",
    "aarch64-macos",
    "armv7-linux",
    "thumbv7em-none-eabihf",
    "wasm32",
    "wasm32-simd128",
    "riscv64",
    "x86-64-windows",
    "x86-64-macos",
    "x86-64-v3-macos",
)
WITHOUT_FLOAT64 = {("trainer", "thumbv7em-none-eabihf")}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "target"), [(name, target) for target in TARGETS for name in NETS if (name, target) not in WITHOUT_FLOAT64]
)
def test_debug_builds_of_all_nets_for_all_targets(name: str, target: str) -> None:
    test_a_debug_build_has_the_instructions_of_the_code_that_runs(name, target)


@pytest.mark.exhaustive
def test_on_aarch64_linux_a_debug_builds_functions_have_the_same_instructions_in_another_order() -> None:
    """With debug information LLVM saves registers in another order there."""
    plan = plan_of(net("stack"), "aarch64-linux")
    plain, lines = debug_builds(plan, "aarch64-linux")
    numbered: dict[tuple[Where, ...], int] = {}
    debug = with_debug_info(lines, numbered)
    target = target_of("aarch64-linux")
    listed = listing(assembly(debug, target), debug, numbered)
    assert Counter(code_lines(listed)) == Counter(code_lines(assembly(plain, target)))


def test_the_code_that_runs_contains_no_lines() -> None:
    plan = own_cell()
    plain, lines = debug_builds(plan, "x86-64-v3")
    assert "!dbg" not in plain
    assert "leaky" not in re.sub(r"(?m)^ *;.*\n", "", plain)
    assert str(lines) != plain  # it has layers as comments
    without = re.compile(r"(?m)^ *;.*\n")
    assert without.sub("", str(lines)) == without.sub("", plain)
    assert not read_lines(object_code(plain, target_of("x86-64-v3"))).rows


def test_an_edit_of_a_comment_recompiles_nothing(tmp_path: Path) -> None:
    cache, feeds = tmp_path / "cache", {"x": np.ones((2, 3, 3), np.float32)}

    def run(source: str) -> np.ndarray:
        script = tmp_path / "net.py"
        script.write_text(source)
        names: dict[str, Any] = {"cache": str(cache), "__name__": "net"}
        exec(compile(source, str(script), "exec"), names)
        program = names["program"]
        for name in program.parameters:
            program.parameters[name] = np.full_like(program.parameters[name], 0.25)
        return program.inference(feeds)

    net = (
        "import rnngraph as rg\n"
        "x = rg.placeholder('x', shape=(None, None, 3))\n"
        "outputs, _ = rg.dynamic_rnn(rg.GRUCell(7), x)\n"
        "program = rg.compile(outputs, cache=cache)\n"
    )
    first = run(net)
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert files
    assert np.array_equal(run(f"# a comment\n\n{net.replace('outputs, _', 'outputs, _  # the encoder', 0)}"), first)
    assert {path for path in cache.rglob("*") if path.is_file()} == files.keys()


# Places in objects -----------------------------------------------------------------------------------


def test_object_files_tell_lines() -> None:
    plan, target = own_cell(), target_of("x86-64-v3")
    _, lines = debug_builds(plan, "x86-64-v3")
    actual = read_lines(object_code(with_debug_info(lines), target))
    assert {function.name for function in actual.functions} == {
        *(function.name for function in plan.functions),
        plan.main.name,
        plan.pack.name,
        *["stack"] * target.grows_stack,
    }
    source, first = inspect.getsourcelines(Leaky.step)
    assert {first + number for number, line in enumerate(source) if "rg.tanh" in line} <= {
        row.line for row in actual.rows if row.file == FILE
    }
    starts = [row.address for row in actual.rows]
    assert starts == sorted(starts)
    ends = {function.address: function.address + function.size for function in actual.functions}
    without = sum(after - row.address for row, after in zip(actual.rows, starts[1:], strict=False) if not row.line)
    assert without < 0.08 * sum(ends[start] - start for start in ends)


@pytest.mark.parametrize("damage", ["", "kind", "short", "text"])
def test_damaged_objects_are_refused(damage: str) -> None:
    plan = own_cell()
    binary = object_code(debug_builds(plan, "x86-64-v3")[0], target_of("x86-64-v3"))
    changed = {"": b"", "kind": b"MZ" + binary[2:], "short": binary[: len(binary) // 2], "text": b"a" * 99}[damage]
    with pytest.raises(ValueError, match="ELF"):
        read_lines(changed)


def test_names_that_need_quotes() -> None:
    x = rg.placeholder("x", shape=(None, 3))
    name = 'größe "a\\b" %0 {!1}'
    graph = rg.compile(rg.dense(rg.dense(x, 7, name=name), 3)).inference
    llvm = graph.show("llvm")
    assert any(origin.layer == name for line in llvm.lines for origin in line.origins)
    assert "gr\\C3\\B6\\C3\\9Fe \\22a\\5Cb\\22 %0 {!1} forward" in llvm


# Texts of show ---------------------------------------------------------------------------------------


def test_texts_of_stages_are_texts() -> None:
    for stage in ("declared", "graph", "fission", "plan", "loops", "llvm", "asm"):
        text = text_of("own cell", stage)
        assert isinstance(text, str)
        assert "".join(f"{line.text}\n" for line in text.lines) == text
        restored = pickle.loads(pickle.dumps(text))
        assert (restored, restored.lines) == (text, text.lines)
        assert type(text + "") is str


def test_saved_programs_keep_their_layers(tmp_path: Path) -> None:
    program = layered_nets.own_cell()
    program.save(tmp_path / "net")
    loaded = rg.load(tmp_path / "net")
    for stage in ("declared", "graph"):
        texts = [
            [{origin.layer for origin in line.origins} for line in item.inference.show(stage).lines]
            for item in (program, loaded)
        ]
        assert texts[0] == texts[1], stage


@pytest.mark.parametrize("options", [{}, {"form": "sequence", "weights": "external"}], ids=("stream", "sequence"))
def test_exported_objects_have_the_same_code_with_lines(options: dict[str, str], tmp_path: Path) -> None:
    results: list[bytes] = []
    for debug in (False, True):
        written = net("own cell").export(tmp_path / str(debug), link=False, target="x86-64-v3", debug=debug, **options)
        results.append(written.files[object_name("net")].read_bytes())
        assert "#line" not in written.files["net.h"].read_text()
    plain, debugged = map(code_of, results)
    assert plain == debugged
    assert not read_lines(results[0]).rows
    source, first = inspect.getsourcelines(Leaky.step)
    computing = {first + number for number, line in enumerate(source) if " = " in line and "state[" not in line}
    assert computing <= {row.line for row in read_lines(results[1]).rows if row.file == FILE}
    lines = read_lines(results[1])
    kernels = {function.address for function in lines.functions if re.match("fused|scan", function.name)}
    assert kernels
    assert kernels <= {row.address for row in lines.rows}
    assert b"encoder/multi_rnn_cell/cell_1/leaky forward" in results[1]
    assert b"layered_nets.py" not in results[0]


def code_of(binary: bytes) -> list[bytes]:
    """Return the sections of code of an object file."""
    return [section.data() for section in llvm.ObjectFileRef.from_data(binary).sections() if section.is_text()]


@pytest.mark.exhaustive
@pytest.mark.parametrize("options", [{"dispatch": True}, {"weights": "external"}, {}], ids=("dispatch", "external", ""))
@pytest.mark.parametrize("target", [None, "aarch64-linux", "wasm32", "x86-64-windows", "thumbv7em-none-eabihf"])
def test_exports_of_all_kinds(target: str | None, options: dict[str, Any], tmp_path: Path) -> None:
    if options.get("dispatch"):
        target = None
    results = []
    for debug in (False, True):
        written = net("stack").export(tmp_path / str(debug), link=False, target=target, debug=debug, **options)
        results += [path.read_bytes() for name, path in written.files.items() if name in ("net.o", "net.obj")]
    plain, debugged = map(code_of, results)
    if target == "aarch64-linux":  # registers are saved in another order there
        plain, debugged = [[bytes(len(part)) for part in parts] for parts in (plain, debugged)]
    assert plain == debugged


def test_the_lines_of_the_readmes_net_are_followed_to_instructions_and_back(tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    source = readme.split("```python\n")[1].split("# compile:")[0] + "program = rg.compile(logits, loss=loss)\n"
    script = tmp_path / "readme.py"
    script.write_text(source)
    names: dict[str, Any] = {}
    exec(compile(source, str(script), "exec"), names)
    lines = source.split("\n")
    words = ("BasicRNNCell", "dynamic_rnn", "dense")
    of = {word: next(n for n, line in enumerate(lines, 1) if f"rg.{word}(" in line) for word in words}
    layers = {f"rnn/multi_rnn_cell/cell_{number}/basic_rnn_cell" for number in range(3)}
    for stage in ("graph", "plan", "loops", "llvm", "asm"):
        text = names["program"].inference.show(stage)
        actual = {(origin.line, origin.layer) for line in text.lines for origin in line.origins}
        assert {(of["dense"], "dense"), *((of["BasicRNNCell"], layer) for layer in layers)} <= actual, stage
        assert {layer for line, layer in actual if line == of["dynamic_rnn"]} <= {"", "rnn"}, stage
    back = {origin for _, line in instructions(text) for origin in line.origins}
    assert {origin.file for origin in back} == {str(script)}
    assert {origin.line for origin in back} <= {*of.values()}  # placeholders and dropout compute nothing here
    assert {origin.layer for origin in back} - {"", "rnn"} == {*layers, "dense"}


def test_cells_of_a_stack_have_the_lines_that_created_them(tmp_path: Path) -> None:
    """A user-defined cell leads to the lines of its step. The variable of a cell is not part of any layer's name."""
    script = tmp_path / "layers.py"
    script.write_text(
        "import rnngraph as rg\n"
        "class Own(rg.Cell):\n"
        "    def state(self):\n"
        "        return {'h': 4}\n"
        "    def step(self, p, x, state):\n"
        "        h = rg.tanh(x @ p.kernel('w', (x.width, 4)) + state['h'])\n"
        "        return h, {'h': h}\n"
        "x = rg.placeholder('x', (None, None, 3))\n"
        "lower = rg.DropoutWrapper(rg.GRUCell(5), output_keep_prob=0.5)\n"
        "middle = Own()\n"
        "upper = rg.BasicLSTMCell(6)\n"
        "outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([lower, middle, upper]), x)\n"
        "program = rg.compile(outputs)\n"
    )
    names: dict[str, Any] = {}
    exec(compile(script.read_text(), str(script), "exec"), names)
    inference = names["program"].inference
    cells = {"cell_0/gru_cell": {9}, "cell_1/own": {6}, "cell_2/basic_lstm_cell": {11}}
    for stage in ("graph", "loops", "asm"):
        origins = {origin for line in inference.show(stage).lines for origin in line.origins}
        for cell, lines in cells.items():
            actual = {origin.line for origin in origins if origin.layer == f"rnn/multi_rnn_cell/{cell}"}
            assert actual, (stage, cell)
            assert actual <= lines, (stage, cell)
    graph = inference.show("graph")
    assert not re.search(r"^ *(lower|middle|upper)\w* = ", graph, re.MULTILINE)
    assert re.search(r"^ *h\w* = tanh ", graph, re.MULTILINE)
    profile = inference.profile({"x": np.zeros((2, 7, 3))}, seconds=0.01)
    assert {f"{script}:{line}" for line in (6, 9, 11)} <= {*map(str, profile.lines)}
