"""List the error messages of the package, by source line, for reading and review.

A message says what is wrong, where, and what to do instead, in this order; the remedy follows a semicolon or a colon.

Usage:
    python tools/errors.py [--no-remedy] [folder …]

``--no-remedy`` lists only messages in which no remedy is recognised. The last line has the counts. Values in messages
are samples: different expressions of a message have different ones.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent.parent / "rnngraph"

REMEDIES = """
add align begin build call carry cast choose close compare compile convert copy create cut
declare define delete draw drop enlarge enter export feed fetch fit fix freeze give import
initialize install iterate join keep leave let list load look lower make map mark move multiply
name normalise open pad pass pickle pip profile project put quantize raise read reduce remove
rename repeat replace reset reshape return rewrite run save select send set shorten shuffle
slice split stack start store stream subclass submit swap take train transpose try turn unpickle
update upgrade use wait widen wrap write
"""
"""Verbs that begin a remedy."""

ALTERNATIVES = (
    *(
        "did you mean",
        "there are",
        "it has ",
        " take",
        " is a ",
        " at most",
        "instead",
        "not supported",
        "supported are",
    ),
    *(", the maximum", "may depend only on"),
)
"""Phrases that introduce the accepted values, or that name a limit."""

REQUIREMENT = re.compile(
    r"\b(must( not)?|needs?) (be|have|lie|equal|end|begin|return|divide|satisfy|an?|one|two|the|at least|[0-9]+|\[)\b"
    r"|\b(must|needs?) .*, not |\bneeds? \w+="
)
"""Requirement that names the accepted values. Others, such as "which must fit", leave the reader to guess."""

SAMPLES = {
    "shape": ("(2, 3)", "(4, 5)", "(6, 7)"),
    "dtype": ("float64", "int32", "bool"),
    "type": ("f32[B,3]", "i64[T]", "bool[4]"),
    "name": ("x", "y", "z"),
    "label": ("x", "y", "z"),
    "path": ("net.onnx", "other.onnx"),
    "names": ("x, h", "y, c"),
    "where": ("net.py:12", "net.py:34"),
    "op": ("matmul", "add"),
    "axis": ("1", "0", "2"),
    "rank": ("2", "4", "6"),
    "error": ("no such file", "permission denied"),
    "did_you_mean": ("; did you mean x",),
    "hint": ("; give x",),
    "remedy": ("; give x",),
    "instead": ("; write x",),
    "REMEDY": ("; give x",),
}
"""Sample values, by the last name of an expression. Different expressions in one message get different values."""
TEXTS = ("x", "y", "z", "u", "v", "w")
"""Sample values of expressions that are annotated as ``str``."""
NUMBERS = ("3", "5", "7", "11", "13", "17", "19", "23")
"""Sample values of other expressions."""

INTERNAL = """
AssertionError DecodeError ForcedSizeError FrozenInstanceError KeyError NoSumError ParseError ValueError
VerifyError error
"""
"""Errors that need no remedy: the package catches them, or they are bugs of a pass."""


COMPUTED = {*NUMBERS, *SAMPLES["error"]}
"""Sample values that may stand for a remedy."""


class Message(NamedTuple):
    """A message at a raise site, with sample values."""

    place: str
    error: str
    text: str

    @property
    def has_remedy(self) -> bool:
        """True if the message has a remedy or the accepted values, or if errors of its class need no remedy.

        A computed end, such as the text of another error, counts as a remedy.
        """
        text = self.text.lower()
        parts = re.split("[;:,]", text)[1:]
        if self.error in INTERNAL.split() or (parts and parts[-1].strip() in COMPUTED):
            return True
        # "give", "or give", "and give": the first word or the second
        words = [word.strip(",.'\"()") for part in parts for word in part.split()[:2]]
        is_named = any(phrase in text for phrase in ALTERNATIVES) or REQUIREMENT.search(text)
        return bool(is_named) or any(word in REMEDIES.split() for word in words)


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
    for node, texts in _calls(tree):
        if not node.args:
            continue
        error = _name(node.func)
        first = node.args[0]
        first = assigned.get(first.id, first) if isinstance(first, ast.Name) else first
        if (error.endswith("Error") or error in ("error", "Unreadable")) and isinstance(
            first, ast.Constant | ast.JoinedStr
        ):
            text = Sampler(texts).text(first)
            if " " in text:
                yield Message(f"{path.relative_to(PACKAGE.parent)}:{node.lineno}", error, text)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, frozenset[str]]]:
    """Yield (call, names and fields annotated as ``str`` there) for the calls of a module, in order of lines."""
    fields = {
        f".{item.target.id}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and _is_text(item.annotation)
    }
    yield from _calls_of(tree, frozenset(fields))


def _calls_of(node: ast.AST, texts: frozenset[str]) -> Iterator[tuple[ast.Call, frozenset[str]]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        annotated = {item.arg: item.annotation for item in arguments} | {
            item.target.id: item.annotation
            for item in ast.walk(node)
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        others = {name for name, annotation in annotated.items() if not _is_text(annotation)}
        texts = texts - others | {name for name, annotation in annotated.items() if _is_text(annotation)}
    if isinstance(node, ast.Call):
        yield node, texts
    for child in ast.iter_child_nodes(node):
        yield from _calls_of(child, texts)


def _is_text(annotation: ast.expr | None) -> bool:
    """True for ``str`` and ``str | None``."""
    return annotation is not None and ast.unparse(annotation) in ("str", "str | None")


class Sampler:
    """Replaces the expressions in one message by sample values, with equal values for equal expressions."""

    def __init__(self, texts: frozenset[str]) -> None:
        """Create a sampler for one message. ``texts`` are the names and fields that are annotated as ``str``."""
        self._texts = texts
        self._values: dict[str, str] = {}  # by source text

    def text(self, node: ast.expr) -> str:
        """Return the text of a literal, with sample values in place of expressions."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(map(self.text, node.values))
        if isinstance(node, ast.FormattedValue):
            text = self.text(node.value)
            return repr(text) if node.conversion == ord("r") and text not in NUMBERS else text
        if isinstance(node, ast.IfExp):
            return self.text(node.body)
        if isinstance(node, ast.BoolOp):
            return self.text(node.values[0])
        if isinstance(node, ast.Call):
            last = _name(node.func).strip("_")
            if last == "len":
                return self._value(node, last)
            return self.text(node.args[-1]) if node.args and last not in SAMPLES else self._value(node, last)
        last = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        return self._value(node, last)

    def _value(self, node: ast.expr, last: str) -> str:
        """Return the sample value of an expression, whose last name is ``last``."""
        source = ast.unparse(node)
        if source not in self._values:
            name = f".{last}" if isinstance(node, ast.Attribute) else last
            samples = SAMPLES.get(last, TEXTS if name in self._texts else NUMBERS)
            free = [sample for sample in samples if sample not in self._values.values()]
            self._values[source] = free[0] if free else samples[-1]
        return self._values[source]


def main() -> None:
    """Print the messages of folders."""
    parser = argparse.ArgumentParser(description="List error messages.")
    parser.add_argument("folders", nargs="*", help="folders of the package, such as training; by default all")
    parser.add_argument("--no-remedy", action="store_true", help="list only messages without a remedy")
    arguments = parser.parse_args()
    roots = [PACKAGE / folder for folder in arguments.folders] or [PACKAGE]
    listed = [message for root in roots for path in sorted(root.rglob("*.py")) for message in messages(path)]
    for message in listed:
        if not (arguments.no_remedy and message.has_remedy):
            print(f"{message.place}: {message.error}: {message.text}")
    missing = sum(not message.has_remedy for message in listed)
    print(f"{len(listed)} messages, {missing} without a remedy")


if __name__ == "__main__":
    main()
