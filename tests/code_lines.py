"""Count lines of code of the package by room, without blank lines, comments and docstrings.

python tests/code_lines.py [CHECKOUT]
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path


def code_lines(text: str) -> int:
    """Return the number of lines with code in a file."""
    docstring_lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstring_lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(map(str.strip, text.splitlines()), 1)
    return sum(bool(line) and line[0] != "#" and number not in docstring_lines for number, line in lines)


def main() -> None:
    package = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]) / "rnngraph"
    counts = Counter[str]()
    for path in package.rglob("*.py"):
        counts[path.relative_to(package).parts[0]] += code_lines(path.read_text())
    for room, count in counts.most_common():
        print(f"{count:7,} {room}")
    print(f"{counts.total():7,} in all")


if __name__ == "__main__":
    main()
