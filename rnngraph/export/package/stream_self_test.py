"""A C program that checks a net that runs step by step: single steps, a block, and what follows a saved state."""

from __future__ import annotations

from ..c_interface.ports import Port
from .description import C_TYPES, Description
from .self_test import CHECK, END_MAIN, Example, array_text, begin_main, compare, includes

STEPS_TESTED = 7


def stream_self_test(net: Description, example: Example) -> str:
    """``NAME_test.c``, which needs the C library alone and prints ``ok`` with the largest difference."""
    stream, name, macro = net.stream, net.name, net.macro
    timed = [port for port in stream.inputs if port.time_axis is not None]
    fed = [f"one_{port.symbol}" if port in timed else f"in_{port.symbol}" for port in stream.inputs]
    take = [line for port in timed for line in _take(port)]
    keep = [line for port in stream.outputs for line in _keep(port)]
    return "\n".join([
        f"/* Checks {name} against what the compiled program computed: a few steps one by one, then as one block, then",
        " * from a saved state. Needs the C library alone. Prints ok and the largest difference; exit code 0 if all is",
        " * well. */",
        *includes(net),
        f"#define STEPS {STEPS_TESTED + stream.delay}",
        "",
        *_arrays(net, example),
        "",
        f"static uint64_t memory[({macro}_STATE_SIZE + 7) / 8];",
        f"static unsigned char saved[{macro}_STATE_BYTES + 1], again[{macro}_STATE_BYTES + 1];",
        f"static uint64_t table[3 * {macro}_STATE_BYTES / 8 + 1];",
        *(
            f"static {C_TYPES[port.dtype]} two_{port.symbol}[2 * {net.macro_of(port)}];"
            for port in (*stream.inputs, *stream.outputs)
        ),
        *CHECK,
        *_step(net, fed, take, keep),
        *_step_two(net, fed, take, keep),
        *begin_main(net, ["int t;", "size_t i;"], f" || {name}_state_size() != {macro}_STATE_SIZE"),
        *_steps_checked(net),
        *_block_checked(net),
        *END_MAIN,
    ])  # fmt: skip


def _arrays(net: Description, example: Example) -> list[str]:
    """What is fed and expected, and memory for what is found: by steps, as a block, and in one step."""
    stream = net.stream
    found = [array_text(f"in_{port.symbol}", port, example.feeds[port.name]) for port in stream.inputs]
    found += [array_text(f"start_{port.symbol}", port, example.feeds[port.name]) for port in stream.initial_inputs]
    for port in stream.outputs:
        if port in _known(net):
            found.append(array_text(f"expected_{port.symbol}", port, example.results[port.name]))
        size = example.results[port.name].size
        found.append(f"static {C_TYPES[port.dtype]} stepped_{port.symbol}[{size}], block_{port.symbol}[{size}];")
        found.append(f"static {C_TYPES[port.dtype]} one_{port.symbol}[{net.macro_of(port)}];")
    for port in stream.owed:
        found.append(array_text(f"expected_owed_{port.symbol}", port, example.owed[port.name]))
        found.append(f"static {C_TYPES[port.dtype]} owed_{port.symbol}[{net.owed_macro_of(port)} + 1];")
    for port in stream.inputs:
        if port.time_axis is not None:
            found.append(f"static {C_TYPES[port.dtype]} one_{port.symbol}[{net.macro_of(port)}];")
    return found


def _known(net: Description) -> list[Port]:
    """The outputs that are known of all steps: others change once what is owed has come."""
    return [port for port in net.stream.outputs if net.stream.tail is None or port.time_axis is not None]


def _starts(net: Description) -> list[str]:
    return [f"start_{port.symbol}" for port in net.stream.initial_inputs]


