"""Rules of the project on which readers can rely: imports between rooms, names in docstrings, and lengths."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent / "rnngraph"
FILES = sorted(path for path in ROOT.rglob("*.py"))
MAX_LINES, MAX_FILES = 450, 18
MAX_FUNCTION = 60

UNLISTED = "__init__.py"
"""Rooms that don't list their files: docs/architecture.md describes the package, and the others mirror TensorFlow's
paths.
"""

ROOMS = (
    "version",
    "support.system",
    "support.display",
    "support",
    "errors",
    "ir.sizes",
    "ir.numbers",
    "ir",
    "ir.axes",
    "ir.text",
    "declare",
    "declare.running",
    "declare.functions",
    "declare.functions.arrays",
    "declare.functions.elementary",
    "declare.cells",
    "declare.seq2seq",
    "passes.lowering",
    "passes.loops",
    "passes.axes",
    "passes.chunks",
    "passes.gradients",
    "passes.quantization",
    "passes.shards",
    "passes.states",
    "passes.affine",
    "passes.windows",
    "passes",
    "passes.recomputation",
    "codegen.machine",
    "codegen.direct_calls",
    "codegen.loop_ir",
    "codegen.analysis",
    "codegen.threads",
    "codegen.cost_model",
    "codegen.buffers",
    "codegen.kernels",
    "codegen.schedule.analyse",
    "codegen.schedule.plan",
    "codegen.schedule.emit",
    "codegen.schedule",
    "codegen.llvm",
    "codegen",
    "storage",
    "runtime",
    "runtime.native",
    "runtime.direct",
    "runtime.calls",
    "runtime.streams",
    "export.c_interface",
    "export.package",
    "export",
    "inspection",
    "inspection.surface",
    "inspection.profile",
    "batching",
    "inspection.picture",
    "inspection.explore",
    "program.saved",
    "program.reports",
    "program.generation",
    "program",
    "training.optimization",
    "training.steps",
    "training.ranks",
    "training.fit",
    "training",
    "formats",
    "formats.operators",
    "formats.gguf",
    "formats.keras.core",
    "formats.keras",
    "formats.tensorflow",
    "formats.rolling",
    "formats.onnx.core",
    "formats.onnx.recurrent",
    "formats.onnx.ops",
    "formats.onnx.loops",
    "formats.onnx",
    "formats.onnx.writing.recognition",
    "formats.onnx.writing",
    "formats.tf1_graph",
    "formats.torch.tracing",
    "formats.torch.composed",
    "formats.torch.functions",
    "formats.torch",
    "sklearn",
    "tf1.table",
    "tf1.core.rolling",
    "tf1.core",
    "tf1.platform",
    "tf1.summary",
    "tf1.train",
    "tf1.cells",
    "tf1.ops",
    "tf1.ops.recurrent",
    "tf1.datasets",
    "tf1.flow",
    "tf1.seq2seq",
    "tf1.labelling",
    "tf1.metric_streams",
    "tf1",
    "lazy_names",
    "",
    "cli.commands",
    "cli",
    "__main__",
)
"""Rooms in the order in which a network passes them; "" is the package itself. Each may import those before it.

