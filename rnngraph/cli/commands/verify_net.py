"""``rnngraph verify``: compare an imported net with the file's own engine on random feeds."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...declare.nest import paths
from ...ir.axes.by_size import rows_and_steps
from ...ir.types import INTEGERS, Size, evaluate
from ...program.program import Program
from ...support.errors import ShapeError
from .command_error import CommandError
from .file_kinds import kind_of
from .other_engines import SizesRefusedError, engine_of, engine_of_script

BATCHES, LENGTHS = (1, 3), (1, 7, 25, 100, 576, 1600)
"""Default sizes to try: rows, and lengths for every other open size, which may be audio samples."""
MAX_LENGTHS = 3
"""Maximum number of lengths to compare, of those that the net accepts."""

Arrays = dict[str, np.ndarray]


def verify_net(
    program: Program,
    file: Path,
    tolerance: float,
    fixed: Mapping[str, Any],
    batches: Sequence[int],
    steps: Sequence[int],
    variables: Mapping[str, Any] | None = None,
) -> bool:
    """Compare an imported net with its original on random inputs. Print differences; return True if all are small.

    Args:
        program: The imported net.
        file: The file that it was imported from, or a script with the torch module that was read.
        tolerance: Maximum difference, relative to the output's maximum magnitude or 1, whichever is larger.
        fixed: Values of inputs of an ONNX file.
        batches: Numbers of rows to try.
        steps: Lengths to try.
        variables: Variables of ``file`` if it is a script; None for other files.
    """
    if not isinstance(program.structure, dict):
        raise CommandError(
            "the program's only output has no name; compile {name: output}, with the output's name in the file"
        )
    names = [path for path, _ in paths(program.structure)]
    if variables is None:
        run = engine_of(kind_of(file), file, names, fixed)
    else:
        run = engine_of_script(file, variables, names)
    table = Table("batch", "steps", "output", "largest difference", "largest number")
    for column in table.columns[3:]:
        column.justify = "right"
    worst, count = 0.0, 0
    refused: SizesRefusedError | None = None
    for batch, length, feeds, ours in _calls(program, batches, steps):
        try:
            reference = run(feeds)
        except SizesRefusedError as error:  # a file may have a fixed batch size or length
            refused = error
            continue
        count += 1
        for name, theirs in reference.items():
            difference, scale = _difference(ours[name], theirs)
            worst = max(worst, difference / max(scale, 1.0))
            table.add_row(batch, length, name.replace("[", "\\["), f"{difference:.3g}", f"{scale:.3g}")
    if not count and refused is not None:
        raise refused
    if not count:
        raise CommandError(f"{file}: the net takes none of the sizes that were tried; give --batch and --steps")
    console = Console(highlight=False, force_terminal=sys.stdout.isatty())
    console.print(table)
    verdict = "within" if worst <= tolerance else "over"
    print(f"{file}: largest difference {worst:.3g} of an output's scale, {verdict} the tolerance of {tolerance:g}")
    return worst <= tolerance


def _calls(program: Program, batches: Sequence[int], steps: Sequence[int]) -> Iterator[tuple[str, str, Arrays, Arrays]]:
    """Yield (batch, steps, inputs, results) of calls on random inputs whose sizes the net accepts.

    Sizes that the net fixes replace those to try, and calls of equal sizes are made once.
    """
    generator = np.random.default_rng(0)
    seen = set()
    for batch in batches:
        accepted = 0
        for length in steps:
            if accepted == MAX_LENGTHS:
                break
            try:
                feeds, sizes = _random_feeds(program, batch, length, generator)
                shapes = tuple(array.shape for array in feeds.values())
                if shapes in seen:
                    continue
                seen.add(shapes)
                results = program.inference(feeds)
            except ShapeError:  # the net may need more steps
                continue
            accepted += 1
            yield *sizes, feeds, dict(paths(dict(results)))


def _random_feeds(
    program: Program, batch: int, steps: int, generator: np.random.Generator
) -> tuple[Arrays, tuple[str, str]]:
    """Return (random arrays by input, (text of their rows, text of their steps)), texts empty for nets without.

    Integers are within their valid ranges, and sequence lengths are at least 1.
    """
    compiled = program.inference.compiled
    graph = compiled.graph
    outputs = tuple(name for name, _ in graph.outputs)
    rows, length = rows_and_steps(graph)
    named = rows.symbol if isinstance(rows, Size) else None
    sizes = compiled.likely(outputs, {name: batch if name == named else steps for name in graph.symbols})
    ranges = {item.label: item for item in compiled.range_preconditions(outputs)}
    feeds: Arrays = {}
    for name, kind in program.inference.input_types().items():
        shape = tuple(evaluate(dim, sizes) for dim in kind.shape)
        if math.prod(shape) > 1 << 26:
            raise ShapeError(
                f"feed {name} of shape {shape} is too large to be compared; give a smaller --batch or --steps"
            )
        if kind.dtype in INTEGERS:
            valid = ranges.get(name)
            low = 1 if valid is not None and valid.text == "sequence_length" else 0
            high = 1 if valid is None else evaluate(valid.high, sizes)
            feeds[name] = generator.integers(low, max(high, low), shape, endpoint=True).astype(kind.dtype)
        elif kind.dtype == "bool":
            feeds[name] = generator.random(shape) < 0.5
        else:
            feeds[name] = generator.standard_normal(shape).astype(kind.dtype)
    counted = ("" if dim is None else str(evaluate(dim, sizes)) for dim in (rows, length))
    return feeds, (next(counted), next(counted))


def _difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return (maximum absolute difference of two arrays, maximum magnitude of ``theirs``).

    NaN equals NaN. The difference is infinite if the shapes differ, or if two unequal entries are not both finite.
    """
    finite = np.abs(theirs[np.isfinite(theirs)], dtype=np.float64) if theirs.dtype.kind == "f" else np.abs(theirs * 1.0)
    scale = float(finite.max(initial=0.0))
    if ours.shape != theirs.shape:
        return math.inf, scale
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.subtract(ours, theirs, dtype=np.float64))
    difference[(ours == theirs) | ((ours != ours) & (theirs != theirs))] = 0.0
    return float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max(initial=0.0)), scale
