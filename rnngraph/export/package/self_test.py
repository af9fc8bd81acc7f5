"""A C program that checks exported code against what the compiled program computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..c_interface.llvm_text import STEPS
from ..c_interface.ports import Port
from .description import C_TYPES, Description

STEPS_TESTED = 7


@dataclass(frozen=True)
class Example:
    """Feeds, those of the initial state among them, and results of a few steps, by name, with their axis of steps."""

    feeds: Mapping[str, np.ndarray]
    results: Mapping[str, np.ndarray]


def self_test(net: Description, example: Example) -> str:
    """``NAME_test.c``, which needs the C library alone and prints ``ok`` with the largest difference."""
    first, name, macro = net.first, net.name, net.macro
    arrays = [_array(f"in_{port.symbol}", port, example.feeds[port.name], True) for port in first.inputs]
    arrays += [_array(f"start_{port.symbol}", port, example.feeds[port.name], True) for port in first.initial_inputs]
    for port in first.outputs:
        arrays.append(_array(f"expected_{port.symbol}", port, example.results[port.name], True))
        size = example.results[port.name].size
        arrays.append(f"static {C_TYPES[port.dtype]} stepped_{port.symbol}[{size}], block_{port.symbol}[{size}];")
        arrays.append(f"static {C_TYPES[port.dtype]} one_{port.symbol}[{net.macro_of(port)}];")
    start = [f"start_{port.symbol}" for port in first.initial_inputs]
    init = ", ".join(["memory", *([] if first.embedded else ["weights"]), *start])
    begin = f"{name}_reset({', '.join(['memory', *start])});"
    timed = [port for port in first.inputs if STEPS in port.shape]
    arrays += [f"static {C_TYPES[port.dtype]} one_{port.symbol}[{net.macro_of(port)}];" for port in timed]
    fed = [f"one_{port.symbol}" if port in timed else f"in_{port.symbol}" for port in first.inputs]
    step = ", ".join([*fed, *(f"one_{port.symbol}" for port in first.outputs)])
    take = [line for port in timed for line in _take(port)]
    block = ", ".join(
        [*(f"in_{port.symbol}" for port in first.inputs), *(f"block_{port.symbol}" for port in first.outputs)]
    )
    keep = [line for port in first.outputs for line in _keep(port)]
    compare = [line for port in first.outputs for line in _compare(port)]
    return "\n".join([
        f"/* Checks {name} against what the compiled program computed: a few steps one by one, then as one block, then",
        " * from a saved state. Needs the C library alone. Prints ok and the largest difference; exit code 0 if all is",
        " * well. */",
        "#include <math.h>",
        "#include <stdio.h>",
        "#include <string.h>",
        *([] if first.embedded else ["#include <stdlib.h>"]),
        f'#include "{name}.h"',
        "",
        f"#define STEPS {STEPS_TESTED}",
        "",
        *arrays,
        "",
        f"static uint64_t memory[({macro}_STATE_SIZE + 7) / 8];",
        f"static unsigned char saved[{macro}_STATE_VALUES + 1], again[{macro}_STATE_VALUES + 1];",
        "static double largest = 0;",
        "static int wrong = 0;",
        "",
        "static void check(double found, double expected)",
        "{",
        "    double difference = found > expected ? found - expected : expected - found;",
        "    double size = expected < 0 ? -expected : expected;",
        "    if (found == expected || (found != found && expected != expected))",
        "        return;",
        "    if (!(difference <= 1e-5 * (size > 1 ? size : 1)))",
        "        wrong++;",
        "    if (!(difference <= largest))",
        "        largest = difference;",
        "}",
        "",
        "static void step(int t)",
        "{",
        *([] if any(STEPS in port.shape for port in (*first.inputs, *first.outputs)) else ["    (void)t;"]),
        *take,
        f"    {name}_step(memory, {step});",
        *keep,
        "}",
        "",
        *([] if first.embedded else _read_weights(net)),
        "int main(int count, char **given)",
        "{",
        "    int t;",
        "    size_t i;",
        *(["    (void)count;", "    (void)given;"] if first.embedded else [
            f'    void *weights = read_weights(count > 1 ? given[1] : "{name}.safetensors");',
            "    if (!weights)",
            "        return 1;",
        ]),
        f"    if ({name}_abi_version() != {macro}_ABI_VERSION || {name}_state_size() != {macro}_STATE_SIZE) {{",
        '        puts("header and code do not belong together");',
        "        return 1;",
        "    }",
        f"    if ({name}_init({init}) != 0) {{",
        '        puts("init failed");',
        "        return 1;",
        "    }",
        "    for (t = 0; t < STEPS; t++) {",
        "        if (t == STEPS / 2)",
        f"            {name}_get_state(memory, saved);",
        "        step(t);",
        "    }",
        *compare,
        f"    {name}_get_state(memory, again);",
        f"    {name}_set_state(memory, saved);",
        "    for (t = STEPS / 2; t < STEPS; t++)",
        "        step(t);",
        f"    {name}_get_state(memory, saved);",
        f"    if (memcmp(saved, again, {macro}_STATE_VALUES) != 0) {{",
        '        puts("going on from a saved state gives other bits");',
        "        wrong++;",
        "    }",
        f"    {begin}",
        f"    {name}_process(memory, STEPS, {block});",
        f"    {name}_get_state(memory, saved);",
        f"    if (memcmp(saved, again, {macro}_STATE_VALUES) != 0) {{",
        '        puts("a block leaves other bits in the state than its steps");',
        "        wrong++;",
        "    }",
        *[line for port in first.outputs for line in _same(port)],
        '    printf("%s, largest difference %g\\n", wrong ? "wrong" : "ok", largest);',
        "    return wrong != 0;",
        "}",
        "",
    ])  # fmt: skip


def _array(name: str, port: Port, array: np.ndarray, constant: bool) -> str:
    numbers = [_number(item) for item in np.ravel(array).tolist()]
    rows = [", ".join(numbers[first : first + 8]) for first in range(0, len(numbers), 8)]
    body = ",\n    ".join(rows)
    return f"static {'const ' if constant else ''}{C_TYPES[port.dtype]} {name}[] = {{\n    {body}\n}};"


def _number(value: float | int | bool) -> str:
    if isinstance(value, float):
        if value != value:
            return "NAN"
        if value in (float("inf"), float("-inf")):
            return "INFINITY" if value > 0 else "-INFINITY"
        return repr(value)
    if value == -(2**63):
        return "-9223372036854775807 - 1"  # C has no negative literals, and the positive number is none
    return str(int(value))


def _take(port: Port) -> list[str]:
    """Takes a step's feed out of a block's."""
    before, after = port.around
    return [
        f"    for (int row = 0; row < {before}; row++)",
        f"        memcpy(one_{port.symbol} + row * {after}, in_{port.symbol} + (row * STEPS + t) * {after},",
        f"               {after} * sizeof *one_{port.symbol});",
    ]


def _keep(port: Port) -> list[str]:
    """Moves a step's results to where a block would have them."""
    if STEPS not in port.shape:
        return [f"    memcpy(stepped_{port.symbol}, one_{port.symbol}, sizeof stepped_{port.symbol});"]
    before, after = port.around
    return [
        f"    for (int row = 0; row < {before}; row++)",
        f"        memcpy(stepped_{port.symbol} + (row * STEPS + t) * {after}, one_{port.symbol} + row * {after},",
        f"               {after} * sizeof *one_{port.symbol});",
    ]


