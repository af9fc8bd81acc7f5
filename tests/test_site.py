"""The site's pages are correct and complete, as far as tests without a build show. CONTRIBUTING.md has the command."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import inspect
import re
import runpy
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

DOCS = Path(__file__).resolve().parents[1] / "docs"
REFERENCE = sorted((DOCS / "reference").glob("*.md"))


def part(name: str) -> ModuleType:
    """Return a file of docs/site_parts as a module that can import its neighbours."""
    sys.path.insert(0, str(DOCS / "site_parts"))
    spec = importlib.util.spec_from_file_location(f"site_{name}", DOCS / "site_parts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS / "site_parts"))
    return module


def listed(page: Path) -> list[str]:
    """Return the names whose docstrings a page of the reference shows."""
    matches = re.findall(r"^```\{reference\}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return "\n".join(matches).split()


def test_every_public_name_is_on_one_page_of_the_reference() -> None:
    names = [name for page in REFERENCE for name in listed(page)]
    assert len(names) == len(set(names))
    known = {name.partition(".")[0] for name in names}
    assert set(rg.__all__) - known - {"__version__"} == set()


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_the_reference_has_an_example_of_every_name(page: Path) -> None:
    """The page's script, which another test runs, uses the listed names."""
    script = "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
    own = part("docstrings").OBJECTS
    used = set(re.findall(r"\brg\.(\w+)", script))
    assert [name for name in listed(page) if name not in own and name.partition(".")[0] not in used] == []


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_all_that_is_listed_has_a_text(page: Path) -> None:
    docstrings = part("docstrings")
    for name in listed(page):
        lines = [*docstrings.described(name, docstrings.object_named(name), name)]
        assert len("".join(lines[1:-1]).strip()) > 3, name
        assert sum(line.startswith("```") for line in lines) % 2 == 0, name


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_every_argument_is_documented(page: Path) -> None:
    """Every listed name and method documents its arguments: by a sentence, in the text, or by name alone."""
    docstrings = part("docstrings")
    items = [(name, docstrings.object_named(name)) for name in listed(page)]
    called = [(name, item) for name, item in items if name not in {*docstrings.OBJECTS, *docstrings.RECEIVED}]
    for name, item in items:
        members = docstrings.members(name, item) if inspect.isclass(item) else []
        called += [(f"{name}.{member}", docstrings.unwrapped(item, member)) for member in members]
    undocumented = []
    for name, item in called:
        signature = docstrings.signature_of(item) if callable(item) else None
        text = inspect.getdoc(item) or ""
        _, arguments = docstrings.parted(text, {*signature.parameters} if signature else set())
        words = set(re.findall(r"\w+", text))
        undocumented += [
            f"{name}: {argument}"
            for argument, meaning in docstrings.undocumented(signature, arguments)
            if meaning == "see above" and argument not in words
        ]
    assert undocumented == []


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_arguments_are_one_a_line_in_the_source(page: Path) -> None:
    """Each argument begins a line of its docstring, because ``help`` prints docstrings unchanged."""
    docstrings = part("docstrings")
    inside = []
    for name in listed(page):
        subject = docstrings.object_named(name)
        members = docstrings.members(name, subject) if inspect.isclass(subject) else []
        for shown, one in [
            (name, subject),
            *((f"{name}.{item}", docstrings.unwrapped(subject, item)) for item in members),
        ]:
            signature = docstrings.signature_of(one) if callable(one) else None
            names = {*signature.parameters} if signature else set()
            if inspect.isclass(one):
                names |= {*dir(one), *getattr(one, "__annotations__", ())}
            marks = re.findall(r"(?<=[.;:)] )((?:\w+, )*\w+): ", inspect.getdoc(one) or "")
            inside += [f"{shown}: {mark}" for mark in marks if {*mark.split(", ")} <= names]
    assert inside == []


def test_arguments_are_one_a_line() -> None:
    docstrings = part("docstrings")

    def call(shape: Any, dtype: Any, first: Any = 0, last: Any = None, seed: Any = None) -> None:
        """Makes a thing: of two kinds.

        shape: each entry an int; one is enough. dtype: as NumPy's, such as
        ``float32``. first, last: of a range. Raises ``ValueError``: never.

        More on it, with other: words.
        """

    text, arguments = docstrings.parted(inspect.getdoc(call), {"shape", "dtype", "first", "last"})
    paragraphs = ["Makes a thing: of two kinds.", "Raises ``ValueError``: never.", "More on it, with other: words."]
    assert [part.strip() for part in text.split("\n\n")] == paragraphs
    assert arguments == [
        ("shape", "each entry an int; one is enough."),
        ("dtype", "as NumPy's, such as ``float32``."),
        ("first, last", "of a range."),
    ]
    lines = [*docstrings.described("call", call, "rg.call")]
    assert lines[0].endswith("{py:function} rg.call(shape, dtype, first=0, last=None, seed=None)")
    assert "- `first = 0`, `last = None`: of a range." in lines
    assert "- `seed = None`: of the random numbers; None: a new one each time" in lines


