"""Self-test of a net that runs step by step: single steps, a block, and steps after a saved state."""

from __future__ import annotations

from ..c_interface.ports import Port
from .description import C_TYPES, Description
from .self_test import Example, array_text, described, function, self_test, table

STEPS_TESTED = 7


def stream_self_test(net: Description, example: Example) -> str:
    """Return the C program ``NAME_test.c``, which compares a stepwise net's results with those of ``example``."""
    about = "a few steps one by one, then\n * as one block, then from a saved state, then by rows of a table"
    data = [
        f"#define STEPS {STEPS_TESTED + net.stream.delay}",
        f"#define STATE_BYTES {net.macro}_STATE_BYTES",
        f"#define INPUTS {len(net.stream.inputs)}",
        f"#define OUTPUTS {len(net.stream.outputs)}",
        f"#define OWED {len(net.stream.owed)}",
        "",
        *_inputs(net, example),
        *_outputs(net, example),
        *_owed(net, example),
        f"static uint64_t memory[({net.macro}_STATE_SIZE + 7) / 8];",
        "",
        *_calls(net),
    ]
    return self_test(net, about, data, "stream_self_test.c")


def _memory(port: Port, name: str, count: str) -> str:
    return f"static {C_TYPES[port.dtype]} {name}_{port.symbol}[{count}];"


def _bytes(net: Description, port: Port) -> str:
    return f"{net.macro_of(port)} * sizeof({C_TYPES[port.dtype]})"


def _around(port: Port) -> tuple[int, int]:
    return port.around if port.time_axis is not None else (0, 0)


def _inputs(net: Description, example: Example) -> list[str]:
    stream, lines, rows = net.stream, list[str](), list[str]()
    for port in (*stream.inputs, *stream.initial_inputs):
        name = f"{'in' if port in stream.inputs else 'start'}_{port.symbol}"
        lines.append(array_text(name, port, example.feeds[port.name]))
    for port in stream.inputs:
        memory = {"two": f"two_{port.symbol}"}
        lines.append(_memory(port, "two", f"2 * {net.macro_of(port)}"))
        if port.time_axis is not None:
            memory["one"] = f"one_{port.symbol}"
            lines.append(_memory(port, "one", net.macro_of(port)))
        size = example.feeds[port.name].size
        rows.append(described(port, _bytes(net, port), size, f"in_{port.symbol}", memory, _around(port)))
    return [*lines, *table("inputs", rows)]


def _outputs(net: Description, example: Example) -> list[str]:
    lines, rows = list[str](), list[str]()
    for port in net.stream.outputs:
        # With a tail, an output without a time axis changes again when the tail is run, so its value here is unknown.
        is_known = net.stream.tail is None or port.time_axis is not None
        result, names = example.results[port.name], ("one", "two", "stepped", "block")
        if is_known:
            lines.append(array_text(f"expected_{port.symbol}", port, result))
        sizes = (net.macro_of(port), f"2 * {net.macro_of(port)}", str(result.size), str(result.size))
        lines += [_memory(port, name, size) for name, size in zip(names, sizes, strict=True)]
        expected = f"expected_{port.symbol}" if is_known else "NULL"
        memory = {name: f"{name}_{port.symbol}" for name in names}
        rows.append(described(port, _bytes(net, port), result.size, expected, memory, _around(port)))
    return [*lines, *table("outputs", rows)]


def _owed(net: Description, example: Example) -> list[str]:
    lines, rows = list[str](), list[str]()
    for port in net.stream.owed:
        expected = example.owed[port.name]
        lines.append(array_text(f"expected_owed_{port.symbol}", port, expected))
        lines.append(_memory(port, "owed", f"{net.owed_macro_of(port)} + 1"))
        memory = {"one": f"owed_{port.symbol}"}
        rows.append(described(port, "0", expected.size, f"expected_owed_{port.symbol}", memory))
    return [*lines, *table("owed", rows)]


def _calls(net: Description) -> list[str]:
    """Return C functions through which the harness calls the net."""
    stream, name = net.stream, net.name
    starts = [f"start_{port.symbol}" for port in stream.initial_inputs]
    arrays = [f"in[{number}]" for number in range(len(stream.inputs))]
    arrays += [f"out[{number}]" for number in range(len(stream.outputs))]
    held_inputs = [f"in[{stream.inputs.index(port)}]" for port in stream.held_inputs]
    owed = [f"out[{number}]" for number in range(len(stream.owed))]
    parameters, unused = "const void *const *in, void *const *out", ["(void)in;", "(void)out;"]

    def call(function_name: str, *arguments: str) -> str:
        return f"{name}_{function_name}({', '.join(arguments)});"

    init = call("init", "memory", *([] if stream.embedded else ["weights"]), *starts)
    versions = f"{name}_abi_version() != {net.macro}_ABI_VERSION || {name}_state_size() != {net.macro}_STATE_SIZE"
    flush = [] if stream.tail is None else [call("flush", "memory", *held_inputs, *owed)]
    rows = call("step_rows", "memory", "table", "rows", "2", *arrays)
    return [
        *function("int versions_differ(void)", f"return {versions};"),
        *function("int init_net(void *weights)", "(void)weights;", f"return {init}"),
        *function("void reset_net(void)", call("reset", "memory", *starts)),
        *function("void get_state(void *state)", call("get_state", "memory", "state")),
        *function("void set_state(const void *state)", call("set_state", "memory", "state")),
        *function(f"void step_net({parameters})", *unused, call("step", "memory", *arrays)),
        *function(f"void step_rows_net(void *table, const size_t *rows, {parameters})", *unused, rows),
        *function(f"void process_net({parameters})", *unused, call("process", "memory", "STEPS", *arrays)),
        *function(f"void flush_net({parameters})", *unused, *flush),
    ]