A room's own files have the position of its name, and rooms within it have positions of their own.
"""


LATE = {
    ("lazy_names", "support.migration_hints"): "only an error asks what other frameworks call a thing",
    ("declare.tensor", "support.numpy_names"): "only an error asks what NumPy calls a thing",
    ("support.api_guard", "support.migration_hints"): "only an error asks what other frameworks call a thing",
    ("training.fit.callback_list", "support.migration_hints"): "only an error asks what other frameworks call a thing",
    ("support.display.html", "support.display.colours"): "rich: few look at a stage in a notebook",
    ("runtime.native.object_cache", "storage.eviction"): "only a full directory needs it",
    ("storage.packed_files", "storage.eviction"): "only a written file of packed weights needs it",
    ("cli.entry", "tf1.imports"): "with it all of tf1: few scripts are TensorFlow's",
    ("cli.entry", "cli.commands.bench_net"): "the compiler, and training, which two commands need",
    ("cli.entry", "cli.commands.explore_net"): "readers of other formats, which few commands need",
    ("cli.entry", "cli.commands.import_net"): "readers of other formats, which two commands need",
    ("cli.entry", "cli.commands.verify_net"): "readers of other formats, which two commands need",
    ("cli.entry", "cli.commands.profile_net"): "the compiler, and training, which two commands need",
    ("program.callable_graph", "inspection.profile.calls"): "the compiler: few ask where time goes",
    ("training.trainer", "training.steps.profiled_step"): "the compiler: few ask where time goes",
    ("runtime.native.compiled_graph", "codegen.compile"): "the compiler: code that is on disk needs none of it",
    ("runtime.native.optimized_graph", "passes.optimization"): "the optimiser: code that is on disk needs none of it",
    ("runtime.native.optimized_graph", "passes.quantization.round_factors"): "few train in chunks of bfloat16",
    ("runtime.native.compile_options", "passes.affine.recurrences"): "few train in chunks",
    ("runtime.native.compile_options", "passes.unroll"): "few unroll loops fully",
    ("runtime.native.entry", "storage.packed_files"): "few weights are large",
    ("runtime.native.weight_options", "passes.quantization.block_products"): "most weights stay float32",
    ("runtime.native.weight_options", "passes.quantization.reduced_weights"): "most weights stay float32",
    ("runtime.native.worker_pool", "codegen.threads.pool_functions"): "text: calls of one thread need no pool",
    ("runtime.native.object_cache", "storage.locks"): "code that is on disk needs none",
    ("runtime.native.object_cache", "runtime.graph_file"): "only graphs of large nets are cached",
    ("runtime.parameters", "storage.array_file"): "few read or write files",
    ("runtime.native.worker_pool", "codegen.machine.engine"): "LLVM: calls of one thread need no pool",
    ("codegen.machine.code", "codegen.machine.engine"): "LLVM: it loads few objects",
    ("runtime.direct.direct_code", "codegen.machine.engine"): "LLVM: code that is on disk needs none of it",
    ("runtime.native.stages", "codegen.machine.engine"): "LLVM: few look at assembly",
    ("runtime.streams.row_steps", "codegen.machine.engine"): "LLVM: few streams run some rows of many",
    ("codegen.compile", "codegen.llvm.debug_info"): "few build for a debugger",
    ("passes.optimization", "passes.sparse_products"): "few nets have sparse weights",
    ("passes.pipeline", "passes.affine.chunk"): "the analysis of recurrences: few train in chunks",
    ("passes.gradients.scan_derivative", "passes.loops.large_values"): "only gradients of recurrences need it",
    ("passes.pipeline", "passes.states.large_transposes"): "only gradients need them",
    ("passes.pipeline", "passes.states.state_axes"): "only gradients need them",
    ("passes.pipeline", "passes.states.vector_products"): "only gradients need them",
    ("passes.recomputation.recompute", "passes.recomputation.bidirectional"): "code that is on disk needs none of it",
    ("passes.recomputation.recompute", "passes.recomputation.large_states"): "code that is on disk needs none of it",
    ("passes.recomputation.recompute", "passes.recomputation.unidirectional"): "code that is on disk needs none of it",
    ("runtime.native.stages", "codegen.compile"): "the compiler",
    ("runtime.native.stages", "codegen.llvm.debug_info"): "the compiler",
    ("runtime.native.stages", "codegen.llvm.listing"): "the compiler",
    ("runtime.native.stages", "codegen.llvm.module"): "the compiler",
    ("runtime.native.stages", "codegen.schedule.plan_text"): "the compiler",
    ("runtime.direct.direct_code", "codegen.direct_calls.module"): "text: code that is on disk needs none of it",
    ("program.callable_graph", "program.reports.memory_report"): "the compiler's plans: few ask for them",
    ("runtime.native.stages", "passes.affine.recurrences"): "few look at stages",
    ("program.callable_graph", "runtime.calls.non_finite"): "the interpreter: few look for a NaN",
    ("program.callable_graph", "runtime.native.perf"): "few ask for it",
    ("runtime.native.perf", "codegen.compile"): "the compiler",
    ("training.trainer", "runtime.native.perf"): "few ask for it",
    ("program.inference_graph", "passes.held_weights"): "the optimiser: most weights stay float32",
    ("program.inference_graph", "program.columns"): "few call with tables",
    ("program.inference_graph", "runtime.streams.states"): "few run step by step",
    ("program.inference_graph", "runtime.streams.step_graph"): "few run step by step",
    ("program.inference_graph", "runtime.streams.stream"): "few run step by step",
    ("program.inference_graph", "program.generation.choice"): "few generate tokens",
    ("program.inference_graph", "program.generation.draws"): "the declaration of a draw: few generate tokens",
    ("program.inference_graph", "program.generation.generation"): "few generate tokens",
    ("program.inference_graph", "program.generation.generator"): "threads: few generate tokens",
    ("program.inference_graph", "program.generation.ports"): "few generate tokens",
    ("program.inference_graph", "program.generation.prompts"): "few generate tokens",
    ("program.inference_graph", "export.native_code"): "the compiler: few export",
    ("program.inference_graph", "export.write_net"): "the compiler: few export",
    ("program.inference_graph", "export.write_plugin"): "the compiler: few export",
    ("program.inference_graph", "runtime.streams.pool"): "threads and futures: few make a pool",
    ("program.program", "program.columns"): "few pickle functions of tables",
    ("program.held_weights", "passes.held_weights"): "the optimiser: most weights stay float32",
    ("program.program", "runtime.streams.stream"): "few pickle streams",
    ("program.program", "inspection.explore.page"): "few look",
    ("program.program", "inspection.picture.pictures"): "few draw",
    ("program.callable_graph", "runtime.native.stages"): "few look at stages",
    ("ir.graph", "ir.dot"): "few draw",
    ("codegen.schedule.emit.scheduled_entry", "codegen.loop_ir.printer"): "few print loops",
    ("codegen.kernels.emit", "codegen.kernels.accumulation"): "few nets look up rows or have windows",
    ("codegen.kernels.emit", "codegen.kernels.fused_reductions"): "few nets normalize or attend",
    ("codegen.kernels.emit", "codegen.kernels.matrix_unit"): "few processors have one",
    ("codegen.kernels.emit", "codegen.kernels.sparse_products"): "few nets have sparse weights",
    ("program.html_forms", "inspection.picture.pictures"): "few draw",
    ("inspection.picture.pictures", "inspection.picture.png"): "matplotlib, which is an extra",
    ("program.program", "program.predict"): "batches, which calls do without",
    ("program.program", "program.saved.byte_form"): "the parser, and what checks files: few pickle",
    ("program.program", "program.saved.save_load"): "the parser, and what checks files: few load or save",
    ("program.program", "program.reports.sensitivity"): "few ask",
    ("program.program", "program.reports.summary"): "few print it",
    ("runtime.graph_source", "passes.lowering.log_scans"): "few nets accumulate logarithms",
}
"""Imports within functions, which keep rarely used modules out of the import time, with their reasons."""


class Import(NamedTuple):
    """Import of one file by another, both as dotted names without ``rnngraph.``."""

    file: str
    other: str


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    """Return a file's dotted name, or the room's name for ``__init__.py``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {dotted(path): path for path in FILES}


