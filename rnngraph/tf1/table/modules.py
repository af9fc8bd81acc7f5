"""Modules with TensorFlow's paths, built from the table. A name is imported when it is first read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from .entries import module_path, public_names, table
from .missing import missing

PACKAGE = __package__.rpartition(".")[0]
PACKAGES = ("summary", "train")
"""Modules of TensorFlow that are folders of ``rnngraph/tf1``."""


class TensorFlowModule(ModuleType):
    """Module ``tf.<path>`` with the names of the table. Reading any other name raises an error with a remedy."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{PACKAGE}.{path}", f"TensorFlow 1.x's ``tf.{path}``.")
        self.__package__ = self.__name__
        self.__path__ = list[str]()
        self.__all__ = public_names(path)

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = member(self.__name__.removeprefix(f"{PACKAGE}."), name)
        return value

    def __dir__(self) -> list[str]:
        return sorted(self.__all__)


def member(module: str, name: str) -> Any:
    """Return the object or module ``tf.<module>.<name>``. Raise an error with a remedy if it is not offered."""
    path = f"{module}.{name}" if module else name
    target = table().targets.get(path)
    if target is not None:
        place, _, attribute = target.rpartition(".")
        return getattr(import_module(place if place.startswith("rnngraph.") else f"{PACKAGE}.{place}"), attribute)
    if not name.startswith("__") and (resolved := module_path(path)) is not None:
        return module_of(resolved)
    raise missing(path)


@cache
def module_of(path: str) -> ModuleType:
    """Return the module ``tf.<path>``."""
    if path in ("", *PACKAGES):
        return import_module(f"{PACKAGE}.{path}".rstrip("."))
    return TensorFlowModule(path)


def names_of(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], tuple[str, ...]]:
    """Return (``__getattr__``, ``__dir__``, ``__all__``) of ``tf`` or one of ``PACKAGES``, which read the table."""
    path = package.removeprefix(PACKAGE).removeprefix(".")
    exported = tuple(public_names(path))

    def read(name: str) -> Any:
        module = sys.modules[package]
        if name not in exported and PathFinder.find_spec(f"{package}.{name}", module.__path__) is not None:
            # A submodule of rnngraph: after this error, Python's import loads it.
            raise AttributeError(f"{package}.{name} is not imported yet")
        value = module.__dict__[name] = member(path, name)
        return value

    return read, lambda: sorted(exported), exported


def add_modules() -> None:
    """Add the modules of the table to ``sys.modules``, so that ``import rnngraph.tf1.nn`` finds them."""
    for path in table().members:
        if path not in ("", *PACKAGES):
            sys.modules[f"{PACKAGE}.{path}"] = module_of(path)
