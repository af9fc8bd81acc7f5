"""Headless Chromium, by the subset of the WebDriver protocol that tests need."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 120
FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "window-size=900,700",
)


is_there = all(map(shutil.which, ("chromium", "chromedriver")))


class Browser:
    """Running browser. Methods send commands of the WebDriver protocol."""

    def __init__(self, port: int, profile: Path, flags: tuple[str, ...] = ()) -> None:
        self.base = f"http://127.0.0.1:{port}"
        arguments = [*(f"--{flag}" for flag in (*FLAGS, *flags)), f"--user-data-dir={profile}"]
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

    def keys(self, text: str) -> None:
        """Type into the focused element."""
        actions = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self.call("POST", f"{self.session}/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def pointer(self, selector: str, click: bool = False) -> None:
        """Move the pointer to the middle of an element; with ``click`` press its button."""
        element = self.call("POST", f"{self.session}/element", {"using": "css selector", "value": selector})
        actions: list[dict[str, Any]] = [{"type": "pointerMove", "duration": 0, "origin": element, "x": 0, "y": 0}]
        if click:
            actions += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self.call("POST", f"{self.session}/actions", {"actions": [mouse]})

    def until(self, script: str) -> Any:
        """Wait until a script returns a true value, and return that value."""
        for _ in range(10 * SECONDS):
            if result := self.run(script):
                return result
            time.sleep(0.1)
        raise TimeoutError(script)

    def picture(self) -> bytes:
        return base64.b64decode(self.call("GET", f"{self.session}/screenshot"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def chromium(folder: Path, *flags: str) -> Iterator[Browser]:
    """Start a browser with its profile in ``folder``, and with ``flags`` on its command line."""
    port = free_port()
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    browser = None
    try:
        for _ in range(SECONDS):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=1).close()
                break
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.2)
        browser = Browser(port, folder / "profile", flags)
        yield browser
    finally:
        if browser is not None:
            browser.call("DELETE", browser.session)
        driver.terminate()
        driver.wait()