def room_of(module: str) -> str:
    """Return the room of a file. A top-level file is a room of its own."""
    if MODULES[module].name == "__init__.py" or "." not in module:
        return module
    return module.rpartition(".")[0]


@cache
def nodes_of(module: str) -> list[ast.AST]:
    """Return all syntax nodes of a file."""
    return [*ast.walk(ast.parse(MODULES[module].read_text()))]


def imports(module: str) -> Iterator[str]:
    """Yield the files of the package that a file imports: at its top, late, or for type checking only."""
    yield from imported(module, nodes_of(module))


def late_imports(module: str) -> Iterator[str]:
    """Yield the files that are imported within functions."""
    for function in nodes_of(module):
        if isinstance(function, ast.FunctionDef):
            yield from imported(module, ast.walk(function))


def imported(module: str, nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the files of the package in import statements among ``nodes`` of a file."""
    package = ["rnngraph", *MODULES[module].relative_to(ROOT).parts[:-1]]
    for node in nodes:
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join([*whole, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] == "rnngraph":
                inner = name.partition(".")[2]
                yield inner if inner in MODULES else inner.rpartition(".")[0]


@cache
def all_imports() -> list[Import]:
    return sorted({Import(module, other) for module in MODULES for other in imports(module) if other != module})


def test_every_file_is_in_a_room() -> None:
    assert {room_of(module) for module in MODULES} <= {*ROOMS, *(room.partition(".")[0] for room in ROOMS)}


@pytest.mark.sampled(1)
def test_imports_point_to_rooms_before() -> None:
    order = {room: number for number, room in enumerate(ROOMS)}
    upward = {
        item for item in all_imports() if order.get(room_of(item.other), 0) > order.get(room_of(item.file), len(order))
    }
    assert upward == set()


@pytest.mark.sampled(1)
def test_no_files_import_each_other_in_a_circle() -> None:
    circles = [circle for circle in nx.strongly_connected_components(nx.DiGraph(all_imports())) if len(circle) > 1]
    assert circles == []


def test_late_imports_are_few_and_have_reasons() -> None:
    late = {(module, other) for module in MODULES for other in late_imports(module) if other != module}
    assert late == LATE.keys()


def test_late_imports_save_something() -> None:
    """A late import is useless if the top of the file imports the module anyway, directly or indirectly."""
    at_top = nx.DiGraph()
    at_top.add_nodes_from(MODULES)
    for module in MODULES:
        at_top.add_edges_from(
            (module, other) for other in imported(module, ast.parse(MODULES[module].read_text()).body)
        )
        at_top.add_edges_from((module, room) for room in rooms_around(module))
    assert [late for late in LATE if nx.has_path(at_top, *late)] == []


def rooms_around(module: str) -> list[str]:
    """Return the rooms that Python imports together with a file."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def test_no_folder_is_too_full() -> None:
    folders = {path.parent for path in FILES}
    assert {str(folder) for folder in folders if len([*folder.glob("*.py")]) > MAX_FILES} == set()


def test_tests_mirror_the_rooms() -> None:
    """A folder with tests has the name of a room, and its tests the names of the room's files."""
    tests = Path(__file__).parent
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")} - {Path()}
    assert {str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()} == set()


def test_tests_need_no_working_directory() -> None:
    """A worker can import ``tests/helpers``, but ``tests`` as a package only if pytest was started as a module."""
    tests = list((ROOT.parent / "tests").rglob("*.py"))
    by_package = re.compile(r"^\s*(?:from|import) tests\b", re.MULTILINE)
    assert not [path.name for path in tests if by_package.search(path.read_text())]


def test_helpers_have_names_of_their_own() -> None:
    """Benchmarks and helpers have distinct names, because tests import them by bare names, in one process."""
    root = ROOT.parent
    helpers = {path.stem for path in (root / "tests" / "helpers").glob("*.py")}
    assert helpers.isdisjoint(path.stem for path in (root / "benchmarks").glob("[!_]*") if path.suffix in ("", ".py"))


@pytest.mark.parametrize("room", [path for path in FILES if path.name == "__init__.py"], ids=name_of)
def test_a_room_has_a_docstring_with_its_purpose(room: Path) -> None:
    assert len(ast.get_docstring(ast.parse(room.read_text())) or "") > 60


@pytest.mark.parametrize(
    "room", [path for path in FILES if path.name == "__init__.py" and name_of(path) not in UNLISTED], ids=name_of
)
def test_rooms_name_their_files(room: Path) -> None:
    """A room's docstring names all its files and rooms, in double backticks."""
    contents = {path.stem for path in room.parent.glob("*.py")} | {
        path.parent.name for path in room.parent.glob("*/__init__.py")
    }
    named = re.findall(r"``(\w+)``", ast.get_docstring(ast.parse(room.read_text())) or "")
    assert contents - {"__init__", *named} == set()


def test_the_map_of_the_house_has_every_room() -> None:
    """CONTRIBUTING has a row for each top-level room, which names the rooms within it."""
    text = (ROOT.parent / "CONTRIBUTING.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)/` \|(.*)$", text, re.MULTILINE))
    rooms = {path.parent.relative_to(ROOT).as_posix() for path in FILES if path.name == "__init__.py"} - {"."}
    assert {room for room in rooms if "/" not in room} == rows.keys()
    inner = [room.split("/") for room in rooms if room.count("/") == 1]
    assert [f"{room}/{name}" for room, name in inner if f"`{name}/`" not in rows[room]] == []


