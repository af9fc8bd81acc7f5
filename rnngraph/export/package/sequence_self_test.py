"""Self-test of a net of whole sequences: a C program that tries several sizes, invalid ones included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ir.types import evaluate
from ..c_interface.nets import ExportedSequence
from .description import C_TYPES, Description
from .self_test import Example, array_text, described, function, self_test, table


def sequence_self_test(net: Description, examples: Sequence[Example]) -> str:
    """Return the C program ``NAME_test.c``, which compares a sequence net's results with those of ``examples``."""
    numbers, lines = range(len(examples)), list[str]()
    for number, example in enumerate(examples):
        lines += _arrays(net, example, number)
    sizes = [", ".join([*(str(example.sizes[size.name]) for size in net.sequence.sizes), "0"]) for example in examples]
    data = [
        f"#define EXAMPLES {len(examples)}",
        f"#define SIZES {len(net.sequence.sizes)}",
        f"#define INPUTS {len(net.sequence.inputs)}",
        f"#define OUTPUTS {len(net.sequence.outputs)}",
        "",
        *lines,
        f"static const Array *const inputs[] = {{{', '.join(f'inputs{number}' for number in numbers)}}};",
        f"static const Array *const outputs[] = {{{', '.join(f'outputs{number}' for number in numbers)}}};",
        f"static const size_t sizes[][SIZES + 1] = {{{', '.join(f'{{{row}}}' for row in sizes)}}};",
        f"static unsigned char scratch[{max(_scratch_bytes(net, example.sizes) for example in examples)}];",
        "",
        *_calls(net),
    ]
    return self_test(net, "at several sizes", data, "sequence_self_test.c")


def _arrays(net: Description, example: Example, number: int) -> list[str]:
    """Return the feeds and results of one call as C constants."""
    lines, inputs, outputs = list[str](), list[str](), list[str]()
    for port in net.sequence.inputs:
        array, name = example.feeds[port.name], f"in{number}_{port.symbol}"
        lines.append(array_text(name, port, array))
        inputs.append(described(port, "0", array.size, name))
    for port in net.sequence.outputs:
        array, name, actual = (
            example.results[port.name],
            f"expected{number}_{port.symbol}",
            f"found{number}_{port.symbol}",
        )
        lines.append(array_text(name, port, array))
        lines.append(f"static {C_TYPES[port.dtype]} {actual}[{max(1, array.size)}];")
        outputs.append(described(port, "0", array.size, name, {"one": actual}))
    return [*lines, *table(f"inputs{number}", inputs), *table(f"outputs{number}", outputs)]


def _calls(net: Description) -> list[str]:
    """Return C functions through which the harness calls the net."""
    name, sequence = net.name, net.sequence
    sizes = [f"n[{number}]" for number in range(len(sequence.sizes))]
    arrays = [f"in[{number}]" for number in range(len(sequence.inputs))]
    arrays += [f"out[{number}]" for number in range(len(sequence.outputs))]
    arguments = ", ".join(["NULL" if net.first.embedded else "weights", *sizes, *arrays, "room"])
    run = "int run_net(const void *weights, const size_t *n, const void *const *in, void *const *out, void *room)"
    needed = f"{name}_scratch_size({', '.join(sizes)})"
    unused = ["(void)weights;", "(void)n;", "(void)in;", "(void)out;"]
    return [
        *function("int versions_differ(void)", f"return {name}_abi_version() != {net.macro}_ABI_VERSION;"),
        *function("size_t scratch_size(const size_t *n)", "(void)n;", f"return {needed};"),
        *function(run, *unused, f"return {name}_run({arguments});"),
    ]


def _scratch_bytes(net: Description, sizes: Mapping[str, int]) -> int:
    variants = [exported for exported in net.variants if isinstance(exported, ExportedSequence)]
    return max(evaluate(exported.scratch_bytes, sizes) for exported in variants)
