"""A C program that checks a net that runs step by step: single steps, a block, and what follows a saved state."""

from __future__ import annotations

from ..c_interface.ports import Port
from .description import C_TYPES, Description
from .self_test import CHECK, END_MAIN, Example, array_text, begin_main, compare, includes

STEPS_TESTED = 7


def stream_self_test(net: Description, example: Example) -> str:
    """``NAME_test.c``, which needs the C library alone and prints ``ok`` with the largest difference."""
    stream, name, macro = net.stream, net.name, net.macro
    arrays = [array_text(f"in_{port.symbol}", port, example.feeds[port.name]) for port in stream.inputs]
    arrays += [array_text(f"start_{port.symbol}", port, example.feeds[port.name]) for port in stream.initial_inputs]
    known = [port for port in stream.outputs if stream.tail is None or port.time_axis is not None]
    for port in stream.outputs:
        if port in known:
            arrays.append(array_text(f"expected_{port.symbol}", port, example.results[port.name]))
        size = example.results[port.name].size
        arrays.append(f"static {C_TYPES[port.dtype]} stepped_{port.symbol}[{size}], block_{port.symbol}[{size}];")
        arrays.append(f"static {C_TYPES[port.dtype]} one_{port.symbol}[{net.macro_of(port)}];")
    for port in stream.owed:
        arrays.append(array_text(f"expected_owed_{port.symbol}", port, example.owed[port.name]))
        arrays.append(f"static {C_TYPES[port.dtype]} owed_{port.symbol}[{net.owed_macro_of(port)} + 1];")
    flush = ", ".join(["memory", *(f"in_{port.symbol}" for port in stream.held_inputs)])
    flush = ", ".join([flush, *(f"owed_{port.symbol}" for port in stream.owed)])
    start = [f"start_{port.symbol}" for port in stream.initial_inputs]
    init = ", ".join(["memory", *([] if stream.embedded else ["weights"]), *start])
    begin = f"{name}_reset({', '.join(['memory', *start])});"
    timed = [port for port in stream.inputs if port.time_axis is not None]
    arrays += [f"static {C_TYPES[port.dtype]} one_{port.symbol}[{net.macro_of(port)}];" for port in timed]
    fed = [f"one_{port.symbol}" if port in timed else f"in_{port.symbol}" for port in stream.inputs]
    step = ", ".join([*fed, *(f"one_{port.symbol}" for port in stream.outputs)])
    take = [line for port in timed for line in _take(port)]
    block = ", ".join(
        [*(f"in_{port.symbol}" for port in stream.inputs), *(f"block_{port.symbol}" for port in stream.outputs)]
    )
    keep = [line for port in stream.outputs for line in _keep(port)]
    return "\n".join([
        f"/* Checks {name} against what the compiled program computed: a few steps one by one, then as one block, then",
        " * from a saved state. Needs the C library alone. Prints ok and the largest difference; exit code 0 if all is",
        " * well. */",
        *includes(net),
        f"#define STEPS {STEPS_TESTED + stream.delay}",
        "",
        *arrays,
        "",
        f"static uint64_t memory[({macro}_STATE_SIZE + 7) / 8];",
        f"static unsigned char saved[{macro}_STATE_VALUES + 1], again[{macro}_STATE_VALUES + 1];",
        *CHECK,
        "static void step(int t)",
        "{",
        *([] if any(port.time_axis is not None for port in (*stream.inputs, *stream.outputs)) else ["    (void)t;"]),
        *take,
        f"    {name}_step(memory, {step});",
        *keep,
        "}",
        "",
        *begin_main(net, ["int t;", "size_t i;"], f" || {name}_state_size() != {macro}_STATE_SIZE"),
        f"    if ({name}_init({init}) != 0) {{",
        '        puts("init failed");',
        "        return 1;",
        "    }",
        "    for (t = 0; t < STEPS; t++) {",
        "        if (t == STEPS / 2)",
        f"            {name}_get_state(memory, saved);",
        "        step(t);",
        "    }",
        *(line for port in known for line in compare(f"stepped_{port.symbol}", f"expected_{port.symbol}")),
        *([] if stream.tail is None else [f"    {name}_flush({flush});"]),
        *(line for port in stream.owed for line in compare(f"owed_{port.symbol}", f"expected_owed_{port.symbol}")),
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
        *[line for port in stream.outputs for line in _same(port)],
        *END_MAIN,
    ])  # fmt: skip


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
    if port.time_axis is None:
        return [f"    memcpy(stepped_{port.symbol}, one_{port.symbol}, sizeof stepped_{port.symbol});"]
    before, after = port.around
    return [
        f"    for (int row = 0; row < {before}; row++)",
        f"        memcpy(stepped_{port.symbol} + (row * STEPS + t) * {after}, one_{port.symbol} + row * {after},",
        f"               {after} * sizeof *one_{port.symbol});",
    ]


def _same(port: Port) -> list[str]:
    return [
        f"    if (memcmp(block_{port.symbol}, stepped_{port.symbol}, sizeof block_{port.symbol}) != 0) {{",
        f'        puts("{port.symbol}: a block gives other bits than its steps");',
        "        wrong++;",
        "    }",
    ]
