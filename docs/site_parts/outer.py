"""Check external links of the pages: ``python docs/site_parts/outer.py``; it needs the network, so it is run by hand.

It prints each link without a successful answer, with the pages that have it; the exit code is 1 if there is one. The
build of the site checks internal links.
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20
AT_ONCE = 8
REFUSED = (401, 403, 405, 429)
"""Status codes of servers that exist but reject scripts."""


def links_of(pages: Sequence[Path]) -> dict[str, list[str]]:
    """Return external links outside of code blocks, with the names of the pages that have them."""
    pages_by_link: dict[str, list[str]] = {}
    for page in pages:
        prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in sorted(set(re.findall(r"\]\((https?://[^)\s]+)\)|<(https?://[^>\s]+)>", prose))):
            pages_by_link.setdefault("".join(link), []).append(page.name)
    return pages_by_link


def problem(link: str) -> str:
    """Return the problem of a link; an empty text if there is none."""
    asked = urllib.request.Request(link, headers={"User-Agent": "rnngraph-docs"})
    try:
        urllib.request.urlopen(asked, timeout=SECONDS).close()
    except urllib.error.HTTPError as error:
        return "" if error.code in REFUSED else f"{error.code} {error.reason}"
    except OSError as error:
        return str(error)
    return ""


def main() -> int:
    """Check all links of all pages."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    links = links_of([*pages, *(ROOT / "examples").rglob("*.md")])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        problems = dict(zip(links, pool.map(problem, links), strict=True))
    for link, what in problems.items():
        if what:
            print(f"{link}: {what} ({', '.join(links[link])})")
    print(f"{len(links)} links, {sum(map(bool, problems.values()))} of them lead nowhere")
    return int(any(problems.values()))


if __name__ == "__main__":
    sys.exit(main())
