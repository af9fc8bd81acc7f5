"""Exports of random declarations have the bits of the program's streams or calls, and pass their self-tests.

A failure prints the declaration and its seed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from declarations import Declaration, declare
from exported import Instance, Sequence, flat, program_of
from sparse_nets import BLOCKS, zero_blocks
from systems import runs

import rnngraph as rg
from rnngraph.codegen.machine.target import host
from rnngraph.ir.axes.by_size import lengths_of
from rnngraph.runtime.native.optimized_graph import ordered_sizes
from rnngraph.runtime.streams.stream import Stream

LEVELS = [name for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4") if runs(name)]
TARGETS = ["host", *(LEVELS if host().triple.startswith("x86_64") else [])]
QUICK = (15, 24, 90, 118, 218, 322)
QUICK_SEQUENCES = (2, 3, 11)
MANY = 1000
FLAGS = ("-std=c99", "-O0", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")


def compiled_case(declaration: Declaration) -> rg.Program:
    """Compile a declaration for one of the targets, with narrow or float32 weights, and in part with ``sparse``."""
    seed = declaration.seed
    forms = ("float32", "float32", "float32", "bfloat16", "int8")
    form = forms[seed % 5] if declaration.dtype == "float32" else "float32"
    activations = "int8" if form == "int8" and seed % 2 else "float32"
    options = {"target": TARGETS[seed % len(TARGETS)], "weights": form, "activations": activations}
    outputs, sparse = declaration.run()["outputs"], seed % 3 == 0
    program = program_of(outputs, seed=seed % 1000, sparse=sparse, **options)
    generator = np.random.default_rng(seed)
    for name, array in program.parameters.items():  # initial zeros would hide a missing bias
        program.parameters[name] = array + generator.normal(size=array.shape) * 0.1
    if sparse:
        zero_blocks(program, 0.4, BLOCKS[seed % len(BLOCKS)], seed)
    return program


def part(arrays: Mapping[str, np.ndarray], axes: Mapping[str, int | None], at: int | range) -> dict[str, np.ndarray]:
    """Return the entries of all feeds for one step or several."""
    results = {}
    for name, array in arrays.items():
        axis = axes[name]
        results[name] = array if axis is None else np.take(array, at, axis)
    return results


def check_exported(declaration: Declaration, folder: Path) -> bool:
    """Compare steps and blocks, alternately. Return False if the graph can't be streamed, or its arrays have symbolic
    sizes.
    """
    if not declaration.streams:
        return False
    program, batch = compiled_case(declaration), declaration.batch
    weights = ("embedded", "external")[declaration.seed // 3 % 2]
    try:
        stream = program.inference.stream(batch=batch)
        program.inference.export(folder, "net", batch=batch, weights=weights, link=False)
    except (rg.GraphError, rg.ShapeError):
        return False
    compare(declaration, program, stream, folder, weights)
    check_self_test(folder)
    return True


def check_self_test(folder: Path, exact: bool = True) -> None:
    if not shutil.which("cc"):
        return
    for command in (("cc", *FLAGS, "net_test.c", "net.o", "-o", "test"), ("./test",)):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "ok, largest difference 0\n" or not exact


def check_sequence(declaration: Declaration, folder: Path) -> bool:
    """Compare whole sequences at several sizes. Return False if code needs a size that is symbolic."""
    program = compiled_case(declaration)
    external = declaration.seed // 3 % 2 == 1
    weights = "external" if external else "embedded"
    try:
        program.inference.export(folder, "net", form="sequence", weights=weights, link=False)
    except rg.ShapeError:
        return False
    image = (folder / "net.safetensors").read_bytes() if external else None
    net = Sequence(folder, "net", program.target, image, odd=declaration.seed % 9)
    graph = program.inference.compiled
    outputs = tuple(name for name, _ in graph.graph.outputs)
    mixed = ordered_sizes(graph.optimized(outputs)) - lengths_of(graph.optimized(outputs))
    for batch, time in ((declaration.batch, declaration.time), (declaration.batch, declaration.time + 3), (1, 4)):
        arrays = declaration.arrays(batch, time)
        feeds = {name: np.asarray(array, order="C") for name, array in arrays.items() if name in graph.input_types()}
        if any(fixed(net, array, name) for name, array in feeds.items()):
            continue
        needed = {port["name"] for port in net.about["inputs"]}
        actual = net.run({name: array for name, array in feeds.items() if name in needed})
        for name, array in flat(program.inference(feeds)).items():
            same = actual[name or "output"]
            if mixed:  # the order of a sum over the batch depends on its size
                np.testing.assert_allclose(same, array, 1e-4, 1e-5, err_msg=f"{name} at {batch}, {time}")
            else:
                np.testing.assert_array_equal(same, array, err_msg=f"{name} at {batch}, {time}", strict=True)
    check_self_test(folder, exact=not mixed)
    return True


def fixed(net: Sequence, array: np.ndarray, name: str) -> bool:
    """Return True if a feed's size differs from a number in the declaration."""
    shapes = [port["shape"] for port in net.about["inputs"] if port["name"] == name]
    axes = [axis for shape in shapes for axis in zip(shape, array.shape, strict=True)]
    return any(isinstance(dim, int) and dim != have for dim, have in axes)


def compare(declaration: Declaration, program: rg.Program, stream: Stream, folder: Path, weights: str) -> None:
    arrays = {name: array for name, array in declaration.arrays().items() if name in stream._types}
    about = json.loads((folder / "net.json").read_text())
    feeds = {port["name"]: arrays[port["name"]] for port in about["initial_inputs"]}
    if weights == "external":
        feeds["weights"] = (folder / "net.safetensors").read_bytes()
    net = Instance(folder, "net", program.target, odd=declaration.seed % 9, **feeds)
    fed = {port["name"]: arrays[port["name"]] for port in about["inputs"]}
    at, steps = 0, declaration.time // stream.rate
    if not steps:
        return
    for count in (1, 3, 1, 1, 3):
        at = at if at + count <= steps else 0  # at the end, feed from the beginning again; the state continues
        count = min(count, steps)
        chosen = range(at * stream.rate, (at + count) * stream.rate)
        now, mine = part(arrays, stream._time_axis, chosen), part(fed, stream._time_axis, chosen)
        if count == 1:
            now, mine = part(now, stream._graph.axes.omitted, 0), part(mine, stream._graph.axes.omitted, 0)
        expected = stream.step(now) if count == 1 else stream.process(now)
        actual = net.step(**mine) if count == 1 else net.process(count, **mine)
        for name, array in flat(expected).items():
            np.testing.assert_array_equal(actual[name], array, err_msg=f"{name} from step {at} on", strict=True)
        at += count


def check(seed: int, folder: Path, form: Callable[[Declaration, Path], bool] = check_exported) -> bool:
    declaration = declare(seed)
    try:
        return form(declaration, folder)
    except Exception as error:
        error.add_note(declaration.text())
        raise


@pytest.mark.filterwarnings("ignore:.*changes nothing:UserWarning")
@pytest.mark.parametrize("seed", QUICK)
def test_random_export(seed: int, tmp_path: Path) -> None:
    assert check(seed, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(MANY))
def test_many_random_exports(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


@pytest.mark.parametrize("seed", QUICK_SEQUENCES)
def test_random_sequence(seed: int, tmp_path: Path) -> None:
    assert check(seed, tmp_path, check_sequence)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(MANY))
def test_many_random_sequences(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path, check_sequence)
