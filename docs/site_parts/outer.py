"""Follows links that lead out of the pages: ``python docs/site_parts/outer.py``; needs the network, so by hand.

Prints each that no server answers well, with the pages that have it; its exit code is 1 if there is one. Links within
the site are followed while it is built.
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
"""What servers answer that are there, and don't talk to scripts."""


def links_of(pages: Sequence[Path]) -> dict[str, list[str]]:
    """By link that leads out the names of the pages that have it, outside of blocks of code."""
    found: dict[str, list[str]] = {}
    for page in pages:
        prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in sorted(set(re.findall(r"\]\((https?://[^)\s]+)\)|<(https?://[^>\s]+)>", prose))):
            found.setdefault("".join(link), []).append(page.name)
    return found


def problem(link: str) -> str:
    """What is wrong with a link; nothing, if all is well."""
    asked = urllib.request.Request(link, headers={"User-Agent": "rnngraph-docs"})
    try:
        urllib.request.urlopen(asked, timeout=SECONDS).close()
    except urllib.error.HTTPError as error:
        return "" if error.code in REFUSED else f"{error.code} {error.reason}"
    except OSError as error:
        return str(error)
    return ""


def main() -> int:
    """Follows all links of all pages."""
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
