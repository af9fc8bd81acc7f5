"""Files of an exported net for CMake and pkg-config."""

from __future__ import annotations

from ...version import __version__
from .description import Description
from .template import filled, template


def cmake_lists() -> str:
    """Return the text of ``CMakeLists.txt``. It is the same for all nets in a folder."""
    return template("CMakeLists.txt")


def cmake(net: Description, object_name: str) -> str:
    """Return the text of ``NAME_net.cmake``: a target to link with, and the self-test."""
    words = {"name": net.name, "macro": net.macro, "targets": net.targets, "version": __version__}
    return filled(template("net.cmake.in"), object=object_name, **words)


def pkg_config(net: Description) -> str:
    """Return the text of ``NAME.pc``, which finds the library in its own folder."""
    return filled(template("net.pc.in"), name=net.name, targets=net.targets, version=__version__)
