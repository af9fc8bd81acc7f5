"""The C header of an exported net."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ...version import __version__
from ..c_interface.llvm_text import STEPS, elements
from ..c_interface.object_code import ABI_VERSION
from ..c_interface.ports import Port
from .description import C_TYPES, Description, in_comment, shape_text


def header(net: Description) -> str:
    """``NAME.h``, for C99 and C++."""
    first, macro = net.first, net.macro
    ports = [("input", port) for port in first.inputs] + [("output", port) for port in first.outputs]
    lines = [
        f"/* {net.name}: a recurrent net as native code, made by rnngraph {__version__} for {net.targets}.",
        " *",
        f" * {net.batch} row{'s' if net.batch > 1 else ''} at a time. Arrays are C-contiguous. No function allocates,",
        " * locks, calls the system or keeps anything of its own: all that changes lies in the memory of an instance.",
        " * So different instances can run in different threads at the same time, and one instance in one thread at a",
        " * time. Outputs must not overlap inputs or each other. Integers that name rows of a table are taken as the",
        " * nearest row that there is. Denormal numbers are handled as the caller's floating-point mode says; a thread",
        " * that works on sound should set it to flush them.",
        " *",
        *(f" * {line}" for line in textwrap.wrap(f"It needs {net.needs}.", 110)),
        " */",
        f"#ifndef {macro}_H",
        f"#define {macro}_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define {macro}_ABI_VERSION {ABI_VERSION}",
        f"#define {macro}_BATCH {net.batch}",
        f"#define {macro}_STATE_SIZE {net.state_bytes} /* bytes of an instance's memory */",
        f"#define {macro}_STATE_VALUES {first.packed_bytes} /* bytes of what get_state writes */",
    ]
    if not first.embedded:
        lines += [
            f"#define {macro}_WEIGHTS_SIZE {net.weights_bytes} /* bytes of packed weights */",
            f"#define {macro}_PARAMETERS {first.canonical_bytes} /* bytes of all parameters in canonical order */",
        ]
    lines += [
        f"#define {net.macro_of(port)} {elements(port.shape)} /* elements of {in_comment(port.shown)} in a step */"
        for _, port in ports
    ]
    lines += ["", *_ports(net, ports), ""]
    lines += _functions(net)
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "", f"#endif /* {macro}_H */", ""]
    return "\n".join(lines)


def _ports(net: Description, ports: Sequence[tuple[str, Port]]) -> list[str]:
    """What each array is, as a comment."""
    lines = ["/* Arrays, in the order of arguments (a step takes no axis of steps):"]
    for role, port in ports:
        held = "" if STEPS in port.shape else ", the same at all steps" if role == "input" else ", after the last step"
        default = ", a null pointer stands for its default" if port.default is not None else ""
        lines.append(f" *   {role:6} {_array(port)}{held}{default}")
    for port in net.first.initial_inputs:
        lines.append(f" *   start  {_array(port)}, what the state begins with")
    place = 0
    for port in net.first.states:
        lines.append(f" *   state  {_array(port)}, at byte {place} of a saved state")
        place += port.step_bytes
    return [*lines, " */"]


def _array(port: Port) -> str:
    return f"{in_comment(port.shown)}: {C_TYPES[port.dtype]} {shape_text(port.shape)}"


def arguments(ports: Sequence[Port], constant: bool) -> list[str]:
    return [f"{'const ' if constant else ''}{C_TYPES[port.dtype]} *{port.symbol}" for port in ports]


def _functions(net: Description) -> list[str]:
    first, name = net.first, net.name
    start = arguments(first.initial_inputs, True)
    arrays = [*arguments(first.inputs, True), *arguments(first.outputs, False)]
    init = ["void *memory", *([] if first.embedded else ["const void *weights"]), *start]
    lines = [
        "/* The version of this interface: equal to the macro, where header and code belong together. */",
        f"int {name}_abi_version(void);",
        "",
        "/* Bytes of an instance's memory, which is the caller's, may begin anywhere and must not be moved. */",
        f"size_t {name}_state_size(void);",
        "",
    ]
    if not first.embedded:
        lines += _weights_functions(net)
    lines += [
        "/* Makes memory an instance, in its initial state. Returns 0. */",
        f"int {name}_init({', '.join(init)});",
        "",
        "/* Back to the initial state. */",
        f"void {name}_reset({', '.join(['void *memory', *start])});",
        "",
        "/* One time step. */",
        f"void {name}_step({', '.join(['void *memory', *arrays])});",
        "",
        "/* A block of steps: the same bits as of one step after the other. */",
        f"void {name}_process({', '.join(['void *memory', 'size_t steps', *arrays])});",
        "",
        f"/* Copies all states from and to {net.macro}_STATE_VALUES bytes of the caller's. */",
        f"void {name}_get_state(const void *memory, void *state);",
        f"void {name}_set_state(void *memory, const void *state);",
    ]
    return lines


def _weights_functions(net: Description) -> list[str]:
    name = net.name
    lines = ["/* Parameters in canonical order, each at a byte of its own:"]
    for (parameter, array), offset in zip(
        net.first.parameters.items(), net.first.canonical_places.values(), strict=True
    ):
        lines.append(f" *   {offset:8} {in_comment(parameter)}: {C_TYPES[array.dtype.name]} {shape_text(array.shape)}")
    return [
        *lines,
        " */",
        "",
        "/* Bytes of packed weights, which any number of instances may read. */",
        f"size_t {name}_weights_size(void);",
        "",
        "/* Packs parameters into memory of the caller's, for init and use_weights. image: all in canonical order, or",
        " * the bytes of a safetensors file; it must be aligned to 8 bytes and is not needed afterwards. Returns 0; 1",
        " * where the image is not aligned; 2 where it is neither of both, or lacks a parameter of this name, type and",
        " * size. */",
        f"int {name}_set_weights(void *weights, const void *image, size_t bytes);",
        "",
        "/* Gives an instance other packed weights from its next step on: one word is written, the state stays. */",
        f"void {name}_use_weights(void *memory, const void *weights);",
        "",
    ]
