"""Cases: functions of a framework, their point sets, and the maximum error.

A line of ``cases/FRAMEWORK.txt`` has four columns, separated by two spaces or more::

    names  point sets  bound  expression

``names`` are names of the registry, separated by commas. ``bound`` is the maximum error in units in
the last place, 0 if the function is exact; a second number after a slash is the bound of gradients, which are only
recorded with it. ``expression`` is Python over the arguments of the point sets.

Runs on Python 3.7, for TensorFlow 1's recorder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Set, Tuple

from .points import SETS

FOLDER = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """One function. ``gradient`` is the allowed error of gradients, None for no comparison."""

    names: Tuple[str, ...]
    sets: Tuple[str, ...]
    bound: float
    gradient: Optional[float]
    expression: str


@dataclass(frozen=True)
class Entry:
    """Case at the points of one set, with one dtype."""

    case: Case
    points: str
    dtype: str

    @property
    def key(self) -> str:
        return self.case.expression + " | " + self.points + " " + self.dtype


def cases_of(framework: str) -> List[Case]:
    """Return the cases of a framework, in the order of its file."""
    found = []
    for line in (FOLDER / (framework + ".txt")).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            names, sets, bound, expression = re.split(r"  +", line.strip(), maxsplit=3)
            values, _, gradients = bound.partition("/")
            found.append(
                Case(
                    tuple(names.split(",")),
                    tuple(sets.split(",")),
                    float(values),
                    float(gradients) if gradients else None,
                    expression,
                )
            )
    return found


def entries_of(framework: str) -> List[Entry]:
    """Return the entries of all cases of a framework."""
    return [entry for case in cases_of(framework) for entry in _entries(case)]


def _entries(case: Case) -> Iterator[Entry]:
    """Yield the entries of a case. ``reals:float32`` is a set of one dtype."""
    for item in case.sets:
        name, _, dtype = item.partition(":")
        for kind in [dtype] if dtype else SETS[name][0]:
            yield Entry(case, name, kind)


def names_of(framework: str) -> Set[str]:
    """Return the names that have a case, or a reason for having none in ``cases/without/FRAMEWORK.txt``."""
    found = {name for case in cases_of(framework) for name in case.names}
    for line in (FOLDER / "without" / (framework + ".txt")).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            found.update(line.split("  ")[0].split(","))
    return found
