"""The explorer's page: texts and lines equal those of ``show``, diffs of passes are complete, and names are escaped."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html.parser
import itertools
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictured_nets import HOSTILE, dropped_stack, hostile

import rnngraph as rg
from rnngraph.cli import main
from rnngraph.inspection.explore.changes import changes_between
from rnngraph.inspection.explore.packed import packed
from rnngraph.inspection.explore.page import ASSETS, Page
from rnngraph.inspection.picture.palette import COLOURS, DARK, DARK_INKS, INKS
from rnngraph.support.errors import Where
from rnngraph.support.stage_text import StageLine


@dataclass
class Read(html.parser.HTMLParser):
    """Parser of a page: elements, scripts by their ids, and URLs that it would load."""

    texts: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.inside = dict(attrs).get("id") or tag if tag in ("script", "title", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside] = self.texts.get(self.inside, "") + data

    @property
    def facts(self) -> Any:
        return json.loads(self.texts["facts"])

    def stage(self, graph: str, name: str) -> tuple[list[str], list[int]]:
        """Return the lines of a stage and the numbers of their sets, unpacked as by the page's script."""
        data = gzip.decompress(base64.b64decode(self.texts[f"text-{graph}-{name}"]))
        count = int.from_bytes(data[:4], "little")
        numbers = np.frombuffer(data, "<u4", 2 * count, 4)
        text = data[4 + 8 * count :].decode().encode("utf-16-le")
        ends = [0, *numbers[:count].tolist()]
        lines = [text[2 * a : 2 * b - 2].decode("utf-16-le") for a, b in itertools.pairwise(ends)]
        return lines, numbers[count:].tolist()


def read(page: str) -> Read:
    result = Read()
    result.feed(page)
    return result


LONG = {("training", "llvm"), ("training", "asm")}
"""Stages that take a second to print, and that inference already tests."""


@pytest.fixture(scope="module")
def program() -> rg.Program:
    return dropped_stack(2, 3, with_loss=False)


@pytest.fixture(scope="module")
def page(program: rg.Program) -> str:
    return program.explore(title="a stack")


def test_every_stage_is_there_with_its_text_and_places(program: rg.Program, page: str) -> None:
    actual = read(page)
    facts = actual.facts
    assert [graph["name"] for graph in facts["graphs"]] == ["training", "inference"]
    for graph in facts["graphs"]:
        called = getattr(program, graph["name"])
        assert {stage["name"] for stage in graph["stages"]} == {*called.stages}
        for stage in graph["stages"]:
            if (graph["name"], stage["name"]) in LONG:
                continue
            lines, sets = actual.stage(graph["name"], stage["name"])
            shown = called.show(stage["name"])
            expected = [line for line in shown.lines if not line.text.startswith("# after ")]
            assert lines == [line.text for line in expected]
            for line, number in zip(expected, sets, strict=True):
                places = [facts["places"][place] for place in facts["sets"][number]]
                recorded = {(facts["files"][file]["name"], line, layer, phase) for file, line, layer, phase in places}
                assert recorded == {(Path(w.file).name, w.line, w.layer, w.phase) for w in line.origins}


def test_passes_show_their_guarantee_their_time_and_their_changes(page: str) -> None:
    actual = read(page)
    for graph in actual.facts["graphs"]:
        passes = [stage for stage in graph["stages"] if stage["before"]]
        assert len(passes) > 8
        changed = 0
        for stage in passes:
            assert stage["law"], stage["name"]
            assert stage["about"], stage["name"]
            assert stage["seconds"] > 0
            before, _ = actual.stage(graph["name"], stage["before"])
            after, _ = actual.stage(graph["name"], stage["name"])
            if stage["changes"] is None:
                assert list(map(bare, before)) == list(map(bare, after))
                continue
            changed += 1
            assert rebuilt(stage["changes"], before, after)
        assert changed >= 3


def bare(line: str) -> str:
    return re.sub(r"\s*# .*$", "", line)


def rebuilt(changes: Any, before: list[str], after: list[str]) -> bool:
    """Return True if the changes transform one text into the other without a gap."""
    old = new = 0
    for tag, first, last, start, end in changes:
        assert (first, start) == (old, new)
        old, new = last, end
        one, other = list(map(bare, before[first:last])), list(map(bare, after[start:end]))
        if tag == "equal":
            assert one == other
        elif tag == "numbered":
            assert [re.sub(r"_\d+\b", "", text) for text in one] == [re.sub(r"_\d+\b", "", text) for text in other]
            assert one != other
        else:
            assert tag in ("insert", "delete", "replace")
    return (old, new) == (len(before), len(after))


