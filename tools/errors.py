"""List the error messages of the package, by source line, for reading and review.

A message says what is wrong, where, and what to do instead, in this order; the remedy follows a semicolon or a colon.

Usage:
    python tools/errors.py [--no-remedy] [folder …]

``--no-remedy`` lists only messages in which no remedy is recognised. The last line has the counts. Values in messages
are samples.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent.parent / "rnngraph"

REMEDIES = """
add align begin build call carry cast choose compile convert copy create cut declare define draw
drop enter export feed fetch fit fix give import initialize install join keep leave let load
look lower make map mark move multiply name open pad pass pickle pip put raise read remove
rename repeat replace reset return rewrite run save select set shorten slice split stack start
subclass take train transpose try turn use wait wrap write
"""
"""Verbs that begin a remedy."""

ALTERNATIVES = ("did you mean", "there are", "it has ", " take", " need", " must ", " is a ", " at most", "instead")
"""Phrases that tell what is accepted."""

SAMPLES = {
    "shape": "(2, 3)",
    "dtype": "float64",
    "type": "f32[B,3]",
    "name": "x",
    "label": "x",
    "path": "net.onnx",
    "names": "x, h",
    "where": "net.py:12",
    "op": "matmul",
    "axis": "1",
    "rank": "2",
    "error": "no such file",
    "did_you_mean": "; did you mean x",
    "hint": "; give x",
    "remedy": "; give x",
    "instead": "; write x",
    "REMEDY": "; give x",
}
"""Sample values, by the last name of an expression; others are 3."""

REASONS = ("UnreadableError", "Unreadable", "ForcedSizeError", "VerifyError", "error")
"""Errors without remedies: reasons within a ``NotReadableError``, damaged files, and bugs of a pass."""


class Message(NamedTuple):
    """A message at a raise site, with sample values."""

    place: str
    error: str
    text: str

    @property
    def has_remedy(self) -> bool:
        """True if the message tells what to do or what is accepted, or is of a kind without remedies."""
        if self.error in REASONS:
            return True
        text = self.text.lower()
        words = [part.split()[0].strip(",.'\"") for part in text.replace(":", ";").split(";")[1:] if part.split()]
        return any(word in REMEDIES.split() for word in words) or any(phrase in text for phrase in ALTERNATIVES)


def messages(path: Path) -> Iterator[Message]:
    """Yield the messages of a file: texts that are passed to constructors of errors and to methods named ``error``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assigned = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        error = _name(node.func)
        first = node.args[0]
        first = assigned.get(first.id, first) if isinstance(first, ast.Name) else first
        if (error.endswith("Error") or error in ("error", "Unreadable")) and isinstance(
            first, ast.Constant | ast.JoinedStr
        ):
            text = _sample(first)
            if " " in text:
                yield Message(f"{path.relative_to(PACKAGE.parent)}:{node.lineno}", error, text)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _sample(node: ast.expr) -> str:
    """Return the text of a literal, with sample values in place of expressions."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_sample, node.values))
    if isinstance(node, ast.FormattedValue):
        return _sample(node.value)
    if isinstance(node, ast.IfExp):
        return _sample(node.body)
    if isinstance(node, ast.BoolOp):
        return _sample(node.values[0])
    if isinstance(node, ast.Call):
        last = _name(node.func).strip("_")
        return SAMPLES[last] if last in SAMPLES else _sample(node.args[-1]) if node.args else "3"
    last = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return SAMPLES.get(last, "3")


def main() -> None:
    """Print the messages of folders."""
    parser = argparse.ArgumentParser(description="List error messages.")
    parser.add_argument("folders", nargs="*", help="folders of the package, such as training; by default all")
    parser.add_argument("--no-remedy", action="store_true", help="list only messages without a remedy")
    arguments = parser.parse_args()
    roots = [PACKAGE / folder for folder in arguments.folders] or [PACKAGE]
    found = [message for root in roots for path in sorted(root.rglob("*.py")) for message in messages(path)]
    for message in found:
        if not (arguments.no_remedy and message.has_remedy):
            print(f"{message.place}: {message.error}: {message.text}")
    missing = sum(not message.has_remedy for message in found)
    print(f"{len(found)} messages, {missing} without a remedy")


if __name__ == "__main__":
    main()
