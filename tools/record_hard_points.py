"""Records what frameworks compute at hard points, beside the tests that compare with it.

    python tools/record_hard_points.py FRAMEWORK [TEXT …]
    python tools/record_hard_points.py --differences FRAMEWORK [TEXT …]

FRAMEWORK is torch, onnx, keras or tensorflow. TEXT: only expressions that contain one of these are computed anew.
The files of ``tests/hard_points/recorded`` are text, whose diff is to be read; TensorFlow's are recorded by
TensorFlow 1.15 and Python 3.7, under which this script runs too.

``--differences`` computes the nets that rnngraph reads, and rewrites the list of entries that differ,
``tests/hard_points/differences``. Lines keep their reasons; a new one has the reason ``open`` until it gets one.
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
    """Record the framework's values, of the entries that texts choose, or of all."""
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
    """Tell if an entry is one of those that texts choose."""
    return not texts or any(text in entry.case.expression for text in texts)


def list_differences(framework: str, texts: List[str]) -> None:
    """Rewrite the list of entries whose nets differ from what is recorded."""
    doors = import_module("hard_points.doors")
    recorded, read = doors.Recorded(framework), import_module("hard_points.read_" + framework).read
    lines = ["# entry | arrays and places that differ, or refused | reason"]
    for entry in recorded.entries:
        how, reason = recorded.differences.get(entry.key, ("", "open"))
        how = recorded.difference(entry, read) if is_chosen(entry, texts) else how
        lines += [entry.key + " | " + how + " | " + reason] if how else []
    (doors.DIFFERENCES / (framework + ".txt")).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("%d entries differ, %d without a reason" % (len(lines) - 1, sum(line.endswith("| open") for line in lines)))


if __name__ == "__main__":
    command, arguments = (list_differences, sys.argv[2:]) if sys.argv[1] == "--differences" else (record, sys.argv[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of divisions by zero, which are the point
        command(arguments[0], arguments[1:])