def test_sections_of_docstrings_are_arguments() -> None:
    docstrings = part("docstrings")

    def call(shape: Any, *items: Any) -> None:
        """Make a thing.

        Args:
            shape: Size of each axis,
                in order. Default: none.
            *items: Any number of things.

        Returns:
            The thing.

        Raises:
            ValueError: There is
                no such thing.
        """

    text, arguments = docstrings.parted(inspect.getdoc(call), {"shape", "items"})
    plain = "Make a thing. Returns: The thing. Raises ``ValueError``: There is no such thing."
    assert " ".join(text.split()) == plain
    assert arguments == [("shape", "Size of each axis, in order. Default: none."), ("items", "Any number of things.")]


def test_the_page_of_words_equals_the_hints_of_errors() -> None:
    words = part("words")
    assert {path.name for path in words.pages()} == {"words.md", "from_keras.md", "from_torch.md"}
    for path, text in words.pages().items():
        assert path.read_text() == text, "run python docs/site_parts/words.py"
    assert words._text("x, or rg.dense(x, (1, 2)).name | y") == "x, or `rg.dense(x, (1, 2)).name` \\| y"


def test_the_picture_of_the_three_phases_has_their_records() -> None:
    phases = part("phases")
    assert phases.PAGE.read_text(encoding="utf-8") == phases.page(), "run python docs/site_parts/phases.py"
    for record in ("EntryAnalysis", "EntryPlan", "ScanPlan", "KernelPlan", "ScheduledEntry"):
        assert f" {record}: " in phases.picture()


def test_tables_of_benchmarks_are_their_files() -> None:
    figures = part("figures")
    for page in figures.PAGES:
        assert page.read_text() == figures.text_of(page), "run python docs/site_parts/figures.py"
    marked = set(re.findall(r"<!-- table: ([\w/-]+) -->", "".join(page.read_text() for page in figures.PAGES)))
    assert marked == {
        "readme",
        *(path.relative_to(figures.FIGURES).with_suffix("").as_posix() for path in figures.FIGURES.rglob("*.csv")),
    }
    assert figures.ratio_of("0.551 (1.43×)") == "1.43"
    assert figures.markdown([["a", "b"], ["1", ""]]) == "| a | b |\n|---|---|\n| 1 |  |"


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">1</a><a href="b.html#there">2</a><a href="c.html">3</a><a href="https://x.y">4</a>'
        '<img src="no.svg"><a href="#top">5</a><p id="top">'
    )
    (tmp_path / "b.html").write_text('<p id="here"><a href="a.html?x=1">1</a>')
    broken = part("whole").broken(tmp_path)
    assert [line.split()[1] for line in broken] == ["b.html#there", "c.html", "no.svg"]


def test_external_links_are_followed(tmp_path: Path) -> None:
    """Links to an existing page pass and links to a missing one fail, on a local server with one page."""
    outer = part("outer")
    (tmp_path / "here.html").write_text("there")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        page = tmp_path / "page.md"
        page.write_text(f"[a]({address}/here.html) <{address}/gone.html> [b](other.md)\n```\n[c](http://x.y)\n```\n")
        assert outer.links_of([page]) == {f"{address}/{name}.html": ["page.md"] for name in ("gone", "here")}
        assert outer.problem(f"{address}/here.html") == ""
        assert outer.problem(f"{address}/gone.html").startswith("404")
        server.shutdown()
    assert outer.problem(f"{address}/here.html") != ""


def test_every_page_is_in_the_table_of_contents() -> None:
    parents = "\n".join((DOCS / name).read_text() for name in ("index.md", "benchmarks.md"))
    toctrees = "\n".join(re.findall(r"^```\{toctree\}\n(.*?)^```$", parents, re.MULTILINE | re.DOTALL))
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    missing = pages - set(toctrees.split()) - {"index"}
    assert {page for page in missing if not re.fullmatch(r"decisions/\d+.*", page)} == set()


