"""Declarations of the Windows functions that this package calls."""

from __future__ import annotations

import ctypes
import sys
from ctypes import POINTER, c_int, c_uint32, c_uint64, c_void_p, c_wchar_p
from typing import Any

assert sys.platform == "win32"

kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)

INVALID_HANDLE = c_void_p(-1).value
GENERIC_READ, GENERIC_WRITE, GENERIC_ALL = 0x8000_0000, 0x4000_0000, 0x1000_0000
FILE_WRITE_DATA, FILE_APPEND_DATA, FILE_DELETE_CHILD = 0x2, 0x4, 0x40
FILE_READ_ATTRIBUTES, DELETE, READ_CONTROL, WRITE_DAC, WRITE_OWNER, SYNCHRONIZE = (
    0x80,
    0x1_0000,
    0x2_0000,
    0x4_0000,
    0x8_0000,
    0x10_0000,
)
SHARE_READ, SHARE_WRITE, SHARE_DELETE = 1, 2, 4
CREATE_NEW, CREATE_ALWAYS, OPEN_EXISTING, OPEN_ALWAYS, TRUNCATE_EXISTING = 1, 2, 3, 4, 5
BACKUP_SEMANTICS, OPEN_REPARSE_POINT = 0x0200_0000, 0x0020_0000
REPARSE_POINT = 0x400
"""Attribute of links and mount points."""
WAIT_FOREVER = 0xFFFF_FFFF
FAIL_IMMEDIATELY, EXCLUSIVE = 1, 2
LOCK_VIOLATION, IO_PENDING = 33, 997
"""Errors of ``LockFileEx`` if another holds the lock."""


class SecurityAttributes(ctypes.Structure):
    """``SECURITY_ATTRIBUTES``."""

    _fields_ = (("size", c_uint32), ("descriptor", c_void_p), ("inherits", c_int))


class Overlapped(ctypes.Structure):
    """``OVERLAPPED``, from which locks read the position."""

    _fields_ = (
        ("internal", c_void_p),
        ("internal_high", c_void_p),
        ("position_low", c_uint32),
        ("position_high", c_uint32),
        ("event", c_void_p),
    )


class MemoryStatus(ctypes.Structure):
    """``MEMORYSTATUSEX``."""

    _fields_ = (
        ("size", c_uint32),
        ("load", c_uint32),
        ("total_physical", c_uint64),
        ("free_physical", c_uint64),
        ("commit_limit", c_uint64),
        ("free_commit", c_uint64),
        ("total_virtual", c_uint64),
        ("free_virtual", c_uint64),
        ("free_extended", c_uint64),
    )


def _declare(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


create_file = _declare(
    kernel32, "CreateFileW", c_void_p, c_wchar_p, c_uint32, c_uint32, c_void_p, c_uint32, c_uint32, c_void_p
)
close_handle = _declare(kernel32, "CloseHandle", c_int, c_void_p)
create_directory = _declare(kernel32, "CreateDirectoryW", c_int, c_wchar_p, POINTER(SecurityAttributes))
create_mutex = _declare(kernel32, "CreateMutexW", c_void_p, c_void_p, c_int, c_wchar_p)
wait_for = _declare(kernel32, "WaitForSingleObject", c_uint32, c_void_p, c_uint32)
release_mutex = _declare(kernel32, "ReleaseMutex", c_int, c_void_p)
lock_file = _declare(
    kernel32, "LockFileEx", c_int, c_void_p, c_uint32, c_uint32, c_uint32, c_uint32, POINTER(Overlapped)
)
memory_status = _declare(kernel32, "GlobalMemoryStatusEx", c_int, POINTER(MemoryStatus))
local_free = _declare(kernel32, "LocalFree", c_void_p, c_void_p)
current_process = _declare(kernel32, "GetCurrentProcess", c_void_p)
open_process_token = _declare(advapi32, "OpenProcessToken", c_int, c_void_p, c_uint32, POINTER(c_void_p))
token_information = _declare(
    advapi32, "GetTokenInformation", c_int, c_void_p, c_int, c_void_p, c_uint32, POINTER(c_uint32)
)
sid_text = _declare(advapi32, "ConvertSidToStringSidW", c_int, c_void_p, POINTER(c_void_p))
security_of_text = _declare(
    advapi32,
    "ConvertStringSecurityDescriptorToSecurityDescriptorW",
    c_int,
    c_wchar_p,
    c_uint32,
    POINTER(c_void_p),
    c_void_p,
)
security_info = _declare(
    advapi32,
    "GetSecurityInfo",
    c_uint32,
    c_void_p,
    c_int,
    c_uint32,
    POINTER(c_void_p),
    c_void_p,
    POINTER(c_void_p),
    c_void_p,
    POINTER(c_void_p),
)
access_entry = _declare(advapi32, "GetAce", c_int, c_void_p, c_uint32, POINTER(c_void_p))
processor_information = _declare(
    kernel32, "GetLogicalProcessorInformationEx", c_int, c_int, c_void_p, POINTER(c_uint32)
)


def check(succeeded: Any) -> None:
    """Raise the ``OSError`` of the last call, unless it succeeded."""
    if not succeeded:
        raise ctypes.WinError(ctypes.get_last_error())