@pytest.mark.parametrize("seed", range(6))
def test_changes_of_drawn_texts(seed: int) -> None:
    draw = np.random.default_rng(seed)
    before = [f"  {draw.choice(['add', 'mul', 'tanh'])}_{draw.integers(5)} = x" for _ in range(draw.choice([0, 1, 40]))]
    after = [line for line in before if draw.random() < 0.8]
    for _ in range(int(draw.integers(4))):
        after.insert(int(draw.integers(len(after) + 1)), "  fma = fma a, b, c")
    commented = [StageLine(f"{line}   # net.py:{place}") for place, line in enumerate(after)]
    changes = changes_between([*map(StageLine, before)], commented)
    assert (changes is None) == (before == after)
    assert changes is None or rebuilt(changes, before, after)


def test_numbered_lines_are_of_the_same_layer() -> None:
    def text(*lines: tuple[str, str]) -> list[StageLine]:
        return [StageLine(line, (Where("net.py", 5, layer),)) for line, layer in lines]

    before = text(("h = tanh x", "cell_0"), ("h_1 = tanh x_1", "cell_1"), ("h_2 = tanh x_2", "cell_2"))
    assert changes_between(before, text(("h = tanh x", "cell_2"))) == [("delete", 0, 2, 0, 0), ("numbered", 2, 3, 0, 1)]
    # an unchanged line, and one that only differs in numbers from the line before
    after = text(("h_7 = tanh x_7", "cell_0"), ("h = tanh x", "cell_0"))
    assert changes_between(before[:1], after) == [("insert", 0, 0, 0, 1), ("equal", 0, 1, 1, 2)]


def test_the_lines_of_a_call_have_its_first_line(tmp_path: Path) -> None:
    script = tmp_path / "net.py"
    script.write_text("import rnngraph as rg\nx = rg.placeholder(\n    'x',\n    shape=(None, 3),\n)\ny = x * 2.0\n")
    variables: dict[str, Any] = {}
    exec(compile(script.read_text(), str(script), "exec"), variables)
    program = rg.compile(variables["y"])
    assert read(program.explore()).facts["files"][0]["first"] == {"3": 2, "4": 2, "5": 2}
    program.save(tmp_path / "saved")
    assert read(rg.load(tmp_path / "saved").explore()).facts["files"][0]["first"] == {}  # no file is read


def test_keywords_of_graphs_are_no_names_of_values() -> None:
    text = (ASSETS / "texts.js").read_text()
    words = {name: {*text.split(f"  {name}: `")[1].split("`")[0].split()} for name in ("ir", "plan", "loops")}
    assert not words["ir"] & {"kernel", "initial", "step", "row", "copy", "tile"}
    assert {"kernel", "initial"} <= words["plan"]
    assert {"step", "row", "tile"} <= words["loops"]


def test_boxes_are_lit_by_their_places_and_select_their_layer(page: str) -> None:
    facts = read(page).facts
    cells = {
        layer: box
        for box in facts["boxes"].values()
        for layer in {facts["places"][place][2] for place in facts["sets"][box["all"]]}
        if layer.endswith("basic_rnn_cell") and len(facts["sets"][box["all"]]) < 4
    }
    assert [*cells] == [f"rnn/multi_rnn_cell/cell_{number}/basic_rnn_cell" for number in range(2)]
    one, other = (set(facts["sets"][box["all"]]) for box in cells.values())
    assert not one & other


def test_parameters_have_histograms(program: rg.Program, page: str) -> None:
    facts = read(page).facts
    assert [item["name"] for item in facts["parameters"]] == [*program.parameters]
    for item in facts["parameters"]:
        array = program.parameters[item["name"]]
        assert sum(item["counts"]) == array.size
        assert item["bytes"] == array.nbytes
        assert item["range"] == [f"{array.min():.4g}", f"{array.max():.4g}"]
        layers = {facts["places"][place][2] for place in facts["sets"][item["set"]]}
        assert layers == {item["name"].rpartition("/")[0]}


