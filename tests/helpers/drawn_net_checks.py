"""Comparison of drawn nets with torch: which sizes are open, results for other sizes, and streams."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from drawn_net_attention import ATTENTION
from drawn_net_loops import LOOPS
from drawn_net_memories import MEMORIES
from drawn_net_parts import PARTS
from drawn_nets import Net
from read_modules import feeds, leaves

import rnngraph as rg

SIZES = ((1, 2), (2, 3), (1, 7), (3, 17), (2, 25), (1, 63), (2, 1))
"""(rows, steps) of the calls that are compared."""
LIMITED = re.compile(r" is (at least|at most|\d+ to) ")
"""Text of a net's report about sizes that a comparison limits."""


@dataclass
class Outcome:
    """Result of a comparison.

    Attributes:
        closed: Lines of the net's report about sizes that are fixed in the net, but not in torch.
        compared: Number of calls whose results were compared.
        streamed: True if a stream was compared.
        unstreamed: Error that a causal net raises instead of a stream.
    """

    closed: list[str] = field(default_factory=list)
    compared: int = 0
    streamed: bool = False
    unstreamed: str = ""


def computed(module: Any, arguments: tuple[Any, ...]) -> dict[str, np.ndarray] | None:
    """Return torch's results by the names of ``read_torch``; None if torch raises an error."""
    import torch

    try:
        with torch.no_grad():
            result = module(*arguments)
    except (RuntimeError, IndexError, ValueError, AssertionError):
        return None
    return {name: item.numpy() for name, item in leaves("" if isinstance(result, Mapping) else "y", result)}


def exact(module: Any, arguments: tuple[Any, ...]) -> dict[str, np.ndarray]:
    """Return torch's results in float64."""
    import copy

    import torch

    double = tuple(item.double() if item.is_floating_point() else item for item in arguments)
    torch.set_default_dtype(torch.float64)
    try:
        result = computed(copy.deepcopy(module).double(), double)
    finally:
        torch.set_default_dtype(torch.float32)
    assert result is not None
    return result


def drawn(seed: int) -> Net:
    return Net(seed, (*LOOPS, *MEMORIES, *PARTS, *ATTENTION))


def read(source: Net, folder: Path, seed: int) -> tuple[Any, rg.Net]:
    """Write the module of a source, and return the module and the net that ``rg.read_torch`` returns for it."""
    import torch

    torch.manual_seed(seed)
    module = source.module(folder, f"drawn_net_{seed}")
    return module, rg.read_torch(module, source.arguments(3, source.draw.choice((5, 6, 7, 9)), seed))


def compare(source: Net, module: Any, net: rg.Net, seed: int) -> Outcome:
    """Compare a net with its module. Raises ``AssertionError``."""
    outcome = Outcome()
    first = feeds(net, source.arguments(3, 6, seed))
    other = feeds(net, source.arguments(2, 11, seed))
    varying = {
        (name, axis)
        for name in first
        for axis in range(first[name].ndim)
        if first[name].shape[axis] != other[name].shape[axis]
    }
    for name, axis in sorted(varying):
        if not isinstance(net.sizes[name][axis], str):
            note = next(
                (
                    part
                    for line in net.size_notes()
                    for part in line.split("; ")
                    if line.startswith(f"{name}: ") and f"axis {axis} is " in part
                ),
                "",
            )
            assert f"drawn_net_{seed}.py:" in note, f"axis {axis} of {name} is closed without a line: {net}"
            outcome.closed.append(note)
    program = net.program()
    skips = {int(number) for number in re.findall(r"^\w+ is not (\d+)", "\n".join(net.size_notes()), re.M)}
    for rows, steps in SIZES:
        arguments = source.arguments(rows, steps, seed + steps)
        fed = feeds(net, arguments)
        sizes = [(size, fed[name].shape[axis]) for name, axes in net.sizes.items() for axis, size in axes.items()]
        if any(isinstance(size, int) and size != actual for size, actual in sizes):
            continue
        if any(isinstance(size, str) and actual in skips for size, actual in sizes):
            continue
        wanted = computed(module, arguments)
        if wanted is None:
            continue
        try:
            actual = program.inference(fed)
        except rg.ShapeError:
            if not LIMITED.search(str(net)):
                raise
            continue
        _compare(source, actual, wanted, exact(module, arguments), f"{rows} rows of {steps} steps")
        outcome.compared += 1
    _compare_streams(source, module, net, program, seed, outcome)
    return outcome


def _compare(source: Net, actual: Any, wanted: dict[str, np.ndarray], true: dict[str, np.ndarray], what: str) -> None:
    """Check that the errors of ``actual`` are at most 16 times torch's, plus a tolerance for rounding.

    Errors of torch's results, ``wanted``, and of ``actual`` are differences from the float64 values ``true``.
    """
    assert actual.keys() == wanted.keys(), what
    for name, array in wanted.items():
        assert (actual[name].shape, actual[name].dtype) == (array.shape, array.dtype), (
            what,
            name,
            actual[name].shape,
            array.shape,
            actual[name].dtype,
        )
        theirs = np.abs(array - true[name]).max(initial=0)
        ours = np.abs(actual[name] - true[name]).max(initial=0)
        scale = max(1.0, float(np.abs(true[name]).max(initial=0)))
        bound = 16 * theirs + scale * (1e-12 if source.is_double else 2e-6)
        assert ours <= bound, f"{what}: {name} differs by {ours:.3g}, torch by {theirs:.3g}"


def is_causal(source: Net, module: Any, seed: int) -> bool:
    """True if no result of torch at a step depends on later steps."""
    import torch

    if source.form not in ("steps", "ids", "positions", "waves"):
        return False
    (x,) = source.arguments(2, 8, seed)
    (z,) = source.arguments(2, 8, seed + 1)
    changed = torch.cat([x[:, :5], z[:, 5:]], 1)
    results = [computed(module, (item,)) for item in (x, changed, x[:, :5])]
    if any(result is None or result.keys() != {"y"} or result["y"].ndim < 2 for result in results):
        return False
    whole, other, short = (result["y"] for result in results if result is not None)
    if whole.shape[1] != 8 or short.shape[1] != 5:
        return False
    return bool(np.allclose(whole[:, :5], other[:, :5], atol=1e-6) and np.allclose(whole[:, :5], short, atol=1e-6))


def _compare_streams(source: Net, module: Any, net: rg.Net, program: Any, seed: int, outcome: Outcome) -> None:
    if not is_causal(source, module, seed) or outcome.closed or LIMITED.search(str(net)):
        return
    try:
        stream = program.inference.stream(batch=2)
    except rg.RnnGraphError as error:
        outcome.unstreamed = str(error)
        return
    (name,) = net.inputs
    x = source.arguments(2, 9, seed)[0].numpy()
    whole = program.inference({name: x})["y"]
    assert stream.delay == 0, f"a delay of {stream.delay}"
    steps = [np.asarray(stream.step({name: x[:, step]})["y"]) for step in range(9)]
    np.testing.assert_array_equal(np.stack(steps, 1), whole)
    outcome.streamed = True
