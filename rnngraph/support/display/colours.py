"""Syntax highlighting of stages: own rules for graphs, plans and loops, and Pygments for LLVM IR and assembly."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

LEXERS = {"llvm": "llvm", "asm": "gas"}

THEME = Theme(
    {
        "ir.value": "cyan",
        "ir.op": "bold",
        "ir.type": "green",
        "ir.keyword": "magenta",
        "ir.text": "yellow",
        "ir.comment": "not bold bright_black",
        "ir.gone": "red",
        "ir.new": "green",
    }
)


class _Highlighter(RegexHighlighter):
    """Highlighter of graphs, plans and loops. Later patterns win, so that comments come last."""

    base_style = "ir."
    highlights = [  # noqa: RUF012  (rich declares it so)
        r"(?m)^ *(?P<value>[%\w.]+(, %[\w.]+)*) = (?P<op>\w+)",
        r"(?m)(?P<type>\b(f32|f64|i32|i64|bool)(x\d+|\*|\[[^\]\n]*\])?)",
        r"(?m)^ *(?P<keyword>graph|declared|output|next|emit|carry|over|with|given|function|for|fold|when|gives"
        r"|tile|row|store|call)\b",
        r"(?m)\b(?P<keyword>scan|driver|(?:in|step|unroll)(?= [\w%-]))\b",  # `step` may also be a name
        r"(?P<text>'[^'\n]*')",
        r"(?m)(?P<comment>#.*$)",
    ]


def coloured(text: str, stage: str) -> Text:
    """Return text of a compiler's stage with highlighted syntax, for a terminal."""
    lexer = LEXERS.get(stage)
    if lexer is None:
        return _Highlighter()(Text(text))
    return Syntax("", lexer, theme="ansi_dark", tab_size=8).highlight(text)


def stage_of(text: str) -> str:
    """Return ``"llvm"`` or ``"asm"`` for text in one of these languages, else ``"graph"``."""
    if re.search(r"^define ", text, re.MULTILINE):
        return "llvm"
    return "asm" if re.search(r"^\t\.text", text, re.MULTILINE) else "graph"


def styled_pieces(text: str) -> Iterator[tuple[str, str, bool]]:
    """Yield text of a graph, LLVM IR or assembly as (piece, its terminal colour or "", True if bold)."""
    console = Console(theme=THEME, color_system="standard", force_terminal=True, width=10**6)
    for segment in coloured(text, stage_of(text)).render(console):
        style = segment.style
        name = style.color.name if style is not None and style.color is not None else ""
        name = "bright_black" if style is not None and style.dim else name
        plain = name if name == "bright_black" else name.removeprefix("bright_")
        yield segment.text, plain, bool(style and style.bold)
