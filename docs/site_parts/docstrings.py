"""Conversion of API names to Markdown: signature, docstring, one line for each argument, and methods.

Docstrings document arguments in sections of Google's format, or inline as ``name: text``. An inline text ends at the
next argument or at the end of the paragraph.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

OBJECTS = {
    "program.inference": "rnngraph.program.inference_graph:InferenceGraph",
    "program.training": "rnngraph.program.training_graph:TrainingGraph",
    "program.parameters": "rnngraph.runtime.parameters:Parameters",
    "graph": "rnngraph.ir.graph:Graph",
    "export": "rnngraph.export.write_net:Export",
}
HIDDEN = {
    "graph": "of make walk read_inputs users output with_comments live",
    "program.inference": "gather made sizes values",
    "program.training": "gather made run_form sizes values",
    "Stream": "restore",
    "Tensor": "eval",
    "Profile": "print_tables print_to",
    "Scope": "site",
    "BahdanauAttention": "context memory_scope",
    "LuongAttention": "context memory_scope",
}
"""Methods that only the compiler uses."""


RECEIVED = (
    "Generation",
    "GenerationHandle",
    "Generator",
    "Memory",
    "MemoryUsage",
    "Net",
    "NonFinite",
    "Profile",
    "Program",
    "Result",
    "Scope",
    "Stream",
    "StreamHandle",
    "StreamPool",
    "Tensor",
)
"""Public classes whose objects users receive, so that their constructors are not documented."""


COMMON = {
    "a": "a Tensor or a number",
    "activation": 'of the candidate: its name, such as `"tanh"`, or a function of a Tensor',
    "axis": "counted from 0, or from the last by negative numbers; None: all, where that is the default",
    "batch_size": "examples a step, or a call",
    "b": "a Tensor or a number, of a shape that goes with that of `a`",
    "cell": "a cell, or a wrapper around one",
    "dtype": '`"float32"`, `"float64"`, of values that are no floats also `"int64"` or `"bool"`',
    "epsilon": "added before a root is taken or something divided by it",
    "feeds": "arrays by the names of placeholders",
    "examples": "as for `Trainer.fit`",
    "first_row": "number of the first row among those that share the seed",
    "first_step": "number of the first step among those that share the seed",
    "forget_bias": "added to the forget gate before its activation",
    "gradient": "of the parameter",
    "handle": "of the stream, as `open` gave it",
    "handles": "of streams, as `open` gave them, none twice",
    "initializer": 'a function from a shape and a generator to an array, or a name such as `"zeros"`',
    "inputs": "[batch, time, features], or [time, batch, features] if `time_major`",
    "jitdump": "whether `perf` is told of instructions and lines, too",
    "keepdims": "whether reduced axes stay, with size 1",
    "labels": "what should come out",
    "learning_rate": "a number, or a schedule",
    "lengths": "how many steps of each row count, or of a fit the placeholder for that",
    "logits": "scores before softmax or sigmoid",
    "mask": "bool[batch, time]: steps at which the state is not held",
    "name": "of the layer; parameters' names begin with it",
    "num_units": "width of the state",
    "numbers": "what `numbers(update)` gave",
    "out": "arrays by names of outputs, which are written to and given",
    "parameter": "its value before the update",
    "path": "of a file, or of a folder where the text says so",
    "predictions": "what came out",
    "recurrent_activation": 'of the gates: `"sigmoid"` or `"hard_sigmoid"`, or a function of a Tensor',
    "reduction": '`"mean"` over what counts, `"sum"`, or `"none"`',
    "scope": "how names of parameters begin",
    "seed": "of the random numbers; None: a new one each time",
    "sequence_length": "how many steps each row has, int64[batch]; None: all",
    "shape": "sizes, None or -1 for one that is open",
    "shuffle": "whether each epoch has an order of its own",
    "slots": "what is kept from update to update, by name",
    "state_is_tuple": "whether a state is a tuple, and not one Tensor of all widths",
    "tensors": "of one dtype, of shapes that go together",
    "thing": "a program, one of its graphs, or a stream",
    "threads": "how many may share a call; results do not depend on it",
    "time_major": "whether time is the first axis and not the second",
    "trainable": "whether a Trainer changes it",
    "units": "width of the state, or of the result",
    "update": "number of the update, from 0",
    "weight_decay": "how strongly parameters are drawn to 0, as the text says",
    "weights": "of examples or steps, float; None: 1",
    "what": "what is wrong, and what to write instead",
    "where": "the line that is named",
    "x": "a Tensor, or what is made one",
    "zero_output_for_mask": "whether outputs are 0 where the mask is false, and not the last one's",
}
"""Arguments with a common meaning, unless a text says otherwise."""


def object_named(name: str) -> Any:
    """Return the object behind a name of the API. Raises ``LookupError`` if there is none."""
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
    """Return the signature without types, which the texts give in words; None without a signature."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    kept = [item.replace(annotation=item.empty) for item in signature.parameters.values() if item.name != "excess"]
    kept = [item for item in kept if item.name not in ("self", "cls", "_cls")]
    return signature.replace(parameters=kept, return_annotation=inspect.Signature.empty)


