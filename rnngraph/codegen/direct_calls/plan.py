"""The memory that tells direct calls what to do: words of tables, by names."""

from __future__ import annotations

from enum import IntEnum, auto

BEGIN, TRY, TRAMPOLINE = "direct_begin", "direct_try", "direct_trampoline_"
TRAMPOLINES = 3
"""Functions ``direct_trampoline_0`` and so on, each in place of a method in Python."""
MAX_ITEMS = 32
"""Feeds, and results, of a call at most."""


class Api(IntEnum):
    """Words of the table that ``direct_begin`` takes over: objects, sizes, and functions by their names in C."""

    NONE = 0
    ARRAY = auto()
    DICT = auto()
    FLOAT = auto()
    OUT = auto()
    """The name ``out``, interned."""
    RESULT = auto()
    """The type of a call's mapping of results."""
    HEAD = auto()
    """Bytes of a Python object before what its type adds."""
    Py_IncRef = auto()
    Py_DecRef = auto()
    PyErr_Clear = auto()
    PyErr_NoMemory = auto()
    PyErr_Occurred = auto()
    PyObject_GetAttr = auto()
    PyObject_Vectorcall = auto()
    PyObject_CallNoArgs = auto()
    PyObject_CallOneArg = auto()
    PyTuple_New = auto()
    PyTuple_GetItem = auto()
    PyTuple_SetItem = auto()
    PyTuple_Size = auto()
    PyDict_Size = auto()
    PyDict_GetItemWithError = auto()
    PyDict_SetItem = auto()
    PyFloat_AsDouble = auto()
    PyMem_Malloc = auto()
    PyMem_Free = auto()
    PyEval_SaveThread = auto()
    PyEval_RestoreThread = auto()
    PyArray_NewFromDescr = auto()
    TRAMPOLINE = auto()
    """The first of two words of each trampoline: the name of the attribute that holds the plan of an object, or None,
    and the function that the trampoline stands for.
    """


API_WORDS = Api.TRAMPOLINE + 2 * TRAMPOLINES


class Plan(IntEnum):
    """Words of a plan. It is what the array holds that is first in a tuple; the rest of the tuple keeps alive what the
    plan names.
    """

    ENTRY = 0
    FIRST_BLOCK = auto()
    SECOND_BLOCK = auto()
    SIDE = auto()
    """Where a word lies that is 0 where the first block is next, and 1 where the second one is."""
    FLIPS = auto()
    """1 where each call changes the side."""
    RELEASES = auto()
    """1 where the call is so long that other threads run meanwhile."""
    BUSY = auto()
    """Where a word lies that is 1 while a call runs."""
    WEIGHTS = auto()
    """An object that must live as long as a call runs; it does while the guards hold."""
    GUARDS = auto()
    GUARD_LIST = auto()
    """Conditions, two words each: where a word lies, and what it must be."""
    FEEDS = auto()
    NEEDED = auto()
    """So many of the feeds, the first ones, must be there."""
    FEED_LIST = auto()
    RESULTS = auto()
    RESULT_LIST = auto()
    STRUCTURE = auto()
    """Where the node of the whole result lies."""
    DRAW = auto()
    GENERATOR = auto()
    SEED = auto()
    """A function of a generator that gives 64 random bits, 0 where no seed is drawn, and where the upper 63 of them are
    written.
    """
    SEED_FEED = auto()
    """Which feed stands for a seed that is drawn, where it is given."""


class Record(IntEnum):
    """Words of a feed or a result. The last ones are a feed's."""

    DTYPE = 0
    AXES = auto()
    SHAPE = auto()
    BYTES = auto()
    MEMORY = auto()
    """Where native code has it, who copies then; 0 where it is read or written where it lies."""
    SLOT = auto()
    """Of the argument block, for what lies elsewhere in each call."""
    NAME = auto()
    KEY = auto()
    """What else a mapping may name it by, or 0."""
    NUMBER = auto()
    """Bytes of the float that a Python number becomes; 0 where it takes none."""
    ITEM = auto()
    """Bytes of an element."""
    CHECKED = auto()
    """What must hold of its numbers: ``FREE``, ``RANGE`` or ``SHARE``."""
    HIGH = auto()
    """The largest integer that it may hold, of a ``RANGE`` that begins at 0."""


class Node(IntEnum):
    """Words of a node of a result's structure."""

    KIND = 0
    COUNT = auto()
    """Of the entries; of a leaf which result it is."""
    MAKER = auto()
    """What makes it of nothing (a mapping) or of a tuple (a sequence); 0 for a plain tuple."""
    KEYS = auto()
    """Where the keys of a mapping lie."""
    PARTS = auto()
    """Where the addresses of the entries' nodes lie."""
    CONTAINER = auto()
    """The type of tuples, of which callers may give one of arrays for results; 0 where they may not."""


LEAF, MAPPING, SEQUENCE = range(3)

FREE, RANGE, SHARE = range(3)
"""Checks of fed numbers: none, integers in a range, one float in (0, 1]."""

DATA, AXES, SHAPE, STRIDES, DESCR, FLAGS = 0, 8, 16, 24, 40, 48
"""Bytes behind an object's head at which an array holds these: ``PyArrayObject_fields`` of NumPy's
``ndarraytypes.h``, which is part of its ABI.
"""
PLAIN, WRITABLE = 0x101, 0x400
"""Flags of arrays: C-contiguous and aligned; writable."""
