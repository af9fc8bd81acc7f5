"""``rnngraph export``: write the inference graph of a program as native files."""

from __future__ import annotations

import argparse
import re

from ...export.write_net import Export
from ...program.program import Program
from .command_error import CommandError
from .progress import progress


def export_net(program: Program, options: argparse.Namespace) -> None:
    """Export a program to native files. Print their paths, sizes and required processor."""
    if options.plugin:
        _export_plugin(program, options)
        return
    name = _name(options)
    with progress(f"compiling for {options.target or program.target.name}"):
        exported = program.inference.export(
            options.output,
            name,
            options.batch,
            options.target,
            "external" if options.external else "embedded",
            options.dispatch,
            not options.no_link,
            options.form,
            options.debug,
            options.rows,
            options.max_block,
        )
    for path in exported.files.values():
        print(path)
    if exported.no_library:
        print(exported.no_library)
    memory = f", {exported.state_size} bytes of memory an instance" if options.form == "stream" else ""
    print(f"{exported.object_size} bytes of code and data{memory}")
    if exported.block_size:
        print(_of_blocks(exported))
    print(f"needs {exported.needs}")


def _of_blocks(exported: Export) -> str:
    """Return a sentence on the memory that an exported stream takes for blocks of steps, and how to reduce it."""
    min_size = exported.state_size - exported.block_size
    return (
        f"{exported.block_size} of these bytes are for blocks of {exported.max_block} steps at once; "
        f"a smaller --max-block needs less, and --max-block 1 needs {min_size} for an instance"
    )


def _name(options: argparse.Namespace) -> str:
    name: str = options.name or re.sub(r"\W", "_", options.script.resolve().stem, flags=re.ASCII)
    return name


def _export_plugin(program: Program, options: argparse.Namespace) -> None:
    """Export a program as files of an audio plugin, and print sizes and processor of each platform's folder."""
    for option in ("batch", "target", "external", "dispatch", "no_link", "debug"):
        if getattr(options, option):
            raise CommandError(f"--plugin exports for fixed systems; leave out --{option.replace('_', '-')}")
    if options.form != "stream" or options.rows != 1:
        raise CommandError("--plugin writes streams of one row; leave out --form and --rows")
    name = _name(options)
    with progress("compiling for Linux, Windows and macOS"):
        exports = program.inference.export_plugin(options.output, name, options.max_block)
    for exported in exports.values():
        size = f"{exported.object_size} bytes of code and data, {exported.state_size} bytes of memory an instance"
        print(f"{exported.directory}: {size}; needs {exported.needs}")
    first = next(iter(exports.values()))
    if first.block_size:
        print(_of_blocks(first))
    folder = first.directory.parent
    print(f"{folder / 'CMakeLists.txt'}: the target {name}; {folder / name}.hpp: the class {name}::Net")
