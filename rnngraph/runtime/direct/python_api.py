"""Addresses of functions of CPython and NumPy, and checks of the object layouts that machine code relies on."""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_int32, c_ssize_t, c_void_p, py_object
from typing import Any

import numpy as np

from ...codegen.direct_calls.plan import AXES, DATA, DESCR, FLAGS, SHAPE, STRIDES, Api

_NEW_FROM_DESCR = 94
"""Index of ``PyArray_NewFromDescr`` in NumPy's C API table (``code_generators/numpy_api.py``), stable in its ABI."""
_METHOD_FASTCALL, _METHOD_KEYWORDS = 0x80, 0x02


class MethodDef(ctypes.Structure):
    """``PyMethodDef``. It must outlive the functions made from it."""

    _fields_ = (("name", ctypes.c_char_p), ("function", c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


def is_offered() -> bool:
    """True if machine code can access Python objects: 64-bit CPython with the GIL and the expected object layouts."""
    import sysconfig  # slow to import, and a program's first calls do without

    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    return ctypes.sizeof(c_void_p) == 8 and sys.byteorder == "little" and _arrays_are_as_read()


def _arrays_are_as_read() -> bool:
    """True if NumPy arrays have the layout that machine code expects."""
    array = np.zeros((5, 7), np.float32)[:, 2:]
    place = id(array) + _head()
    axes = c_int32.from_address(place + AXES).value
    if id(type(array)) != _word(place - 8) or array.__array_interface__["data"][0] != _word(place + DATA) or axes != 2:
        return False
    shape, strides = _word(place + SHAPE), _word(place + STRIDES)
    return (
        (_word(shape), _word(shape + 8)) == array.shape
        and (_word(strides), _word(strides + 8)) == array.strides
        and _word(place + DESCR) == id(array.dtype)
        and c_int32.from_address(place + FLAGS).value == array.flags.num
    )


def _head() -> int:
    """Return the size of an object's header in bytes. The type pointer is its last word."""
    return object.__basicsize__


def _word(place: int) -> int:
    """Return the 8-byte word at an address."""
    return c_ssize_t.from_address(place).value


def table_of(out: str, result: type) -> dict[Api, int]:
    """Return the addresses of Python objects and C functions that machine code reads from its table.

    The addresses of trampolines are not included.

    Args:
        out: Interned name of the argument ``out``.
        result: Mapping type of results.
    """
    objects = {
        Api.NONE: id(None),
        Api.ARRAY: id(np.ndarray),
        Api.DICT: id(dict),
        Api.FLOAT: id(float),
        Api.OUT: id(out),
        Api.RESULT: id(result),
        Api.HEAD: _head(),
    }
    functions = {
        item: _address(item.name) for item in Api if item.name.startswith("Py") and not item.name.startswith("PyArray")
    }
    return objects | functions | {Api.PyArray_NewFromDescr: _array_api()[_NEW_FROM_DESCR] or 0}


def _array_api() -> Any:
    """Return NumPy's C API table."""
    from numpy._core import multiarray

    pointer = _function("PyCapsule_GetPointer", c_void_p, py_object, ctypes.c_char_p)
    return (c_void_p * (_NEW_FROM_DESCR + 1)).from_address(pointer(multiarray._ARRAY_API, None))


def _address(name: str) -> int:
    """Return the address of a CPython function."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), c_void_p).value or 0


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """Return a private ctypes handle of a CPython function."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


def method_of(owner: type, name: str, address: int, signature: str) -> tuple[Any, MethodDef]:
    """Return a method that runs the code at an address, and its definition, which must outlive the method.

    Args:
        owner: Class of the method.
        name: Name of the method.
        address: Address of a function of (self, arguments, their count, names of keywords).
        signature: Text signature for ``inspect``, such as ``step($self, feeds=None, /, **named)``.
    """
    document = f"{signature}\n--\n\n{getattr(owner, name).__doc__}"
    definition = MethodDef(name.encode(), address, _METHOD_FASTCALL | _METHOD_KEYWORDS, document.encode())
    make = _function("PyDescr_NewMethod", py_object, py_object, ctypes.POINTER(MethodDef))
    return make(owner, definition), definition


def function_of(name: str, address: int) -> tuple[Any, MethodDef]:
    """Return a function that runs the code at an address, and its definition, which must outlive it."""
    definition = MethodDef(name.encode(), address, _METHOD_FASTCALL, None)
    make = _function("PyCFunction_NewEx", py_object, ctypes.POINTER(MethodDef), c_void_p, c_void_p)
    return make(definition, None, None), definition
