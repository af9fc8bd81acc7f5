"""Colours, sizes of text and line widths of pictures, light and dark."""

from __future__ import annotations

COLOURS = {
    "input": ("#e8f1fb", "#4a7fb5"),
    "output": ("#e6f4ea", "#3f8f5b"),
    "loss": ("#fdeceb", "#b5504a"),
    "layer": ("#f6f6f4", "#8b8b86"),
    "driver": ("#f1eefb", "#7a68b3"),
    "stack": ("#f1eefb", "#7a68b3"),
    "wrapper": ("#fdf6e6", "#b58a3f"),
    "cell": ("#ffffff", "#7a68b3"),
    "dropout": ("#ffd9a8", "#c86f12"),
    "ground": ("#ffffff", "none"),
}
"""(fill, line) of each kind of box and of the background, light."""

DARK = {
    "input": ("#16283a", "#6ea3d8"),
    "output": ("#15301f", "#6cbf8a"),
    "loss": ("#3a1a18", "#e08a84"),
    "layer": ("#2a2a28", "#8f8f8a"),
    "driver": ("#231f35", "#9d8cd6"),
    "stack": ("#231f35", "#9d8cd6"),
    "wrapper": ("#332a15", "#d3a95c"),
    "cell": ("#1a1a22", "#9d8cd6"),
    "dropout": ("#5a3a10", "#f0a64a"),
    "ground": ("#17171a", "none"),
}

INKS = {
    "heading": "#1c1c1a",
    "title": "#1c1c1a",
    "equation": "#1c1c1a",
    "dropped": "#6b3600",
    "note": "#5c5c57",
    "label": "#3d6187",
    "state": "#6a4fb0",
    "arrow": "#77776f",
    "loop": "#7a52c7",
}
DARK_INKS = {
    "heading": "#ecece8",
    "title": "#ecece8",
    "equation": "#ecece8",
    "dropped": "#ffd9a8",
    "note": "#a5a59e",
    "label": "#8db8e4",
    "state": "#b9a4f2",
    "arrow": "#8f8f88",
    "loop": "#b08cf5",
}

MONOSPACE = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
SIZES = {"heading": 15, "label": 11, "state": 11, "note": 11}
BOLD = frozenset(("heading", "title"))
LINE_WIDTHS = {"box": 1.2, "arrow": 1.3, "loop": 1.8}
"""Widths of lines in pixels."""
