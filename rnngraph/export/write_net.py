"""``export``: an inference graph as files that need neither Python nor rnngraph."""

from __future__ import annotations

import contextlib
import hashlib
import json
import keyword
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy

from ..allocation import reserve
from ..arguments import flag, one_of, whole_number
from ..codegen.machine.target import Target, host, target_of
from ..errors import ArgumentError, FileError, Where, shown
from ..ir.types import evaluate
from ..runtime.graph_source import GraphSource
from ..storage.atomic_file import as_path
from .c_interface.llvm_text import STEPS
from .c_interface.object_code import exported_code
from .c_interface.ports import Port
from .net_folder import MANIFEST, move_into
from .package.build_files import CMAKE_LISTS, cmake, pkg_config
from .package.description import Description
from .package.header import header
from .package.javascript_module import javascript_module
from .package.linking import shared_library, static_library
from .package.python_module import python_module
from .package.self_test import STEPS_TESTED, Example, self_test
from .step_code import Exportable, ExportSource, exportable

_TAKEN = (
    "all assert c clean complex ctype ctypes depend dl edit_cache errno fenv float help install inttypes iso646 json "
    "limits list_install_components locale m math numpy os package package_source pthread rebuild_cache rt setjmp "
    "signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string test tgmath threads time "
    "uchar wchar wctype"
)
"""Headers and libraries of C, modules that ``NAME.py`` imports, and targets that CMake keeps for itself."""

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
WEIGHTS = ("embedded", "external")


@dataclass(frozen=True)
class Export:
    """What was written. files: paths, by their names. state_size: bytes of an instance's memory. needs: which processor
    runs the code.
    """

    directory: Path
    files: Mapping[str, Path]
    state_size: int
    object_size: int
    needs: str


TEXT_BYTES = 64
"""Bytes that a number of the self-test takes while it is written: as an array and as text, in pieces and whole."""


def export(
    given: ExportSource, directory: str | os.PathLike[str] | None, name: str, batch: int, target: str | None,
    weights: str, dispatch: bool, link: bool, where: Where | None,
) -> Export:  # fmt: skip
    """Writes the files of a net. Nothing of it is there before all of it is made."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ArgumentError(
            f"{shown(name)} can't begin C names; use letters, digits and underscores, a letter first", where
        )
    if name in _TAKEN.split() or keyword.iskeyword(name):
        raise ArgumentError(f"files named {name} would hide those of C, Python or CMake; give another name", where)
    folder = Path(f"{name}-export") if directory is None else as_path(directory)
    batch = whole_number(batch, "the batch of an exported net", 1)
    one_of(weights, "weights", WEIGHTS)
    dispatch, link = flag(dispatch, "dispatch"), flag(link, "link")
    targets = _targets(given.options.target.name if target is None else target, dispatch, where)
    _, values = given.parameters.snapshot()
    found = [exportable(given, values, batch, single, weights == "embedded", where) for single in targets]
    net = Description(name, batch, tuple(item.exported for item in found))
    code = exported_code(net.variants, name)
    suffix = "obj" if "windows" in targets[0].triple else "o"
    contents: dict[str, bytes] = {f"{name}.{suffix}": code}
    contents[f"{name}.h"] = header(net).encode()
    contents[f"{name}_test.c"] = self_test(net, example_of(found[-1], given.source, values)).encode()
    contents[f"{name}_net.cmake"] = cmake(net, f"{name}.{suffix}").encode()
    contents["CMakeLists.txt"] = CMAKE_LISTS.encode()
    if weights == "external":
        arrays = {key: np.ascontiguousarray(array) for key, array in net.first.parameters.items()}
        contents[f"{name}.safetensors"] = safetensors.numpy.save(arrays)
    try:
        return _write(folder, net, contents, targets[0], link, code)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"can't write {folder}: {error.strerror or error}; give a directory that can be written"
        ) from None


def _targets(target: str, dispatch: bool, where: Where | None) -> list[Target]:
    if not dispatch:
        return [target_of(target)]
    if target != "host" or not host().triple.startswith("x86_64"):
        raise ArgumentError(
            f"dispatch=True holds the variants {', '.join(LEVELS)} for this system; leave target out", where
        )
    return [target_of(level) for level in LEVELS]


def _write(
    folder: Path, net: Description, contents: dict[str, bytes], target: Target, link: bool, code: bytes
) -> Export:  # fmt: skip
    """All files are made in a folder within and then moved."""
    name = net.name
    with _folder(folder), tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as made:
        inner = Path(made)
        for file, data in contents.items():
            (inner / file).write_bytes(data)
        object_file = inner / next(iter(contents))
        is_host = target.triple == host().triple
        if link:
            shared = shared_library(object_file, name, target, is_host)
            static = static_library(object_file, name, target, is_host)
            if static or (shared and shared.suffix == ".so"):  # WebAssembly has no library to link with
                (inner / f"{name}.pc").write_text(pkg_config(net))
        files = sorted([*(item.name for item in inner.iterdir()), f"{name}.json", MANIFEST])
        described = net.as_json(hashlib.sha256(code).hexdigest(), files)
        for library, module, text in (
            (f"lib{name}.so", f"{name}.py", python_module),
            (f"{name}.wasm", f"{name}.mjs", javascript_module),
        ):
            if (inner / library).exists():
                files.append(module)
                described["files"] = sorted(files)
                (inner / module).write_text(text(net, described))
        (inner / f"{name}.json").write_text(json.dumps(described, indent=1) + "\n")
        move_into(folder, inner, name)
    return Export(folder, {file: folder / file for file in sorted(files)}, net.state_bytes, len(code), net.needs)


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Makes the folder, and removes it where the block fails and the folder is new."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # others wrote to it
                folder.rmdir()
        raise


# What the self-test compares with -----------------------------------------------------------------


def example_of(found: Exportable, source: GraphSource, values: Mapping[str, np.ndarray]) -> Example:
    """Feeds of a few steps whose rows, steps and features all differ, and what the whole sequences give."""
    about, exported = found.about, found.exported
    generator = np.random.default_rng(0)
    highest = {
        check.label: evaluate(check.low, about.sizes)
        for check in about.compiled.preconditions(about.outputs)
        if check.kind == "range"
    }
    ports = (*exported.inputs, *exported.initial_inputs, *exported.outputs, *exported.states)
    numbers = sum(math.prod(STEPS_TESTED if dim == STEPS else dim for dim in port.shape) for port in ports)
    reserve(numbers * TEXT_BYTES, "the example in the self-test of an exported net")
    feeds = {
        port.name: _different(generator, port, highest.get(port.name))
        for port in (*exported.inputs, *exported.initial_inputs)
    }
    return Example(feeds, found.whole_sequence(source.lowered.graph, values, feeds))


def _different(generator: np.random.Generator, port: Port, highest: int | None) -> np.ndarray:
    """What a port is fed, with its axis of steps: numbers that differ as far as dtype and limit let them."""
    shape = tuple(STEPS_TESTED if dim == STEPS else dim for dim in port.shape)
    if port.dtype.startswith("float"):
        return generator.standard_normal(shape).astype(port.dtype)
    count = 2 if port.dtype == "bool" else math.prod(shape) if highest is None else highest + 1
    return (generator.permutation(math.prod(shape)) % max(1, count)).reshape(shape).astype(port.dtype)
