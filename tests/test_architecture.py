"""The architecture page against the code: its paths, symbols, pictures, tables and numbers."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from rnngraph.ir import axis_maps
from rnngraph.passes.optimization import optimization

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rnngraph"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PROSE = re.sub(r"(?ms)^```.*?^```", "", PAGE)
SPANS = sorted(set(re.findall(r"`([^`\n]+)`", PROSE)))

NOTATION = {"(T+1)//2", "x K₁ + h K₂", "kept/NAME", "~/.cache/rnngraph", "$XDG_CACHE_HOME/rnngraph"}
"""Spans that are mathematics, patterns of names, or files of users."""
PRINTED = {"for part in _worker..n step _workers", "directly after that of the previous scan"}
"""Spans that are lines of stages, with words that the code puts together."""


@cache
def sources() -> dict[str, str]:
    return {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}


@cache
def words() -> frozenset[str]:
    """Return all words of the package's code, without its docstrings and comments."""
    code = (re.sub(r'(?s)""".*?"""|#[^\n"]*\n', "", text) for text in sources().values())
    return frozenset(word for text in code for word in re.findall(r"[^\W\d]\w*", text))


def tree_of(name: str) -> ast.Module:
    return ast.parse(sources()[name])


def definitions(tree: ast.Module | ast.ClassDef) -> set[str]:
    """Return the names that a module or a class defines, and the attributes that its methods assign."""
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
            names |= {target.attr for target in targets if isinstance(target, ast.Attribute)}
    return names


def classes(name: str) -> list[ast.ClassDef]:
    """Return all classes of the package with a name."""
    texts = [text for text in sources().values() if re.search(rf"^class {name}\b", text, re.MULTILINE)]
    nodes = [node for text in texts for node in ast.parse(text).body]
    return [node for node in nodes if isinstance(node, ast.ClassDef) and node.name == name]


def test_paths_exist() -> None:
    paths = [span.split()[-1] for span in SPANS if "/" in span and span not in NOTATION]
    assert len(paths) > 60
    assert [path for path in paths if not any((base / path).exists() for base in (PACKAGE, ROOT))] == []


