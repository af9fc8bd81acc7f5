"""``rnngraph import``: a file of another format becomes a script with its weights, and a table of what was read."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from ...formats.net import SCRIPT, Net
from ...formats.script_writer import WEIGHTS
from .file_kinds import read_file


def import_net(file: Path, folder: Path, fixed: Mapping[str, Any], max_entries: int | None) -> None:
    """Reads ``file``, writes what ``Net.save`` does, and prints what was read."""
    kind, net = read_file(file, fixed, max_entries)
    net.save(folder)
    console = Console(highlight=False, force_terminal=sys.stdout.isatty())
    console.print(f"{file}: {kind}", markup=False, soft_wrap=True)
    console.print(_table(net))
    for name in (SCRIPT, WEIGHTS):
        print(folder / name)


def _table(net: Net) -> Table:
    """Inputs and outputs with their types, and layers with their parameters."""
    graph = net.program(cache=False).inference.graph
    fed = {str(node["label"]): node.type for node in graph.inputs if node.op == "input"}
    given = {name: node.type for name, node in graph.outputs}
    table = Table("", Column("name", overflow="fold"), Column("type", overflow="fold"), "parameters", "bytes")
    for column in table.columns[3:]:
        column.justify = "right"
    for what, names, types in (("input", net.inputs, fed), ("output", net.outputs, given)):
        for name in names:
            table.add_row(what, _plain(name), _plain(str(types.get(name, "is not read"))), "", "")
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for name, array in net.parameters.items():
        layer = _layer(name)
        counts[layer] += array.size
        sizes[layer] += array.nbytes
    for layer in counts:
        table.add_row("layer", _plain(layer), "", f"{counts[layer]:,}", f"{sizes[layer]:,}")
    table.add_section()
    table.add_row("all", "", "", f"{counts.total():,}", f"{sizes.total():,}")
    return table


def _layer(parameter: str) -> str:
    """The scope of a cell, or what a parameter stands under where it is no cell's."""
    *scopes, _ = parameter.split("/")
    cells = [place for place, scope in enumerate(scopes) if scope.endswith("_cell") and scope != "multi_rnn_cell"]
    return "/".join(scopes[: cells[0] + 1] if cells else scopes) or parameter


def _plain(text: str) -> str:
    """Text of a file's, in which brackets are no markup."""
    return text.replace("[", "\\[")