def test_types_and_errors_import_no_other_room() -> None:
    assert [*imports("support.errors")] == []
    assert [*imports("support.records")] == []
    assert {*imports("ir.types")} <= {"support.errors", "support.records", "ir.sizes.polynomial"}
    assert [*imports("ir.sizes.polynomial")] == ["support.records"]


def test_llvm_is_spoken_in_few_modules() -> None:
    users = {
        name_of(path) for path in FILES if re.search(r"^\s*(import|from) llvmlite", path.read_text(), re.MULTILINE)
    }
    assert users <= {"codegen/machine/engine.py", "codegen/machine/host.py"}


def test_the_compiler_names_no_cell() -> None:
    pattern = re.compile(r"(?i)lstm|\bgru|gru(?=_|cell)|rnn_?cell|peephole")
    compiler = [path for path in FILES if part_of(path) in ("passes", "codegen")]
    cells = {name_of(path): pattern.findall(path.read_text()) for path in compiler}
    assert {name: words for name, words in cells.items() if words} == {}


@pytest.mark.sampled(1)
def test_the_two_irs_meet_in_the_rooms_that_the_docs_list() -> None:
    """The table in docs/architecture.md lists, for every package of codegen/, which of both IRs the package reads."""
    table = (ROOT.parent / "docs" / "architecture.md").read_text()
    documented = dict(
        re.findall(r"^\| `(codegen/[\w/]+)` \| (the graph|both|the loop IR|neither) \|", table, re.MULTILINE)
    )
    graph, loops = {"ir.graph", "ir.node", "ir.ops", "ir.scan"}, {"codegen.loop_ir.nodes"}
    for room in (room for room in ROOMS if room.startswith("codegen.")):
        seen = {other for file, other in all_imports() if room_of(file) == room}
        sees = {(True, False): "the graph", (True, True): "both", (False, True): "the loop IR"}
        inside = room == "codegen.loop_ir"
        expected = sees.get((bool(seen & graph), inside or bool(seen & loops)), "neither")
        assert documented.pop(room.replace(".", "/")) == expected, room
    assert documented == {}