def test_both_pages_draw_the_same_picture_of_the_rooms() -> None:
    """The picture has all folders of the package, but not its own files and public names."""
    pages = [(ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md")]
    first, second = (re.findall(r"(?s)```text\n( front ends.*?)```", page) for page in pages)
    assert first == second
    drawn = set(re.findall(r"(\w+)/", first[0]))
    assert drawn == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_the_files_named_for_changes_exist() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    table = guide[guide.index("### Where would I change") : guide.index("\nEach room's `__init__.py`")]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")][2:]
    assert len(rows) > 30
    for row in rows:
        directory = PACKAGE
        for path in re.findall(r"`([\w/]+(?:\.\w+|/))`", row):
            assert (PACKAGE / path).exists() or (directory / path).exists(), path
            directory = (PACKAGE / path) if (PACKAGE / path).is_dir() else (PACKAGE / path).parent


def test_symbols_exist() -> None:
    """Each word in backticks is a name or a text in the package; values of arguments are not checked."""
    for span in SPANS:
        if "/" in span or span.endswith(".py") or span in NOTATION | PRINTED:
            continue
        names = re.findall(r"[^\W\d]\w*", re.sub(r'"[^"]*"|=\w+', "", span))
        assert {*names} <= words(), f"{span!r} is named by docs/architecture.md, and by nothing in the package"


def test_symbols_are_in_the_files_that_are_named() -> None:
    named = re.findall(r"`(\w+)` (?:in|of) `([\w/]+\.py)`", PROSE)
    assert named
    for symbol, path in named:
        assert symbol in definitions(tree_of(path)), f"{path} defines no {symbol}"


def test_attributes_are_those_of_their_classes() -> None:
    named = [re.fullmatch(r"([A-Z]\w+)\.(\w+)", span) for span in SPANS]
    pairs = [match.groups() for match in named if match]
    assert pairs
    for owner, attribute in pairs:
        assert any(attribute in definitions(tree) for tree in classes(owner)), f"no {owner} has {attribute}"


def test_the_words_of_axes_have_these_fields() -> None:
    table = dict(re.findall(r"^\| `([A-Z]\w+)(?:\((.*?)\))?` \|", PAGE, re.MULTILINE))
    assert {*table} == {kind.__name__ for kind in axis_maps.Fate.__args__}
    for name, fields in table.items():
        assert [*filter(None, fields.split(", "))] == [*getattr(axis_maps, name).__annotations__], name


def test_all_users_of_axis_facts_are_listed() -> None:
    """The page lists the modules outside of ir/ that import facts about axes."""
    rows = re.search(r"^\| caller \| asks about.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert rows is not None
    listed = {path for line in rows[0].splitlines()[2:] for path in re.findall(r"`([\w/.]+)`", line)}
    asks = re.compile(r"^from \.+ir\.(?:axes\.walk|axes\.unmixed|axis_maps) import", re.MULTILINE)
    callers = {path for path, text in sources().items() if asks.search(text)}
    unlisted = {path for path in callers if not {path, path.rpartition("/")[0]} & listed}
    assert (unlisted, listed - callers - {path.rpartition("/")[0] for path in callers}) == (set(), set())


def test_the_picture_has_the_passes_in_their_order() -> None:
    drawn = re.search(r"│  passes  (separate_axes.*?)▼", PAGE, re.DOTALL)
    assert drawn is not None
    order = re.findall(r"[a-z_]+", re.sub(r"show\(\S+|verified after each", "", drawn[1]))
    assert order == [re.sub("^(layout|simplify)_.*", r"\1", single.name) for single in optimization()]


def test_the_table_of_passes_lists_existing_passes() -> None:
    section = PAGE[PAGE.index("\n## Passes") : PAGE.index("\n## Axes")]
    rows = re.findall(r"^\| (\w+) \|", section, re.MULTILINE)[1:]
    texts = [text for path, text in sources().items() if path.startswith("passes/")]
    named = {name for text in texts for name in re.findall(r'(?:^def |^    name: str = ")(\w+)', text, re.MULTILINE)}
    files = {path.stem for path in (PACKAGE / "passes").rglob("*")}
    assert len(rows) > 15
    assert [row for row in rows if row not in named | files] == []


@pytest.mark.parametrize(
    ("sentence", "place", "value"),
    [
        ("A graph keeps 32 native entries", "runtime.native.compiled_graph:MAX_ENTRIES", 32),
        ("After four batch sizes of a graph", "runtime.native.compiled_graph:MAX_SPECIAL", 4),
        ("From 64 MB on", "support.allocation:LARGE", 64 << 20),
        ("After 16 runs, a prepared call gets a plan", "runtime.calls.direct_call:CALLS_UNTIL_DIRECT", 16),
        ("Calls of 10 microseconds and more", "runtime.calls.direct_call:MIN_RELEASED_NS", 10_000),
        ("If all files exceed 256 MiB", "runtime.native.object_cache:MAX_BYTES", 256 << 20),
        ("first after 8 calls", "runtime.native.adaptive_threads:MIN_BETWEEN_TRIALS", 8),
        ("finally after every 512", "runtime.native.adaptive_threads:MAX_BETWEEN_TRIALS", 512),
        ("A stage writes to three buffers in turn", "codegen.cost_model.pipelining:BUFFER_DEPTH", 3),
        ("A chunk is about an eighth of the sequence", "codegen.cost_model.pipelining:ROUNDS", 8),
        ("at least some 12 steps", "codegen.cost_model.pipelining:MIN_STEPS", 12),
        ("128 rows, steps times batch", "codegen.cost_model.chunk_length:ROWS_OF_A_CHUNK", 128),
        ("have 8 to 64 rows and at most 64 columns", "codegen.cost_model.register_tiles:MIN_SPLIT", 8),
        ("have 8 to 64 rows and at most 64 columns", "codegen.cost_model.register_tiles:MAX_SPLIT", 64),
        ("each block of 512 is summed separately", "codegen.cost_model.register_tiles:SUM_BLOCK", 512),
    ],
)
def test_numbers_are_the_code_s(sentence: str, place: str, value: int) -> None:
    module, name = place.split(":")
    assert sentence in " ".join(PAGE.split())
    assert getattr(import_module(f"rnngraph.{module}"), name) == value