_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):\n((?:(?: +\S.*)?(?:\n|$))+?)(?=\S|\Z)", re.MULTILINE)


def _without_sections(text: str) -> str:
    """Convert sections of Google's format to paragraphs, with one argument or error a line."""

    def paragraph(section: re.Match[str]) -> str:
        body = textwrap.dedent(section[2]).strip()
        if section[1] in ("Returns", "Yields"):
            return f"{section[1]}: {body}\n\n"
        entries = re.sub(r"\n +", " ", body)
        if section[1] == "Raises":
            return re.sub(r"^(\w+): ", r"\nRaises ``\1``: ", entries, flags=re.MULTILINE) + "\n\n"
        return re.sub(r"^\**(\w+)(?: \([^)]*\))?: ", r"\1: ", entries, flags=re.MULTILINE) + "\n\n"

    return _SECTION.sub(paragraph, text)


def parted(text: str, names: set[str]) -> tuple[str, list[tuple[str, str]]]:
    """Split a docstring into its text and its arguments in order. ``names`` are those of arguments and attributes.

    A part that begins ``name: …`` or ``one, other: …`` after the end of a sentence or line belongs to those names. It
    ends at the next such part, at a sentence about raised errors, or with the paragraph.
    """
    left, arguments = [], []
    start = re.compile(r"(?:^|(?<=[.;:)] )|(?<=\n))((?:\w+, )*\w+):\s")
    for paragraph in re.split(r"\n\s*\n", _without_sections(text)):
        rest = paragraph
        marks = [mark for mark in start.finditer(rest) if {*mark[1].split(", ")} <= names]
        ends = [*(mark.start() for mark in marks[1:]), len(rest)][: len(marks)]
        left.append(rest[: marks[0].start()] if marks else rest)
        for mark, end in zip(marks, ends, strict=True):
            meaning, _, raised = " ".join(rest[mark.end() : end].split()).partition(" Raises ")
            arguments.append((mark[1], meaning.rstrip(";")))
            left += [f"Raises {raised}"] if raised else []
    return "\n\n".join(part for part in left if part.strip()), arguments


def default_of(signature: inspect.Signature | None, name: str) -> str:
    """Return the default of an optional argument, such as `` = 0.5``; an empty text without one."""
    item = signature.parameters.get(name) if signature else None
    return "" if item is None or item.default is item.empty else f" = {item.default!r}"


def undocumented(signature: inspect.Signature | None, arguments: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (name, usual meaning) of the arguments that have no text in the docstring."""
    documented = {name for names, _ in arguments for name in names.split(", ")}
    items = signature.parameters.values() if signature else ()
    return [
        (item.name, COMMON.get(item.name, "see above"))
        for item in items
        if item.name not in documented
        and not item.name.startswith("_")
        and item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)
    ]


def markdown(text: str) -> str:
    """Convert a docstring's text to Markdown: literal blocks after ``::`` become fences."""
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
    """Yield the lines of a name in MyST, with its methods if it is a class."""
    is_class = inspect.isclass(thing)
    signature = signature_of(thing) if callable(thing) and name not in {*OBJECTS, *RECEIVED} else None
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
    for argument, meaning in [*arguments, *undocumented(signature, arguments)]:
        defaults = [default_of(signature, name) for name in argument.split(", ")]
        shown_names = (f"`{name}{default}`" for name, default in zip(argument.split(", "), defaults, strict=True))
        yield f"- {', '.join(shown_names)}{meaning and ': '}{meaning}"
    yield ""
    if is_class and level == 0:
        for member in members(name, thing):
            yield from described(f"{name}.{member}", unwrapped(thing, member), f"{shown}.{member}", 1)
    yield fence


def members(name: str, kind: type) -> list[str]:
    """Return public methods and properties with a docstring of their own, in source order.

    Members of a public base class, such as ``rg.Cell``, are documented at that class.
    """
    import rnngraph

    public = [getattr(rnngraph, item) for item in rnngraph.__all__]
    hidden = HIDDEN.get(name, "").split()
    names = [
        member
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("rnngraph") and (base is kind or base not in public)
        for member, value in vars(base).items()
        if not member.startswith("_")
        and member not in hidden
        and getattr(value, "__doc__", None)
        and (callable(value) or isinstance(value, property | classmethod | staticmethod))
    ]
    return [*dict.fromkeys(names)]


def unwrapped(kind: type, member: str) -> Any:
    """Return a method as called on an object; for a property its value, which has no signature."""
    value = inspect.getattr_static(kind, member)
    if isinstance(value, property):
        return Property(inspect.getdoc(value))
    return getattr(kind, member)


class Property:
    """Attribute that has a documentation text."""

    def __init__(self, text: str | None) -> None:
        self.__doc__ = text
