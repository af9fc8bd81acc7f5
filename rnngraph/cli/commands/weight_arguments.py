"""``--weights``: number formats of the weights, in place of the script's."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace

from ...program.held_weights import warn_of_kinds_without_effect
from ...program.program import Program
from ...runtime.native.weight_options import ANY, WEIGHTS, Narrow
from .command_error import CommandError

FORCE = "force"
HELP = (
    f"kinds of weights in inference: {', '.join(WEIGHTS)}; int8:force for small ones, too; 'head/*=bfloat16' for "
    "parameters of such names, may be repeated, and the first that matches counts (default: the program's)"
)


def weight_rule(text: str) -> tuple[str, Narrow]:
    """Parse one rule of ``--weights``, such as ``KIND`` or ``PATTERN=KIND``, to (pattern, format)."""
    pattern, _, kind = text.rpartition("=")
    name, colon, force = kind.partition(":")
    if name in ("embedded", "external"):
        raise argparse.ArgumentTypeError(
            f"{name} is not a weight format; rnngraph export --external stores parameters in a separate file"
        )
    if name not in WEIGHTS or (colon and force != FORCE):
        raise argparse.ArgumentTypeError(f"{text!r} is not a weight format; write {', '.join(WEIGHTS)}, or int8:force")
    return pattern or ANY, Narrow(name, bool(colon))


def add_weights(command: argparse.ArgumentParser) -> None:
    """Add the option ``--weights``, formats for stored weights, to a command."""
    command.add_argument(
        "--weights", type=weight_rule, action="append", default=[], metavar="[PATTERN=]KIND[:force]", help=HELP
    )


def with_weights(program: Program, rules: Sequence[tuple[str, Narrow]]) -> Program:
    """Return a program with the weight formats of ``rules`` and shared parameters; without rules, the program itself.

    Raises:
        CommandError: Two rules have the same pattern.
    """
    if not rules:
        return program
    patterns = [pattern for pattern, _ in rules]
    duplicate = next((pattern for pattern in patterns if patterns.count(pattern) > 1), None)
    if duplicate is not None:
        raise CommandError(f"--weights has two kinds for {duplicate!r}; leave one of them out")
    options = program.options
    activations = options.activations if options.activations in {narrow.kind for _, narrow in rules} else "float32"
    asked = replace(
        options.plain(), unroll=options.unroll, weights=tuple(rules), activations=activations, sparse=options.sparse
    )
    changed = Program(program.parts.source, program.parameters, program.seed, asked)
    warn_of_kinds_without_effect(changed.inference, changed.options, None, _option, _forced)
    return changed


def _option(pattern: str, narrow: Narrow) -> str:
    """Return a rule of ``--weights`` as text for the command line."""
    return f"--weights {_rule(pattern, narrow.kind)}"


def _forced(pattern: str, narrow: Narrow) -> str:
    return f"--weights {_rule(pattern, f'{narrow.kind}:{FORCE}')}"


def _rule(pattern: str, kind: str) -> str:
    return kind if pattern == ANY else shlex.quote(f"{pattern}={kind}")
