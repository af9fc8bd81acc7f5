"""Configuration of the documentation's site, which Sphinx builds from the repository's files.

``sphinx-build -W -c docs . site`` builds it; its start page is ``site/index.html``. The source folder is the project's
own, so that links between pages, examples and the README are the same on the site and in the repository.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent / "site_parts"))
sys.path.insert(0, str(ROOT))

from rnngraph.version import __version__  # noqa: E402

project = "rnngraph"
copyright = "the authors of rnngraph, Apache-2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx_copybutton", "reference", "explorers", "whole"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/*.md",
    "docs/benchmarks/*.md",
    "docs/decisions/*.md",
    "docs/guides/*.md",
    "docs/reference/*.md",
    "examples/**/README.md",
    "benchmarks/README.md",
]
exclude_patterns = [".*", "**/.*", "build", "site", "rnngraph", "tests", "venv", "**/node_modules"]

myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 4
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types in signatures are only for reading; links between pages are checked

html_theme = "furo"
html_title = f"rnngraph {release}"
html_extra_path = ["site_parts/extra"]
html_static_path = ["site_parts/static"]
html_css_files = ["wide.css"]
html_show_sphinx = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"
pygments_style = "friendly"
pygments_dark_style = "monokai"
