"""The explorer's page in a browser: functions that open it, wait for it and read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browser import Browser

import rnngraph as rg

SHOWN = "#picture .net.shown"
QUIET = "return document.documentElement.dataset.ready === 'yes'"


def emulate(browser: Browser, width: int, height: int, scheme: str = "light") -> None:
    """Give the page a window of this size and a colour scheme, light or dark."""

    def command(name: str, **parameters: Any) -> None:
        body = {"cmd": f"Emulation.{name}", "params": parameters}
        browser.call("POST", f"{browser.session}/goog/cdp/execute", body)

    command("setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    command("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def opened(browser: Browser, program: rg.Program, folder: Path, place: str = "", **options: Any) -> Path:
    """Write the page of a program, open it, and wait until it is unpacked."""
    path = folder / "page.html"
    program.explore(path, **options)
    show(browser, path, place)
    return path


def show(browser: Browser, path: Path, place: str = "") -> None:
    browser.open("about:blank")
    browser.open(f"file://{path}{place}")
    browser.until(QUIET)
    settle(browser)


def settle(browser: Browser) -> None:
    """Wait a dozen frames, in which the page does deferred work."""
    browser.run(
        "let frames = 0; delete document.body.dataset.settled; const next = () => (++frames < 12 ?"
        "requestAnimationFrame(next) : (document.body.dataset.settled = 'yes')); next();"
    )
    browser.until("return document.body.dataset.settled === 'yes'")


def stage(browser: Browser, name: str) -> None:
    browser.run(
        f"[...document.querySelectorAll('#stages button')].find((one) => one.firstChild.data === {name!r}).click()"
    )
    settle(browser)


def box(browser: Browser, title: str, number: int = 0) -> str:
    """Return a selector of a visible box by the beginning of its title."""
    browser.run(
        f"document.getElementById('wanted')?.removeAttribute('id');"
        f"[...document.querySelectorAll('{SHOWN} .box')].filter((one) =>"
        f"[...one.querySelectorAll('text.title')].some((text) => text.textContent.startsWith({title!r})))"
        f"[{number}].id = 'wanted'"
    )
    return "#wanted"


def said(browser: Browser) -> list[Any]:
    """Return the messages of the browser's console."""
    log: list[Any] = browser.call("POST", f"{browser.session}/se/log", {"type": "browser"})
    return log


PLACES = f"""
const seen = (one) => one.getClientRects().length && one.getBoundingClientRect().height > 0;
const frame = (one) => {{
  const {{ left, right, top, bottom }} = one.getBoundingClientRect();
  return [left, right, top, bottom];
}};
const boxes = [...document.querySelectorAll('{SHOWN} .box')].filter(seen).map((box) => {{
  const form = box.querySelector(box.classList.contains('shut') ? '.closed' : '.open') ?? box;
  return {{
    key: `${{box.dataset.graph}}/${{box.dataset.box}}`,
    title: form.querySelector('text.title').textContent,
    frame: frame(form.querySelector('rect')),
    texts: [...form.querySelectorAll('text')].filter((text) => !text.matches('.state, .label')).map(frame),
    joins: [...form.querySelectorAll('path.arrow')].map(frame),
  }};
}});
const arrows = [...document.querySelectorAll('{SHOWN} .arrow[data-points]')].map((one) => {{
  const {{ graph }} = one.closest('.net').dataset;
  return [`${{graph}}/${{one.dataset.source}}`, `${{graph}}/${{one.dataset.target}}`, frame(one.querySelector('path'))];
}});
return [boxes, arrows];
"""
"""Script that returns the visible parts of the picture: boxes, their contents, and arrows."""


def check_picture(browser: Browser) -> list[str]:
    """Check that texts lie in their boxes, boxes are nested or disjoint, and arrows connect boxes.

    Returns:
        The visible titles.
    """
    boxes, arrows = browser.run(PLACES)
    frames = {box["key"]: box["frame"] for box in boxes}
    for box in boxes:
        left, right, top, bottom = box["frame"]
        for text in box["texts"]:
            assert left <= text[0] <= text[1] <= right + 1, box
            assert top - 1 <= text[2] <= text[3] <= bottom + 1, box
        around = max((key for key in frames if box["key"].startswith(f"{key}.")), key=len, default=None)
        if around:
            assert frames[around][2] <= top <= bottom <= frames[around][3] + 0.5, (box, frames[around])
        inner = [frame for key, frame in frames.items() if key.startswith(f"{box['key']}.")]
        for join in box["joins"]:
            assert any(abs(join[2] - frame[3]) < 1.5 for frame in inner), (join, inner)
            assert any(abs(join[3] - frame[2]) < 1.5 for frame in inner), (join, inner)
        for key, other in frames.items():
            nested = key.startswith(f"{box['key']}.") or box["key"].startswith(f"{key}.") or key == box["key"]
            disjoint = right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top
            assert nested or disjoint, (box["key"], key)
    for source, target, (left, right, top, bottom) in arrows:
        if source not in frames or target not in frames:
            continue  # the arrow passes a box that only the other graph has
        assert abs(top - frames[source][3]) < 1.5, source
        assert abs(bottom - frames[target][2]) < 1.5, target
        assert frames[source][0] <= right, (source, target)
        assert left <= frames[source][1], (source, target)
    return [box["title"] for box in boxes]


