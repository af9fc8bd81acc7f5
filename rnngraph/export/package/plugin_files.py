"""What stands around the exports of one net for several systems: a header that chooses, a C++ class, CMake's file."""

from __future__ import annotations

from dataclasses import dataclass

from ...version import __version__
from .description import Description
from .header import arguments


@dataclass(frozen=True)
class Platform:
    """A system and processor that plugins run on.

    Attributes:
        folder: Folder of its files.
        target: Target of its code.
        dispatch: Whether its object has all levels of x86-64.
        compiler: Condition of C's preprocessor that holds on it.
        cmake: Condition of CMake that holds where it is compiled for.
    """

    folder: str
    target: str
    dispatch: bool
    compiler: str
    cmake: str


_ARM, _X86 = 'CPU MATCHES "^(arm64|aarch64)$"', 'CPU MATCHES "^(x86_64|amd64)$"'
PLATFORMS = (
    Platform(
        "linux-x86_64", "x86-64-v2", True, "defined(__linux__) && defined(__x86_64__)",
        f'CMAKE_SYSTEM_NAME STREQUAL "Linux" AND {_X86}',
    ),
    Platform("windows-x86_64", "x86-64-windows", True, "defined(_WIN64) && !defined(_M_ARM64)", f"WIN32 AND {_X86}"),
    Platform("macos-arm64", "aarch64-macos", False, "defined(__APPLE__) && defined(__aarch64__)", f"APPLE AND {_ARM}"),
    Platform(
        "macos-x86_64", "x86-64-macos", True, "defined(__APPLE__) && defined(__x86_64__)", f"APPLE AND {_X86}"
    ),
)  # fmt: skip


def platform_header(name: str) -> str:
    """Return ``NAME_platform.h``, which includes the header of the system that it is compiled for."""
    lines = [f"/* {name}: its header for the system that this is compiled for; made by rnngraph {__version__}. */"]
    for number, platform in enumerate(PLATFORMS):
        lines += [f"#{'elif' if number else 'if'} {platform.compiler}", f'#include "{platform.folder}/{name}.h"']
    return "\n".join([*lines, "#else", f'#error "{name} has no code for this system"', "#endif", ""])


def plugin_cmake(name: str, suffixes: dict[str, str]) -> str:
    """Return ``CMakeLists.txt``.

    Args:
        name: Name of the net and of the target.
        suffixes: Suffix of the object file, by folder.
    """
    chosen = []
    for number, platform in enumerate(PLATFORMS):
        chosen += [f"{'elseif' if number else 'if'}({platform.cmake})", f'  set(platform "{platform.folder}")']
        chosen.append(f'  set(object "{name}{suffixes[platform.folder]}")')
    return "\n".join([
        f"# {name}: exported by rnngraph {__version__}. add_subdirectory() this folder, then",
        f"# target_link_libraries(yours PRIVATE {name}), and #include <{name}.hpp>.",
        "cmake_minimum_required(VERSION 3.15)",
        f"project({name}_plugin C CXX)",
        "",
        "if(CMAKE_OSX_ARCHITECTURES)",
        "  set(CPU ${CMAKE_OSX_ARCHITECTURES})",
        "else()",
        "  set(CPU ${CMAKE_SYSTEM_PROCESSOR})",
        "endif()",
        'string(TOLOWER "${CPU}" CPU)',
        *chosen,
        "else()",
        f'  message(FATAL_ERROR "{name} has no code for ${{CMAKE_SYSTEM_NAME}} on ${{CPU}}; of several '
        'CMAKE_OSX_ARCHITECTURES build each by itself, and join the results with lipo")',
        "endif()",
        "",
        f"add_library({name} INTERFACE)",
        f'target_include_directories({name} INTERFACE "${{CMAKE_CURRENT_SOURCE_DIR}}")',
        f"target_compile_features({name} INTERFACE cxx_std_11)",
        f'target_link_libraries({name} INTERFACE "${{CMAKE_CURRENT_SOURCE_DIR}}/${{platform}}/${{object}}")',
        "",
        f'option({name.upper()}_TEST "Build the self-test of {name}" OFF)',
        f"if({name.upper()}_TEST)",
        "  enable_testing()",
        f'  add_executable({name}_test "${{platform}}/{name}_test.c")',
        f"  set_property(TARGET {name}_test PROPERTY C_STANDARD 99)",
        f"  target_link_libraries({name}_test PRIVATE {name})",
        f"  add_test(NAME {name}_test COMMAND {name}_test)",
        "endif()",
        "",
    ])  # fmt: skip


def cpp_class(net: Description) -> str:
    """Return ``NAME.hpp``: an instance of the net as a class of C++11."""
    stream, name, macro = net.stream, net.name, net.macro
    arrays = [*arguments(stream.inputs, True), *arguments(stream.outputs, False)]
    given = ", ".join(port.symbol for port in (*stream.inputs, *stream.outputs))
    start = ", ".join(arguments(stream.initial_inputs, True))
    begun = "".join(f", {port.symbol}" for port in stream.initial_inputs)
    return f"""\
/* {name}: a recurrent net for audio plugins, exported by rnngraph {__version__}. {name}.h of each system says what
   arrays are. */
#ifndef {macro}_HPP
#define {macro}_HPP

#include <cstddef>
#include <memory>

#include "{name}_platform.h"

namespace {name} {{

/* An instance with a state of its own. The constructor allocates; all else allocates nothing, locks nothing, calls
   nothing but the net, and may run on an audio thread, in one thread at a time. */
class Net {{
public:
    /* Samples from an input to its result, as a host is told of them. */
    static constexpr std::size_t latency = {macro}_LATENCY;
    /* Bytes of what get_state writes. */
    static constexpr std::size_t state_bytes = {macro}_STATE_BYTES;

    explicit Net({start}) : memory_(new unsigned char[{macro}_STATE_SIZE]) {{ {name}_init(memory_.get(){begun}); }}

    /* Back to the initial state. */
    void reset({start}) noexcept {{ {name}_reset(memory_.get(){begun}); }}

    /* One time step. */
    void step({", ".join(arrays)}) noexcept {{ {name}_step(memory_.get(), {given}); }}

    /* A block of steps: the same bits as of one step after the other. */
    void process({", ".join(["std::size_t steps", *arrays])}) noexcept {{
        {name}_process(memory_.get(), steps, {given});
    }}

    void get_state(void *state) const noexcept {{ {name}_get_state(memory_.get(), state); }}
    void set_state(const void *state) noexcept {{ {name}_set_state(memory_.get(), state); }}

private:
    std::unique_ptr<unsigned char[]> memory_;
}};

}} // namespace {name}

#endif /* {macro}_HPP */
"""
