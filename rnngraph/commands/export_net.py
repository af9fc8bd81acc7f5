"""``rnngraph export``: the inference graph of a program as native files, and what they need."""

from __future__ import annotations

import argparse
import re

from ..program.program import Program
from .progress import progress


def export_net(program: Program, options: argparse.Namespace) -> None:
    """Write the files and print their paths, bytes and the processor that they need."""
    name = options.name or re.sub(r"\W", "_", options.script.resolve().stem, flags=re.ASCII)
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
        least = written.state_size - written.block_size
        print(
            f"{written.block_size} of these bytes are for blocks of {written.max_block} steps at once; "
            f"--max-block makes it less, and with --max-block 1 an instance has {least}"
        )
    print(f"needs {written.needs}")