def test_numbers_that_are_not_finite_are_counted() -> None:
    x = rg.placeholder("x", shape=(None, 3))
    weights = np.array([[1, np.nan], [np.inf, 2], [3, 4]], np.float32)
    program = rg.compile(x @ rg.parameter("w", (3, 2), weights), cache=False)
    (item,) = read(program.explore()).facts["parameters"]
    assert (item["wrong"], sum(item["counts"]), item["range"]) == (2, 4, ["1", "4"])


def test_times_are_heat_of_places(program: rg.Program) -> None:
    feeds = {"x": np.ones((2, 3, 5), np.float32)}
    profile = program.inference.profile(feeds, seconds=0.02)
    facts = read(program.explore(profile=profile)).facts
    assert [*facts["times"]] == ["inference"]
    times = facts["times"]["inference"]
    assert sum(row["share"] for row in times["rows"]) == pytest.approx(sum(k.share for k in profile.kernels))
    assert 0.3 < sum(share for _, share in times["places"]) < 1.0001
    with pytest.raises(rg.DtypeError, match=r"inference\.profile"):
        program.explore(profile=[profile, 3])  # type: ignore[list-item]


def test_taps_are_those_of_the_batch() -> None:
    program = hostile()
    facts = read(program.explore(feeds={"x": np.ones((2, 3, 2), np.float32)})).facts
    (tap,) = facts["taps"]
    assert (tap["name"], tap["type"], sum(tap["counts"])) == ("seen", "float32[2, 3, 2]", 12)
    with pytest.raises(rg.NameLookupError, match="x"):
        program.explore(feeds={})


TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "noscript",
    "header",
    "h1",
    "div",
    "label",
    "input",
    "span",
    "button",
    "dl",
    "dt",
    "dd",
    "main",
    "section",
    "select",
    "nav",
    "footer",
    "script",
    "svg",
    "g",
    "rect",
    "text",
    "path",
    "polygon",
}
"""Elements that pages may have."""


def test_names_are_no_markup() -> None:
    """Names are not parsed as markup: ``</script>`` in a name adds no element, and only the page's script runs."""
    page = hostile().explore(title=HOSTILE)
    actual = read(page)
    assert {*actual.tags} <= TAGS
    assert actual.tags.count("script") == len(actual.facts["graphs"][0]["stages"]) * 2 + 2
    assert actual.texts["title"].startswith(HOSTILE.replace("\x01", "\ufffd"))
    assert any(HOSTILE.partition("'")[0] in line for line in actual.stage("inference", "lowered")[0])
    assert not any(name.startswith("on") for name, _ in actual.attributes)


