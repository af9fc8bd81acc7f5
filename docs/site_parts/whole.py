"""Check of the built site's internal links: each must lead to an existing file, and to an existing anchor in it.

A broken link is a warning, and with ``-W`` an error of the build.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class _Page(HTMLParser):
    """Links of a page, and the anchors to which links may lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


def broken(folder: Path) -> list[str]:
    """Return broken links of a site's pages, each with its page."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    problems = []
    for path, page in sorted(pages.items()):
        for link in sorted(page.links):
            if re.match(r"[a-z]+:|//", link):
                continue
            file, _, place = link.partition("#")
            target = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            there = target.exists() and (not place or target not in pages or unquote(place) in pages[target].places)
            problems += [] if there else [f"{path.relative_to(folder)}: {link} leads nowhere"]
    return problems


def look_over(app: Sphinx, error: Exception | None) -> None:
    """Warn of each broken link."""
    from sphinx.util import logging  # the search for broken links needs no Sphinx

    if error is None and app.builder.format == "html":
        for problem in broken(Path(app.outdir).resolve()):
            logging.getLogger(__name__).warning(problem)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the module to Sphinx."""
    app.connect("build-finished", look_over, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
