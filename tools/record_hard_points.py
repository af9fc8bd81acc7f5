"""Record the frameworks' values at hard points, for the tests that compare with them.

    python tools/record_hard_points.py FRAMEWORK [TEXT …]
    python tools/record_hard_points.py --differences FRAMEWORK [TEXT …]
    python tools/record_hard_points.py --page

FRAMEWORK is torch, onnx, keras or tensorflow. If TEXTs are given, only expressions that contain one of them are
recomputed. The files in ``tests/hard_points/recorded`` are text, so that diffs are readable. TensorFlow's file is
recorded by TensorFlow 1.15 with Python 3.7, in which this script runs too.

``--differences`` computes the nets that rnngraph reads, and rewrites the list of entries that differ,
``tests/hard_points/differences``. Lines keep their reasons; a new line has the reason ``open``. ``--page`` updates the
functions in the table of ``docs/hard_points.md`` from the lists.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import List

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hard_points.cases import Entry, entries_of
from hard_points.points import digest_of
from hard_points.recorded import FOLDER, records_of, text_of


def record(framework: str, texts: List[str]) -> None:
    """Record the framework's values of the entries that ``texts`` select."""
    module = import_module("hard_points.by_" + framework)
    path = FOLDER / (framework + ".txt")
    known = records_of(path) if texts and path.exists() else {}
    records = {}
    for entry in entries_of(framework):
        if is_chosen(entry, texts) or entry.key not in known:
            records[entry.key] = digest_of(entry.points, entry.dtype), module.values(entry)
        else:
            records[entry.key] = known[entry.key]
    path.write_text(text_of(module.HEADING, records), encoding="utf-8")
    if hasattr(module, "keep"):
        module.keep(list(records))
    raising = [key for key, (_, arrays) in records.items() if arrays is None]
    print("\n  ".join(["%d entries; the framework refuses %d" % (len(records), len(raising)), *raising]))


def is_chosen(entry: Entry, texts: List[str]) -> bool:
    """True if an entry's expression contains one of ``texts``, or if there are no texts."""
    return not texts or any(text in entry.case.expression for text in texts)


def list_differences(framework: str, texts: List[str]) -> None:
    """Rewrite the list of entries whose nets, as rnngraph reads them, differ from the recorded values."""
    doors = import_module("hard_points.doors")
    recorded, read = doors.Recorded(framework), import_module("hard_points.read_" + framework).read
    lines = ["# entry | arrays and places that differ, or refused | reason"]
    for entry in recorded.entries:
        how, reason = recorded.differences.get(entry.key, ("", "open"))
        how = recorded.difference(entry, read) if is_chosen(entry, texts) else how
        lines += [entry.key + " | " + how + " | " + reason] if how else []
    (doors.DIFFERENCES / (framework + ".txt")).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("%d entries differ, %d without a reason" % (len(lines) - 1, sum(line.endswith("| open") for line in lines)))


def write_page() -> None:
    """Update the table of ``docs/hard_points.md`` from the lists of differences."""
    doors, cases = import_module("hard_points.doors"), import_module("hard_points.cases")
    text = doors.page(sorted(path.stem for path in cases.FOLDER.glob("*.txt")))
    doors.PAGE.write_text(text, encoding="utf-8")


def main(arguments: List[str]) -> None:
    """Run the command with these arguments."""
    if arguments[0] == "--page":
        write_page()
    elif arguments[0] == "--differences":
        list_differences(arguments[1], arguments[2:])
    else:
        record(arguments[0], arguments[1:])


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hard points include divisions by zero
        main(sys.argv[1:])
