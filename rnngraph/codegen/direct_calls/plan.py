"""Memory layout of the plan of a direct call: the words of its tables, by name."""

from __future__ import annotations

from enum import IntEnum, auto

BEGIN, TRY, TRAMPOLINE = "direct_begin", "direct_try", "direct_trampoline_"
TRAMPOLINES = 3
"""Number of trampolines ``direct_trampoline_0`` and so on. Each replaces a Python method."""
MAX_ITEMS = 32
"""Maximum feeds, and results, of a call."""


class Api(IntEnum):
    """Indices into the table that ``direct_begin`` receives: Python objects, sizes, and addresses of C functions."""

    NONE = 0
    ARRAY = auto()
    DICT = auto()
    FLOAT = auto()
    OUT = auto()
    """The name ``out``, interned."""
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
    """The first of two words of each trampoline: the name of the attribute that holds the plan of an object, or None,
    and the function that the trampoline stands for.
    """


API_WORDS = Api.TRAMPOLINE + 2 * TRAMPOLINES


class Plan(IntEnum):
    """Words of a plan, an array that is the first item of a tuple. Other items keep the plan's referents alive."""

    ENTRY = 0
    FIRST_BLOCK = auto()
    SECOND_BLOCK = auto()
    SIDE = auto()
    """Address of a word: 0 if the first block is next, and 1 if the second."""
    FLIPS = auto()
    """1 if each call changes the side."""
    RELEASES = auto()
    """1 if the call is long enough that other threads should run meanwhile."""
    BUSY = auto()
    """Address of a word that is 1 while a call runs."""
    WEIGHTS = auto()
    """Object that must outlive a call. The guards keep it alive."""
    GUARDS = auto()
    GUARD_LIST = auto()
    """Guards of two words each: the address of a word, and its required value."""
    FEEDS = auto()
    NEEDED = auto()
    """Number of required feeds, which come first."""
    FEED_LIST = auto()
    RESULTS = auto()
    RESULT_LIST = auto()
    STRUCTURE = auto()
    """Address of the node of the whole result."""
    DRAW = auto()
    """Function that returns 64 random bits; 0 if no seed is drawn."""
    GENERATOR = auto()
    """Argument of ``DRAW``."""
    SEED = auto()
    """Address of the seed, which consists of the upper 63 bits that ``DRAW`` returns."""
    SEED_FEED = auto()
    """Index of the feed that replaces the drawn seed."""


class Record(IntEnum):
    """Words of the record of a feed or a result. The last ones are used by feeds only."""

    DTYPE = 0
    AXES = auto()
    SHAPE = auto()
    BYTES = auto()
    MEMORY = auto()
    """Address of native code's copy; 0 if the array is read or written in place."""
    SLOT = auto()
    """Slot of the argument block, for an array whose address differs in each call."""
    NAME = auto()
    KEY = auto()
    """Other key by which a mapping may name it, or 0."""
    NUMBER = auto()
    """Bytes of the float to which a Python number is converted; 0 if numbers are not accepted."""
    ITEM = auto()
    """Bytes of an element."""
    CHECKED = auto()
    """Check of its values: ``FREE``, ``RANGE`` or ``SHARE``."""
    HIGH = auto()
    """Largest valid integer of a ``RANGE``, which starts at 0."""


class Node(IntEnum):
    """Words of one node in the structure of a result."""

    KIND = 0
    COUNT = auto()
    """Number of entries; for a leaf, the index of its result."""
    MAKER = auto()
    """Constructor without arguments (mapping) or from a tuple (sequence); 0 for a plain tuple."""
    KEYS = auto()
    """Address of the keys of a mapping."""
    PARTS = auto()
    """Address of the list of the entries' nodes."""
    CONTAINER = auto()
    """Type of tuple that callers may pass as ``out``; 0 if they may not."""


LEAF, MAPPING, SEQUENCE = range(3)

FREE, RANGE, SHARE = range(3)
"""Checks of fed numbers: none, integers in a range, one float in (0, 1]."""

DATA, AXES, SHAPE, STRIDES, DESCR, FLAGS = 0, 8, 16, 24, 40, 48
"""Offsets after an object's header of an array's fields: ``PyArrayObject_fields`` of NumPy's ``ndarraytypes.h``, which
is part of its ABI.
"""
PLAIN, WRITABLE = 0x101, 0x400
"""Flags of arrays: C-contiguous and aligned; writable."""