def test_the_page_makes_no_network_requests(page: str) -> None:
    actual = read(page)
    policy = next(value for name, value in actual.attributes if name == "content" and "default-src" in (value or ""))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    digest = base64.b64encode(hashlib.sha256(actual.texts["script"].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert not {"src", "href", "action"} & {name for name, _ in actual.attributes}
    urls = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert urls == {"http://www.w3.org/2000/svg"}


def test_elements_that_the_script_uses_exist(page: str) -> None:
    actual = read(page)
    wanted = set(re.findall(r"byId\(\"([\w-]+)\"\)", actual.texts["script"]))
    there = {value for name, value in actual.attributes if name == "id"}
    assert len(wanted) > 15
    assert wanted <= there


def test_lines_count_as_javascript_counts() -> None:
    lines = ["", "a′ = 𝕏 + 1", "x" * 300, "\tend"]
    actual = Read(texts={"text-g-s": packed(lines, [0, 1, 2, 1])})
    assert actual.stage("g", "s") == (lines, [0, 1, 2, 1])


def test_saved_programs_have_pages_that_read_no_files(tmp_path: Path) -> None:
    program = hostile()
    program.save(tmp_path / "net")
    live, saved = read(program.explore()).facts, read(rg.load(tmp_path / "net", cache=False).explore()).facts
    assert [file["lines"] for file in saved["files"]] == [None]
    assert any("rg.dynamic_rnn" in text for text in live["files"][0]["lines"])
    for one, other in zip(live["graphs"], saved["graphs"], strict=True):
        assert [stage["count"] for stage in one["stages"]] == [stage["count"] for stage in other["stages"]]


def test_the_page_is_written_and_returned(tmp_path: Path) -> None:
    program = hostile()
    actual = program.explore(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == actual
    assert isinstance(actual, Page)
    assert len(repr(actual)) < 100
    frame = actual._repr_html_()
    assert "<script" not in frame
    assert html.unescape(frame.partition('srcdoc="')[2].partition('" title=')[0]) == actual
    with pytest.raises(rg.FileError):
        program.explore(tmp_path / "no" / "page.html")
    with pytest.raises(rg.DtypeError):
        program.explore(3)  # type: ignore[arg-type]


SCRIPT = """
import rnngraph as rg

x = rg.placeholder("x", shape=(None, None, 2))
outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(rg.GRUCell(3), input_keep_prob=0.5), x)
program = rg.compile({"y": outputs}, cache=False)
"""


def test_the_command_takes_scripts_and_files_of_other_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "net.py").write_text(SCRIPT)
    weights = np.zeros(4 * (1 + 1) + 4 + 2 + 1 + 1).tolist()
    config = {"input_size": 1, "hidden_size": 1, "num_layers": 1}
    amp = {"version": "0.5.0", "architecture": "LSTM", "config": config, "weights": weights, "sample_rate": 48000}
    (tmp_path / "amp.nam").write_text(json.dumps(amp))
    for arguments, name, line in (
        (["net.py", "-o", "page.html", "--profile", "--steps", "3"], "page.html", "outputs, _ = rg.dynamic_rnn("),
        (["amp.nam"], "amp.html", "x = rg.placeholder('x', (None, None, 1))"),
    ):
        assert main(["explore", *arguments]) == 0
        assert capsys.readouterr().out.startswith(f"{name}: ")
        facts = read((tmp_path / name).read_text()).facts
        assert [file["name"] for file in facts["files"]] == ["net.py"]
        assert any(text.startswith(line) for text in facts["files"][0]["lines"])
        assert bool(facts["times"]) == ("--profile" in arguments)
    for arguments, message in (
        (["none.py"], "none.py: no such file"),
        (["net.py", "--fixed", "x=1"], "--fixed and --max-entries are for files of other formats, not net.py"),
        (["net.py", "--max-entries", "9"], "--fixed and --max-entries are for files of other formats, not net.py"),
        (["net.py", "--steps", "3"], "--batch and --steps are sizes of timed calls; add --profile"),
    ):
        assert main(["explore", *arguments]) == 2
        assert message in capsys.readouterr().err


def luminance(colour: str) -> float:
    """Return the luminance of a colour such as #1c1c1a, as WCAG 2.2 defines it."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_texts_have_contrast_on_all_backgrounds(theme: str) -> None:
    """Contrasts fulfil WCAG's level AA, 4.5 for text and 3 for lines, on all backgrounds."""
    sheet = (ASSETS / "page.css").read_text().partition(theme)[2].partition("}")[0]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", sheet))
    grounds = ("ground", "panel", "lit", "hover", "added", "removed", "renumbered")
    for ink in ("ink", "soft", "keyword", "type", "number", "string", "comment", "name"):
        assert min(contrast(colours[ink], colours[ground]) for ground in grounds) >= 4.5, ink
    assert contrast(colours["accent"], colours["ground"]) >= 4.5  # text on it has the ground's colour
    boxes, inks = (DARK, DARK_INKS) if "dark" in theme else (COLOURS, INKS)
    share = int(re.findall(r"--hottest: (\d+)%", sheet)[0]) / 100
    parts = [[int(colours[name][at : at + 2], 16) for at in (1, 3, 5)] for name in ("hot", "ground")]
    hottest = "#" + "".join(f"{round(share * hot + (1 - share) * cold):02x}" for hot, cold in zip(*parts, strict=True))
    fills = [fill for kind, (fill, _) in boxes.items() if kind != "dropout"]
    for ink in ("heading", "title", "equation", "note"):
        assert min(contrast(inks[ink], fill) for fill in (*fills, hottest)) >= 4.5, ink
    assert contrast(inks["dropped"], boxes["dropout"][0]) >= 4.5
    around = [boxes[kind][0] for kind in ("ground", "driver", "wrapper")]
    assert min(contrast(inks[ink], fill) for ink in ("label", "state") for fill in around) >= 4.5
    lines = [inks["arrow"], inks["loop"], *(line for kind, (_, line) in boxes.items() if kind != "ground")]
    assert min(contrast(line, boxes["ground"][0]) for line in lines) >= 3
