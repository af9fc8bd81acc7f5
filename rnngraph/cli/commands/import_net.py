"""``rnngraph import``: convert a file of another format to a script with its weights."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from ...formats.net import SCRIPT, Net
from ...formats.script_writer import WEIGHTS
from ...program.program import Program
from ...support.errors import FileError
from .command_error import CommandError
from .file_kinds import ReadOptions, kind_of, read_file
from .weight_files import MAX_ROWS, tensors_in, weights_in


def import_net(file: Path, folder: Path, options: ReadOptions, program_of: Callable[[Path], Program]) -> None:
    """Convert a file of another format to a script and weights in a folder, and print a summary of the net.

    Args:
        file: The file.
        folder: Folder of the script and its weights.
        options: Options of the reader.
        program_of: Function that loads the program of a script.

    Raises:
        CommandError: The format is not supported. If the file holds only weights, they are listed before.
        FileError: The script that was written does not run.
    """
    try:
        kind_of(file)
    except CommandError:
        _list_weights(file)
        raise
    kind, net = read_file(file, options)
    net.save(folder)
    program = _run(folder / SCRIPT, program_of)
    console = Console(highlight=False, force_terminal=sys.stdout.isatty())
    console.print(f"{file}: {kind}", markup=False, soft_wrap=True)
    console.print(_table(net, program))
    for note in net.size_notes():
        console.print(note, markup=False, soft_wrap=True)
    for name in (SCRIPT, WEIGHTS):
        print(folder / name)


def _list_weights(file: Path) -> None:
    """Print name, dtype and shape of the tensors in a file that holds only weights."""
    if not file.is_file():
        return
    with file.open("rb") as opened:
        if weights_in(file, opened.read(64)) is None:
            return
    rows = tensors_in(file)
    if isinstance(rows, str):
        print(f"{file}: {rows}")
        return
    for name, dtype, shape in rows[:MAX_ROWS]:
        print(f"{name if name.isprintable() else repr(name)}  {dtype}{shape}")
    if len(rows) > MAX_ROWS:
        print(f"… and {len(rows) - MAX_ROWS:,} more")


def _run(script: Path, program_of: Callable[[Path], Program]) -> Program:
    """Run a script that was just written, and return its program."""
    try:
        return program_of(script)
    except Exception as error:
        raise FileError(f"{script} was written, but does not run; this is a bug of rnngraph: {error}") from error


def _table(net: Net, program: Program) -> Table:
    """Return a table for the terminal: inputs and outputs with their types, layers with their sizes."""
    graph = program.inference.graph
    input_types = {str(node["label"]): node.type for node in graph.inputs if node.op == "input"}
    output_types = {name: node.type for name, node in graph.outputs}
    table = Table("", Column("name", overflow="fold"), Column("type", overflow="fold"), "parameters", "bytes")
    for column in table.columns[3:]:
        column.justify = "right"
    for what, names, types in (("input", net.inputs, input_types), ("output", net.outputs, output_types)):
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
    """Return the scope of the cell that owns a parameter, or else the parameter's own scope."""
    *scopes, _ = parameter.split("/")
    cells = [place for place, scope in enumerate(scopes) if scope.endswith("_cell") and scope != "multi_rnn_cell"]
    return "/".join(scopes[: cells[0] + 1] if cells else scopes) or parameter


def _plain(text: str) -> str:
    """Escape brackets, which are rich's markup."""
    return text.replace("[", "\\[")