def _compare(port: Port) -> list[str]:
    return [
        f"    for (i = 0; i < sizeof stepped_{port.symbol} / sizeof *stepped_{port.symbol}; i++)",
        f"        check((double)stepped_{port.symbol}[i], (double)expected_{port.symbol}[i]);",
    ]


def _same(port: Port) -> list[str]:
    return [
        f"    if (memcmp(block_{port.symbol}, stepped_{port.symbol}, sizeof block_{port.symbol}) != 0) {{",
        f'        puts("{port.symbol}: a block gives other bits than its steps");',
        "        wrong++;",
        "    }",
    ]


def _read_weights(net: Description) -> list[str]:
    name, macro = net.name, net.macro
    return [
        "static void *read_weights(const char *path)",
        "{",
        '    FILE *file = fopen(path, "rb");',
        f"    void *weights = malloc({macro}_WEIGHTS_SIZE), *image;",
        "    long bytes;",
        "    if (!file || !weights || fseek(file, 0, SEEK_END) != 0 || (bytes = ftell(file)) < 0) {",
        '        printf("can\'t read %s\\n", path);',
        "        return NULL;",
        "    }",
        "    rewind(file);",
        "    image = malloc((size_t)bytes + 8);",
        "    if (!image || fread(image, 1, (size_t)bytes, file) != (size_t)bytes",
        f"        || {name}_set_weights(weights, image, (size_t)bytes) != 0) {{",
        '        printf("%s does not hold the weights\\n", path);',
        "        return NULL;",
        "    }",
        "    fclose(file);",
        "    free(image);",
        "    return weights;",
        "}",
        "",
    ]
