"""A C program that checks a net that takes whole sequences, at several sizes and at such as no memory holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ir.types import evaluate
from ..c_interface.nets import ExportedSequence
from .description import C_TYPES, Description
from .self_test import CHECK, END_MAIN, Example, array_text, begin_main, compare, includes


def sequence_self_test(net: Description, examples: Sequence[Example]) -> str:
    """``NAME_test.c``, which needs the C library alone and prints ``ok`` with the largest difference."""
    name = net.name
    arrays, calls = [], []
    for number, example in enumerate(examples):
        arrays += _arrays(net, example, number)
        calls += _call(net, example, number)
    scratch = max(_scratch_bytes(net, example.sizes) for example in examples)
    beyond = ["SIZE_MAX"] * len(net.sequence.sizes)
    refused = f"{name}_run({_arguments(net, beyond, 0, 'NULL')}) == 0"
    return "\n".join([
        f"/* Checks {name} against what the compiled program computed, at several sizes. Needs the C library alone.",
        " * Prints ok and the largest difference; exit code 0 if all is well. */",
        *includes(net),
        *arrays,
        "",
        f"static unsigned char scratch[{scratch}];",
        *CHECK,
        *begin_main(net, ["size_t i;"], ""),
        *calls,
        f"    if ({name}_scratch_size({', '.join(beyond)}) != SIZE_MAX || {refused}) {{",
        '        puts("sizes are taken that no memory holds");',
        "        wrong++;",
        "    }",
        *END_MAIN,
    ])  # fmt: skip


def _arrays(net: Description, example: Example, number: int) -> list[str]:
    """Feeds and results of one call."""
    found = [array_text(f"in{number}_{port.symbol}", port, example.feeds[port.name]) for port in net.sequence.inputs]
    for port in net.sequence.outputs:
        result = example.results[port.name]
        found.append(array_text(f"expected{number}_{port.symbol}", port, result))
        found.append(f"static {C_TYPES[port.dtype]} found{number}_{port.symbol}[{max(1, result.size)}];")
    return found


def _call(net: Description, example: Example, number: int) -> list[str]:
    name, sizes = net.name, [str(example.sizes[size.name]) for size in net.sequence.sizes]
    return [
        f"    if ({name}_scratch_size({', '.join(sizes)}) > sizeof scratch",
        f"        || {name}_run({_arguments(net, sizes, number, 'scratch')}) != 0) {{",
        f'        puts("sizes are refused: {", ".join(sizes)}");',
        "        return 1;",
        "    }",
        *(
            line
            for port in net.sequence.outputs
            for line in compare(f"found{number}_{port.symbol}", f"expected{number}_{port.symbol}")
        ),
    ]


def _arguments(net: Description, sizes: Sequence[str], number: int, scratch: str) -> str:
    arrays = [f"in{number}_{port.symbol}" for port in net.sequence.inputs]
    arrays += [f"found{number}_{port.symbol}" for port in net.sequence.outputs]
    return ", ".join(["NULL" if net.first.embedded else "weights", *sizes, *arrays, scratch])


def _scratch_bytes(net: Description, sizes: Mapping[str, int]) -> int:
    variants = [exported for exported in net.variants if isinstance(exported, ExportedSequence)]
    return max(evaluate(exported.scratch_bytes, sizes) for exported in variants)
