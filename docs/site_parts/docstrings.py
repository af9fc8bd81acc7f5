"""Names of the API as Markdown: signature, text, arguments one a line, methods.

A docstring names an argument as ``name: text``; sentences up to the next one, or to the end of the paragraph, belong to
it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

OBJECTS = {
    "program.inference": "rnngraph.program.inference_graph:InferenceGraph",
    "program.training": "rnngraph.program.training_graph:TrainingGraph",
    "program.parameters": "rnngraph.runtime.parameters:Parameters",
    "graph": "rnngraph.ir.graph:Graph",
    "export": "rnngraph.export.write_net:Export",
}
HIDDEN = {"graph": "of make walk read_inputs users output with_comments live"}
"""Methods that are the compiler's own."""


GIVEN = (
    "Memory", "MemoryUsage", "Net", "NonFinite", "Profile", "Program", "Result", "Scope", "Stream", "StreamHandle",
    "StreamPool", "Tensor",
)  # fmt: skip
"""Public classes whose objects are given as well, so that how they are made is nothing to read."""


def found(name: str) -> Any:
    """What a name of the API stands for. Raises ``LookupError`` where nothing has the name."""
    import rnngraph

    try:
        if name in OBJECTS:
            module, _, item = OBJECTS[name].partition(":")
            return getattr(importlib.import_module(module), item)
        thing: Any = rnngraph
        for part in name.split("."):
            thing = getattr(thing, part)
    except (AttributeError, ImportError) as error:
        raise LookupError(f"rnngraph has no {name}: {error}") from error
    return thing


def signature_of(thing: Any) -> inspect.Signature | None:
    """The signature without types, which the texts say in words; None where there is none."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    kept = [item.replace(annotation=item.empty) for item in signature.parameters.values() if item.name != "excess"]
    kept = [item for item in kept if item.name not in ("self", "cls", "_cls")]
    return signature.replace(parameters=kept, return_annotation=inspect.Signature.empty)


def parted(text: str, names: set[str]) -> tuple[str, list[tuple[str, str]]]:
    """A docstring as its text and its arguments in order. names: of arguments and attributes.

    What begins ``name: …`` or ``one, other: …`` after the end of a sentence or of a line belongs to those names, up to
    the next one, to a sentence on what is raised, or to the end of the paragraph.
    """
    left, arguments = [], []
    start = re.compile(r"(?:^|(?<=[.;:)] )|(?<=\n))((?:\w+, )*\w+):\s")
    for paragraph in re.split(r"\n\s*\n", text):
        rest = paragraph
        marks = [mark for mark in start.finditer(rest) if {*mark[1].split(", ")} <= names]
        ends = [*(mark.start() for mark in marks[1:]), len(rest)][: len(marks)]
        left.append(rest[: marks[0].start()] if marks else rest)
        for mark, end in zip(marks, ends, strict=True):
            meaning, _, raised = " ".join(rest[mark.end() : end].split()).partition(" Raises ")
            arguments.append((mark[1], meaning.rstrip(";")))
            left += [f"Raises {raised}"] if raised else []
    return "\n\n".join(part for part in left if part.strip()), arguments


def markdown(text: str) -> str:
    """A docstring's text as Markdown: literal blocks after ``::`` in fences."""
    lines: list[str] = []
    in_block = False
    for line in text.split("\n"):
        if in_block and line.strip() and not line.startswith("    "):
            while lines and not lines[-1].strip():
                lines.pop()
            lines += ["```", ""]
            in_block = False
        if not in_block and line.rstrip().endswith("::"):
            lines += [line.rstrip()[:-1], "", "```text"]
            in_block = True
            continue
        lines.append(line[4:] if in_block else line)
    return "\n".join([*lines, "```"] if in_block else lines)


def described(name: str, thing: Any, shown: str, level: int = 0) -> Iterator[str]:
    """A name as MyST, with its methods if it is a class."""
    is_class = inspect.isclass(thing)
    signature = signature_of(thing) if callable(thing) and name not in {*OBJECTS, *GIVEN} else None
    directive = "py:class" if is_class else "py:function" if callable(thing) else "py:attribute"
    fence = "`" * (7 - level)
    yield f"{fence}{{{directive}}} {shown}{signature if signature else ''}"
    names = set(signature.parameters) if signature else set()
    if is_class:
        names |= {item for item in dir(thing) if not item.startswith("_")} | set(getattr(thing, "__annotations__", ()))
    text, arguments = parted(inspect.getdoc(thing) or "", names)
    yield ""
    yield from markdown(text).split("\n")
    yield ""
    for argument, meaning in arguments:
        yield f"- {', '.join(f'`{name}`' for name in argument.split(', '))}: {meaning}"
    yield ""
    if is_class and level == 0:
        for member in members(name, thing):
            yield from described(f"{name}.{member}", unwrapped(thing, member), f"{shown}.{member}", 1)
    yield fence


def members(name: str, kind: type) -> list[str]:
    """Public methods and properties with a text of their own, in the order of the source."""
    hidden = HIDDEN.get(name, "").split()
    found = [
        member
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("rnngraph")
        for member, value in vars(base).items()
        if not member.startswith("_") and member not in hidden and getattr(value, "__doc__", None)
        and (callable(value) or isinstance(value, property | classmethod | staticmethod))
    ]  # fmt: skip
    return [*dict.fromkeys(found)]


def unwrapped(kind: type, member: str) -> Any:
    """A method as it is called on an object; of a property what computes it, as a value that has no signature."""
    value = inspect.getattr_static(kind, member)
    if isinstance(value, property):
        return Property(inspect.getdoc(value))
    return getattr(kind, member)


class Property:
    """An attribute with a text."""

    def __init__(self, text: str | None) -> None:
        self.__doc__ = text
