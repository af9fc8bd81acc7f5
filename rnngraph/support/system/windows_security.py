"""Owners and access control lists of Windows' files: who may have written to one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from ctypes import byref, c_uint8, c_uint16, c_uint32, c_void_p
from functools import lru_cache

assert sys.platform == "win32"

from . import windows_api as api  # noqa: E402  (after the check of the system, for type checkers)

_SYSTEM, _ADMINISTRATORS, _OWNER_RIGHTS = "S-1-5-18", "S-1-5-32-544", "S-1-3-4"
_TRUSTED = (_SYSTEM, _ADMINISTRATORS, _OWNER_RIGHTS)
"""Security identifiers of those who may write to every file anyway, and of the owner's rights."""
_WRITES = (
    api.FILE_WRITE_DATA
    | api.FILE_APPEND_DATA
    | api.FILE_DELETE_CHILD
    | api.DELETE
    | api.WRITE_DAC
    | api.WRITE_OWNER
    | api.GENERIC_WRITE
    | api.GENERIC_ALL
)
"""Rights by which one can change a file, or the files of a directory."""
_ALLOWED, _DENIED, _INHERIT_ONLY = 0, 1, 0x8
_TOKEN_QUERY, _TOKEN_USER, _TOKEN_OWNER = 0x8, 1, 4
_FILE_OBJECT, _OWNER, _ACCESS_LIST = 1, 0x1, 0x4


def danger_of(handle: int) -> str:
    """Return the reason why others may have written to an open file or directory; empty if they cannot."""
    owner, acl, descriptor = c_void_p(), c_void_p(), c_void_p()
    error = api.security_info(
        handle, _FILE_OBJECT, _OWNER | _ACCESS_LIST, byref(owner), None, byref(acl), None, byref(descriptor)
    )
    if error:
        raise ctypes.WinError(error)
    try:
        if _text(owner) not in _own():
            return "it belongs to another user"
        if not acl:  # no list: everybody has all rights
            return _WRITABLE
        trusted = {*_TRUSTED, *_own()}
        return _WRITABLE if any(sid not in trusted for sid in _writers(acl)) else ""
    finally:
        api.local_free(descriptor)


_WRITABLE = "others may write to it; take that away in its security settings, or with icacls"


def private_directory_rights() -> str:
    """Return a security descriptor as text: access for the user, the system and administrators only."""
    sids = (_own()[0], _SYSTEM, _ADMINISTRATORS)
    return "D:P" + "".join(f"(A;OICI;FA;;;{sid})" for sid in sids)


def _writers(acl: c_void_p) -> Iterator[str]:
    """Yield the security identifier of each one whom an access list permits to write; "" for unknown entries."""
    assert acl.value is not None
    for number in range(c_uint16.from_address(acl.value + 4).value):
        entry = c_void_p()
        api.check(api.access_entry(acl, number, byref(entry)))
        assert entry.value is not None
        kind, flags = c_uint8.from_address(entry.value).value, c_uint8.from_address(entry.value + 1).value
        if kind == _DENIED or flags & _INHERIT_ONLY:
            continue
        if kind != _ALLOWED:
            yield ""
        elif c_uint32.from_address(entry.value + 4).value & _WRITES:
            yield _text(c_void_p(entry.value + 8))


@lru_cache(maxsize=1)
def _own() -> tuple[str, ...]:
    """Return the security identifiers of the user, and of the owner of files that the process creates."""
    token = c_void_p()
    api.check(api.open_process_token(api.current_process(), _TOKEN_QUERY, byref(token)))
    try:
        return tuple(_of_token(token, kind) for kind in (_TOKEN_USER, _TOKEN_OWNER))
    finally:
        api.close_handle(token)


def _of_token(token: c_void_p, kind: int) -> str:
    """Return the identifier of the user or of the owner, as ``kind`` selects, from the process's access token."""
    size = c_uint32()
    api.token_information(token, kind, None, 0, byref(size))
    answer = ctypes.create_string_buffer(size.value)
    api.check(api.token_information(token, kind, answer, size, byref(size)))
    return _text(c_void_p.from_buffer(answer))


def _text(sid: c_void_p) -> str:
    """Return a security identifier of Windows as text."""
    text = c_void_p()
    api.check(api.sid_text(sid, byref(text)))
    assert text.value is not None
    try:
        return ctypes.wstring_at(text.value)
    finally:
        api.local_free(text)
