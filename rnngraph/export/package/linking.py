"""Linking of an object file to libraries, if tools for the target are installed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ...codegen.machine.target import Target
from ...support.errors import FileError

SECONDS = 120


@dataclass(frozen=True)
class Tools:
    """Commands for one target, in order of preference: linkers of shared libraries, and archivers."""

    linkers: tuple[tuple[str, ...], ...]
    archivers: tuple[str, ...]


_NAMES = {"windows": "{name}.dll", "apple": "lib{name}.dylib", "wasm": "{name}.wasm"}
"""File names of shared libraries by part of the triple; elsewhere ``lib{name}.so``."""


def library_name(name: str, target: Target) -> str:
    """Return the file name of a net's shared library."""
    form = next((form for part, form in _NAMES.items() if part in target.triple), "lib{name}.so")
    return form.format(name=name)


_SHARED = ("-shared", "-nostdlib", "-Wl,-z,noexecstack", "-Wl,--build-id=none")
_LLD = ("ld.lld", "-shared", "-znoexecstack")
_DLL = ("-shared", "-nostdlib", "-Wl,--entry=0", "-Wl,--no-insert-timestamp")
_MINGW = "x86_64-w64-mingw32-"


def tools_for(target: Target, is_host: bool) -> Tools:
    """Return linkers and archivers for a target; none for an unknown triple. ``is_host`` adds this system's tools."""
    triple = target.triple
    if triple.startswith("wasm"):
        # memory below __heap_base belongs to the module; instances use memory above it
        flags = ("--no-entry", "--gc-sections", "-zstack-size=65536", "--export=__heap_base")
        return Tools((("wasm-ld", *flags),), ())
    if "-windows" in triple:
        prefixes = (_MINGW, "") if is_host else (_MINGW,)
        linkers = tuple((f"{start}gcc", *_DLL) for start in prefixes)
        return Tools(linkers, (*(f"{start}ar" for start in prefixes), "llvm-ar"))
    if "-apple-" in triple:
        commands = (("cc", "-dynamiclib"), ("clang", "-dynamiclib")) if is_host else ()
        return Tools(commands, ("llvm-ar",))  # macOS's ar has no option for reproducible output
    cross = {
        "aarch64-unknown-linux": "aarch64-linux-gnu-",
        "armv7-unknown-linux": "arm-linux-gnueabihf-",
        "riscv64-unknown-linux": "riscv64-linux-gnu-",
        "x86_64-unknown-linux": "x86_64-linux-gnu-",
    }
    prefix = next((tools for start, tools in cross.items() if triple.startswith(start)), None)
    if is_host and "linux" in triple:
        names = [("cc", *_SHARED), ("gcc", *_SHARED), ("clang", *_SHARED), _LLD]
        return Tools(tuple(names), ("ar", "llvm-ar"))
    if prefix:
        return Tools(((f"{prefix}gcc", *_SHARED), _LLD), (f"{prefix}ar", "llvm-ar"))
    if triple.startswith("thumb"):
        return Tools((), ("arm-none-eabi-ar", "llvm-ar"))
    return Tools((), ())


def shared_library(object_file: Path, name: str, target: Target, is_host: bool) -> Path | None:
    """Link a shared library next to the object file. Return None if no linker for the target is installed.

    Raises:
        FileError: The first linker that is installed fails.
    """
    tools = tools_for(target, is_host)
    for command in tools.linkers:
        if shutil.which(command[0]):
            path = object_file.with_name(library_name(name, target))
            _run([*command, "-o", str(path), str(object_file)])
            return path
    return None


def no_library(object_file: Path, name: str, target: Target, is_host: bool) -> str:
    """Return the reason why ``shared_library`` links none; empty for a target without shared libraries."""
    library = library_name(name, target)
    commands = [command[0] for command in tools_for(target, is_host).linkers]
    if commands:
        return f"{library} was not linked: that needs {' or '.join(commands)} on the path"
    if "-apple-" in target.triple:
        return f"{library} was not linked: on a Mac, run cc -dynamiclib -o {library} {object_file.name}"
    return ""


def static_library(object_file: Path, name: str, target: Target, is_host: bool) -> Path | None:
    """Make a static library next to the object file. Return None if no archiver for the target is installed.

    Raises:
        FileError: The first archiver that is installed fails.
    """
    for command in tools_for(target, is_host).archivers:
        if shutil.which(command):
            path = object_file.with_name(f"lib{name}.a")
            _run([command, "rcsD", str(path), str(object_file)])
            return path
    return None


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FileError(f"{command[0]} could not be run: {error}; export with link=False") from None
    if done.returncode:
        raise FileError(f"{command[0]} failed ({done.returncode}): {done.stderr.strip()[:500]}; export with link=False")
