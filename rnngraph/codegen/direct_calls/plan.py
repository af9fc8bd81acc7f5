"""Memory layout of the plan of a direct call: names of the words of its tables.

A direct call runs a net by machine code that CPython calls, without running Python code. A word has 8 bytes.
"""

from __future__ import annotations

from enum import IntEnum, auto

BEGIN, TRY, TRAMPOLINE = "direct_begin", "direct_try", "direct_trampoline_"
TRAMPOLINES = 3
"""Number of the trampolines ``direct_trampoline_0`` and so on. Each stands for a Python method."""
MAX_ITEMS = 32
"""Maximum number of feeds, and of results, of a call."""


class Api(IntEnum):
    """Words of the table that ``direct_begin`` receives: Python objects, sizes, and addresses of C functions."""

    NONE = 0
    ARRAY = auto()
    DICT = auto()
    FLOAT = auto()
    OUT = auto()
    """The interned string ``"out"``."""
    RESULT = auto()
    """The type of a call's mapping of results."""
    HEAD = auto()
    """Bytes of a Python object's header."""
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
    """First word of the trampolines, which have two words each.

    The first is the name of the attribute with an object's plan or None. The second is the method's Python function.
    """


API_WORDS = Api.TRAMPOLINE + 2 * TRAMPOLINES


class Plan(IntEnum):
    """Words of a plan, which is an array in a tuple. The tuple's other items keep alive the objects of the plan."""

    ENTRY = 0
    FIRST_BLOCK = auto()
    SECOND_BLOCK = auto()
    SIDE = auto()
    """Address of a word that selects the block of the next call: 0 for the first, 1 for the second."""
    FLIPS = auto()
    """1 if calls alternate between the blocks."""
    RELEASES = auto()
    """1 if a call takes so long that it should release the GIL."""
    BUSY = auto()
    """Address of a word that is 1 while a call runs."""
    WEIGHTS = auto()
    """Object that must stay alive during a call. It is certainly alive while all guards hold."""
    GUARDS = auto()
    GUARD_LIST = auto()
    """Address of the list of guards. A guard has two words: the address of a word, and that word's required value."""
    FEEDS = auto()
    NEEDED = auto()
    """Number of required feeds, which precede the optional feeds."""
    FEED_LIST = auto()
    RESULTS = auto()
    RESULT_LIST = auto()
    STRUCTURE = auto()
    """Address of the root node of the result's structure."""
    DRAW = auto()
    """Function that returns 64 random bits; 0 if no seed is drawn."""
    GENERATOR = auto()
    """Argument of ``DRAW``."""
    SEED = auto()
    """Address of the seed, which consists of the upper 63 bits that ``DRAW`` returns."""
    SEED_FEED = auto()
    """Index of the feed that replaces the drawn seed."""


class Record(IntEnum):
    """Words of the record of a feed or a result. Records of results do not use the words from ``NAME`` on."""

    DTYPE = 0
    AXES = auto()
    SHAPE = auto()
    BYTES = auto()
    MEMORY = auto()
    """Address of the copy that native code reads or writes; 0 if it accesses the array itself."""
    SLOT = auto()
    """Slot of the argument block for the array's address, if native code accesses the array itself."""
    NAME = auto()
    KEY = auto()
    """Another key for the feed in a mapping, or 0."""
    NUMBER = auto()
    """Bytes of the float to which a Python float is converted; 0 if only arrays are accepted."""
    ITEM = auto()
    """Bytes of an element."""
    CHECKED = auto()
    """Check of the values: ``FREE``, ``RANGE`` or ``SHARE``."""
    HIGH = auto()
    """Largest valid integer of a ``RANGE``, which starts at 0."""


class Node(IntEnum):
    """Words of one node in the structure of a result."""

    KIND = 0
    COUNT = auto()
    """Number of entries; for a leaf, the index of its result."""
    MAKER = auto()
    """Constructor of the container; 0 for a plain tuple.

    The constructor of a mapping takes no arguments, and that of a sequence takes a tuple of the entries.
    """
    KEYS = auto()
    """Address of the list of a mapping's keys."""
    PARTS = auto()
    """Address of the list of the entries' nodes."""
    CONTAINER = auto()
    """Type of the tuple that callers may pass as ``out``; 0 if a tuple is not accepted."""


LEAF, MAPPING, SEQUENCE = range(3)

FREE, RANGE, SHARE = range(3)
"""Checks of a feed's values: none, integers in a range, or one float in (0, 1]."""

DATA, AXES, SHAPE, STRIDES, DESCR, FLAGS = 0, 8, 16, 24, 40, 48
"""Offsets of an array's fields after its header, as in ``PyArrayObject_fields`` of NumPy's ``ndarraytypes.h``.

These offsets are part of NumPy's ABI.
"""
PLAIN, WRITABLE = 0x101, 0x400
"""Flags of arrays: C-contiguous and aligned; writable."""