def sessions(page: Path) -> Iterator[tuple[str, str, str]]:
    """Yield a page's Python blocks, as ("", source, ""), and its sessions: statements and their errors."""
    text = page.read_text()
    for language, block in re.findall(r"^```(python|pycon)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language == "python":
            yield "", block, ""
            continue
        for entry in re.split(r"^>>> ", block, flags=re.MULTILINE)[1:]:
            source, _, output = entry.partition("\n")
            kind, _, message = output.strip().partition(": ")
            yield kind, source, message


def as_pattern(shown: str) -> str:
    return ".*".join(map(re.escape, shown.split("…")))


WITH_SESSIONS = [page for page in sorted(DOCS.rglob("*.md")) if "```pycon" in page.read_text()]


@pytest.mark.parametrize("page", WITH_SESSIONS, ids=lambda page: page.stem)
def test_errors_are_those_that_pages_show(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, source, message in sessions(page):
        code = compile(source, page.name, "exec")
        if not kind:
            exec(code, names)
            continue
        with pytest.raises(rg.RnnGraphError) as raised:
            exec(code, names)
        assert type(raised.value).__name__ == kind
        assert re.fullmatch(as_pattern(message), str(raised.value), re.DOTALL), str(raised.value)


@pytest.mark.peers
@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")  # warnings of torch.export
def test_the_blocks_of_the_page_of_torch_run() -> None:
    """The blocks are one script: it reads a module, trains it further, writes it back, and compares it with the net."""
    pytest.importorskip("torch")
    names: dict[str, Any] = {"__name__": "torch_page"}
    for block in re.findall(r"^```py\n(.*?)^```$", (DOCS / "torch.md").read_text(), re.MULTILINE | re.DOTALL):
        exec(block, names)
    assert repr(names["net"]) == "Net(ids i64[B,T] -> y_0 f32[B,T,5], y_1 f32[2,B,32])"


@pytest.mark.peers
def test_the_nets_of_the_guide_from_torch_are_one_net() -> None:
    """The torch module and the net of the guide have the same results with the same weights."""
    torch = pytest.importorskip("torch")
    text = (DOCS / "guides" / "from_torch.md").read_text()
    theirs: dict[str, Any] = {"torch": torch, "pack_padded_sequence": torch.nn.utils.rnn.pack_padded_sequence}
    exec(re.findall(r"^```py\n(class .*?)^```$", text, re.MULTILINE | re.DOTALL)[0], theirs)
    ours: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0], ours)
    module, program, steps = theirs["Speakers"]().eval(), ours["program"], np.array([5, 2, 3])
    arrays = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    for layer, cell in enumerate((rg.LSTMCell(32, forget_bias=0.0),) * 2):
        own = {
            f"{name[4:-1]}0": value
            for name, value in arrays.items()
            if name.startswith("rnn") and name[-1] == str(layer)
        }
        actual = rg.weights.from_torch(cell, own)
        scope = f"rnn/multi_rnn_cell/cell_{layer}/lstm_cell/"
        program.parameters.load({scope + name: value for name, value in actual.items()}, strict=False)
    program.parameters.load({"dense/kernel": arrays["out.weight"].T, "dense/bias": arrays["out.bias"]}, strict=False)
    batch = np.random.default_rng(0).standard_normal((3, 5, 12)).astype(np.float32)
    wanted = module(torch.from_numpy(batch), torch.from_numpy(steps)).detach().numpy()
    np.testing.assert_allclose(program.inference(x=batch, lengths=steps)["logits"], wanted, rtol=1e-4, atol=1e-5)


def test_pictures_equal_the_present_drawings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures in docs/pictures equal new drawings. ``python tools/write_pictures.py`` writes them."""
    monkeypatch.chdir(tmp_path)
    program = runpy.run_path(str(DOCS.parent / "tools" / "write_pictures.py"))["readme_net"](tmp_path)
    program.plot("net.svg", detail="cells")
    pictures = DOCS / "pictures"
    assert (tmp_path / "net.svg").read_text() == (pictures / "net.svg").read_text()
    assert (pictures / "explorer.png").stat().st_size < 300_000
    for page, folder in ((DOCS.parent / "README.md", "docs/pictures/"), (DOCS / "index.md", "pictures/")):
        shown = re.findall(r"!\[[^]]{40,}\]\(([^)]*)\)", page.read_text())
        assert shown[:2] == [f"{folder}net.svg", f"{folder}explorer.png"]