def test_networkx_stores_the_declaration_and_is_only_an_export_of_graphs() -> None:
    users = {part_of(path) for path in FILES if re.search(r"^\s*import networkx", path.read_text(), re.MULTILINE)}
    assert "codegen" not in users


def test_no_file_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    lengths.pop("__init__.py")  # the list of public names, one a line
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_the_formatter_owns_the_layout() -> None:
    """No comment turns the formatter off. To mend a failure, remove the comment and run ``ruff format``."""
    exempt = re.compile("# " + r"fmt: (skip|off)")
    folders = "rnngraph", "tests", "tools", "benchmarks", "docs", "examples"
    files = (path for folder in folders for path in (ROOT.parent / folder).rglob("*.py"))
    assert [str(path) for path in files if exempt.search(path.read_text())] == []


@pytest.mark.sampled(1)
def test_no_function_is_too_long() -> None:
    """No function is longer than the limit, counted from its head, without the docstring."""
    too_long = {}
    for module in MODULES:
        for node in nodes_of(module):
            if isinstance(node, ast.FunctionDef):
                docstring_lines = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
                lines = node.end_lineno - node.lineno + 1 - docstring_lines
                if lines > MAX_FUNCTION:
                    too_long[f"{module}.{node.name}"] = lines
    assert too_long == {}


MANY_PARAMETERS = {
    "ir.node.row": "columns of the table of ops",
    "ir.elementwise_ops.elementwise": "columns of the table of ops",
    "declare.cells.linear_attention.RWKV7Cell._recurrence": "the paper's equation",
    "batching.batches.Batches.__init__": "options of fit and predict, by name",
}
"""Functions of the core that are not public and have eight parameters or more, each with a reason."""


