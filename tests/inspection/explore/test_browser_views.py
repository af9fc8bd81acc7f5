"""The explorer's page in desktop and phone sizes, light and dark: fitted, zoomed, and in tabs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, chromium, is_there
from explorer_pages import SHOWN, check_legible, emulate, opened, said, settle, show
from pictured_nets import dropped_stack, two_layers_both_ways

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not is_there, reason="needs chromium and chromedriver"),
]

WIDE, NARROW = (1440, 900), (390, 844)
PAGES = {"dropped stack": dropped_stack, "two layers both ways": two_layers_both_ways}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium"), "window-size=1440,900") as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paths = {name: folder / f"{name.replace(' ', '_')}.html" for name in PAGES}
    for name, path in paths.items():
        PAGES[name]().explore(path)
    return paths


def frame(browser: Browser, selector: str) -> list[float]:
    """Return left, right, top and bottom of an element."""
    place = f"document.querySelector({selector!r}).getBoundingClientRect()"
    sides: list[float] = browser.run(
        f"const {{ left, right, top, bottom }} = {place}; return [left, right, top, bottom]"
    )
    return sides


def is_inside(browser: Browser, selector: str) -> bool:
    """Return True if an element lies within the picture's pane."""
    pane, inner = frame(browser, "#picture"), frame(browser, selector)
    return pane[0] <= inner[0] and inner[1] <= pane[1] and pane[2] <= inner[2] and inner[3] <= pane[3]


