"""Comparison of the values of nets that rnngraph reads with recorded values of frameworks."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import rnngraph as rg

from .cases import Entry, entries_of
from .compare import places_that_differ, ranges, weights_of
from .points import digest_of
from .recorded import FOLDER, Arrays, records_of

DIFFERENCES = Path(__file__).parent / "differences"
PAGE = Path(__file__).parents[2] / "docs" / "hard_points.md"
OPEN = "open"
"""Reason of a difference without an explanation."""
REFUSED = "refused"
"""Description of a difference if a reader refuses the function."""


class Values(Protocol):
    """Net of an entry's expression."""

    def values(self, wanted: Arrays) -> Arrays:
        """Return outputs ``y0``, …, and the requested gradients ``dx`` of x."""


Door = Callable[[Entry], Values]
"""Function that reads an entry's expression, or raises ``NotReadableError``."""


@dataclass(frozen=True)
class Read:
    """Program of an entry. ``inputs`` are placeholders by argument name, ``outputs`` results by ``y0``, ``y1``, …"""

    arguments: Arrays
    program: rg.Program[Any]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def values(self, wanted: Arrays) -> Arrays:
        """Return outputs ``y0``, …, and the requested gradients ``dx`` of x."""
        feeds = {placeholder: self.arguments[name] for name, placeholder in self.inputs.items()}
        values = self.program.inference(feeds)
        found = {name: np.asarray(values[output]) for name, output in self.outputs.items()}
        names = {name: placeholder for name, placeholder in self.inputs.items() if "d" + name in wanted}
        if names:
            factors = {
                output: weights_of(found[name])
                for name, output in self.outputs.items()
                if found[name].dtype.kind == "f"
            }
            gradients = self.program.training.gradients(feeds, wrt=list(names.values()), output_gradients=factors)[1]
            found |= {"d" + name: gradients[placeholder] for name, placeholder in names.items()}
        return found


class Recorded:
    """Entries of a framework with its values. Entries for which the framework raises an error are omitted."""

    def __init__(self, framework: str) -> None:
        self.records = records_of(FOLDER / f"{framework}.txt")
        self.every = entries_of(framework)
        self.entries = [entry for entry in self.every if self.of(entry) is not None]
        self.differences = differences_of(framework)

    def of(self, entry: Entry) -> Arrays | None:
        """Return the framework's own arrays, or None if it raises an error."""
        assert entry.key in self.records, f"{entry.key} is not recorded; run python tools/record_hard_points.py"
        digest, arrays = self.records[entry.key]
        assert digest == digest_of(entry.points, entry.dtype), f"{entry.points} changed; record it again"
        return arrays

    def check(self, entry: Entry, read: Door) -> None:
        """Raise AssertionError if an entry's difference is not the difference that is listed for it."""
        found, expected = self.difference(entry, read), self.differences.get(entry.key, ("", ""))[0]
        assert found == expected, f"{entry.key} | {found or 'equal'}; the list has {expected or 'no line'}"

    def difference(self, entry: Entry, read: Door) -> str:
        """Return the difference of the net: ``refused``, ``fails: …``, indices, or nothing."""
        wanted = self.of(entry) or {}
        try:
            found = read(entry).values(wanted)
        except rg.NotReadableError:
            return REFUSED
        except rg.RnnGraphError as error:
            return f"fails: {type(error).__name__}"
        words = [_difference(entry, name, found.get(name), array) for name, array in wanted.items()]
        return " ".join(word for word in words if word)


def mixed(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries in an order in which every n-th is a fair sample."""
    return sorted(entries, key=lambda entry: zlib.crc32(entry.key.encode()))


def changes(framework: str, entries: Iterable[Entry], values: Callable[[Entry], Arrays | None]) -> list[str]:
    """Return the entries whose values in the installed framework differ from recorded values."""
    recorded, found = Recorded(framework), []
    for entry in entries:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # divisions by zero are intended
            now, then = values(entry), recorded.of(entry)
        if (now is None) != (then is None) or (now or {}).keys() != (then or {}).keys():
            found.append(f"{entry.key}: {now} for {then}")
        elif words := [_difference(entry, name, (now or {})[name], array) for name, array in (then or {}).items()]:
            found += [f"{entry.key}: {word}" for word in words if word]
    return found


def _difference(entry: Entry, name: str, found: np.ndarray | None, wanted: np.ndarray) -> str:
    if found is None:
        return f"{name}[lacks]"
    bound = entry.case.gradient if name.startswith("d") else entry.case.bound
    places = places_that_differ(found, wanted, bound or 0)
    if places is None:
        return f"{name}[{found.dtype} {'x'.join(map(str, found.shape))}]"
    return f"{name}[{ranges(places)}]" if places else ""


def differences_of(framework: str) -> dict[str, tuple[str, str]]:
    """Return the differences of a framework, as {key: (difference, reason)}."""
    path = DIFFERENCES / f"{framework}.txt"
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if line and not line.startswith("#"):
            key, how, reason = line.rsplit(" | ", 2)
            found[key] = how, reason
    return found


def functions_by_reason(frameworks: Iterable[str]) -> dict[str, str]:
    """Return the functions that differ for each reason, as the docs list them."""
    found: dict[str, dict[str, set[str]]] = {}
    for framework in frameworks:
        names = {entry.key: entry.case.names[0] for entry in entries_of(framework)}
        for key, (_, reason) in differences_of(framework).items():
            for each in reason.split(", "):
                found.setdefault(each, {}).setdefault(framework, set()).add(f"`{names[key]}`")
    return {
        reason: "; ".join(f"{framework}: {', '.join(sorted(those))}" for framework, those in sorted(lists.items()))
        for reason, lists in found.items()
    }


def page(frameworks: Iterable[str]) -> str:
    """Return the docs' page with the differing functions in its table; a new reason gets an empty row."""
    functions = functions_by_reason(frameworks)
    functions.pop(OPEN, None)
    lines = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        reason = line.split("|")[1].strip() if line.startswith("|") else ""
        if not line.startswith("|") or reason in ("reason", "---"):
            lines.append(line)
        elif reason in functions:
            lines.append(f"| {reason} |{line.split('|')[2]}| {functions.pop(reason)} |")
    lines += [f"| {reason} | | {text} |" for reason, text in functions.items()]
    return "\n".join(lines) + "\n"
