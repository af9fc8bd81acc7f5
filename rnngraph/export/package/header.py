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
        "/* Return the version of the interface, which equals the macro if header and code match. */",
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
    "Outputs must not overlap inputs or each other. Integers that select rows of a table are clamped to its rows"
    "{lengths}. The caller's floating-point mode applies to denormal numbers; a thread that processes sound should "
    "flush them."
)
_DRAWS = "A class that is drawn from NaN logits is -1. Nothing else reports it."
_STREAM = (
    "Arrays are C-contiguous. The code allocates nothing, locks nothing and calls nothing. It writes only to an "
    "instance's memory and to outputs. Different instances can run in different threads at the same time, and one "
    f"instance in one thread at a time. {_COMMON.format(lengths='')}"
)
_SEQUENCE = (
    "Arrays are C-contiguous. The code allocates nothing, locks nothing, calls nothing and has no state. A call writes "
    "only to its results and to the caller's scratch memory. Calls can run in different threads at the same time, "
    f"each with its own scratch memory. {_COMMON.format(lengths=', and row lengths to the number of steps')}"
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
        f"#define {macro}_STATE_BYTES {stream.packed_bytes} /* bytes that get_state writes */",
        f"#define {macro}_STATE_VALUES {macro}_STATE_BYTES /* its former name */",
        *([] if stream.rate == 1 else [f"#define {macro}_RATE {stream.rate} /* sequence entries per step */"]),
        f"#define {macro}_LATENCY {net.latency} /* latency in samples (sequence entries) */",
        *(
            []
            if stream.tail is None
            else [f"#define {macro}_DELAY {stream.delay} /* steps until a step's results are returned */"]
        ),
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
    return f", {net.block_bytes} of them for blocks of {net.max_block} steps, which a smaller max_block= reduces"


def _stream_ports(net: Description) -> list[str]:
    """Return comment lines that describe each array."""
    stream = net.stream
    lines = ["/* Arrays, in the order of arguments (a step is one of the steps of a block):"]
    for role, ports, suffix in (
        ("input", stream.inputs, ", equal at all steps"),
        ("output", stream.outputs, ", after the last step"),
    ):
        for port in ports:
            lines.append(f" *   {role:6} {_array(port)}{suffix if port.time_axis is None else ''}{_default(port)}")
    for port in stream.initial_inputs:
        lines.append(f" *   start  {_array(port)}, an initial value of the state")
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
        "/* Return the bytes of an instance's memory. The caller allocates it anywhere, and must not move it. */",
        f"size_t {name}_state_size(void);",
        "",
        *_weights_functions(net, "init and use_weights"),
        *(
            []
            if stream.embedded
            else [
                "/* Use other packed weights from the instance's next step on. The state is unchanged. */",
                f"void {name}_use_weights(void *memory, const void *weights);",
                "",
            ]
        ),
        "/* Create an instance in its initial state. Return 0. */",
        f"int {name}_init({', '.join(init)});",
        "",
        "/* Reset to the initial state. */",
        f"void {name}_reset({', '.join(['void *memory', *start])});",
        "",
        "/* Run one time step. */",
        f"void {name}_step({', '.join(['void *memory', *arrays])});",
        "",
        "/* Run one time step of count streams in a table: rows[0], rows[1] and so on, which must be distinct. A row",
        " * of the table is a state as get_state writes it. Rows are adjacent, and the table is aligned to 8 bytes.",
        " * Each array has a step's elements of one stream after another, in the order of rows. The instance's own",
        f" * state is overwritten, because the streams run in its memory, {_at_once(net)}. */",
        f"void {name}_step_rows({', '.join(['void *memory', *table, *arrays])});",
        "",
        "/* Run a block of steps, with the bits of single steps. */",
        f"void {name}_process({', '.join(['void *memory', 'size_t steps', *arrays])});",
        "",
        *([] if stream.tail is None else _flush(net)),
        f"/* Copy all states to, or from, {net.macro}_STATE_BYTES bytes of the caller. */",
        f"void {name}_get_state(const void *memory, void *state);",
        f"void {name}_set_state(void *memory, const void *state);",
    ]


def _at_once(net: Description) -> str:
    together = net.stream.together
    return "one after another" if together is None else f"up to {together.max_rows} at once"


def _flush(net: Description) -> list[str]:
    stream = net.stream
    arrays = [*arguments(stream.held_inputs, True), *arguments(stream.owed, False)]
    return [
        "/* Write the results that are still due when sequences end. Macros have the elements of each output. The",
        " * state is unchanged; reset it before the next sequences. */",
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
    weights = "ignored, and may be null" if sequence.embedded else "packed weights"
    return [
        *_weights_functions(net, "run"),
        "/* Return the bytes of scratch memory for a call of these sizes; SIZE_MAX for unsupported sizes. */",
        f"size_t {name}_scratch_size({', '.join(sizes)});",
        "",
        f"/* Run whole sequences. net: {weights}. scratch: memory at any address, with any content.",
        " * Return 0; or 1, and write nothing, for unsupported sizes. */",
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
    lines = ["/* Parameters in canonical order, with the offset of each in bytes:"]
    for (parameter, array), offset in zip(
        net.first.parameters.items(), net.first.canonical_places.values(), strict=True
    ):
        lines.append(f" *   {offset:8} {in_comment(parameter)}: {C_TYPES[array.dtype.name]} {shape_text(array.shape)}")
    return [
        *lines,
        " */",
        "",
        "/* Return the bytes of packed weights, which any number of threads may read. set_weights writes them. If",
        f" * there is a file {name}.weights, it can be mapped into memory instead. */",
        f"size_t {name}_weights_size(void);",
        "",
        f"/* Pack parameters into the caller's memory, for {takers}. image: all parameters in canonical order,",
        " * or the bytes of a safetensors file. It must be aligned to 8 bytes, and is not needed afterwards. Return 0;",
        " * 1 if the image is not aligned; 2 if it is neither of the two, or if a parameter of this name, type and",
        " * size is missing. */",
        f"int {name}_set_weights(void *weights, const void *image, size_t bytes);",
        "",
    ]
