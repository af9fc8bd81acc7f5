"""Command line: parse arguments, load programs and run commands.

A graph script is a Python file with a ``Program`` named ``program`` at module level. ``show`` prints one stage of it,
``run`` runs the script as Python does, ``bench`` times calls on random arrays, and ``profile`` profiles them.
``explore`` writes a page, and ``export`` native files. Instead of a script, all but ``run`` accept the directory of a
saved or imported program. ``import`` converts a file of another format to a script, and ``verify`` compares the two.

Exit codes: 0 for success; 1 for an error in the script or file, or differences above the tolerance; 2 for an invalid
command; 141 for a closed pipe.
"""

from __future__ import annotations

import argparse
import io
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

from ..program.callable_graph import CallableGraph
from ..program.program import Program, load
from ..storage.atomic_file import replace_file
from ..support.errors import ArgumentError, FileError, RnnGraphError
from ..version import __version__
from .arguments import (
    BATCH,
    STEPS,
    add_fixed,
    add_max_entries,
    add_max_steps,
    add_open,
    add_output,
    add_sizes,
    positive,
)
from .commands.command_error import CommandError
from .commands.export_net import export_net
from .commands.file_kinds import SUFFIXES, ReadOptions, by_input, script_of
from .commands.show import show_change, show_stage
from .commands.weight_arguments import add_weights, with_weights
from .older_numpy import older_names_of_numpy
from .printed_warnings import warnings_of

SCRIPT_NAME = "graph_script"
"""``__name__`` of a loaded script, so that its ``if __name__ == "__main__"`` block does not run."""

_SCRIPT = "a Python file that defines a Program named program, or the directory of a saved or imported program"
_FILE = "a .onnx, .keras, .h5, .gguf, .pb or .nam file, a SavedModel, or .json of RTNeural, AIDA-X or GuitarML"
_PROFILED = "step: a step of the script's trainer, or of Adam without one"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Invalid usage raises ``SystemExit`` with the code 2.

    Args:
        arguments: Command-line arguments; None for those of the process.
    """
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    command: Callable[[argparse.Namespace], int | None] = options.command
    title = options.parser.prog
    if command is not _run and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the encoding of a pipe on Windows lacks many characters
    try:
        with warnings_of(title):
            code = command(options)
        sys.stdout.flush()
    except CommandError as error:
        return _complain(title, error, 2)
    except RnnGraphError as error:
        is_of_command = isinstance(error, ArgumentError) and not isinstance(error, FileError) and error.where is None
        return _complain(title, error, 2 if is_of_command else 1)
    except BrokenPipeError:  # `rnngraph show … | head`: discard the rest of the buffer
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        _print_from_script(error, options.script)
        return 1
    return code or 0


def _parser() -> argparse.ArgumentParser:
    """Return the command line's parser, with all commands."""
    parser = argparse.ArgumentParser("rnngraph", description="Read, run and time recurrent networks.")
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        vars(parser)["color"] = False  # Python 3.14 colours usage in a pipe, too, if FORCE_COLOR is set
    parser.add_argument("--version", action="version", version=f"rnngraph {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_show(commands.add_parser("show", help="print one stage between declaration and assembly"))
    _add_run(commands.add_parser("run", help="run a graph script as Python does"))
    _add_bench(commands.add_parser("bench", help="time compiling and calls of both graphs, on random arrays"))
    where = "print where the time of calls goes, by layer, kernel and line"
    _add_profile(commands.add_parser("profile", help=where))
    page = "write one page that shows a net from the script to instructions"
    _add_explore(commands.add_parser("explore", help=page))
    _add_export(commands.add_parser("export", help="write the inference graph as native files for C and others"))
    _add_import(commands.add_parser("import", help="convert a net in another format to a script and weights"))
    compare = "compare an imported net with the file's own engine, on random arrays"
    _add_verify(commands.add_parser("verify", help=compare))
    for command in commands.choices.values():
        command.set_defaults(parser=command)  # usage errors print the help of this command
    return parser


def _add_show(show: argparse.ArgumentParser) -> None:
    """Add the options of the command ``show``."""
    show.add_argument("script", type=Path, help=_SCRIPT)
    show.add_argument("--graph", choices=("inference", "training"), default="inference")
    which = show.add_mutually_exclusive_group()
    which.add_argument(
        "--stage", default="graph", help="graph (default), declared, lowered, a pass, plan, loops, llvm, asm"
    )
    which.add_argument("--stages", action="store_true", help="list the stages, in order")
    which.add_argument("--diff", metavar="PASS", help="what a pass changed")
    show.add_argument("--layer", metavar="NAME", help="only what belongs to a layer: its name, or a part of its path")
    show.add_argument("--line", metavar="LINE", help="only what comes from a line of a script: 39, or net.py:39")
    add_output(show, "FILE", "file to write as plain text (default: print)")
    show.add_argument(
        "--no-pager", action="store_true", help="print the whole text, even if it is longer than the window"
    )
    add_weights(show)
    show.set_defaults(command=_show)


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("--tf1", action="store_true", help="a script of TensorFlow 1.x: its imports get rnngraph.tf1")
    run.add_argument("--numpy1", action="store_true", help="give the script names of NumPy 1, such as np.float")
    run.add_argument("script", type=Path)
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="handed to the script")
    run.set_defaults(command=_run)


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("script", type=Path, help=_SCRIPT)
    add_sizes(bench)
    bench.add_argument("--seconds", type=float, default=1.0, help="time to spend on each graph (default 1)")
    add_weights(bench)
    bench.set_defaults(command=_bench)


