"""Entry point: draw a program's declaration as SVG text or to a file."""

from __future__ import annotations

import os
from dataclasses import replace

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
"""Maximum height of a picture in pixels; higher ones show less detail, unless requested."""


def svg(source: GraphSource, graphs: Graphs = "both", max_detail: Detail = "equations", styled: bool = True) -> str:
    """Return the picture of a program's declaration as SVG text.

    Args:
        source: ``program.parts.source``.
        graphs: ``training``, ``inference``, or ``both`` side by side.
        max_detail: Maximum detail: ``layers``, ``cells`` or ``equations``. A picture that would be too high has less.
        styled: Include the style sheet.
    """
    return svg_text(drawing(declared(source), graphs, max_detail=max_detail), styled)


def declared(source: GraphSource) -> Declaration:
    """Return the boxes and arrows of a program's picture."""
    return declaration_of(source.lowered.graph, source.described(), isinstance(source, DeclaredSource))


def drawing(
    declaration: Declaration, graphs: Graphs = "both", detail: Detail | None = None, max_detail: Detail = "equations"
) -> Drawing:
    """Return the shapes of a net's picture, by default in the most detail that is not too high.

    Args:
        declaration: What to draw.
        graphs: ``training``, ``inference``, or ``both`` side by side.
        detail: The detail; by default as much as fits, up to ``max_detail``, with computations of the loss folded.
        max_detail: Maximum detail.
    """
    if detail is not None:
        return drawing_of(declaration, graphs, detail)
    boxes = (replace(box, items=()) if box.is_folded else box for box in declaration.boxes)
    declaration = replace(declaration, boxes=tuple(boxes))
    drawings = (drawing_of(declaration, graphs, level) for level in DETAILS[DETAILS.index(max_detail) :])
    last = None
    for last in drawings:
        if last.height <= HIGHEST:
            break
    assert last is not None
    return last


def write_picture(
    source: GraphSource, path: str | os.PathLike[str], graphs: str = "both", detail: str | None = None
) -> None:
    """Write the picture of a program's declaration to a .svg or .png file.

    Raises:
        ArgumentError: An argument is invalid.
        FileError: The file cannot be written.
        MissingExtraError: A .png needs matplotlib.
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
