"""Addresses of CPython's and NumPy's functions and objects, for machine code that calls them, and how objects lie in
memory, which is looked at before anything relies on it.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from ctypes import c_int32, c_ssize_t, c_void_p, py_object
from typing import Any

import numpy as np

from ...codegen.direct_calls.plan import AXES, DATA, DESCR, FLAGS, SHAPE, STRIDES, Api

_CAPSULE = b"numpy._core.multiarray._ARRAY_API"
_NEW_FROM_DESCR, _ARRAY_TYPE = 94, 2
"""Places in NumPy's table of functions (``numpy/_core/code_generators/numpy_api.py``), which its ABI keeps."""
_METHOD_FASTCALL, _METHOD_KEYWORDS = 0x80, 0x02


class MethodDef(ctypes.Structure):
    """``PyMethodDef``. CPython reads it as long as there is a function that was made of it."""

    _fields_ = (("name", ctypes.c_char_p), ("function", c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


def is_offered() -> bool:
    """Whether machine code may work on Python's objects here: CPython with its lock, whose objects and arrays lie in
    memory as they are read.
    """
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    return ctypes.sizeof(c_void_p) == 8 and sys.byteorder == "little" and _arrays_are_as_read()


def _arrays_are_as_read() -> bool:
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
    """Bytes of an object before what its type adds; its type is last in them."""
    return object.__basicsize__


def _word(place: int) -> int:
    return c_ssize_t.from_address(place).value


def table_of(out: str, result: type) -> dict[Api, int]:
    """Return the table's words but for the trampolines.

    Args:
        out: the interned name of the argument.
        result: type of a call's mapping of results.
    """
    objects = {
        Api.NONE: id(None), Api.ARRAY: id(np.ndarray), Api.DICT: id(dict), Api.FLOAT: id(float),
        Api.OUT: id(out),
        Api.RESULT: id(result), Api.HEAD: _head(),
    }  # fmt: skip
    functions = {
        item: _address(item.name) for item in Api if item.name.startswith("Py") and not item.name.startswith("PyArray")
    }
    return objects | functions | {Api.PyArray_NewFromDescr: _array_api()[_NEW_FROM_DESCR] or 0}


def _array_api() -> Any:
    """NumPy's table of functions."""
    from numpy._core import multiarray

    pointer = _function("PyCapsule_GetPointer", c_void_p, py_object, ctypes.c_char_p)
    return (c_void_p * (_NEW_FROM_DESCR + 1)).from_address(pointer(multiarray._ARRAY_API, None))


def _address(name: str) -> int:
    return ctypes.cast(getattr(ctypes.pythonapi, name), c_void_p).value or 0


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of CPython's, apart from the one that ``ctypes.pythonapi`` shares with all."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


def method_of(owner: type, name: str, address: int, signature: str) -> tuple[Any, MethodDef]:
    """A method of a class at an address: a function of (self, arguments, their count, names of keywords).

    signature: as ``inspect`` reads it, such as ``step($self, feeds=None, /, **named)``. What it gives second must live
    as long as the method does.
    """
    document = f"{signature}\n--\n\n{getattr(owner, name).__doc__}"
    made = MethodDef(name.encode(), address, _METHOD_FASTCALL | _METHOD_KEYWORDS, document.encode())
    make = _function("PyDescr_NewMethod", py_object, py_object, ctypes.POINTER(MethodDef))
    return make(owner, made), made


def function_of(name: str, address: int) -> tuple[Any, MethodDef]:
    """A function of positional arguments at an address, as ``method_of`` gives a method."""
    made = MethodDef(name.encode(), address, _METHOD_FASTCALL, None)
    make = _function("PyCFunction_NewEx", py_object, ctypes.POINTER(MethodDef), c_void_p, c_void_p)
    return make(made, None, None), made
