"""``export``: write an inference graph as files that need neither Python nor rnngraph."""

from __future__ import annotations

import hashlib
import json
import keyword
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import safetensors.numpy

from ..codegen.machine.target import Target, for_files, host, target_of
from ..ir.types import PARAMETER_ARRAYS
from ..runtime.error_flags import has_draws
from ..storage.atomic_file import as_path
from ..storage.shared_folder import Writer, files_into
from ..support.arguments import flag, one_of, whole_number
from ..support.errors import ArgumentError, GraphError, Where, shown
from .c_interface.object_code import exported_code
from .c_interface.weights import SAFETENSORS_NAMES
from .example import sequence_examples, stream_example
from .native_code import Arrays, ExportSource, packed_image
from .package.build_files import cmake, cmake_lists, pkg_config
from .package.description import Description
from .package.header import header
from .package.javascript_module import javascript_module
from .package.linking import library_name, no_library, shared_library, static_library
from .package.python_module import python_module
from .package.sequence_self_test import sequence_self_test
from .package.stream_self_test import stream_self_test
from .sequence_form import sequence_form
from .stream_form import StreamOptions, stream_form

_RESERVED = (
    "all assert c clean complex ctype ctypes depend dl edit_cache errno fenv float help install inttypes iso646 json "
    "limits list_install_components locale m math numpy os package package_source pthread rebuild_cache rt setjmp "
    "signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string test tgmath threads time "
    "uchar wchar wctype"
)
"""Names of C headers and libraries, modules that ``NAME.py`` imports, and CMake's own targets."""

LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
OTHER_LEVELS = {
    "x86-64-v2": LEVELS,
    "x86-64-windows": ("x86-64-windows", "x86-64-v3-windows", "x86-64-v4-windows"),
    "x86-64-macos": ("x86-64-macos", "x86-64-v3-macos"),
}
"""Levels of x86-64 in one object with ``dispatch``, by the lowest level."""
WEIGHTS = ("embedded", "external")
FORMS = ("stream", "sequence")

_ENDS = (
    ".o",
    ".obj",
    ".h",
    ".json",
    ".safetensors",
    ".weights",
    ".pc",
    ".py",
    ".mjs",
    ".wasm",
    "_test.c",
    "_net.cmake",
)
EXPORTS = Writer(
    manifest="rnngraph-export.json",
    what="export",
    about="Files that rnngraph exported, with the SHA-256 of what it wrote. It replaces no others.",
    names_of=lambda net: {
        *(f"{net}{end}" for end in _ENDS),
        f"lib{net}.so",
        f"{net}.dll",
        f"lib{net}.dylib",
        f"lib{net}.a",
    },
)


