"""C header of an exported net."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ...ir.sizes.polynomial import Dim, Floor, Shape, Size
from ...version import __version__
from ..c_interface.llvm_text import elements
from ..c_interface.object_code import ABI_VERSION
from ..c_interface.ports import Port
from .description import C_TYPES, Description, in_comment, in_string, shape_text


def header(net: Description) -> str:
    """Return the text of ``NAME.h``, for C99 and C++."""
    macro = net.macro
    about = _STREAM if net.is_stream else _SEQUENCE
    of_form = [*_stream_macros(net), "", *_stream_ports(net), ""] if net.is_stream else _sequence_macros(net)
    functions = _stream_functions(net) if net.is_stream else _sequence_functions(net)
    rows = "Any number of rows" if net.batch is None else f"{net.batch} row{'s' if net.batch > 1 else ''}"
    lines = [
        f"/* {net.name}: a recurrent net as native code, made by rnngraph {__version__} for {net.targets}.",
        " *",
        *(f" * {line}" for line in textwrap.wrap(f"{rows} at a time. {about}", 110)),
        " *",
        *(f" * {line}" for line in textwrap.wrap(f"It needs {net.needs}.", 110)),
        *(f" * {line}" for line in textwrap.wrap(_DRAWS if net.draws else "", 110)),
        *_held_weights(net),
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
        *([] if net.batch is None else [f"#define {macro}_BATCH {net.batch}"]),
        *of_form,
        *_classes(net),
        "/* The version of this interface: equal to the macro, where header and code belong together. */",
        f"int {net.name}_abi_version(void);",
        "",
        *functions,
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        f"#endif /* {macro}_H */",
        "",
    ]
    return "\n".join(lines)


_COMMON = (
    "Outputs must not overlap inputs or each other. Integers that name rows of a table are taken as the nearest row "
    "that there is{lengths}. Denormal numbers are handled as the caller's floating-point mode says; a thread that "
    "works on sound should set it to flush them."
)
_DRAWS = "A class that is drawn from NaN logits is -1. Nothing else reports it."
_STREAM = (
    "Arrays are C-contiguous. The code allocates nothing, locks nothing, calls nothing and keeps nothing of its own: "
    "all that changes lies in the memory of an instance. So different instances can run in different threads at the "
    f"same time, and one instance in one thread at a time. {_COMMON.format(lengths='')}"
)
_SEQUENCE = (
    "Arrays are C-contiguous. The code allocates nothing, locks nothing, calls nothing and keeps nothing: a call "
    "writes its results and its scratch, which is the caller's. So calls can run in different threads at the same "
    f"time, each with a scratch of its own. {_COMMON.format(lengths=', and no length leads outside of arrays')}"
)


def _held_weights(net: Description) -> list[str]:
    """Return comment lines on how the code stores each parameter, if some should be narrow."""
    if not net.held_weights:
        return []
    return [" *", " * Weights:", *(f" *   {in_comment(line)}" for text in net.held_weights for line in _wrapped(text))]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 108, subsequent_indent="  ", break_long_words=False)


def _array(port: Port) -> str:
    numbers = " of bfloat16, the upper halves of floats" if port.dtype == "bfloat16" else ""
    return f"{in_comment(port.shown)}: {C_TYPES[port.dtype]} {shape_text(port.shape)}{numbers}"


def _classes(net: Description) -> list[str]:
    """Return C declarations of class names, as arrays of strings."""
    lines = []
    for port, names in net.classified:
        macro = f"{net.macro}_{port.symbol.upper()}_CLASSES"
        texts = ", ".join(in_string(str(name)) for name in names)
        lines += [
            f"/* Classes of {in_comment(port.shown)}, in the order of its last axis. */",
            f"#define {macro} {len(names)}",
            f"static const char *const {net.name}_{port.symbol}_classes[{macro}] = {{{texts}}};",
            "",
        ]
    return lines


def arguments(ports: Sequence[Port], constant: bool) -> list[str]:
    return [f"{'const ' if constant else ''}{C_TYPES[port.dtype]} *{port.symbol}" for port in ports]


def _default(port: Port) -> str:
    return ", a null pointer stands for its default" if port.default is not None else ""


# Nets that run step by step -----------------------------------------------------------------------


def _stream_macros(net: Description) -> list[str]:
    stream, macro = net.stream, net.macro
    lines = [
        f"#define {macro}_STATE_SIZE {net.state_bytes} /* bytes of an instance's memory{_for_blocks(net)} */",
        f"#define {macro}_STATE_BYTES {stream.packed_bytes} /* bytes of what get_state writes */",
        f"#define {macro}_STATE_VALUES {macro}_STATE_BYTES /* its former name */",
        *([] if stream.rate == 1 else [f"#define {macro}_RATE {stream.rate} /* entries of sequences in a step */"]),
        f"#define {macro}_LATENCY {net.latency} /* samples (entries of sequences) from an input to its result */",
        *([] if stream.tail is None else [f"#define {macro}_DELAY {stream.delay} /* steps until results are given */"]),
        *_weights_macros(net),
    ]
    lines += [
        f"#define {net.macro_of(port)} {elements(port.shape)} /* elements of {in_comment(port.shown)} in a step */"
        for port in (*stream.inputs, *stream.outputs)
    ]
    return lines + [
        f"#define {net.owed_macro_of(port)} {elements(port.shape)} /* elements of {in_comment(port.shown)} in flush */"
        for port in stream.owed
    ]


def _for_blocks(net: Description) -> str:
    """Return a sentence on the part of an instance's memory that blocks need."""
    if not net.block_bytes:
        return ""
    return f", {net.block_bytes} of them for blocks of {net.max_block} steps at once: max_block= makes it less"


