"""Pictures in a browser outside of the explorer: nets, profiles, and notebook output, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, chromium, is_there
from explorer_pages import check_legible, emulate
from pictured_nets import both_ways, decoder, dropped_stack, two_layers_both_ways

import rnngraph as rg

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not is_there, reason="needs chromium and chromedriver"),
]

NETS = {"stack": dropped_stack, "both ways": both_ways, "decoder": decoder, "two layers": two_layers_both_ways}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def page_of(body: str, folder: Path) -> str:
    """Return a page like a notebook's, in the reader's colour scheme."""
    head = "<meta charset=utf-8><meta name=color-scheme content='light dark'>"
    style = "<style>body { color: light-dark(#111, #eee); background: light-dark(#fff, #17171a); }</style>"
    path = folder / "page.html"
    path.write_text(f"<!doctype html><html><head>{head}{style}</head><body>{body}</body></html>")
    return f"file://{path}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NETS)
def test_drawn_nets(browser: Browser, tmp_path: Path, name: str, scheme: str) -> None:
    program = NETS[name]()
    for detail in ("equations", "cells", "layers"):
        program.plot(tmp_path / "net.svg", detail=detail)
        emulate(browser, 3200, 2600, scheme)
        browser.open(page_of((tmp_path / "net.svg").read_text(), tmp_path))
        assert check_legible(browser)["pictured"] > 10


def test_a_profile(browser: Browser, tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 16))
    cells = rg.MultiRNNCell([rg.BasicRNNCell(16), rg.GRUCell(16), rg.LSTMCell(16)])
    program = rg.compile(rg.dense(rg.dynamic_rnn(cells, x)[0], 3), cache=False)
    profile = program.inference.profile({"x": np.zeros((2, 20, 16), np.float32)}, seconds=0.02)
    for scheme in ("light", "dark"):
        emulate(browser, 1440, 900, scheme)
        browser.open(page_of(profile.plot(), tmp_path))
        assert check_legible(browser)["pictured"] > 10


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_output_of_notebooks(browser: Browser, tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    history = rg.History()
    for epoch in range(1, 9):
        row = {"epoch": epoch, "loss": 1 / epoch, "validation_loss": abs(epoch - 4) + 1.0, "validation_accuracy": 0.5}
        history.append(row)
    program = dropped_stack()
    for body in (history._repr_html_(), program._repr_html_(), program.inference._repr_html_()):
        emulate(browser, *size, scheme)
        browser.open(page_of(body, tmp_path))
        assert check_legible(browser)["count"] > 5
