"""The web example in headless Chromium: the page tests itself, and its verdict and picture are checked."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import SECONDS, Browser, chromium

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not all(map(shutil.which, ("chromium", "chromedriver", "wasm-ld"))),
        reason="needs chromium, chromedriver and wasm-ld",
    ),
]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path) as driver:
        yield driver


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder, and return its path and address."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()


@pytest.mark.parametrize("target", ["wasm32", "wasm32-simd128"])
def test_the_page_reports_success(target: str, served: tuple[Path, str], browser: Browser, tmp_path: Path) -> None:
    folder, url = served
    build = [sys.executable, str(ROOT / "examples/web/build.py"), "--quick"]
    subprocess.run([*build, "--directory", str(folder), "--target", target], check=True)
    assert (folder / "effect.wasm").stat().st_size < 40_000
    browser.open(url)
    said = "loading"
    for _ in range(4 * SECONDS):
        said = str(browser.run("return document.getElementById('status').textContent"))
        if not said.startswith("loading"):
            break
        time.sleep(0.25)
    assert said.startswith("ok: "), said
    assert said.endswith("of the worklet from that 0")
    picture = browser.picture()
    (tmp_path / "page.png").write_bytes(picture)
    assert picture.startswith(b"\x89PNG")
    drawn = browser.run(
        "const canvas = document.getElementById('picture');"
        "const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        "return pixels.filter((value, place) => place % 4 === 3 && value > 0).length / (canvas.width * canvas.height)"
    )
    assert 0.05 < drawn < 0.95
    assert browser.run("return document.querySelectorAll('input[type=range]').length") == 1