def _stream_ports(net: Description) -> list[str]:
    """Return comment lines that describe each array."""
    stream = net.stream
    lines = ["/* Arrays, in the order of arguments (a step is one of the steps of a block):"]
    for role, ports, suffix in (
        ("input", stream.inputs, ", the same at all steps"),
        ("output", stream.outputs, ", after the last step"),
    ):
        for port in ports:
            lines.append(f" *   {role:6} {_array(port)}{suffix if port.time_axis is None else ''}{_default(port)}")
    for port in stream.initial_inputs:
        lines.append(f" *   start  {_array(port)}, what the state begins with")
    place = 0
    for port in stream.states:
        lines.append(f" *   state  {_array(port)}, at byte {place} of a saved state")
        place += port.step_bytes
    return [*lines, " */"]


def _stream_functions(net: Description) -> list[str]:
    stream, name = net.stream, net.name
    start = arguments(stream.initial_inputs, True)
    arrays = [*arguments(stream.inputs, True), *arguments(stream.outputs, False)]
    table = ["void *states", "const size_t *rows", "size_t count"]
    init = ["void *memory", *([] if stream.embedded else ["const void *weights"]), *start]
    return [
        "/* Bytes of an instance's memory, which is the caller's, may begin anywhere and must not be moved. */",
        f"size_t {name}_state_size(void);",
        "",
        *_weights_functions(net, "init and use_weights"),
        *(
            []
            if stream.embedded
            else [
                "/* Gives an instance other packed weights from its next step on: one word is written, "
                "the state stays. */",
                f"void {name}_use_weights(void *memory, const void *weights);",
                "",
            ]
        ),
        "/* Makes memory an instance, in its initial state. Returns 0. */",
        f"int {name}_init({', '.join(init)});",
        "",
        "/* Back to the initial state. */",
        f"void {name}_reset({', '.join(['void *memory', *start])});",
        "",
        "/* One time step. */",
        f"void {name}_step({', '.join(['void *memory', *arrays])});",
        "",
        "/* One time step of count streams out of a table of states as get_state writes them, one behind the other and",
        " * aligned to 8 bytes: of rows[0], rows[1] and so on, which must be different ones. Each array holds a step's",
        " * elements of one stream after the other, in this order. The instance's own state is lost: the streams are",
        f" * computed in its memory, {_at_once(net)}. */",
        f"void {name}_step_rows({', '.join(['void *memory', *table, *arrays])});",
        "",
        "/* A block of steps: the same bits as of one step after the other. */",
        f"void {name}_process({', '.join(['void *memory', 'size_t steps', *arrays])});",
        "",
        *([] if stream.tail is None else _flush(net)),
        f"/* Copies all states from and to {net.macro}_STATE_BYTES bytes of the caller's. */",
        f"void {name}_get_state(const void *memory, void *state);",
        f"void {name}_set_state(void *memory, const void *state);",
    ]


def _at_once(net: Description) -> str:
    together = net.stream.together
    return "one after the other" if together is None else f"up to {together.max_rows} at once"


