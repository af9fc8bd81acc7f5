"""What other build systems need to know of an exported net: CMake's and pkg-config's files."""

from __future__ import annotations

from ...version import __version__
from .description import Description

CMAKE_LISTS = """\
# Nets that rnngraph exported. add_subdirectory() this folder, then
# target_link_libraries(yours PRIVATE NAME).
cmake_minimum_required(VERSION 3.12)
project(exported_nets C)

file(GLOB nets "${CMAKE_CURRENT_SOURCE_DIR}/*_net.cmake")
foreach(net IN LISTS nets)
  include("${net}")
endforeach()
"""
"""``CMakeLists.txt``: the same for all nets, so that a folder may hold several."""


def cmake(net: Description, object_name: str) -> str:
    """``NAME_net.cmake``: a target to link against, and the self-test."""
    return f"""\
# {net.name}: exported by rnngraph {__version__} for {net.targets}.
add_library({net.name} INTERFACE)
target_include_directories({net.name} INTERFACE "${{CMAKE_CURRENT_SOURCE_DIR}}")
target_link_libraries({net.name} INTERFACE "${{CMAKE_CURRENT_SOURCE_DIR}}/{object_name}")

option({net.macro}_TEST "Build the self-test of {net.name}" OFF)
if({net.macro}_TEST)
  enable_testing()
  add_executable({net.name}_test "${{CMAKE_CURRENT_SOURCE_DIR}}/{net.name}_test.c")
  set_property(TARGET {net.name}_test PROPERTY C_STANDARD 99)
  target_link_libraries({net.name}_test PRIVATE {net.name})
  add_test(NAME {net.name}_test COMMAND {net.name}_test WORKING_DIRECTORY "${{CMAKE_CURRENT_SOURCE_DIR}}")
endif()
"""


def pkg_config(net: Description) -> str:
    """``NAME.pc``, which finds the library beside itself."""
    return f"""\
libdir=${{pcfiledir}}
includedir=${{pcfiledir}}

Name: {net.name}
Description: A recurrent net as native code, exported by rnngraph for {net.targets}
Version: {__version__}
Libs: -L${{libdir}} -l{net.name}
Cflags: -I${{includedir}}
"""
