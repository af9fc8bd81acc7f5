"""C names of an exported net's arrays and sizes."""

from __future__ import annotations

import re
from collections.abc import Sequence

C_WORDS = (
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class "
    "co_await co_return co_yield compl complex concept const const_cast consteval constexpr constinit continue "
    "decltype default delete do double dynamic_cast else enum errno explicit export extern false float for friend "
    "goto if imaginary inline int int32_t int64_t linux long memory mutable namespace new noexcept not not_eq nullptr "
    "operator or or_eq private protected public register reinterpret_cast requires restrict return short signed "
    "size_t sizeof state static static_assert static_cast stderr stdin stdout steps struct switch template this "
    "thread_local throw true try typedef typeid typename typeof typeof_unqual union unix unsigned using virtual void "
    "volatile wchar_t weights while xor xor_eq"
)
"""Names used by C, C++, their headers or the functions of an exported net."""


def symbols_of_names(names: Sequence[str], reserved: Sequence[str] = ()) -> list[str]:
    """Return a C name for each name. All of them, and their upper-case macros, are distinct.

    ``reserved`` are names of other functions.
    """
    symbols: list[str] = []
    macros: set[str] = set()
    words = {*C_WORDS.split(), *reserved}
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "output"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        is_reserved = plain in words or plain.isupper()  # upper case is reserved for macros
        symbol, count = f"{plain}_" if is_reserved else plain, 1
        while symbol.upper() in macros:
            symbol, count = f"{plain}_{count}", count + 1
        macros.add(symbol.upper())
        symbols.append(symbol)
    return symbols
