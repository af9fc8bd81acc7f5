"""``rnngraph export``: the inference graph of a program as native files, and what they need."""

from __future__ import annotations

import argparse
import re

from ...export.write_net import Export
from ...program.program import Program
from .command_error import CommandError
from .progress import progress


def export_net(program: Program, options: argparse.Namespace) -> None:
    """Write the files and print their paths, bytes and the processor that they need."""
    if options.plugin:
        _export_plugin(program, options)
        return
    name = _name(options)
    with progress(f"compiling for {options.target or program.target.name}"):
        written = program.inference.export(
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
    for path in written.files.values():
        print(path)
    memory = f", {written.state_size} bytes of memory an instance" if options.form == "stream" else ""
    print(f"{written.object_size} bytes of code and data{memory}")
    if written.block_size:
        print(_of_blocks(written))
    print(f"needs {written.needs}")


def _of_blocks(written: Export) -> str:
    """Say how much of an instance's memory blocks take, and how to have less."""
    least = written.state_size - written.block_size
    return (
        f"{written.block_size} of these bytes are for blocks of {written.max_block} steps at once; "
        f"--max-block makes it less, and with --max-block 1 an instance has {least}"
    )


def _name(options: argparse.Namespace) -> str:
    name: str = options.name or re.sub(r"\W", "_", options.script.resolve().stem, flags=re.ASCII)
    return name


def _export_plugin(program: Program, options: argparse.Namespace) -> None:
    """Write a plugin's files and print the folders, and what each has."""
    for option in ("batch", "target", "external", "dispatch", "no_link", "debug"):
        if getattr(options, option):
            raise CommandError(f"--plugin has systems of its own; leave out --{option.replace('_', '-')}")
    if options.form != "stream" or options.rows != 1:
        raise CommandError("--plugin writes streams of one row; leave out --form and --rows")
    name = _name(options)
    with progress("compiling for Linux, Windows and macOS"):
        exports = program.inference.export_plugin(options.output, name, options.max_block)
    for written in exports.values():
        size = f"{written.object_size} bytes of code and data, {written.state_size} bytes of memory an instance"
        print(f"{written.directory}: {size}; needs {written.needs}")
    first = next(iter(exports.values()))
    if first.block_size:
        print(_of_blocks(first))
    folder = first.directory.parent
    print(f"{folder / 'CMakeLists.txt'}: the target {name}; {folder / name}.hpp: the class {name}::Net")