def _add_profile(profile: argparse.ArgumentParser) -> None:
    """Add the options of the command ``profile``."""
    profile.add_argument("script", type=Path, help=_SCRIPT)
    profile.add_argument("--graph", choices=("inference", "training", "step"), default="inference", help=_PROFILED)
    add_sizes(profile)
    profile.add_argument("--seconds", type=float, default=1.0, help="time to spend on calls (default 1)")
    add_output(profile, "FILE", ".svg or .png file to draw roofline and layers in (default: none)", "--plot")
    add_weights(profile)
    profile.set_defaults(command=_profile)


def _add_explore(explore: argparse.ArgumentParser) -> None:
    """Add the options of the command ``explore``."""
    explore.add_argument("script", type=Path, help=f"{_SCRIPT}, or {_FILE}")
    add_output(explore, "PAGE", "file to write (default: NAME.html)")
    add_weights(explore)
    add_fixed(explore)
    add_max_entries(explore)
    explore.add_argument("--profile", action="store_true", help="time calls of both graphs, on random arrays, too")
    add_sizes(explore)
    explore.set_defaults(command=_explore, batch=None, steps=None)  # None, to refuse sizes without --profile


def _add_export(export: argparse.ArgumentParser) -> None:
    """Add the options of the command ``export``."""
    export.add_argument("script", type=Path, help=_SCRIPT)
    add_output(export, "FOLDER", "directory to write (default: NAME-export)", "--directory")
    export.add_argument("--name", help="name of files, and prefix in C (default: the script's name)")
    export.add_argument("--form", choices=("stream", "sequence"), default="stream", help="steps, or whole sequences")
    export.add_argument("--batch", type=positive, help="rows (default: 1 for a stream, any number for sequences)")
    export.add_argument("--rows", type=positive, default=1, help="streams that step_rows steps at once (default 1)")
    blocks = "steps that process computes at once (default: about 128 rows); fewer need less memory"
    export.add_argument("--max-block", type=positive, metavar="STEPS", help=blocks)
    export.add_argument("--target", help="host, x86-64-v3, aarch64-linux, … (default: the program's)")
    add_weights(export)
    export.add_argument("--external", action="store_true", help="parameters in NAME.safetensors, given at run time")
    plugin = "streams for Linux, Windows and macOS at once, with a C++ class and a target of CMake"
    export.add_argument("--plugin", action="store_true", help=plugin)
    export.add_argument("--dispatch", action="store_true", help="code for x86-64-v2, v3 and v4, selected at run time")
    export.add_argument("--no-link", action="store_true", help="write the object file only, no libraries")
    export.add_argument("--debug", action="store_true", help="the script's lines and layers for debuggers, as DWARF")
    export.set_defaults(command=_export)


def _add_import(read: argparse.ArgumentParser) -> None:
    """Add the options of the command ``import``."""
    read.add_argument("script", type=Path, metavar="file", help=_FILE)
    add_output(read, "FOLDER", "directory to write (default: NAME)")
    add_fixed(read)
    add_open(read)
    add_max_entries(read)
    add_max_steps(read)
    read.set_defaults(command=_import)


def _add_verify(verify: argparse.ArgumentParser) -> None:
    """Add the options of the command ``verify``."""
    verify.add_argument("script", type=Path, metavar="folder", help="what import wrote, a script, or a saved program")
    verify.add_argument("file", type=Path, help=f"{_FILE}, or a script that defines a torch module and an example")
    verify.add_argument(
        "--tolerance", type=float, default=1e-4, help="maximum difference, as a share of an output's scale (1e-4)"
    )
    verify.add_argument("--batch", type=positive, action="append", help="rows to try; may be repeated")
    verify.add_argument("--steps", type=positive, action="append", help="other symbolic sizes to try; may be repeated")
    add_fixed(verify)
    verify.set_defaults(command=_verify)


# Scripts -----------------------------------------------------------------------------------------


