"""Sphinx directive ``reference``: a list of API names, one a line, each of which its documentation replaces.

In the repository it reads as a list of names. A name belongs to ``rnngraph``, to one of its modules
(``weights.from_torch``), or to ``docstrings.OBJECTS``, the classes whose objects users receive.
"""

from __future__ import annotations

from typing import Any

from docstrings import OBJECTS, described, object_named
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Reference(SphinxDirective):
    """Directive with names, one a line."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the nodes of all names."""
        container = nodes.container()
        lines: list[str] = []
        for name in filter(None, map(str.strip, self.content)):
            try:
                thing = object_named(name)
            except LookupError as error:
                raise self.error(str(error)) from error
            shown = name if name in OBJECTS else f"rg.{name}"
            lines += [*described(name, thing, shown), ""]
        self.state.nested_parse(StringList(lines, self.env.docname), self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the module to Sphinx."""
    app.add_directive("reference", Reference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
