"""The rules of the house that a reader of the code can rely on: who imports whom, what is named where, how long."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "rnngraph"
FILES = sorted(path for path in ROOT.rglob("*.py"))
LONGEST = 400

LAYERS = (
    ("errors", "foreign", "version"),
    ("allocation",),
    ("public",),
    ("ir",),
    ("declare", "passes"),
    ("codegen",),
    ("export",),
    ("runtime",),
    ("tf1", "__init__"),
    ("cli",),
    ("__main__",),
)
"""Each may import what stands before it, and itself."""

EXCEPTIONS = {
    ("passes/bodies.py", "declare"),
    ("passes/lower.py", "declare"),  # lower is where the declaration becomes a graph
    ("passes/lowered.py", "declare"),
    ("passes/naming.py", "declare"),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def layer(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def imports(path: Path) -> list[tuple[str, bool]]:
    """Parts of the package that a file imports, and whether only for type checking."""
    package = ("rnngraph", *path.relative_to(ROOT).parts[:-1])
    tree = ast.parse(path.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            whole = [*base, *(node.module.split(".") if node.module else [])]
            names = [".".join([*whole, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "rnngraph" and len(parts) > 1:
                found.append((parts[1], node in typing_only))
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    mine = part_of(path)
    for part, typing_only in imports(path):
        known = any(part in parts for parts in LAYERS)
        target = part if known else "__init__"  # a public name, which the package itself gives
        if typing_only or (name_of(path), target) in EXCEPTIONS:
            continue
        allowed = target == mine or layer(target) < layer(mine)
        assert allowed, f"{name_of(path)} imports {target}, which stands above or beside it"


def test_types_stand_below_the_rest_of_the_ir() -> None:
    assert [part for part, typing_only in imports(ROOT / "errors.py") if not typing_only] == []
    tree = ast.parse((ROOT / "ir" / "types.py").read_text())
    assert [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level] == []


def test_llvm_is_spoken_in_few_modules() -> None:
    users = {
        name_of(path) for path in FILES if re.search(r"^\s*(import|from) llvmlite", path.read_text(), re.MULTILINE)
    }
    assert users <= {"codegen/engine.py", "codegen/target.py"}


@pytest.mark.parametrize("path", [path for path in FILES if part_of(path) in ("passes", "codegen")], ids=name_of)
def test_the_compiler_knows_no_cell(path: Path) -> None:
    found = re.findall(r"(?i)lstm|\bgru|gru(?=_|cell)|rnn_?cell|peephole", path.read_text())
    assert found == []


def test_the_two_irs_meet_in_the_modules_that_the_docs_list() -> None:
    """The table in docs/architecture.md says of every module of codegen/ which of the two it sees."""
    table = (ROOT.parent / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| (the graph|both|the loop IR|neither) \|", table, re.MULTILINE)
    told = {name: sees for names, sees in rows for name in re.findall(r"`(\w+)`", names)}
    for path in FILES:
        if part_of(path) != "codegen" or path.stem == "__init__":
            continue
        tree = ast.parse(path.read_text())
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        graph, loops = bool(modules & {"ir.graph", "ir.ops"}), path.stem == "loops" or "loops" in modules
        seen = {(True, False): "the graph", (True, True): "both", (False, True): "the loop IR"}.get((graph, loops))
        assert told.get(path.stem, "neither") == (seen or "neither"), path.stem


def test_networkx_holds_the_declaration_and_serves_graphs_only() -> None:
    users = {part_of(path) for path in FILES if re.search(r"^\s*import networkx", path.read_text(), re.MULTILINE)}
    assert "codegen" not in users


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_passes_say_their_law() -> None:
    from rnngraph.passes.pipeline import pipeline

    for kind in ("inference", "training"):
        for single in pipeline(kind, 2):
            assert "Law" in (type(single).__doc__ or ""), single.name


def test_nothing_reads_the_environment_or_pickles() -> None:
    """But for the one place where the platform says where caches lie."""
    text = "\n".join(path.read_text() for path in FILES)
    assert re.findall(r"os\.environ.*|os\.getenv.*|import pickle|allow_pickle=True", text) == [
        'os.environ.get("XDG_CACHE_HOME", "")'
    ]


def test_what_is_seldom_needed_is_imported_where_it_is_used() -> None:
    """Half of the time to import is the compiler, of which a process that finds its code on disk needs nothing; a
    quarter of the rest is what trains, checks and stores.
    """
    script = "import sys, rnngraph; print(*(name for name in sys.modules if name.startswith('rnngraph.')))"
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    late = {f"rnngraph.codegen.{name}" for name in ("code", "llvm", "loops", "schedule")}
    late |= {f"rnngraph.runtime.{name}" for name in ("checking", "exporting", "optimizers", "storing", "trainer")}
    assert late & set(found) == set()


def test_names_that_are_imported_late_are_names_like_all_others() -> None:
    script = """
import rnngraph
assert "Trainer" in dir(rnngraph) and "Trainer" in rnngraph.__all__ and len(set(dir(rnngraph))) == len(dir(rnngraph))
assert "rnngraph.runtime.trainer" not in __import__("sys").modules
from rnngraph import *
from rnngraph import Trainer as imported
assert all(getattr(rnngraph, name) is globals()[name] for name in rnngraph.__all__)
assert Trainer is imported is rnngraph.Trainer and not hasattr(rnngraph, "trainer")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
