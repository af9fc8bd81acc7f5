"""Stores results of runs as JSON, merges them over runs, and prints them as tables."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groups import GROUPS, Group, Record
from rich import box
from rich.console import Console
from rich.table import Table

MISSING = "not installed"

PEERS = ("onnxruntime", "torch", "torch.compile", "jax", "tensorflow")
"""Order of the peers' columns, which follow all other columns."""

Run = dict[str, Any]
"""Result of a run in JSON: ``machine``, ``limits``, ``versions`` by peer, ``rounds``, and ``records`` by group."""


def read(file: Path) -> list[Run]:
    """Return the runs in a file; none if the file does not exist."""
    return json.loads(file.read_text())["runs"] if file.exists() else []


def append(file: Path, run: Run) -> None:
    file.write_text(json.dumps({"runs": [*read(file), run]}, indent=1) + "\n")


def headlines(runs: list[Run]) -> list[str]:
    """Return one line for the runs on each machine with the same peers, with medians of the machine's limits."""
    alike: dict[str, list[Run]] = {}
    for run in runs:
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items()) or "no peers"
        alike.setdefault(f"{run['machine']}; {versions}", []).append(run)
    return [f"{name}; {_limits(several)}" for name, several in alike.items()]


def _limits(runs: list[Run]) -> str:
    flops, *reads = (
        f"{statistics.median(run['limits'][name] for run in runs) / 1e9:.0f}"
        for name in ("flops", "first_cache", "second_cache", "third_cache")
    )
    rounds = " or ".join(str(count) for count in sorted({run["rounds"] for run in runs}))
    return f"one core: {flops} GFLOP/s; reads {', '.join(reads)} GB/s from L1, L2, L3; rounds: {rounds}"


def records(runs: list[Run], group: Group) -> list[Record]:
    """Return the last record of each row of a group, in the order in which the rows first appear."""
    by_row: dict[str, Record] = {}
    for run in runs:
        for record in run["records"].get(group.name, ()):
            by_row[record["row"]] = record
    return list(by_row.values())


def print_tables(runs: list[Run], console: Console) -> None:
    """Print a table for each group."""
    for group, rows in tables(runs):
        table = Table(box=box.MARKDOWN)
        for name in rows[0]:
            table.add_column(name, no_wrap=True)
        for row in rows[1:]:
            table.add_row(*row)
        console.print(f"\n{group.title}")
        console.print(table)


def write_tables(runs: list[Run], folder: Path) -> None:
    """Write a CSV file for each group, from which the tables of the documentation are generated."""
    folder.mkdir(parents=True, exist_ok=True)
    for group, rows in tables(runs):
        with (folder / f"{group.name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def tables(runs: list[Run]) -> Iterator[tuple[Group, list[list[str]]]]:
    """Yield each group and its table, whose first row has the heads of columns.

    A row that is in several runs has the last figure of every peer.
    """
    versions = {name: version for run in runs for name, version in run["versions"].items() if version != MISSING}
    for group in GROUPS:
        rows: dict[str, dict[str, str]] = {}
        for run in runs:
            for record in run["records"].get(group.name, ()):
                rows.setdefault(record["row"], {}).update(group.cells(record))
        if not rows:
            continue
        columns = list(dict.fromkeys(name for cells in rows.values() for name in cells))
        columns.sort(key=lambda name: PEERS.index(name) if name in PEERS else -1)
        heads = ["workload", *(f"{name} {versions.get(name, '')}".strip() for name in columns)]
        body = [[name, *(cells.get(column, "") for column in columns)] for name, cells in rows.items()]
        yield group, [heads, *body]