@pytest.mark.sampled(1)
def test_eight_parameters_are_a_record() -> None:
    """Internal functions have fewer than eight parameters. Users' functions and other frameworks' are exempt."""
    import rnngraph

    long = set()
    for module, path in MODULES.items():
        if module.split(".")[0] in ("formats", "tf1", "sklearn", "cli"):
            continue
        tree = ast.parse(path.read_text())
        kinds = [item for item in tree.body if isinstance(item, ast.ClassDef)]
        inside = [(f"{module}.{kind.name}", node) for kind in kinds for node in kind.body]
        for around, node in [*((module, node) for node in tree.body), *inside]:
            if not isinstance(node, ast.FunctionDef) or any("api" in ast.unparse(item) for item in node.decorator_list):
                continue
            is_public = node.name == "__init__" and around.rpartition(".")[2] in rnngraph.__all__
            names = [item.arg for item in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            if len({*names} - {"self", "cls"}) >= 8 and not is_public:
                long.add(f"{around}.{node.name}")
    assert long == {*MANY_PARAMETERS}


def test_passes_document_their_guarantee() -> None:
    from rnngraph.passes.optimization import pipeline

    table = (ROOT.parent / "docs" / "architecture.md").read_text()
    for kind in ("inference", "training"):
        for single in pipeline(kind, 2, ("w",)):
            assert "Law" in (type(single).__doc__ or ""), single.name
            assert f"\n| {type(single).name} |" in table, f"docs/architecture.md has no row of {single.name}"


def test_no_module_reads_the_environment_or_pickles() -> None:
    """Modules read no environment variable, except for the platform's cache directory, and never unpickle."""
    text = "\n".join(path.read_text() for path in FILES)
    assert re.findall(r"os\.environ.*|os\.getenv.*|import pickle|allow_pickle=True", text) == [
        'os.environ.get("XDG_CACHE_HOME", "")'
    ]


def test_only_one_room_depends_on_the_operating_system() -> None:
    pattern = r"\bsys\.platform\b|\bos\.name\b|import (?:fcntl|resource|msvcrt|termios|winreg)\b|\bWinDLL\b"
    users = {path.parent for path in FILES if re.search(pattern, path.read_text())}
    assert users == {ROOT / "support" / "system"}


def test_rarely_needed_modules_are_imported_where_they_are_used() -> None:
    """``import rnngraph`` leaves out the compiler, which takes half of the time and which cached code does not need.

    A quarter of the rest is for training, checking and storing.
    """
    script = "import sys, rnngraph; print(*(name for name in sys.modules if name.startswith('rnngraph.')))"
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    late = {f"rnngraph.codegen.{name}" for name in ("compile", "llvm.module", "loop_ir.nodes", "schedule.scheduler")}
    late |= {f"rnngraph.{name}" for name in ("runtime.calls.non_finite", "export.write_net", "program.saved.save_load")}
    late |= {f"rnngraph.training.{name}" for name in ("optimization.optimizers", "trainer")}
    late |= {"rnngraph.passes.optimization", "rnngraph.runtime.streams.stream", "rnngraph.declare.functions.norms"}
    assert late & set(output) == set()
    assert len(output) <= MAX_IMPORTED


MAX_IMPORTED = 187 if sys.platform == "win32" else 185
"""Maximum modules that ``import rnngraph`` loads, about a quarter of a millisecond each. Windows has two more."""
MAX_FIRST_CALL = 193
"""Maximum modules of the package that a first call of both graphs from the disk cache loads."""

FIRST_CALL = """
import sys
import numpy as np
import rnngraph as rg
x = rg.placeholder("x", (None, None, 3))
outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.LSTMCell(4), input_keep_prob=0.5), x)
program = rg.compile(outputs, rg.reduce_mean(outputs), cache=sys.argv[1])
program.inference(x=np.ones((2, 5, 3), np.float32))
program.training.gradients(x=np.ones((2, 5, 3), np.float32))
print(*(name for name in sys.modules if name.startswith("rnngraph.")))
"""


@pytest.mark.slow
def test_a_first_call_from_the_disk_cache_loads_few_modules(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FIRST_CALL, str(tmp_path)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(2)]
    assert "rnngraph.codegen.compile" in runs[0]
    assert len(runs[1]) <= MAX_FIRST_CALL


def test_names_that_are_imported_late_are_names_like_all_others() -> None:
    script = """
import rnngraph
assert "Trainer" in dir(rnngraph) and "Trainer" in rnngraph.__all__ and len(set(dir(rnngraph))) == len(dir(rnngraph))
assert "rnngraph.training.trainer" not in __import__("sys").modules
from rnngraph import *
from rnngraph import Trainer as imported
assert all(getattr(rnngraph, name) is globals()[name] for name in rnngraph.__all__)
assert Trainer is imported is rnngraph.Trainer and not hasattr(rnngraph, "trainer")
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_run_of_all_checks_names_tests_that_exist() -> None:
    """Braces are expanded as the shell does, because a missing test would end its stage."""
    script = (ROOT.parent / ".ci" / "run").read_text()
    for path in re.findall(r"\btests/[\w/{},]*[\w/}](?:\.py)?", script):
        head, _, rest = path.partition("{")
        middle, _, tail = rest.partition("}")
        for name in middle.split(",") if rest else [""]:
            assert (ROOT.parent / f"{head}{name}{tail}").exists(), path