SVG = f"{SHOWN} svg"


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("name", PAGES)
def test_fit_shows_the_whole_picture(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    emulate(browser, *size)
    show(browser, pages[name])
    for at in range(3):
        browser.run(f"document.querySelectorAll('#details button')[{at}].click()")
        settle(browser)
        assert is_inside(browser, SVG)
    browser.run("document.getElementById('beside').click()")
    settle(browser)
    nets = "[...document.querySelectorAll('#picture .net')]"
    assert browser.run(f"return {nets}.filter((net) => net.getBoundingClientRect().width > 60).length") == 2
    assert all(is_inside(browser, f".net[data-graph={graph}]") for graph in ("training", "inference"))
    sides = browser.run(f"return {nets}.map((net) => net.getBoundingClientRect().left)")
    if size == NARROW and name == "dropped stack":
        assert abs(sides[0] - sides[1]) < 1  # one above the other
    assert said(browser) == []


def test_wheel_drag_and_keys_move_the_picture(browser: Browser, pages: dict[str, Path]) -> None:
    emulate(browser, *WIDE)
    show(browser, pages["dropped stack"])
    fitted = frame(browser, SVG)
    left, right, top, bottom = frame(browser, "#picture")
    at = {"x": int((left + right) / 2), "y": int((top + bottom) / 2)}

    def act(kind: str, **source: Any) -> None:
        actions = {"actions": [{"id": kind, "type": kind, **source}]}
        browser.call("POST", f"{browser.session}/actions", actions)
        settle(browser)

    act("wheel", actions=[{"type": "scroll", **at, "deltaX": 0, "deltaY": -400, "duration": 0}])
    zoomed = frame(browser, SVG)
    factor = (zoomed[1] - zoomed[0]) / (fitted[1] - fitted[0])
    assert factor == pytest.approx(1.82, rel=0.02)
    # the point under the pointer is fixed
    assert zoomed[0] == pytest.approx(at["x"] - factor * (at["x"] - fitted[0]), abs=1)
    assert not browser.run("return document.getElementById('fit').ariaPressed === 'true'")
    press = [{"type": "pointerMove", **at, "duration": 0}, {"type": "pointerDown", "button": 0}]
    drag = [
        {"type": "pointerMove", "x": at["x"] + 40, "y": at["y"] - 30, "duration": 20},
        {"type": "pointerUp", "button": 0},
    ]
    act("pointer", parameters={"pointerType": "mouse"}, actions=[*press, *drag])
    dragged = frame(browser, SVG)
    assert [dragged[0] - zoomed[0], dragged[2] - zoomed[2]] == pytest.approx([40, -30], abs=1)
    assert browser.run("return document.querySelectorAll('.box.lit').length") == 0  # a drag does not count as a click
    browser.keys("0")
    settle(browser)
    assert frame(browser, SVG) == pytest.approx(fitted, abs=1)
    browser.keys("++-")
    settle(browser)
    widened = frame(browser, SVG)
    assert (widened[1] - widened[0]) / (fitted[1] - fitted[0]) == pytest.approx(1.25, rel=0.01)


def test_two_fingers_zoom(browser: Browser, pages: dict[str, Path]) -> None:
    emulate(browser, *NARROW)
    show(browser, pages["dropped stack"])
    before = frame(browser, SVG)
    finger = [
        {
            "id": f"finger{number}",
            "type": "pointer",
            "parameters": {"pointerType": "touch"},
            "actions": [
                {"type": "pointerMove", "x": 195, "y": 400 + 20 * direction, "duration": 0},
                {"type": "pointerDown", "button": 0},
                {"type": "pointerMove", "x": 195, "y": 400 + 60 * direction, "duration": 60},
                {"type": "pointerUp", "button": 0},
            ],
        }
        for number, direction in enumerate((-1, 1))
    ]
    browser.call("POST", f"{browser.session}/actions", {"actions": finger})
    settle(browser)
    after = frame(browser, SVG)
    assert (after[1] - after[0]) / (before[1] - before[0]) == pytest.approx(3, rel=0.1)


def test_a_narrow_window_has_tabs(browser: Browser, pages: dict[str, Path]) -> None:
    emulate(browser, *NARROW)
    show(browser, pages["two layers both ways"])
    sections = "[...document.querySelectorAll('main > section')].filter((one) => one.offsetWidth > 0)"
    for number, name in enumerate(("left", "middle", "right")):
        browser.run(f"document.querySelectorAll('#views button')[{number}].click()")
        settle(browser)
        assert browser.run(f"return {sections}.map((one) => [one.id, one.offsetWidth])") == [[name, NARROW[0]]]
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("return document.querySelectorAll('#panes .line').length") > 20
    out = (
        "[...document.querySelectorAll('header *, #views *, .bar *')].filter((one) => one.offsetWidth > 0)"
        ".map((one) => one.getBoundingClientRect()).filter(({ left, right }) => left < -1 || right > innerWidth + 1)"
    )
    assert browser.run(f"return {out}.length") == 0
    emulate(browser, *WIDE)
    settle(browser)
    assert browser.run(f"return {sections}.length") == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_times_can_be_read(browser: Browser, tmp_path: Path, scheme: str) -> None:
    """Boxes and lines have heat colours; kernels are sorted by time, and small ones share a row."""
    program = two_layers_both_ways()
    feeds = {"x": np.zeros((4, 30, 12), np.float32), "n": np.full(4, 30)}
    profile = program.inference.profile(feeds, seconds=0.02)
    emulate(browser, *WIDE, scheme)
    opened(browser, program, tmp_path, profile=profile)
    browser.run("document.getElementById('of-time').click()")
    settle(browser)
    check_legible(browser)
    small = sum(kernel.share < 0.01 for kernel in profile.kernels)
    names = browser.run("return [...document.querySelectorAll('#tab-time tbody tr')].map((row) => row.innerText)")
    assert len(names) == len(profile.kernels) - (small - 1 if small > 1 else 0)
    assert (f"{small} others" in names[-1]) == (small > 1)
    assert browser.run("return document.querySelectorAll('.net.shown .box.heated').length") > 4
    browser.keys("?")
    check_legible(browser)


def test_keys_work_after_a_click_on_a_checkbox(browser: Browser, pages: dict[str, Path]) -> None:
    emulate(browser, *WIDE)
    show(browser, pages["dropped stack"])
    browser.pointer("#beside", click=True)
    browser.keys("?")
    assert not browser.run("return document.getElementById('keys').hidden")
    browser.keys("\ue00c")
    assert browser.run("return document.getElementById('keys').hidden")
    browser.keys("]")
    settle(browser)
    assert browser.run("return document.querySelector('.pane h2').textContent") == "layout"


@pytest.mark.parametrize("name", PAGES)
def test_it_opens_on_the_graph_of_inference(browser: Browser, pages: dict[str, Path], name: str) -> None:
    emulate(browser, *WIDE)
    show(browser, pages[name])
    assert browser.run("return document.querySelector('.pane h2').textContent") == "graph"
    text = browser.run("return document.getElementById('panes').textContent")
    assert "graph inference" in text
    assert "= dropout " not in text
    assert "seed" not in text


def test_one_colour_a_line_of_the_script(browser: Browser, tmp_path: Path) -> None:
    emulate(browser, *WIDE)
    program = dropped_stack()
    opened(browser, program, tmp_path)
    colour = "getComputedStyle(one).backgroundImage"
    script = browser.run(
        f"return [...document.querySelectorAll('#script .number.of-line')].map((one) => [one.textContent, {colour}])"
    )
    assert len({background for _, background in script}) == len(script) >= 5
    names = browser.run("return JSON.parse(document.getElementById('facts').textContent).files.map((one) => one.name)")
    known = dict(script)
    for stage in ("graph", "loops", "asm"):
        shown = program.inference.show(stage).lines
        line = next(at for at, item in enumerate(shown) if len({where.line for where in item.origins}) == 1)
        show(browser, tmp_path / "page.html", f"#{stage}/{line + 1}")
        background = browser.run(f"const one = document.querySelector('#panes .line.cursor .number'); return {colour}")
        number = str(shown[line].origins[0].line)
        assert Path(shown[line].origins[0].file).name == names[0]
        assert background == known[number], (stage, number)


def test_dropout_heat_and_selection_differ_in_hue(browser: Browser, pages: dict[str, Path]) -> None:
    for scheme in ("light", "dark"):
        emulate(browser, *WIDE, scheme)
        show(browser, pages["dropped stack"])
        browser.run("document.querySelector('#graphs button').click()")
        settle(browser)
        hues = browser.run("""
            const hue = (text) => {
              const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
              const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
              const six = most === r ? (g - b) / (most - least) : most === g ? 2 + (b - r) / (most - least)
                : 4 + (r - g) / (most - least);
              return (60 * six + 360) % 360;
            };
            const probe = document.body.appendChild(document.createElement("i"));
            const of = (name) => ((probe.style.color = `var(${name})`), hue(getComputedStyle(probe).color));
            const dropout = document.querySelector("#picture .shown rect.dropout");
            return [hue(getComputedStyle(dropout).stroke), of("--hot"), of("--select")];""")
        for one in range(3):
            difference = abs(hues[one] - hues[one - 1]) % 360
            assert min(difference, 360 - difference) > 45, hues


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("name", PAGES)
def test_all_texts_are_readable_and_do_not_overlap(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int], scheme: str
) -> None:
    """All detail levels are checked, with a selected line and another stage, and every tab of a narrow window."""
    emulate(browser, *size, scheme)
    show(browser, pages[name], "#training/asm")
    views = [0, 1, 2] if size == NARROW else [1]
    for view in views:
        browser.run(f"document.querySelectorAll('#views button')[{view}].click()")
        for at in range(3):
            browser.run(f"document.querySelectorAll('#details button')[{at}].click()")
            settle(browser)
            seen = check_legible(browser)
            assert seen["pictured"] > 5 or (size == NARROW and view != 1)
    browser.run("document.querySelector('.net.shown .box').dispatchEvent(new MouseEvent('click'))")
    settle(browser)
    assert check_legible(browser)["count"] > 30
    show(browser, pages[name], "#training/split")
    check_legible(browser)