LEGIBILITY = r"""
const numbers = (text) => {
  const parts = text.match(/[\d.]+/g).map(Number);
  return text.startsWith("color(") ? parts.map((part, at) => (at < 3 ? 255 * part : part)) : parts; // of color-mix
};
const light = ([red, green, blue]) => {
  const [r, g, b] = [red, green, blue].map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const isClear = (text) => text === "none" || (numbers(text)[3] ?? 1) < 0.5;
const holds = (outer, inner) =>
  outer.left <= inner.left + 1 && inner.right <= outer.right + 1 && outer.top <= inner.top + 1 &&
  inner.bottom <= outer.bottom + 1;
const rectangles = [...document.querySelectorAll("svg rect")].filter((one) => one.getClientRects().length)
  .map((one) => [one, one.getBoundingClientRect()]);
// The colours on which a text stands.
const grounds = (element) => {
  const place = element.getBoundingClientRect();
  if (element.closest("svg")) {
    const behind = rectangles.filter(([one, frame]) => !isClear(getComputedStyle(one).fill) && holds(frame, place));
    behind.sort(([, one], [, other]) => one.width * one.height - other.width * other.height);
    if (behind.length) return [numbers(getComputedStyle(behind[0][0]).fill)];
  }
  for (let at = element; at; at = at.parentElement) {
    const { backgroundImage, backgroundColor } = getComputedStyle(at);
    const stripes = backgroundImage.match(/rgba?\([^)]*\)/g);
    if (stripes) return stripes.map(numbers);
    if (!isClear(backgroundColor)) return [numbers(backgroundColor)];
  }
  return [[255, 255, 255]];
};
const isSeen = (element) => {
  const { left, right, top, bottom, width } = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  return width && style.visibility === "visible" && style.fontSize !== "0px" && left >= 0 && right <= innerWidth &&
    top >= 0 && bottom <= innerHeight;
};
const own = (element) => [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
const texts = [...document.querySelectorAll("body *, svg text")]
  .filter((one) => !one.matches("style, script, noscript, title, option") && own(one) && isSeen(one));
const poor = [];
for (const element of texts) {
  const style = getComputedStyle(element);
  const ink = numbers(element.closest("svg text") ? style.fill : style.color);
  const least = Math.min(...grounds(element).map((ground) => contrast(ink, ground)));
  if (least < 4.5) poor.push([element.textContent.slice(0, 30), element.getAttribute("class"), least.toFixed(2)]);
}
const frames = texts.filter((one) => one.closest("svg text")).map((one) => {
  const { left, right, top, bottom } = one.getBoundingClientRect();
  return [one.textContent, left, right, top + (bottom - top) * 0.15, bottom - (bottom - top) * 0.15];
});
const meet = (one, other) => one[1] < other[2] && other[1] < one[2] && one[3] < other[4] && other[3] < one[4];
const overlaps = [];
frames.forEach((one, at) =>
  frames.slice(at + 1).forEach((other) => meet(one, other) && overlaps.push([one[0], other[0]])));
const labels = texts.filter((one) => one.matches(".arrow > .label"));
const outer = [...document.querySelectorAll("svg .box")].filter((one) => !one.dataset.box.includes("."))
  .flatMap((one) => [...one.querySelectorAll("rect")].filter((part) => part.getClientRects().length).slice(0, 1));
for (const label of labels)
  for (const box of outer) {
    const [one, other] = [label.getBoundingClientRect(), box.getBoundingClientRect()];
    const frame = ({ left, right, top, bottom }) => ["", left + 0.5, right - 0.5, top + 0.5, bottom - 0.5];
    if (meet(frame(one), frame(other))) overlaps.push([label.textContent, "a box"]);
  }
return { poor, overlaps, count: texts.length, pictured: frames.length };
"""
"""Script that finds visible texts with a contrast below WCAG's level AA, and texts of pictures that overlap other texts
or other boxes.
"""


def check_legible(browser: Browser) -> dict[str, Any]:
    """Check that visible texts are legible and do not overlap. Return the script's result, with numbers of texts."""
    seen: dict[str, Any] = browser.run(LEGIBILITY)
    assert seen["poor"] == []
    assert seen["overlaps"] == []
    return seen
