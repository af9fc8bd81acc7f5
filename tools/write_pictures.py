"""Write the pictures of README and of the site's first page to docs/pictures.

    python tools/write_pictures.py

``net.svg`` is README's net as ``program.plot`` draws it; a test compares it. ``explorer.png`` is its page in the
explorer with one cell selected. It needs Chromium and chromedriver, and stays unchanged without them.
"""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
SIZE = 1280, 760


def readme_net(folder: Path) -> Any:
    """Run README's first script in ``folder``, which must be the working directory, and return its program."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    script = text.partition("```python\n")[2].partition("print(")[0].rstrip() + "\n"
    (folder / "net.py").write_text(script, encoding="utf-8")
    with redirect_stdout(StringIO()):
        return runpy.run_path("net.py")["program"]


def main() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]
    from browser import chromium, is_there
    from explorer_pages import SHOWN, box, emulate, settle, show

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        program = readme_net(folder)
        program.plot(PICTURES / "net.svg", detail="cells")
        if is_there:
            program.explore(folder / "page.html", title="net.py")
            with chromium(folder, f"window-size={SIZE[0]},{SIZE[1]}") as browser:
                emulate(browser, *SIZE)
                show(browser, folder / "page.html", "#training/graph")
                widths = "const { style } = document.querySelector('main'); style.setProperty('--left', '235px');"
                browser.run(f"{widths} style.setProperty('--middle', '440px')")
                browser.run("document.querySelectorAll('#details button')[2].click()")
                browser.run("document.querySelector('#panes .lines').focus()")
                browser.keys("s")
                settle(browser)
                browser.pointer(box(browser, "BasicRNNCell", 1), click=True)
                browser.pointer("h1")
                settle(browser)
                assert browser.run(f"return document.querySelectorAll('{SHOWN} .box.lit').length") > 0
                (PICTURES / "explorer.png").write_bytes(browser.picture())
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
