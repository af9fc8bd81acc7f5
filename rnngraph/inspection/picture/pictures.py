"""The door: what a program declares, as SVG text or as a file."""

from __future__ import annotations

import os

from ...runtime.graph_source import DeclaredSource, GraphSource
from ...storage.atomic_file import as_path, replace_file
from ...support.arguments import one_of
from ...support.errors import ArgumentError, shown
from .boxes import Declaration
from .declaration import declaration_of
from .drawing import DETAILS, Detail, Graphs, drawing_of
from .shapes import Drawing
from .svg import svg_text

GRAPHS: tuple[Graphs, ...] = ("both", "training", "inference")
HIGHEST = 4000
"""Pixels of a picture with all equations; a higher one is drawn with less, unless more is asked for."""


def svg(source: GraphSource, graphs: Graphs = "both", detail: Detail | None = None, styled: bool = True) -> str:
    """The declaration of a program as SVG text.

    source: ``program.parts.source``. graphs: ``training`` and ``inference`` side by side, or one of them. detail:
    ``layers``, also ``cells`` and wrappers in them, or also ``equations``; None: as much as is not too high. styled:
    whether the style sheet is in it.
    """
    return svg_text(drawing(declared(source), graphs, detail), styled)


def declared(source: GraphSource) -> Declaration:
    """What there is to draw of a program."""
    return declaration_of(source.lowered.graph, source.described(), isinstance(source, DeclaredSource))


def drawing(declaration: Declaration, graphs: Graphs = "both", detail: Detail | None = None) -> Drawing:
    """The drawing of one of the graphs, or of both; of as much detail as is not too high where None is said."""
    if detail is not None:
        return drawing_of(declaration, graphs, detail)
    drawings = (drawing_of(declaration, graphs, found) for found in DETAILS)
    last = None
    for last in drawings:
        if last.height <= HIGHEST:
            break
    assert last is not None
    return last


def write_picture(
    source: GraphSource, path: str | os.PathLike[str], graphs: str = "both", detail: str | None = None
) -> None:  # fmt: skip
    """Writes the declaration as .svg, or as .png.

    Raises ``ArgumentError`` for other values, ``FileError`` where it can't be written, ``MissingExtraError`` for .png
    without matplotlib.
    """
    graph = one_of(graphs, "graphs", GRAPHS)
    level = None if detail is None else one_of(detail, "detail", DETAILS)
    file = as_path(path)
    suffix = file.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise ArgumentError(f'plot writes .svg and .png, not {shown(str(file))}; give a path such as "net.svg"')
    picture = drawing(declared(source), graph, level)
    if suffix == ".svg":
        data = svg_text(picture).encode()
    else:
        from .png import png_bytes  # matplotlib, which is an extra

        data = png_bytes(picture)
    with replace_file(file) as opened:
        opened.write(data)
