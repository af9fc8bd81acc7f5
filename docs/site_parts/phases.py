"""Write the picture of the schedule's three phases in ``docs/architecture.md`` from the phases' records.

Run ``python docs/site_parts/phases.py``. ``tests/test_site.py`` compares the page with the records.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

from rnngraph.codegen.schedule.analyse.entry_analysis import analyse
from rnngraph.codegen.schedule.emit.entry_emitter import emit_entry
from rnngraph.codegen.schedule.plan.planner import plan_entry

PAGE = Path(__file__).resolve().parents[1] / "architecture.md"
BEGIN, END = "<!-- phases -->\n", "<!-- end of phases -->"
PHASES: tuple[tuple[str, Callable[..., Any]], ...] = (("1", analyse), ("2", plan_entry), ("3", emit_entry))
ROOMS = ("rnngraph.codegen.schedule", "rnngraph.codegen.kernels.kernel_plan", "rnngraph.codegen.kernels.product_plan")
"""Modules whose records the picture shows. Records of other modules are only named as fields."""
WIDTH = 112


def page() -> str:
    """Return the page with the picture."""
    before, start, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    return "".join([before, start, "\n```text\n", picture(), "```\n\n", end, after])


def picture() -> str:
    """Return the picture of the phases: for each its function, its result, and the records in the result."""
    lines: list[str] = []
    shown: set[type] = set()
    for number, phase in PHASES:
        result = get_type_hints(phase)["return"]
        names = ", ".join(inspect.signature(phase).parameters)
        lines += [f"{number}. {phase.__name__}({names})  [{_file(phase)}]", *_record(result, 1, shown), ""]
    return "\n".join(line.rstrip() for line in lines[:-1]) + "\n"


def _record(record: type, depth: int, shown: set[type]) -> Iterator[str]:
    """Yield the lines of a record and its fields, then of the records in these fields that are not ``shown`` yet."""
    shown.add(record)
    indent = "   " * depth
    yield from _wrapped(f"{indent}{record.__name__}: ", ", ".join(field.name for field in dataclasses.fields(record)))
    held: dict[type, None] = {}
    for kind in get_type_hints(record).values():
        held |= dict.fromkeys(_records_in(kind))
    for item in held:
        if item not in shown:
            yield from _record(item, depth + 1, shown)


def _records_in(kind: Any) -> Iterator[type]:
    """Yield the record classes that a type such as ``tuple[GroupPlan, ...]`` contains."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__.startswith(ROOMS):
        yield kind
    for part in get_args(kind):
        yield from _records_in(part)


def _wrapped(head: str, text: str) -> Iterator[str]:
    """Yield the lines of a wrapped text, indented to the end of its ``head``."""
    line = head
    for word in re.split(r"(?<=,) ", text):
        if len(line) + len(word) > WIDTH:
            yield line
            line = " " * len(head)
        line += word if line.endswith(" ") else f" {word}"
    yield line


def _file(function: Callable[..., Any]) -> str:
    return function.__module__.removeprefix("rnngraph.").replace(".", "/") + ".py"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