def _execute(script: Path, name: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Run a script with its folder first on ``sys.path``, and return its module-level variables.

    ``name`` becomes the script's ``__name__``.
    """
    if script.is_dir():
        raise CommandError(
            f"{script}: is a directory, not a script; give a script, or use show or bench for a saved program"
        )
    if not script.is_file():
        raise CommandError(f"{script}: no such file")
    if script.suffix.lower() in SUFFIXES:
        raise CommandError(
            f"{script}: is a net in another format, not a script; convert it by `rnngraph import {script} -o net`, "
            "or look at it by `rnngraph explore`"
        )
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    return runpy.run_path(os.path.abspath(script), run_name=name)


def _program(script: Path) -> Program:
    """Load the program of a graph script or directory."""
    return _load(script)[0]


def _reweighted(options: argparse.Namespace) -> Program:
    """Load a program with the weight formats of ``--weights``."""
    return with_weights(_program(options.script), options.weights)


def _load(script: Path) -> tuple[Program, dict[str, Any]]:
    """Return (program of a script or saved directory, the script's variables)."""
    script = script_of(script)
    if script.is_dir():
        return load(script), {}
    variables = _execute(script, SCRIPT_NAME)
    if "program" not in variables:
        raise CommandError(f"{script}: defines no program; a graph script has `program = rg.compile(…)`")
    program = variables["program"]
    if not isinstance(program, Program):
        raise CommandError(f"{script}: program must be a Program from rg.compile, not {type(program).__name__}")
    return program, variables


def _complain(title: str, error: Exception, code: int) -> int:
    """Print an error in one line on standard error, and return the exit code."""
    print(f"{title}: error:", " ".join(str(error).split("\n")), file=sys.stderr)
    return code


def _print_from_script(error: Exception, script: Path) -> None:
    """Print a traceback as Python would for the script alone, without this package's frames around it."""
    path, trace = os.path.abspath(script), error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


def _run(options: argparse.Namespace) -> None:
    """Run a script as ``python`` does, with ``--tf1`` and ``--numpy1`` if set."""
    with ExitStack() as opened:
        if options.numpy1:
            opened.enter_context(older_names_of_numpy(options.script))
        if options.tf1:
            from ..tf1.imports import answering_tensorflow  # imports all of tf1, which only --tf1 needs

            opened.enter_context(answering_tensorflow())
        _execute(options.script, "__main__", options.arguments)


# Reading -----------------------------------------------------------------------------------------


def _show(options: argparse.Namespace) -> None:
    """Print a stage or a pass's changes, or write the text to the file ``--output``."""
    graph = getattr(_reweighted(options), options.graph)
    if options.output is None:
        _print_stage(graph, options)
        return
    text = io.StringIO()
    with redirect_stdout(text):
        _print_stage(graph, options)
    with replace_file(options.output, lasting=False) as file:
        file.write(text.getvalue().encode("utf-8", "replace"))
    print(f"{options.output}: {len(text.getvalue().splitlines()):,} lines")


def _print_stage(graph: CallableGraph, options: argparse.Namespace) -> None:
    """Print what the options of ``show`` select: the list of stages, a pass's changes or a stage."""
    if options.stages:
        if options.layer is not None or options.line is not None:
            raise CommandError("--stages lists all stages; leave out --layer and --line")
        print("\n".join(graph.stages))
        return
    if options.diff is not None:
        show_change(graph, options.diff, options.layer, options.line, not options.no_pager)
    else:
        show_stage(graph, options.stage, options.layer, options.line, not options.no_pager)


def _explore(options: argparse.Namespace) -> None:
    """Write the explorer's page of a script, saved program or file of another format."""
    from .commands.explore_net import explore_net  # imports the readers, which few commands need

    def program_of(script: Path) -> Program:
        return with_weights(_program(script), options.weights)

    if not options.profile and (options.batch or options.steps):
        raise CommandError("--batch and --steps are sizes of timed calls; add --profile, or leave them out")
    sizes = (options.batch or BATCH, options.steps or STEPS) if options.profile else None
    explore_net(options.script, options.output, by_input(options.fixed), options.max_entries, sizes, program_of)


def _export(options: argparse.Namespace) -> None:
    export_net(_reweighted(options), options)


def _import(options: argparse.Namespace) -> None:
    from .commands.import_net import import_net  # imports the readers, which few commands need

    folder = options.output or Path(options.script.stem)
    reading = ReadOptions(by_input(options.fixed), by_input(options.open), options.max_entries, options.max_steps)
    import_net(options.script, folder, reading, _program)


def _verify(options: argparse.Namespace) -> int:
    """Compare an imported net with its original. Return the exit code: 0 if they agree, else 1."""
    from .commands.verify_net import BATCHES, LENGTHS, verify_net

    options.script = script_of(options.script)
    program, fixed = _program(options.script), by_input(options.fixed)
    batches, steps = options.batch or BATCHES, options.steps or LENGTHS
    variables = _execute(options.file, SCRIPT_NAME) if options.file.suffix == ".py" else None
    return 0 if verify_net(program, options.file, options.tolerance, fixed, batches, steps, variables) else 1


# Timing ------------------------------------------------------------------------------------------


def _profile(options: argparse.Namespace) -> None:
    from .commands.profile_net import ProfileRequest, profile_net

    program, variables = _load(options.script)
    request = ProfileRequest(options.graph, options.batch, options.steps, options.seconds, options.output)
    profile_net(options.script, with_weights(program, options.weights), variables, request)


def _bench(options: argparse.Namespace) -> None:
    from .commands.bench_net import bench_net

    bench_net(_reweighted(options), options.script, options.batch, options.steps, options.seconds)
