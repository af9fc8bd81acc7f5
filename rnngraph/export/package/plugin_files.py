"""Files around exports for several platforms: a header that selects one, a C++ class, and a CMake file."""

from __future__ import annotations

from dataclasses import dataclass

from ...version import __version__
from .description import Description
from .header import arguments
from .template import filled, template


@dataclass(frozen=True)
class Platform:
    """Platform of plugins: an operating system and a processor.

    Attributes:
        folder: Folder of its files.
        target: Target of its code.
        dispatch: True if the object has code for all levels of x86-64.
        compiler: Preprocessor condition of the platform.
        cmake: CMake condition of compiling for it.
    """

    folder: str
    target: str
    dispatch: bool
    compiler: str
    cmake: str


_ARM, _X86 = 'CPU MATCHES "^(arm64|aarch64)$"', 'CPU MATCHES "^(x86_64|amd64)$"'
PLATFORMS = (
    Platform(
        "linux-x86_64",
        "x86-64-v2",
        True,
        "defined(__linux__) && defined(__x86_64__)",
        f'CMAKE_SYSTEM_NAME STREQUAL "Linux" AND {_X86}',
    ),
    Platform("windows-x86_64", "x86-64-windows", True, "defined(_WIN64) && !defined(_M_ARM64)", f"WIN32 AND {_X86}"),
    Platform("macos-arm64", "aarch64-macos", False, "defined(__APPLE__) && defined(__aarch64__)", f"APPLE AND {_ARM}"),
    Platform("macos-x86_64", "x86-64-macos", True, "defined(__APPLE__) && defined(__x86_64__)", f"APPLE AND {_X86}"),
)


def platform_header(name: str) -> str:
    """Return the text of ``NAME_platform.h``, which includes the header of the platform it is compiled for."""
    lines = [f"/* {name}: its header for the system that this is compiled for; made by rnngraph {__version__}. */"]
    for number, platform in enumerate(PLATFORMS):
        lines += [f"#{'elif' if number else 'if'} {platform.compiler}", f'#include "{platform.folder}/{name}.h"']
    return "\n".join([*lines, "#else", f'#error "{name} has no code for this system"', "#endif", ""])


def plugin_cmake(name: str, suffixes: dict[str, str]) -> str:
    """Return the text of ``CMakeLists.txt`` for all platforms.

    Args:
        name: Name of the net and of the target.
        suffixes: Suffix of the object file, by folder.
    """
    chosen = []
    for number, platform in enumerate(PLATFORMS):
        chosen += [f"{'elseif' if number else 'if'}({platform.cmake})", f'  set(platform "{platform.folder}")']
        chosen.append(f'  set(object "{name}{suffixes[platform.folder]}")')
    words = {"name": name, "macro": name.upper(), "version": __version__, "chosen": "\n".join(chosen)}
    return filled(template("plugin_CMakeLists.txt.in"), **words)


def cpp_class(net: Description) -> str:
    """Return the text of ``NAME.hpp``: an instance of the net as a C++11 class."""
    stream, name, macro = net.stream, net.name, net.macro
    arrays = [*arguments(stream.inputs, True), *arguments(stream.outputs, False)]
    arguments_text = ", ".join(port.symbol for port in (*stream.inputs, *stream.outputs))
    start = ", ".join(arguments(stream.initial_inputs, True))
    begun = "".join(f", {port.symbol}" for port in stream.initial_inputs)
    return filled(
        template("net.hpp.in"),
        name=name,
        macro=macro,
        version=__version__,
        start=start,
        begun=begun,
        arrays=", ".join(arrays),
        steps=", ".join(["std::size_t steps", *arrays]),
        given=arguments_text,
    )
