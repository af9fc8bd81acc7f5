"""Export of a net for the platforms of audio plugins, with a C++ class and a CMake target."""

from __future__ import annotations

import os
from pathlib import Path

from ..storage.atomic_file import as_path
from ..storage.shared_folder import Writer, files_into
from ..support.errors import ArgumentError, Where
from .c_array_names import C_WORDS
from .native_code import ExportSource
from .package.plugin_files import PLATFORMS, cpp_class, platform_header, plugin_cmake
from .write_net import Export, ExportOptions, export

PLUGINS = Writer(
    manifest="rnngraph-plugin.json",
    what="export",
    about="Files that rnngraph exported, with the SHA-256 of what it wrote. It replaces no others.",
    names_of=lambda net: {f"{net}.hpp", f"{net}_platform.h", "CMakeLists.txt"},
)


def export_plugin(
    source: ExportSource,
    directory: str | os.PathLike[str] | None,
    name: str,
    max_block: int | None,
    where: Where | None,
) -> dict[str, Export]:
    """Write the files of all platforms, each in its own folder, and the files that select one.

    Without a ``directory``, the folder is ``NAME-plugin``. Return the exports, by folder of a platform.

    Raises:
        ArgumentError: ``name`` can't be a namespace of C++.
    """
    if name in {*C_WORDS.split(), "std"}:
        raise ArgumentError(f"name={name!r} can't be a namespace of C++; give another name", where)
    folder = Path(f"{name}-plugin") if directory is None else as_path(directory)
    exports = {
        platform.folder: export(
            source,
            folder / platform.folder,
            ExportOptions(name, target=platform.target, dispatch=platform.dispatch, link=False, max_block=max_block),
            where,
        )
        for platform in PLATFORMS
    }
    suffixes = {
        key: next(end for end in (".o", ".obj") if f"{name}{end}" in written.files) for key, written in exports.items()
    }
    net = next(iter(exports.values())).net
    assert net is not None
    with files_into(folder, name, PLUGINS) as inner:
        (inner / f"{name}.hpp").write_bytes(cpp_class(net).encode())
        (inner / f"{name}_platform.h").write_bytes(platform_header(name).encode())
        (inner / "CMakeLists.txt").write_bytes(plugin_cmake(name, suffixes).encode())
    return exports