def _flush(net: Description) -> list[str]:
    stream = net.stream
    arrays = [*arguments(stream.held_inputs, True), *arguments(stream.owed, False)]
    return [
        "/* What is still owed when the sequences end, as many elements of each output as macros say. The state stays",
        " * as it is; reset it before the next sequences. */",
        f"void {net.name}_flush({', '.join(['void *memory', *arrays])});",
        "",
    ]


# Nets that take whole sequences -------------------------------------------------------------------


def _sequence_macros(net: Description) -> list[str]:
    """Return macros for the number of elements of each array, and comments that describe the arrays."""
    sequence = net.sequence
    sizes = ", ".join(size.name for size in sequence.sizes)
    ports = [("input", port) for port in sequence.inputs] + [("output", port) for port in sequence.outputs]
    lines = [
        *_weights_macros(net),
        *(f"#define {net.macro_of(port)}({sizes}) ({elements_in_c(port.shape)})" for _, port in ports),
        "",
        "/* Sizes and arrays, in the order of arguments:",
    ]
    for size in sequence.sizes:
        lines.append(f" *   size   {size.name}{'' if size.fixed is None else f', which must be {size.fixed}'}")
    lines += [f" *   {role:6} {_array(port)}{_default(port)}" for role, port in ports]
    return [*lines, " */", ""]


def elements_in_c(shape: Shape) -> str:
    """Return the number of elements of an array as a C expression of macro arguments."""
    return " * ".join(map(_size_in_c, shape)) or "(size_t)1"


def _size_in_c(dim: Dim) -> str:
    if not isinstance(dim, Size):
        return f"(size_t){dim}"
    text = ""
    # positive terms first, so that no intermediate value is negative
    for names, factor in sorted(dim.terms, key=lambda term: term[1] < 0):
        parts = [
            *([f"(size_t){abs(factor)}"] if abs(factor) != 1 or not names else []),
            *(f"({_size_in_c(n.dim)} / {n.by})" if isinstance(n, Floor) else f"(size_t)({n})" for n in names),
        ]
        text += f"{' - ' if factor < 0 else ' + ' if text else ''}{' * '.join(parts)}"
    return text if len(dim.terms) == 1 else f"({text})"


def _sequence_functions(net: Description) -> list[str]:
    sequence, name = net.sequence, net.name
    sizes = [f"size_t {size.name}" for size in sequence.sizes]
    arrays = [*arguments(sequence.inputs, True), *arguments(sequence.outputs, False)]
    weights = "not looked at, and may be null" if sequence.embedded else "packed weights"
    return [
        *_weights_functions(net, "run"),
        "/* Bytes of the scratch that a call of these sizes needs; SIZE_MAX where the net can't take them. */",
        f"size_t {name}_scratch_size({', '.join(sizes)});",
        "",
        f"/* The results for whole sequences. net: {weights}. scratch: memory that may begin anywhere, and",
        " * hold anything. Returns 0; 1 where the net can't take these sizes, with nothing written. */",
        f"int {name}_run({', '.join(['const void *net', *sizes, *arrays, 'void *scratch'])});",
    ]


# Weights that are passed at run time ---------------------------------------------------------------


def _weights_macros(net: Description) -> list[str]:
    if net.first.embedded:
        return []
    return [
        f"#define {net.macro}_WEIGHTS_SIZE {net.weights_bytes} /* bytes of packed weights */",
        *(
            [f"#define {net.macro}_WEIGHTS_FILE {net.first.weights_file_bytes} /* bytes of {net.name}.weights */"]
            if len(net.variants) == 1
            else []
        ),
        f"#define {net.macro}_PARAMETERS {net.first.canonical_bytes} /* bytes of all parameters in canonical order */",
    ]


def _weights_functions(net: Description, takers: str) -> list[str]:
    if net.first.embedded:
        return []
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
        "/* Bytes of packed weights, which any number of threads may read: what set_weights writes, or, where there is",
        f" * one, the file {name}.weights mapped into memory. */",
        f"size_t {name}_weights_size(void);",
        "",
        f"/* Packs parameters into memory of the caller's, for {takers}. image: all in canonical order, or",
        " * the bytes of a safetensors file; it must be aligned to 8 bytes and is not needed afterwards. Returns 0; 1",
        " * where the image is not aligned; 2 where it is neither of both, or lacks a parameter of this name, type and",
        " * size. */",
        f"int {name}_set_weights(void *weights, const void *image, size_t bytes);",
        "",
    ]
