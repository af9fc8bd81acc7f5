"""HTML fragments for notebooks. Text from users, files and scripts is always escaped.

Colours are those of the notebook's theme, if it defines them as JupyterLab does. The fallbacks follow the page's colour
scheme, by WCAG's contrast AA; on a page without one they are legible on both light and dark backgrounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_COLOURED_LINES = 1000
"""Maximum number of highlighted lines. Longer texts stay plain, so that notebooks stay small."""

_CODE = "font-family:var(--jp-code-font-family,monospace);font-size:12px;line-height:1.35"
_TEXT = "font-family:var(--jp-ui-font-family,sans-serif);font-size:13px"
_RULE = "1px solid var(--jp-border-color2,#bbb)"
_FAINT = "color:var(--jp-ui-font-color2,light-dark(#757575,#a9a9a4))"

_COLOURS = {
    "red": "var(--jp-error-color1,light-dark(#d32f2f,#ff8a80))",
    "green": "var(--jp-mirror-editor-number-color,light-dark(#2e8540,#7fcf9c))",
    "yellow": "var(--jp-mirror-editor-string-color,light-dark(#ba5b21,#e8a06a))",
    "blue": "var(--jp-mirror-editor-def-color,light-dark(#3974d6,#8ec1f5))",
    "magenta": "var(--jp-mirror-editor-keyword-color,light-dark(#a64aa6,#d09be6))",
    "cyan": "var(--jp-mirror-editor-variable-color,light-dark(#1f7f8f,#6cc5d6))",
    "bright_black": "var(--jp-mirror-editor-comment-color,light-dark(#757575,#a9a9a4))",
}
"""CSS colours by terminal colour name."""

_CLASSES = dict(zip(_COLOURS, "rgydmvc", strict=True))
_SHEET = "".join(f".rnngraph-code .{_CLASSES[name]}{{color:{colour}}}" for name, colour in _COLOURS.items())


def escaped(text: object) -> str:
    """Return text escaped for HTML elements and attributes."""
    from html import escape  # imports a table of all HTML entities, which only notebooks need

    return escape(str(text), quote=True)


def code(text: str) -> str:
    """Return text of a graph, LLVM IR or assembly as HTML, highlighted, in a scrolling frame."""
    inner = escaped(text) if text.count("\n") > MAX_COLOURED_LINES else _spans(text)
    sheet = f"<style>{_SHEET}.rnngraph-code .b{{font-weight:bold}}</style>"
    frame = f'<pre style="{_CODE};max-height:40em;overflow:auto;margin:0">{inner}</pre>'
    return f'<div class="rnngraph-code">{sheet}{frame}</div>'


def _spans(text: str) -> str:
    """Return text of a graph, LLVM IR or assembly as HTML with highlighted syntax, in ``span`` elements."""
    from .colours import styled_pieces  # imports rich, which only displays need

    parts: list[tuple[str, str]] = []
    for piece, colour, is_bold in styled_pieces(text):
        look = " ".join(filter(None, (_CLASSES.get(colour, ""), "b" if is_bold else "")))
        if parts and parts[-1][0] == look:
            parts[-1] = (look, parts[-1][1] + piece)
        else:
            parts.append((look, piece))
    return "".join(f'<span class="{look}">{escaped(piece)}</span>' if look else escaped(piece) for look, piece in parts)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], last_is_sum: bool = False) -> str:
    """Return an HTML table with right-aligned numeric columns. ``last_is_sum`` draws a rule above the last row."""
    cell = "padding:2px 10px 2px 0"
    lines = [f'<table style="{_TEXT};border-collapse:collapse;margin:4px 0"><thead><tr>']
    rows = [list(row) for row in rows]
    right = [all(_is_number(row[place]) for row in rows) and bool(rows) for place in range(len(head))]
    aligns = ["right" if is_right else "left" for is_right in right]
    for name, align in zip(head, aligns, strict=True):
        lines.append(f'<th scope="col" style="{cell};text-align:{align};border-bottom:{_RULE}">{escaped(name)}</th>')
    lines.append("</tr></thead><tbody>")
    for number, row in enumerate(rows):
        rule = f";border-top:{_RULE}" if last_is_sum and number == len(rows) - 1 else ""
        cells = (
            f'<td style="{cell};text-align:{align}{rule};font-variant-numeric:tabular-nums">{escaped(value)}</td>'
            for value, align in zip(row, aligns, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines.append("</tbody></table>")
    return "".join(lines)


def _is_number(value: object) -> bool:
    """True for text that is a number, with or without a unit, or that stands for a missing number."""
    return str(value).lstrip("-~≈ ")[:1].isdigit() or value in ("", "…", "nan")


def folded(title: str, inner: str, is_open: bool = False) -> str:
    """Return a collapsible section as HTML, with ``inner``, HTML, as its content."""
    summary = f'<summary style="cursor:pointer;{_TEXT}">{escaped(title)}</summary>'
    return f'<details{" open" if is_open else ""}>{summary}<div style="margin:4px 0 8px 14px">{inner}</div></details>'


def picture(svg: str, alt: str) -> str:
    """Return an SVG document as an HTML image, so that its styles and ids do not leak into the page."""
    import base64  # slow to import, and few look at pictures in a notebook

    data = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{escaped(alt)}" style="max-width:100%;background:#fff">'


def headed(title: str, note: str, *parts: str) -> str:
    """Return an output cell as HTML: a bold title, a faint note and the parts."""
    faint = f' <span style="{_FAINT}">{escaped(note)}</span>' if note else ""
    return f'<div style="{_TEXT}"><div><b>{escaped(title)}</b>{faint}</div>{"".join(parts)}</div>'
