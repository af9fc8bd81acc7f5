"""Services of the operating system, with the same functions on Linux, macOS and Windows.

No other package of rnngraph tests for the operating system.

- ``posix``, ``windows``: files, locks, private directories, and limits of memory. This package exports the functions
  of the system that it runs on.
- ``windows_api``: declarations of Windows' own functions; ``windows_security``: owners and access control lists.
- ``semaphores``: semaphores that machine code waits for.
- ``processor``: sizes of caches, and features of the processor that LLVM does not report.
"""

import sys

if sys.platform == "win32":
    from .windows import (
        ExecutableMemory,
        PrivateDirectory,
        cores,
        create_private_directory,
        executable_page,
        free_memory,
        large_pages,
        leased_pages,
        locked_directory,
        open_for_reading,
        open_own,
        process_limits,
        replace,
        set_mode,
        shared_pages,
        sync_directory,
        try_lock,
        try_lock_byte,
        user_cache,
    )
else:
    from .posix import (
        ExecutableMemory,
        PrivateDirectory,
        cores,
        create_private_directory,
        executable_page,
        free_memory,
        large_pages,
        leased_pages,
        locked_directory,
        open_for_reading,
        open_own,
        process_limits,
        replace,
        set_mode,
        shared_pages,
        sync_directory,
        try_lock,
        try_lock_byte,
        user_cache,
    )

__all__ = [
    "ExecutableMemory",
    "PrivateDirectory",
    "cores",
    "create_private_directory",
    "executable_page",
    "free_memory",
    "large_pages",
    "leased_pages",
    "locked_directory",
    "open_for_reading",
    "open_own",
    "process_limits",
    "replace",
    "set_mode",
    "shared_pages",
    "sync_directory",
    "try_lock",
    "try_lock_byte",
    "user_cache",
]