def _steps_checked(net: Description) -> list[str]:
    """Steps one by one, what is owed behind them, and steps that go on from a saved state."""
    stream, name = net.stream, net.name
    init = ", ".join(["memory", *([] if stream.embedded else ["weights"]), *_starts(net)])
    flush = ["memory", *(f"in_{port.symbol}" for port in stream.held_inputs)]
    flush += [f"owed_{port.symbol}" for port in stream.owed]
    return [
        f"    if ({name}_init({init}) != 0) {{",
        '        puts("init failed");',
        "        return 1;",
        "    }",
        "    for (t = 0; t < STEPS; t++) {",
        "        if (t == STEPS / 2)",
        f"            {name}_get_state(memory, saved);",
        "        step(t);",
        "    }",
        *(line for port in _known(net) for line in compare(f"stepped_{port.symbol}", f"expected_{port.symbol}")),
        *([] if stream.tail is None else [f"    {name}_flush({', '.join(flush)});"]),
        *(line for port in stream.owed for line in compare(f"owed_{port.symbol}", f"expected_owed_{port.symbol}")),
        f"    {name}_get_state(memory, again);",
        f"    {name}_set_state(memory, saved);",
        "    for (t = STEPS / 2; t < STEPS; t++)",
        "        step(t);",
        *_same_state(net, "going on from a saved state gives other bits"),
    ]


def _block_checked(net: Description) -> list[str]:
    """The steps as one block, and then by rows of a table."""
    stream, name, macro = net.stream, net.name, net.macro
    begin = f"    {name}_reset({', '.join(['memory', *_starts(net)])});"
    arrays = [f"in_{port.symbol}" for port in stream.inputs] + [f"block_{port.symbol}" for port in stream.outputs]
    return [
        begin,
        f"    {name}_process(memory, STEPS, {', '.join(arrays)});",
        *_same_state(net, "a block leaves other bits in the state than its steps"),
        *(line for port in stream.outputs for line in _same(port, "a block gives other bits than its steps")),
        begin,
        "    for (t = 0; t < 3; t++)",
        f"        {name}_get_state(memory, (unsigned char *)table + t * {macro}_STATE_BYTES);",
        "    for (t = 0; t < STEPS; t++)",
        "        step_two(t);",
        *(line for port in stream.outputs for line in _same(port, "rows of a table give other bits than a stream")),
    ]


def _same_state(net: Description, otherwise: str) -> list[str]:
    return [
        f"    {net.name}_get_state(memory, saved);",
        f"    if (memcmp(saved, again, {net.macro}_STATE_BYTES) != 0) {{",
        f'        puts("{otherwise}");',
        "        wrong++;",
        "    }",
    ]


def _step(net: Description, fed: list[str], take: list[str], keep: list[str]) -> list[str]:
    """A function that runs a step. fed: the arrays of one."""
    arrays = ", ".join(["memory", *fed, *(f"one_{port.symbol}" for port in net.stream.outputs)])
    call = f"    {net.name}_step({arrays});"
    return ["static void step(int t)", "{", *_time_unused(net), *take, call, *keep, "}", ""]


def _time_unused(net: Description) -> list[str]:
    timed = any(port.time_axis is not None for port in (*net.stream.inputs, *net.stream.outputs))
    return [] if timed else ["    (void)t;"]


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


def _step_two(net: Description, fed: list[str], take: list[str], keep: list[str]) -> list[str]:
    """A function that steps two rows of the table, which are fed alike. fed: the arrays of one."""
    stream, lines = net.stream, list[str]()
    for port, one in zip(stream.inputs, fed, strict=True):
        size = f"{net.macro_of(port)} * sizeof *two_{port.symbol}"
        lines += [
            f"    memcpy(two_{port.symbol}, {one}, {size});",
            f"    memcpy(two_{port.symbol} + {net.macro_of(port)}, {one}, {size});",
        ]
    arrays = ", ".join(f"two_{port.symbol}" for port in (*stream.inputs, *stream.outputs))
    lines.append(f"    {net.name}_step_rows(memory, table, rows, 2, {arrays});")
    for port in stream.outputs:
        size = f"{net.macro_of(port)} * sizeof *two_{port.symbol}"
        lines += [
            f"    memcpy(one_{port.symbol}, two_{port.symbol}, {size});",
            f"    wrong += memcmp(two_{port.symbol}, two_{port.symbol} + {net.macro_of(port)}, {size}) != 0;",
        ]
    begin = ["static void step_two(int t)", "{", "    static const size_t rows[2] = {2, 0};", ""]
    return [*begin, *_time_unused(net), *take, *lines, *keep, "}", ""]


def _same(port: Port, otherwise: str) -> list[str]:
    return [
        f"    if (memcmp(block_{port.symbol}, stepped_{port.symbol}, sizeof block_{port.symbol}) != 0) {{",
        f'        puts("{port.symbol}: {otherwise}");',
        "        wrong++;",
        "    }",
    ]
