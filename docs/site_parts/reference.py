"""The directive ``reference``: names of the API, one a line, each with what its docstring says.

In the repository it reads as a list of names. A name is one of ``rnngraph``'s, of a module of it
(``weights.from_torch``), or one of ``docstrings.OBJECTS``, which users are given and don't make.
"""

from __future__ import annotations

from typing import Any

from docstrings import OBJECTS, described, found
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Reference(SphinxDirective):
    """Names, one a line."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The nodes of all names."""
        container = nodes.container()
        lines: list[str] = []
        for name in filter(None, map(str.strip, self.content)):
            try:
                thing = found(name)
            except LookupError as error:
                raise self.error(str(error)) from error
            shown = name if name in OBJECTS else f"rg.{name}"
            lines += [*described(name, thing, shown), ""]
        self.state.nested_parse(StringList(lines, self.env.docname), self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls."""
    app.add_directive("reference", Reference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
