"""The web example in headless Chromium: the page checks itself; here its verdict is read, and its picture looked at."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 120
FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "window-size=900,700",
)  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not all(map(shutil.which, ("chromium", "chromedriver", "wasm-ld"))),
        reason="needs chromium, chromedriver and wasm-ld",
    ),
]


class Browser:
    """As much of the WebDriver protocol as the tests need."""

    def __init__(self, port: int, profile: Path) -> None:
        self.base = f"http://127.0.0.1:{port}"
        arguments = [*(f"--{flag}" for flag in FLAGS), f"--user-data-dir={profile}"]
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}}
        self.session = f"/session/{self.call('POST', '/session', wanted)['sessionId']}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.call("POST", f"{self.session}/url", {"url": url})

    def run(self, script: str) -> Any:
        return self.call("POST", f"{self.session}/execute/sync", {"script": script, "args": []})

    def picture(self) -> bytes:
        return base64.b64decode(self.call("GET", f"{self.session}/screenshot"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    port = free_port()
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = None
    try:
        for _ in range(SECONDS):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=1).close()
                break
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.2)
        found = Browser(port, tmp_path / "profile")
        yield found
    finally:
        if found is not None:
            found.call("DELETE", found.session)
        driver.terminate()
        driver.wait()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and where it is served."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()


@pytest.mark.parametrize("target", ["wasm32", "wasm32-simd128"])
def test_the_page_says_ok(target: str, served: tuple[Path, str], browser: Browser, tmp_path: Path) -> None:
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
