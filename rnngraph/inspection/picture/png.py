"""Drawings as PNG."""

from __future__ import annotations

from ..surface.png import PngSurface
from .painting import paint_shapes
from .shapes import Drawing


def png_bytes(drawing: Drawing) -> bytes:
    """Return a drawing as a PNG file's bytes. Raise ``MissingExtraError`` without matplotlib."""
    surface = PngSurface(drawing.width, drawing.height)
    for figure in drawing.figures:
        paint_shapes(surface, figure.shapes)
    return surface.bytes()
