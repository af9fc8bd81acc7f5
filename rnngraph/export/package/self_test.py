"""What the self-tests of exported nets have in common: numbers as C, comparison, weights from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..c_interface.ports import Port
from .description import C_TYPES, Description


@dataclass(frozen=True)
class Example:
    """Feeds, those of an initial state among them, and results, by name, at sizes by their names in C. owed: results
    that come at the end; of outputs without time these alone are known.
    """

    sizes: Mapping[str, int]
    feeds: Mapping[str, np.ndarray]
    results: Mapping[str, np.ndarray]
    owed: Mapping[str, np.ndarray]


def includes(net: Description) -> list[str]:
    return [
        "#include <math.h>",
        "#include <stdio.h>",
        "#include <string.h>",
        *([] if net.first.embedded else ["#include <stdlib.h>"]),
        f'#include "{net.name}.h"',
        "",
    ]


CHECK = [
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
]


def begin_main(net: Description, declarations: Sequence[str], versions: str) -> list[str]:
    """The head of ``main``, and its first statements. versions: what else shows that header and code don't match."""
    name, macro = net.name, net.macro
    return [
        *([] if net.first.embedded else _read_weights(net)),
        "int main(int count, char **given)",
        "{",
        *(f"    {line}" for line in declarations),
        *(["    (void)count;", "    (void)given;"] if net.first.embedded else [
            f'    void *weights = read_weights(count > 1 ? given[1] : "{name}.safetensors");',
            "    if (!weights)",
            "        return 1;",
        ]),
        f"    if ({name}_abi_version() != {macro}_ABI_VERSION{versions}) {{",
        '        puts("header and code do not belong together");',
        "        return 1;",
        "    }",
    ]  # fmt: skip


END_MAIN = [
    '    printf("%s, largest difference %g\\n", wrong ? "wrong" : "ok", largest);',
    "    return wrong != 0;",
    "}",
    "",
]


def compare(found: str, expected: str) -> list[str]:
    """Holds all elements of an array to what they should be."""
    return [
        f"    for (i = 0; i < sizeof {expected} / sizeof *{expected}; i++)",
        f"        check((double){found}[i], (double){expected}[i]);",
    ]


def array_text(name: str, port: Port, array: np.ndarray) -> str:
    """Numbers of an array as a constant of C."""
    numbers = [_number(item) for item in np.ravel(array).tolist()] or ["0"]  # C has no empty arrays
    rows = [", ".join(numbers[first : first + 8]) for first in range(0, len(numbers), 8)]
    body = ",\n    ".join(rows)
    return f"static const {C_TYPES[port.dtype]} {name}[] = {{\n    {body}\n}};"


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