@dataclass(frozen=True)
class Export:
    """Result of an export: the written files, and facts about the net.

    Attributes:
        directory: Folder of the files.
        files: Paths by file name.
        state_size: Bytes of an instance's memory, 0 for whole sequences.
        object_size: Bytes of the object file.
        needs: Processor that runs the code.
        block_size: Bytes of an instance for blocks of steps only; 0 with ``max_block=1``.
        max_block: Maximum steps that a block computes together.
        net: Description of the net.
        no_library: Reason why no shared library was linked; empty if it was linked or not requested.
    """

    directory: Path
    files: Mapping[str, Path]
    state_size: int
    object_size: int
    needs: str
    block_size: int = 0
    max_block: int = 1
    net: Description | None = field(default=None, repr=False)
    no_library: str = ""


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export, as ``InferenceGraph.export`` documents them."""

    name: str = "net"
    batch: int | None = None
    target: str | None = None
    weights: str = "embedded"
    dispatch: bool = False
    link: bool = True
    form: str = "stream"
    debug: bool = False
    rows: int = 1
    max_block: int | None = None

    def checked(self, where: Where | None) -> ExportOptions:
        """Return the validated options. Raise an ``RnnGraphError`` for invalid ones."""
        name, rows, batch, max_block = self.name, self.rows, self.batch, self.max_block
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise ArgumentError(
                f"name={shown(name)} can't begin C names; use letters, digits and underscores, a letter first", where
            )
        if name in _RESERVED.split() or keyword.iskeyword(name):
            raise ArgumentError(f"files named {name} would hide those of C, Python or CMake; give another name", where)
        form = one_of(self.form, "form", FORMS)
        if batch is not None or form == "stream":
            batch = whole_number(1 if batch is None else batch, "the batch of an exported net", 1)
        rows = whole_number(rows, "rows of an exported net", 1)
        if rows > 1 and (form == "sequence" or batch != 1):
            raise ArgumentError(
                f"rows={rows} needs streams of one row; leave out either rows=, or batch= and form=", where
            )
        if max_block is not None:
            max_block = whole_number(max_block, "max_block", 1)
            if form == "sequence":
                raise ArgumentError(f"max_block={max_block} applies to streams only; leave it out, or form=", where)
        return replace(
            self,
            batch=batch,
            rows=rows,
            max_block=max_block,
            weights=one_of(self.weights, "weights", WEIGHTS),
            dispatch=flag(self.dispatch, "dispatch"),
            link=flag(self.link, "link"),
            debug=flag(self.debug, "debug"),
        )


def export(
    source: ExportSource, directory: str | os.PathLike[str] | None, options: ExportOptions, where: Where | None
) -> Export:
    """Write the files of a net: all of them, or none. Without a ``directory``, the folder is ``NAME-export``."""
    options = options.checked(where)
    name = options.name
    folder = Path(f"{name}-export") if directory is None else as_path(directory)
    targets = _targets(
        source.options.target.name if options.target is None else options.target, options.dispatch, where
    )
    _, values = source.parameters.snapshot()
    net, test = _description_and_self_test(source, values, options, targets, where)
    if options.weights == "external":
        _check_external(net.first.parameters, where)
    held_lines = source.held_weights(replace(source.options, target=targets[0]))
    net = replace(net, held_weights=tuple(held_lines))
    code = exported_code(net.variants, name, options.debug)
    suffix = "obj" if "windows" in targets[0].triple else "o"
    contents: dict[str, bytes] = {f"{name}.{suffix}": code}
    contents[f"{name}.h"] = header(net).encode()
    contents[f"{name}_test.c"] = test.encode()
    contents[f"{name}_net.cmake"] = cmake(net, f"{name}.{suffix}").encode()
    contents["CMakeLists.txt"] = cmake_lists().encode()
    if options.weights == "external":
        arrays = {key: np.ascontiguousarray(array) for key, array in net.first.parameters.items()}
        contents[f"{name}.safetensors"] = safetensors.numpy.save(arrays)
        if len(targets) == 1:  # code for several processors packs at run time, for the processor that it runs on
            contents[f"{name}.weights"] = packed_image(net.first, targets[0])
    return _write(folder, net, contents, targets[0], options.link, code)


def _check_external(parameters: Arrays, where: Where | None) -> None:
    """Raise ``ArgumentError`` for a parameter that ``set_weights`` does not take, such as one of 8-bit integers."""
    for name, array in parameters.items():
        stored = array.dtype.name
        if stored not in SAFETENSORS_NAMES:
            dtype = next((dtype for dtype, other in PARAMETER_ARRAYS.items() if other == stored), stored)
            raise ArgumentError(
                f'weights="external" takes parameters of {", ".join(SAFETENSORS_NAMES)}, and {name} is {dtype}; export '
                'with weights="embedded"',
                where,
            )


def _description_and_self_test(
    source: ExportSource, values: Arrays, options: ExportOptions, targets: Sequence[Target], where: Where | None
) -> tuple[Description, str]:
    """Return the description of a net for all targets, and its self-test for the last target."""
    name, batch, embedded = options.name, options.batch, options.weights == "embedded"
    classes, draws = source.source.classes, has_draws(source.source.lowered.graph)
    if options.form == "sequence":
        sequences = [sequence_form(source, values, batch, target, embedded, where) for target in targets]
        net = Description(name, batch, tuple(item.exported for item in sequences), classes, draws=draws)
        return net, sequence_self_test(net, sequence_examples(sequences[-1], source, values))
    assert batch is not None
    try:
        form = StreamOptions(batch, options.rows, embedded, options.max_block)
        streams = [stream_form(source, values, form, target, where) for target in targets]
    except GraphError as error:
        remedy = 'a net for whole sequences needs no steps: form="sequence", or --form sequence of rnngraph export'
        raise GraphError(f"{error.what}; {remedy}", error.where) from None
    net = Description(name, batch, tuple(item.exported for item in streams), classes, draws=draws)
    return net, stream_self_test(net, stream_example(streams[-1], source, values))


def _targets(target: str, dispatch: bool, where: Where | None) -> list[Target]:
    """Return the targets to compile for: one, or with ``dispatch`` one for each level."""
    if not dispatch:
        return [for_files(target_of(target))]
    if target in OTHER_LEVELS:
        return [target_of(level) for level in OTHER_LEVELS[target]]
    if target != "host" or not host().triple.startswith("x86_64"):
        raise ArgumentError(
            f"dispatch=True compiles the variants {', '.join(LEVELS)} for this system; leave target out, or give "
            f"{' or '.join(OTHER_LEVELS)}",
            where,
        )
    return [for_files(target_of(level)) for level in LEVELS]


def _write(
    folder: Path, net: Description, contents: dict[str, bytes], target: Target, link: bool, code: bytes
) -> Export:
    """Write all files of a net to a folder, and link libraries if ``link``."""
    name = net.name
    with files_into(folder, name, EXPORTS) as inner:
        for file, data in contents.items():
            (inner / file).write_bytes(data)
        object_file = inner / next(iter(contents))
        is_host, reason = target.triple == for_files(host()).triple, ""
        if link:
            shared = shared_library(object_file, name, target, is_host)
            static = static_library(object_file, name, target, is_host)
            reason = "" if shared else no_library(object_file, name, target, is_host)
            if static or (shared and shared.suffix != ".wasm"):  # WebAssembly has no library to link with
                (inner / f"{name}.pc").write_bytes(pkg_config(net).encode())
        files = sorted([*(item.name for item in inner.iterdir()), f"{name}.json", EXPORTS.manifest])
        described = net.as_json(hashlib.sha256(code).hexdigest(), files)
        library = library_name(name, target)
        if (inner / library).exists():
            module = f"{name}.mjs" if library.endswith(".wasm") else f"{name}.py"
            files.append(module)
            described["files"] = sorted(files)
            is_script = module.endswith(".mjs")
            text = javascript_module(net, described) if is_script else python_module(net, described, library)
            (inner / module).write_bytes(text.encode())
        (inner / f"{name}.json").write_bytes(f"{json.dumps(described, indent=1)}\n".encode())
    paths = {file: folder / file for file in sorted(files)}
    return Export(folder, paths, net.state_bytes, len(code), net.needs, net.block_bytes, net.max_block, net, reason)
