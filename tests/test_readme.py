"""README and docs are correct: code runs, commands exist, and links have targets."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from systems import WINDOWS

import rnngraph as rg
from rnngraph.codegen.machine.target import NAMES

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
README = ROOT / "README.md"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def python_pages() -> list[Path]:
    return [page for page in PAGES if blocks(page.read_text(), "python")]


@pytest.mark.parametrize("page", python_pages(), ids=lambda page: page.name)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page form one script, which defines every name that it uses."""
    if WINDOWS and 'get_context("fork")' in page.read_text():
        pytest.skip("not on Windows: there is no fork")
    monkeypatch.chdir(tmp_path)
    run_blocks(page)


def run_blocks(page: Path) -> None:
    """Run the Python blocks of a page. Skip the test at the first block that needs a package that is not installed."""
    text = page.read_text()
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks(text, "python"):
        line = text[: text.index(block)].count("\n")
        try:
            exec(compile("\n" * line + block, str(page), "exec"), names)  # failures name the page's line
        except rg.MissingExtraError as error:
            pytest.skip(f"the block at {page.name}:{line} needs an extra: {error.what}")


def test_a_block_that_needs_an_extra_is_skipped(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n```python\nimport rnngraph as rg\nraise rg.MissingExtraError('pip install x')\n```\n")
    with pytest.raises(pytest.skip.Exception, match=r"the block at page.md:2 needs an extra: pip install x"):
        run_blocks(page)
    page.write_text("```python\nimport rnngraph_misspelt\n```\n")
    with pytest.raises(ModuleNotFoundError, match="rnngraph_misspelt"):
        run_blocks(page)


def test_the_first_block_of_the_readme_is_a_script_of_its_own(tmp_path: Path) -> None:
    """The block is run as a file of its own."""
    (tmp_path / "first.py").write_text(blocks(README.read_text(), "python")[0])
    done = subprocess.run([sys.executable, "first.py"], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("graph inference\n")


def test_cell_of_the_readme_can_be_stacked_and_dropped() -> None:
    names: dict[str, object] = {}
    block = "import rnngraph as rg\n" + next(
        item for item in blocks(README.read_text(), "python") if "class MinimalGatedCell" in item
    )
    exec(block, names)
    cell = names["MinimalGatedCell"]
    assert isinstance(cell, type)
    stack = rg.MultiRNNCell([rg.DropoutWrapper(cell(5), output_keep_prob=0.9) for _ in range(2)])
    outputs, _ = rg.dynamic_rnn(stack, rg.placeholder("x", (None, None, 3)))
    assert rg.compile(outputs).inference(x=np.zeros((2, 3, 3))).shape == (2, 3, 5)


def signatures() -> list[tuple[str, str]]:
    """Return functions and classes that the API page shows with defaults, and their arguments."""
    text = (ROOT / "docs" / "api.md").read_text().replace("\n", " ")
    matches = re.findall(r"`(?:rg\.)?(\w+)\(([^`]*=[^`]*)\)`", text)
    calls = ("by_graph",)  # the page shows an example instead of the signature
    return [item for item in matches if item[0] in rg.__all__ and item[0] not in calls and "…" not in item[1]]


@pytest.mark.parametrize(("name", "arguments"), signatures(), ids=lambda text: text.partition(",")[0])
def test_signatures_are_those_of_the_functions(name: str, arguments: str) -> None:
    """The page shows the first arguments of a signature, and may omit the last ones."""
    names: dict[str, object] = {"rg": rg}
    exec(f"def shown({arguments}): pass", names)
    shown = [*inspect.signature(cast("Callable[..., None]", names["shown"])).parameters.values()]
    own = [
        item for item in inspect.signature(getattr(rg, name)).parameters.values() if item.kind != item.VAR_POSITIONAL
    ]
    assert [(item.name, item.kind) for item in shown] == [(item.name, item.kind) for item in own][: len(shown)]
    for item, real in zip(shown, own, strict=False):
        # None stands for the optimizer that is shown
        assert item.default == real.default or isinstance(item.default, rg.Optimizer)


def test_every_target_is_listed() -> None:
    for page in ("api.md", "export.md"):
        text = (ROOT / "docs" / page).read_text()
        assert [name for name in NAMES if not name.startswith(("host", "x86-64-v")) and name not in text] == []


def test_every_public_name_is_in_the_api() -> None:
    words = set(re.findall(r"\w+", (ROOT / "docs" / "api.md").read_text()))
    assert [name for name in rg.__all__ if name not in words] == []


def test_decisions_have_numbers_of_their_own() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    titles = [int(page.read_text().removeprefix("# ").partition(".")[0]) for page in pages]
    assert titles == [int(page.name[:4]) for page in pages] == [*range(1, len(pages) + 1)]


def test_quick_start_is_two_commands() -> None:
    section = re.search(r"^## Quick start\n(.*?)^## ", README.read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None
    fenced = re.findall(r"^```\w*\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    commands = [line for block in fenced for line in block.splitlines() if line.strip()]
    assert len(commands) == 2
    assert all(command.startswith("pip install") for command in commands)


def commands() -> list[str]:
    shell = "\n".join(block for page in PAGES for block in blocks(page.read_text(), "sh"))
    return sorted({line for line in shell.splitlines() if line.startswith("rnngraph ")})


def run_command(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run ``rnngraph`` in the project's folder, with output in UTF-8 on every system."""
    line = [sys.executable, "-X", "utf8", "-P", "-m", "rnngraph", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=600)


LONG = ("rnngraph run examples/deep_rnn.py",)
"""Commands that repeat the training of another test."""


@pytest.mark.parametrize(
    "command",
    [pytest.param(item, marks=pytest.mark.exhaustive) if item.startswith(LONG) else item for item in commands()],
)
def test_command_lines_run(command: str, tmp_path: Path) -> None:
    """Every rnngraph command of every page runs in the project's folder."""
    words = command.split("#")[0].split()[1:]
    if words[0] == "bench":
        words += ["--seconds", "0.01"]
    if words[0] == "export":
        words += ["--directory", str(tmp_path)]
    if words[0] == "explore":
        words += ["--output", str(tmp_path / "page.html")]
    done = run_command(words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


TUNED = ("plan", "loops", "llvm", "asm")  # their text depends on the tiling, and on LLVM's version


def excerpts() -> list[tuple[str, list[str]]]:
    """Return commands that are shown with output, and the lines of that output."""
    blocks_of_pages = [block.splitlines() for page in PAGES for block in blocks(page.read_text(), "console")]
    return [(lines[0].removeprefix("$ "), lines[1:]) for lines in blocks_of_pages if not lines[0].endswith(TUNED)]


@pytest.mark.parametrize(("command", "shown"), excerpts())
def test_excerpts_equal_the_printed_output(command: str, shown: list[str]) -> None:
    words = command.split()[1:]
    done = run_command(words)
    printed = iter(done.stdout.replace(os.sep, "/").splitlines())
    for line in shown:
        assert line == "…" or line in printed, f"{command} does not print, or not in this place: {line}"


WITH_LINKS = sorted([*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "examples").rglob("*.md")])


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub generates them; a repeated one ends in -1."""
    results: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.*?) *$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        count = results[name] = results.get(name, -1) + 1
        if count:
            results[f"{name}-{count}"] = 0
    return set(results)


@pytest.mark.parametrize("page", WITH_LINKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_have_targets(page: Path) -> None:
    """Linked files exist, and so do linked headings."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(other), f"{page.name} links to {target}, and there is no such heading"


SOURCES = {
    "docs/testing.md": (".", "tests"),
    "docs/architecture.md": (".", "rnngraph"),
    "CONTRIBUTING.md": (".", "rnngraph"),
}
"""Pages that name the project's files in backticks, and the folders of these."""


@pytest.mark.parametrize("page", SOURCES)
def test_files_that_pages_name_are_there(page: str) -> None:
    # files that a reader of the instructions creates
    placeholders = {"rnngraph/passes/tidy.py", "docs/guides/NAME.md", "site/index.html"}
    named = set(re.findall(r"`([\w./-]+\.(?:py|md|html))`", (ROOT / page).read_text())) - placeholders
    assert named
    lost = [name for name in named if not any((ROOT / base / name).exists() for base in SOURCES[page])]
    inner = [name for name in lost if "/" in name or not [*(ROOT / SOURCES[page][1]).rglob(name)]]
    assert inner == []


def test_anchors_are_those_of_headings(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# One `two`: three\n```sh\n# no heading\n```\n## [Four](x.md)-five_6 \n### Same\n### Same\n")
    assert anchors(page) == {"one-two-three", "four-five_6", "same", "same-1"}
